package command

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// beyond are the options that commands have which the reference does not know.
var beyond = map[string]string{"set": `(string comparison-value "IFEQ")`}

// TestIntrospectionAgrees compares COMMAND INFO and the argument trees of
// COMMAND DOCS with the reference's for every command that both have.
func TestIntrospectionAgrees(t *testing.T) {
	ref := startReference(t)
	ours := newNode(t)
	compared := 0
	for _, s := range ours.engine.Table().All() {
		theirs := decoded(ref.do("COMMAND", "INFO", s.FullName())).([]any)[0]
		if theirs == nil {
			if s.Since < "7.1" {
				t.Errorf("the reference has no %s", s.FullName())
			}
			continue
		}
		compared++
		our := decoded(ours.do("COMMAND", "INFO", s.FullName())).([]any)[0]
		names := []string{"name", "arity", "flags", "first", "last", "step", "categories", "tips", "key specs"}
		for i, name := range names {
			a, b := our.([]any)[i], theirs.([]any)[i]
			switch name {
			case "flags", "categories":
				a, b = sorted(a), sorted(b)
			case "key specs":
				a, b = withoutNotes(a), withoutNotes(b)
			}
			if !reflect.DeepEqual(a, b) {
				t.Errorf("COMMAND INFO %s: %s\n ours:   %v\n theirs: %v", s.FullName(), name, a, b)
			}
		}
		a := docsOf(ours.do("COMMAND", "DOCS", s.FullName()))
		b := docsOf(ref.do("COMMAND", "DOCS", s.FullName()))
		for _, field := range []string{"since", "group", "doc_flags", "deprecated_since", "replaced_by"} {
			if !reflect.DeepEqual(a[field], b[field]) {
				t.Errorf("COMMAND DOCS %s: %s\n ours:   %v\n theirs: %v", s.FullName(), field, a[field], b[field])
			}
		}
		if strings.HasPrefix(s.FullName(), "command|getkeys") {
			continue // the reference documents no arguments for these
		}
		if x, y := strings.Replace(treeOf(a["arguments"]), beyond[s.FullName()], "", 1), treeOf(b["arguments"]); x != y {
			t.Errorf("COMMAND DOCS %s: arguments\n ours:   %s\n theirs: %s", s.FullName(), x, y)
		}
		// The reference's syntax of PFMERGE names a source, that of GEOHASH and GEOPOS
		// a member; their arity needs none.
		if err := s.checkSyntax(); err != nil && s.Name != "pfmerge" && s.Name != "geohash" && s.Name != "geopos" {
			t.Error(err)
		}
	}
	t.Logf("%d commands compared", compared)
}

func sorted(v any) []string {
	var words []string
	for _, word := range v.([]any) {
		words = append(words, word.(string))
	}
	slices.Sort(words)
	return words
}

// withoutNotes drops what is prose.
func withoutNotes(v any) any {
	var specs []any
	for _, spec := range v.([]any) {
		fields := spec.([]any)
		if fields[0] == "notes" {
			fields = fields[2:]
		}
		specs = append(specs, fields)
	}
	return specs
}

// fieldsOf turns a flat map into a map.
func fieldsOf(v any) map[string]any {
	fields := make(map[string]any)
	list, _ := v.([]any)
	for i := 0; i+1 < len(list); i += 2 {
		fields[list[i].(string)] = list[i+1]
	}
	return fields
}

func docsOf(raw string) map[string]any { return fieldsOf(decoded(raw).([]any)[1]) }

// treeOf writes an argument tree as text: types, tokens, flags, key specs and
// the names of leaves. Names of choices and blocks are not part of the syntax,
// and a choice's own members need not be called optional.
func treeOf(v any) string {
	var b strings.Builder
	writeTree(&b, v, false)
	return b.String()
}

func writeTree(b *strings.Builder, v any, inChoice bool) {
	list, _ := v.([]any)
	for _, item := range list {
		a := fieldsOf(item)
		fmt.Fprintf(b, "(%s", a["type"])
		if a["type"] != "oneof" && a["type"] != "block" && a["type"] != "pure-token" {
			fmt.Fprintf(b, " %s", a["name"])
		}
		if spec, there := a["key_spec_index"]; there {
			fmt.Fprintf(b, " key%d", spec)
		}
		if token, there := a["token"]; there {
			fmt.Fprintf(b, " %q", token)
		}
		if flags, there := a["flags"]; there {
			words := sorted(flags)
			if inChoice {
				words = slices.DeleteFunc(words, func(w string) bool { return w == "optional" })
			}
			if len(words) > 0 {
				fmt.Fprintf(b, " %v", words)
			}
		}
		writeTree(b, a["arguments"], a["type"] == "oneof")
		b.WriteString(")")
	}
}
