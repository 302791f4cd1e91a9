package command

import (
	"slices"
	"testing"
)

// TestKeysAtAGlance: what a row says of its keys without a look at a call is what
// KeyPositions finds in calls of every length.
func TestKeysAtAGlance(t *testing.T) {
	for _, spec := range testTable(t).All() {
		for words := max(spec.Arity, -spec.Arity); words < 12; words++ {
			if spec.Arity > 0 && words > spec.Arity {
				break
			}
			args := make([][]byte, words)
			for i := range args {
				args[i] = []byte("1")
			}
			positions, err := spec.KeyPositions(args, nil)
			if at := spec.OnlyKey(words); at > 0 && (err != nil || !slices.Equal(positions, []int{at})) {
				t.Errorf("%s of %d words: only key %d, all %v (%v)", spec.FullName(), words, at, positions, err)
			}
			if !spec.PlainKeys() {
				continue
			}
			var slow []int
			for _, k := range spec.Keys {
				if slow, err = k.positions(args, slow); err != nil {
					t.Errorf("%s of %d words: %v", spec.FullName(), words, err)
				}
			}
			if !slices.Equal(positions, slow) {
				t.Errorf("%s of %d words: keys at %v, want %v", spec.FullName(), words, positions, slow)
			}
		}
	}
	only := func(name string, words, want int) {
		t.Helper()
		if got := testTable(t).Lookup([]byte(name)).OnlyKey(words); got != want {
			t.Errorf("only key of %s with %d words: %d, want %d", name, words, got, want)
		}
	}
	only("get", 2, 1)
	only("exists", 2, 1)
	only("exists", 3, 0)
	only("mset", 3, 1)
	only("mset", 5, 0)
	only("blpop", 3, 1)
	only("blpop", 4, 0)
	only("rename", 3, 0)
}

// TestFewPlaces: a call whose owner has found the places of its keys does what it does
// without, and the next call of others is not misled by them.
func TestFewPlaces(t *testing.T) {
	n := newNode(t)
	n.do("SET", "a", "1")
	n.do("SET", "c", "3")
	run := func(few bool, words ...string) string {
		args := make([][]byte, len(words))
		for i, word := range words {
			args[i] = []byte(word)
		}
		c := &n.call
		c.Args, c.Spec, c.Reply, c.Conn = args, n.engine.Table().Lookup(args[0]), &n.out, n.conn
		if few {
			for _, key := range args[1:] {
				c.Few.Add(n.engine.Place(key))
			}
		}
		n.out.Buf = n.out.Buf[:0]
		n.engine.ExecuteWait(c)
		return string(n.out.Buf)
	}
	for _, step := range []struct {
		few   bool
		words []string
		want  string
	}{
		{true, []string{"rename", "a", "b"}, "+OK\r\n"},
		{false, []string{"exists", "a", "b", "c"}, ":2\r\n"},
		{true, []string{"exists", "a", "b", "c"}, ":2\r\n"},
		{false, []string{"rename", "c", "d"}, "+OK\r\n"},
		{true, []string{"del", "b", "d"}, ":2\r\n"},
		{false, []string{"exists", "b", "d"}, ":0\r\n"},
	} {
		if got := run(step.few, step.words...); got != step.want {
			t.Errorf("%v: %q, want %q", step.words, got, step.want)
		}
	}
}
