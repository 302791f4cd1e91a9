package command

import (
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slotmesh/node/resp"
)

// TestScripts runs each script of testdata/scripts on an engine and on the
// reference and compares every reply, in RESP2 and RESP3. A line is a command
// in the quoting of inline requests; "unordered" before it compares an array as
// a set, "about" numbers that are up to two seconds apart, "shape" only the kind of
// the reply.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/scripts/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	replies, different := 0, 0
	for _, proto := range []string{"2", "3"} {
		for _, file := range files {
			t.Run(filepath.Base(file)+"/RESP"+proto, func(t *testing.T) {
				ref := startReference(t, "--enable-debug-command", "yes")
				ours := newNode(t)
				ours.real = true
				ref.do("DEBUG", "SET-ACTIVE-EXPIRE", "0") // nor have we such a cycle here
				if proto == "3" {
					ref.do("HELLO", "3")
					ours.out.Proto = 3
				}
				compared, differ := runScript(t, file, ours, ref)
				replies, different = replies+compared, different+differ
			})
		}
	}
	t.Logf("%d replies compared, %d differ", replies, different)
}

func runScript(t *testing.T, file string, ours *node, ref *reference) (compared, differ int) {
	for number, line := range scriptLines(t, file) {
		args, same := comparison(splitLine(t, line))
		theirs := ref.do(args...)
		our := ours.do(args...)
		compared++
		if !same(our, theirs) {
			differ++
			t.Errorf("%s:%d: %s\n ours:   %q\n theirs: %q", filepath.Base(file), number, line, our, theirs)
		}
	}
	return compared, differ
}

// scriptLines are the lines of a script that are commands, by their number.
func scriptLines(t *testing.T, file string) iter.Seq2[int, string] {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return func(yield func(int, string) bool) {
		number := 0
		for line := range strings.Lines(string(text)) {
			number++
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") && !yield(number, line) {
				return
			}
		}
	}
}

// comparison takes the word that says how to compare off the words of a line.
func comparison(words []string) (args []string, same func(a, b string) bool) {
	switch words[0] {
	case "unordered":
		return words[1:], sameSet
	case "about":
		apart := int64(2000)
		if !strings.HasPrefix(strings.ToUpper(words[1]), "P") {
			apart = 2 // in seconds
		}
		return words[1:], func(a, b string) bool { return about(a, b, apart) }
	case "shape":
		return words[1:], func(a, b string) bool { return a[0] == b[0] }
	}
	return words, func(a, b string) bool { return a == b }
}

func splitLine(t *testing.T, line string) []string {
	words, _, ok := resp.SplitWords(nil, nil, []byte(line))
	if !ok {
		t.Fatalf("unbalanced quotes: %s", line)
	}
	args := make([]string, len(words))
	for i, word := range words {
		args[i] = string(word)
	}
	return args
}

// sameSet compares arrays, and arrays in them, regardless of order.
func sameSet(a, b string) bool {
	x, ok1 := decoded(a).([]any)
	y, ok2 := decoded(b).([]any)
	if !ok1 || !ok2 {
		return a == b
	}
	return slices.Equal(sortedTexts(x), sortedTexts(y))
}

// sortedTexts are the elements of a list as texts, in order.
func sortedTexts(list []any) []string {
	texts := make([]string, len(list))
	for i, v := range list {
		if inner, ok := v.([]any); ok {
			v = sortedTexts(inner)
		}
		texts[i] = fmt.Sprintf("%T %v", v, v)
	}
	slices.Sort(texts)
	return texts
}

// about compares numbers that depend on the time.
func about(a, b string, apart int64) bool {
	x, ok1 := decoded(a).(int64)
	y, ok2 := decoded(b).(int64)
	return ok1 && ok2 && max(x-y, y-x) <= apart
}
