package command

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestBeyond runs testdata/beyond/*.txt, which pin the commands and options that
// the reference does not have. A line is a command, behind it "=>" the reply and
// "|" what was journaled, if anything was; "+ 100" lets time pass, milliseconds.
// Deadlines are written relative to the beginning, as T and the milliseconds
// since then.
func TestBeyond(t *testing.T) {
	files, err := filepath.Glob("testdata/beyond/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { runBeyond(t, file) })
	}
}

func runBeyond(t *testing.T, file string) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	n := newNode(t)
	start := n.now.Load()
	times := func(line string) string {
		words := strings.Split(line, " ")
		for i, word := range words {
			if rest, ok := strings.CutPrefix(word, "T"); ok {
				if ms, err := strconv.ParseInt("0"+rest, 10, 64); err == nil {
					words[i] = fmt.Sprint(start + ms)
				}
			}
		}
		return strings.Join(words, " ")
	}
	for i, line := range strings.Split(string(text), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if ms, ok := strings.CutPrefix(line, "+ "); ok {
			step, err := strconv.ParseInt(ms, 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			n.now.Add(step)
			continue
		}
		command, want, ok := strings.Cut(times(line), " => ")
		if !ok {
			t.Fatalf("%s:%d: no reply", filepath.Base(file), i+1)
		}
		got := short(decoded(n.do(splitLine(t, command)...)))
		if entries := n.entries(); entries != "" {
			got += " | " + entries
		}
		if got != want {
			t.Errorf("%s:%d: %s\n got:  %s\n want: %s", filepath.Base(file), i+1, command, got, want)
		}
	}
}

// short writes a reply on one line.
func short(v any) string {
	switch v := v.(type) {
	case nil:
		return "nil"
	case replyError:
		return "-" + string(v)
	case []any:
		words := make([]string, len(v))
		for i := range v {
			words[i] = short(v[i])
		}
		return "[" + strings.Join(words, " ") + "]"
	}
	return fmt.Sprint(v)
}

// TestBeyondCoversEverything looks for a line, answered without an error, for
// every command that the reference does not have, and for every token of it.
func TestBeyondCoversEverything(t *testing.T) {
	files, err := filepath.Glob("testdata/beyond/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	done := make(map[string][][]string)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if command, reply, ok := strings.Cut(line, " => "); ok && !strings.HasPrefix(reply, "-") {
				args := splitLine(t, command)
				name := strings.ToLower(args[0])
				done[name] = append(done[name], args[1:])
			}
		}
	}
	wanted := 0
	want := func(name, token string) {
		wanted++
		if !slices.ContainsFunc(done[name], func(args []string) bool {
			return slices.ContainsFunc(args, func(arg string) bool { return token == "" || strings.EqualFold(arg, token) })
		}) {
			t.Errorf("no line tries %s %s", name, token)
		}
	}
	var tokens func(name string, args []Arg)
	tokens = func(name string, args []Arg) {
		for _, a := range args {
			if a.HasToken {
				want(name, a.Token)
			}
			tokens(name, a.Args)
		}
	}
	want("set", "IFEQ")
	for _, s := range newNode(t).engine.Table().All() {
		if s.Since > "7.1" {
			want(s.FullName(), "")
			tokens(s.FullName(), s.Args())
		}
	}
	t.Logf("%d commands and options", wanted)
	if wanted < 54 {
		t.Error("there are more")
	}
}
