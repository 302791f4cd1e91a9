package persist_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"slotmesh/node/journal"
	"slotmesh/node/persist"
	"slotmesh/node/persist/memfs"
	"slotmesh/node/rdb"
	"slotmesh/node/resp"
	"slotmesh/slots"
)

// numbered takes commands whose last argument is their number in the file. SET
// may run beside others, ALL must not.
type numbered struct {
	t      *testing.T
	mu     sync.Mutex
	done   int
	last   map[string]int
	refuse int
}

func (n *numbered) Workers() int                            { return 3 }
func (n *numbered) Target(slots.Slot) rdb.Target            { return rdb.Target{} }
func (n *numbered) Insert(entries []rdb.Entry) (int, error) { return len(entries), nil }
func (n *numbered) Expect(int, int64)                       {}
func (n *numbered) Warm(int, [][]byte)                      {}

func (n *numbered) Route(c persist.Command) (slots.Slot, int, bool) {
	return slots.Of(c.Args[1]), 1, string(c.Args[0]) == "SET"
}

func (n *numbered) Apply(_ int, commands []persist.Command) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i, c := range commands {
		number, err := strconv.Atoi(string(c.Args[len(c.Args)-1]))
		if err != nil {
			return err
		}
		if n.refuse > 0 && number >= n.refuse {
			return fmt.Errorf("number %d: %w", number, errRefused)
		}
		key := string(c.Args[1])
		if last, seen := n.last[key]; seen && number <= last {
			n.t.Errorf("%d comes after %d of key %s", number, last, key)
		}
		if string(c.Args[0]) == "ALL" && i == 0 && n.done != number {
			n.t.Errorf("%d is applied when %d are", number, n.done)
		}
		n.last[key] = number
		n.done++
	}
	return nil
}

var errRefused = errors.New("refused")

// startAOF returns the files of a node whose base, or else increment, has that
// content.
func startAOF(t *testing.T, base bool, content []byte) *memfs.FS {
	t.Helper()
	fsys := newRoot()
	if err := fsys.Mkdir(root + "/appendonlydir"); err != nil {
		t.Fatal(err)
	}
	name, kind := "appendonly.aof.1.incr.aof", "i"
	if base {
		name, kind = "appendonly.aof.1.base.rdb", "b"
	}
	fsys.Put(root+"/appendonlydir/appendonly.aof.manifest", fmt.Appendf(nil, "file %s seq 1 type %s\n", name, kind))
	fsys.Put(root+"/appendonlydir/"+name, content)
	return fsys
}

func openAOF(t *testing.T, fsys *memfs.FS) *persist.AOF {
	t.Helper()
	d := &driver{settings: persist.AOFSettings{LoadTruncated: true, RDBPreamble: true}}
	a, err := persist.OpenAOF(d.options(fsys, journal.New(journal.Options{BacklogBytes: 1 << 16, ID: firstID})))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestSpread: the commands of a key are applied in the order of the file, and one
// that needs more than a slot after everything before it and before everything
// behind. The first that is refused is the one that the error is about.
func TestSpread(t *testing.T) {
	const commands = 60_000
	var content []byte
	at := map[int]int{}
	add := func(number int, name string, value string) {
		at[number] = len(content)
		content = resp.AppendCommand(content, name, fmt.Sprintf("key:%d", number*7919%500), value, strconv.Itoa(number))
	}
	for number := 0; number < commands; number++ {
		switch {
		case number%1000 == 500:
			add(number, "ALL", "x")
		case number%1000 == 700:
			// A transaction, sometimes of several slots.
			content = resp.AppendCommand(content, "MULTI")
			for range 3 {
				add(number, "SET", "in a transaction")
				number++
			}
			number--
			content = resp.AppendCommand(content, "EXEC")
		case number == 30_100:
			add(number, "SET", strings.Repeat("long", 2<<20))
		default:
			add(number, "SET", strings.Repeat("v", number%100))
		}
	}
	n := &numbered{t: t, last: map[string]int{}}
	p := new(persist.Progress)
	loaded, err := openAOF(t, startAOF(t, false, content)).Load(n, p)
	if err != nil || n.done != commands || p.Commands.Load() != commands || loaded.CutBytes != 0 {
		t.Fatalf("%d of %d commands, %d counted, %d bytes cut: %v", n.done, commands, p.Commands.Load(), loaded.CutBytes, err)
	}
	// An end that is not whole is cut off, but not when a command before it fails.
	content = content[:len(content)-1]
	for _, refuse := range []int{1, 20_500, 41_007} {
		n := &numbered{t: t, last: map[string]int{}, refuse: refuse}
		_, err := openAOF(t, startAOF(t, false, content)).Load(n, nil)
		var damaged *persist.DamageError
		if !errors.As(err, &damaged) || !errors.Is(err, errRefused) || damaged.At != int64(at[refuse]) {
			t.Errorf("%d is refused, which stands at byte %d: %v", refuse, at[refuse], err)
		}
	}
}

// TestValkeyPreamble: a base that Valkey 9 wrote is an RDB part too.
func TestValkeyPreamble(t *testing.T) {
	content := []byte("VALKEY080\xfe\x00\x00\x01a\x05value\xff\x00\x00\x00\x00\x00\x00\x00\x00")
	content = resp.AppendCommand(content, "SET", "b", "2")
	got := &target{k: keyspace{}}
	if _, err := openAOF(t, startAOF(t, true, content)).Load(got, nil); err != nil || got.k["0/a"] != "value" || got.k["0/b"] != "2" {
		t.Errorf("%v, %v", got.k, err)
	}
	path := filepath.Join(t.TempDir(), "appendonly.aof")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if code := persist.CheckAOF([]string{path}, strings.NewReader(""), &out); code != 0 || !strings.Contains(out.String(), "RDB looks OK") {
		t.Errorf("check-aof ends with %d: %s", code, out.String())
	}
}
