package command

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// coveredGroups are the groups of commands whose every option has a line in the
// scripts.
var coveredGroups = []string{
	"generic", "string", "bitmap", "hash", "list", "set", "sorted-set", "geo", "hyperloglog", "stream",
}

// elsewhere are commands of those groups that need more than an engine; the
// end-to-end tests compare them.
var elsewhere = []string{"migrate", "wait"}

// TestScriptsCoverEverything computes from the reference's COMMAND DOCS what
// there is to try: every command, every token, and every argument that may be
// left out or repeated. It prints what no script tries. An option has been tried
// where the reference did something with it, and of every command there is an
// error too.
func TestScriptsCoverEverything(t *testing.T) {
	ref := startReference(t)
	docs := decoded(ref.do("COMMAND", "DOCS")).([]any)
	table := newNode(t).engine.Table()
	tried := tryScripts(t)
	wanted, missing := 0, 0
	want := func(found bool, format string, args ...any) {
		wanted++
		if !found {
			missing++
			t.Errorf("no script tries "+format, args...)
		}
	}
	check := func(name string, fields map[string]any) {
		if !slices.Contains(coveredGroups, fields["group"].(string)) || slices.Contains(elsewhere, name) {
			return
		}
		if table.Lookup([]byte(strings.SplitN(name, "|", 2)[0])) == nil {
			t.Errorf("there is no %s", name)
			return
		}
		own := tried[name].done
		want(len(own) > 0, "%s", name)
		want(tried[name].refused > 0, "%s so that it fails", name)
		leaves(fields["arguments"], func(a map[string]any, nested bool) {
			if token, there := a["token"].(string); there && token != `""` {
				used := slices.ContainsFunc(own, func(args []string) bool {
					return slices.ContainsFunc(args, func(arg string) bool { return strings.EqualFold(arg, token) })
				})
				want(used, "%s %s", name, token)
				return
			}
			flags := texts(a["flags"])
			loose := slices.Contains(flags, "optional") || slices.Contains(flags, "multiple")
			if nested || !loose || len(own) == 0 {
				return
			}
			shortest, longest := len(own[0]), 0
			for _, args := range own {
				shortest, longest = min(shortest, len(args)), max(longest, len(args))
			}
			want(shortest < longest, "%s with and without %v", name, a["name"])
		})
	}
	for i := 0; i+1 < len(docs); i += 2 {
		fields := fieldsOf(docs[i+1])
		if subcommands, there := fields["subcommands"].([]any); there {
			for j := 0; j+1 < len(subcommands); j += 2 {
				check(subcommands[j].(string), fieldsOf(subcommands[j+1]))
			}
			continue
		}
		check(docs[i].(string), fields)
	}
	t.Logf("%d commands, options and arguments; %d are not tried", wanted, missing)
	if wanted < 400 {
		t.Errorf("the reference documents only %d", wanted)
	}
}

// leaves calls fn for every argument; nested says that it is inside another.
func leaves(v any, fn func(a map[string]any, nested bool)) {
	list, _ := v.([]any)
	for _, item := range list {
		a := fieldsOf(item)
		fn(a, false)
		leaves(a["arguments"], func(inner map[string]any, _ bool) { fn(inner, true) })
	}
}

func texts(v any) []string {
	list, _ := v.([]any)
	out := make([]string, len(list))
	for i, item := range list {
		out[i], _ = item.(string)
	}
	return out
}

// trial is what the scripts have of one command.
type trial struct {
	// done are the arguments of the lines that did not end in an error.
	done    [][]string
	refused int
}

// tryScripts plays the scripts to the reference and returns what they try by the
// name of the command, "container|sub" for subcommands.
func tryScripts(t *testing.T) map[string]trial {
	t.Helper()
	files, err := filepath.Glob("testdata/scripts/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	tried := make(map[string]trial)
	note := func(name string, args []string, refused bool) {
		of := tried[name]
		if refused {
			of.refused++
		} else {
			of.done = append(of.done, args)
		}
		tried[name] = of
	}
	for _, file := range files {
		ref := startReference(t, "--enable-debug-command", "yes")
		for _, line := range scriptLines(t, file) {
			args := splitLine(t, line)
			if slices.Contains([]string{"unordered", "about", "shape"}, args[0]) {
				args = args[1:]
			}
			refused := ref.do(args...)[0] == '-'
			name := strings.ToLower(args[0])
			note(name, args[1:], refused)
			if len(args) > 1 {
				note(name+"|"+strings.ToLower(args[1]), args[2:], refused)
			}
		}
	}
	return tried
}
