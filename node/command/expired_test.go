package command

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestScriptsOnExpiredKeys runs the lines of the scripts that name keys, each in a
// database in which every word of it is the name of an expired string, on an engine and
// on the reference: both delete the same number of them, and reply alike.
func TestScriptsOnExpiredKeys(t *testing.T) {
	files, err := filepath.Glob("testdata/scripts/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	ref := startReference(t, "--enable-debug-command", "yes")
	ours := newNode(t)
	ours.real = true
	ref.do("DEBUG", "SET-ACTIVE-EXPIRE", "0") // nor have we such a cycle here
	tried, compared := make(map[string]bool), 0
	for _, file := range files {
		for _, line := range scriptLines(t, file) {
			if tried[line] {
				continue
			}
			tried[line] = true
			args, _ := comparison(splitLine(t, line))
			if !namesKeysAndEnds(ours, args) {
				continue
			}
			for _, do := range []func(...string) string{ours.do, ref.do} {
				do("FLUSHALL")
				for _, word := range args[1:] {
					do("SET", word, "v", "PXAT", "1000")
				}
			}
			our, theirs := ours.do(args...), ref.do(args...)
			compared++
			left, want := ours.do("DBSIZE"), ref.do("DBSIZE")
			if left != want || our[0] != theirs[0] || our[0] == '-' && our != theirs {
				t.Errorf("%s: %s\n ours:   %.200q, %q keys left\n theirs: %.200q, %q", filepath.Base(file), line, our, left, theirs, want)
			}
		}
	}
	t.Logf("%d lines compared", compared)
}

// namesKeysAndEnds reports whether a command may name keys and waits for none.
func namesKeysAndEnds(n *node, args []string) bool {
	words := make([][]byte, len(args))
	for i, arg := range args {
		words[i] = []byte(arg)
	}
	spec, err := n.engine.Table().Find(words)
	if err != nil || len(spec.Keys) == 0 {
		return false
	}
	return spec.Flags&Blocking == 0 || strings.HasPrefix(spec.Name, "x") && !slices.ContainsFunc(args, func(arg string) bool { return strings.EqualFold(arg, "block") })
}
