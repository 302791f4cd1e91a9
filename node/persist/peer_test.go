package persist_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"slotmesh/node/e2e/harness"
	"slotmesh/node/journal"
	"slotmesh/node/persist"
	"slotmesh/node/persist/memfs"
	"slotmesh/node/rdb"
	"slotmesh/node/resp"
)

// peer is a reference server on a directory.
type peer struct {
	*harness.Process
	t    *testing.T
	conn *harness.Conn
}

// startPeer starts redis-server on the AOF in dir.
func startPeer(t *testing.T, dir string, more ...string) *peer {
	t.Helper()
	p := harness.StartReference(t, append([]string{"--dir", dir, "--appendonly", "yes"}, more...)...)
	return &peer{Process: p, t: t, conn: p.Connect()}
}

// do sends a command and returns a simple or bulk reply, or the elements of an
// array, one per line.
func (p *peer) do(args ...string) string {
	p.t.Helper()
	reply, err := p.conn.Do(args...)
	if err != nil {
		p.t.Fatalf("%.200q: %v", args, err)
	}
	if reply.Elems != nil {
		return strings.Join(reply.Strings(), "\n")
	}
	return reply.Text
}

// keyspace reads everything.
func (p *peer) keyspace() keyspace {
	k := keyspace{}
	for db := range databases {
		p.do("SELECT", strconv.Itoa(db))
		for _, key := range strings.Fields(p.do("KEYS", "*")) {
			k[fmt.Sprintf("%d/%s", db, key)] = p.do("GET", key)
		}
	}
	return k
}

// TestOursLoadThere writes files with rewrites, renamed histories, transactions and
// PINGs left out, and has the reference check and load them.
func TestOursLoadThere(t *testing.T) {
	for _, preamble := range []bool{true, false} {
		t.Run(fmt.Sprintf("rdb-preamble=%v", preamble), func(t *testing.T) {
			dir := t.TempDir()
			d := &driver{t: t, settings: persist.AOFSettings{RDBPreamble: preamble, Timestamps: true, Checksum: true, Version: "7.0.15", LoadTruncated: true}}
			d.clear()
			d.journal = journal.New(journal.Options{BacklogBytes: 1 << 20, ID: firstID})
			o := d.options(persist.OS{}, d.journal)
			o.Dir = dir
			var err error
			if d.aof, err = persist.OpenAOF(o); err != nil {
				t.Fatal(err)
			}
			if err := d.aof.Start(); err != nil {
				t.Fatal(err)
			}
			random := rand.New(rand.NewPCG(1, 2))
			for i := range 300 {
				d.write(random)
				switch i {
				case 100, 200:
					if err := d.aof.Rewrite(context.Background()); err != nil {
						t.Fatal(err)
					}
				case 150, 250:
					d.journal.Promote(fmt.Sprintf("%040d", i))
				}
			}
			if err := d.aof.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := exec.LookPath("redis-check-aof"); err == nil {
				manifest := filepath.Join(dir, "appendonlydir", "appendonly.aof.manifest")
				if out, err := exec.Command("redis-check-aof", manifest).CombinedOutput(); err != nil || !strings.Contains(string(out), "All AOF files and manifest are valid") {
					t.Fatalf("redis-check-aof: %v\n%s", err, out)
				}
				var ours strings.Builder
				if code := persist.CheckAOF([]string{manifest}, strings.NewReader(""), &ours); code != 0 {
					t.Fatalf("check-aof:\n%s", ours.String())
				}
			}
			if got := startPeer(t, dir).keyspace(); !maps.Equal(got, d.k) {
				t.Errorf("the reference has %d keys, want %d", len(got), len(d.k))
			}
		})
	}
}

// TestTheirsLoadHere has the reference write files, with a rewrite and after a kill,
// in both layouts of its base, and loads them.
func TestTheirsLoadHere(t *testing.T) {
	for _, preamble := range []string{"yes", "no"} {
		t.Run("rdb-preamble="+preamble, func(t *testing.T) {
			dir := t.TempDir()
			p := startPeer(t, dir, "--aof-use-rdb-preamble", preamble, "--aof-timestamp-enabled", "yes", "--appendfsync", "always")
			random := rand.New(rand.NewPCG(3, 4))
			for i := range 300 {
				p.do("SELECT", strconv.Itoa(random.IntN(databases)))
				if random.IntN(4) == 0 {
					p.do("MULTI")
					p.do("SET", fmt.Sprint("key:", random.IntN(50)), strings.Repeat("a\r\n", random.IntN(2000)))
					p.do("SET", fmt.Sprint("key:", random.IntN(50)), "in a group")
					p.do("EXEC")
				} else {
					p.do("SET", fmt.Sprint("key:", random.IntN(50)), fmt.Sprint(i))
				}
				if i == 150 {
					p.do("BGREWRITEAOF")
				}
			}
			want := p.keyspace()
			p.Kill()
			j := journal.New(journal.Options{BacklogBytes: 1 << 16, ID: firstID})
			d := &driver{settings: persist.AOFSettings{LoadTruncated: true, RDBPreamble: true}}
			o := d.options(persist.OS{}, j)
			o.Dir = dir
			a, err := persist.OpenAOF(o)
			if err != nil {
				t.Fatal(err)
			}
			got := &target{k: keyspace{}}
			loaded, err := a.Load(got, nil)
			if err != nil {
				t.Fatal(err)
			}
			if !maps.Equal(got.k, want) || len(want) == 0 {
				t.Errorf("%d keys of %d (%+v)", len(got.k), len(want), loaded)
			}
		})
	}
}

// TestOldLayout upgrades a single file, an RDB part with commands behind it, with the
// upgrade cut off in the middle, too.
func TestOldLayout(t *testing.T) {
	var file strings.Builder
	w := rdb.NewWriter(&file, rdb.Header{RedisVersion: "6.2.0", AOFBase: true, Checksum: true})
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	file.Write(resp.AppendCommand(nil, "SELECT", "1"))
	file.Write(resp.AppendCommand(nil, "SET", "a", "1"))
	for _, halfway := range []bool{false, true} {
		d := &driver{settings: persist.AOFSettings{LoadTruncated: true, RDBPreamble: true}}
		fsys := newRoot()
		fsys.Put(root+"/appendonly.aof", []byte(file.String()))
		if halfway {
			if err := fsys.Mkdir(root + "/appendonlydir"); err != nil {
				t.Fatal(err)
			}
			fsys.Put(root+"/appendonlydir/appendonly.aof.manifest", []byte("file appendonly.aof seq 1 type b\n"))
		}
		j := journal.New(journal.Options{BacklogBytes: 1 << 16, ID: firstID})
		for range 2 {
			a, err := persist.OpenAOF(d.options(fsys, j))
			if err != nil {
				t.Fatal(err)
			}
			got := &target{k: keyspace{}}
			if _, err := a.Load(got, nil); err != nil || got.k["1/a"] != "1" {
				t.Fatalf("%v, %v", got.k, err)
			}
			if err := a.Start(); err != nil {
				t.Fatal(err)
			}
			if err := a.Close(); err != nil {
				t.Fatal(err)
			}
		}
		if fsys.Content(root+"/appendonly.aof") != nil {
			t.Error("the old file is still there")
		}
	}
}

// loadIncrement loads files of which there is only an increment with that content.
func loadIncrement(t *testing.T, d *driver, content []byte) (keyspace, persist.Loaded, error) {
	t.Helper()
	fsys := newRoot()
	if err := fsys.Mkdir(root + "/appendonlydir"); err != nil {
		t.Fatal(err)
	}
	fsys.Put(root+"/appendonlydir/appendonly.aof.manifest", []byte("file appendonly.aof.1.incr.aof seq 1 type i\n"))
	fsys.Put(root+"/appendonlydir/appendonly.aof.1.incr.aof", content)
	a, err := persist.OpenAOF(d.options(fsys, journal.New(journal.Options{BacklogBytes: 1 << 16, ID: firstID})))
	if err != nil {
		t.Fatal(err)
	}
	got := &target{k: keyspace{}}
	loaded, err := a.Load(got, nil)
	return got.k, loaded, err
}

// TestDamage flips every byte of a small file, and cuts it everywhere: a load says
// where, or succeeds; it never panics. Zeros behind it are cut off.
func TestDamage(t *testing.T) {
	d := &driver{settings: persist.AOFSettings{LoadTruncated: true, RDBPreamble: true}}
	content := resp.AppendCommand(nil, "SELECT", "1")
	content = append(content, "#TS:12345\r\n#REPL:"+firstID+":100\r\n"...)
	content = resp.AppendCommand(content, "SET", "a", "1")
	content = append(content, "*1\r\n$5\r\nMULTI\r\n"...)
	content = resp.AppendCommand(content, "SET", "b", "2")
	content = append(content, "*1\r\n$4\r\nEXEC\r\n"...)
	content = resp.AppendCommand(content, "SET", "c", "3")
	load := func(content []byte) (keyspace, persist.Loaded, error) { return loadIncrement(t, d, content) }
	for i := range content {
		flipped := append([]byte(nil), content...)
		flipped[i] ^= 0x20
		if _, _, err := load(flipped); err != nil && !strings.Contains(err.Error(), "byte ") {
			t.Errorf("byte %d flipped: %v", i, err)
		}
		k, loaded, err := load(content[:i])
		if err != nil {
			t.Errorf("cut at %d: %v", i, err)
		}
		if k["1/b"] != "" && k["1/a"] == "" {
			t.Errorf("cut at %d: %v", i, k)
		}
		padded := append(append([]byte(nil), content[:i]...), make([]byte, 5000)...)
		if again, zeros, err := load(padded); err != nil || !maps.Equal(again, k) || zeros.At.Offset != loaded.At.Offset {
			t.Errorf("zeros from %d: %v, %v", i, again, err)
		}
	}
	broken := append([]byte(nil), content...)
	broken[bytes.Index(broken, []byte("$3\r\nSET"))] = 'X'
	if _, _, err := load(broken); err == nil || !strings.Contains(err.Error(), "Bad file format") {
		t.Errorf("damage in the middle: %v", err)
	}
}

// TestHoles loads files in which zeros stand where entries were: what no fsync has
// vouched for ends there, whatever stands behind it, and anything else is damage.
func TestHoles(t *testing.T) {
	d := &driver{settings: persist.AOFSettings{LoadTruncated: true, RDBPreamble: true}}
	before := resp.AppendCommand([]byte("#REPL:"+firstID+":100\r\n#SKIP\r\n"), "SELECT", "0")
	before = resp.AppendCommand(before, "SET", "a", "1")
	lost := resp.AppendCommand(nil, "SET", "b", "2")
	after := resp.AppendCommand(nil, "SET", "c", "3")
	mark := func(size int) []byte { return fmt.Appendf(nil, "#DISK:%d\r\n", size) }
	for _, tt := range []struct {
		name    string
		at      int
		behind  []byte
		refused bool
	}{
		{"nothing behind it", len(before), nil, false},
		{"a file of others, nothing behind it", 0, nil, false},
		{"an entry behind it", len(before), after, false},
		{"a file of others, an entry behind it", 0, after, true},
		{"what came before is on the disk", len(before), slices.Concat(mark(len(before)), after), false},
		{"it was on the disk", len(before), slices.Concat(after, mark(len(before)+1)), true},
		{"it was on the disk, at the end of much", len(before), slices.Concat(bytes.Repeat(after, 10_000), mark(len(before)+len(lost)), after), true},
		{"it was on the disk, as torn words say", len(before), slices.Concat(after, mark(len(before) + len(lost))[:len("#DISK:")+3]), true},
	} {
		content := slices.Concat(before[:tt.at], make([]byte, len(before)+len(lost)-tt.at), tt.behind)
		got, loaded, err := loadIncrement(t, d, content)
		if tt.refused {
			if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("byte %d", tt.at)) {
				t.Errorf("%s: %+v, %v", tt.name, loaded, err)
			}
			continue
		}
		want := keyspace{}
		if tt.at > 0 {
			want["0/a"] = "1"
		}
		if err != nil || !maps.Equal(got, want) || loaded.CutBytes != int64(len(content)-tt.at) {
			t.Errorf("%s: %v, %+v, %v", tt.name, got, loaded, err)
		}
	}
}

// TestFilesVouchForThemselves: a file that was closed in order ends by saying that
// it is on the disk, and one that is written to says so now and then.
func TestFilesVouchForThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &driver{t: t, settings: persist.AOFSettings{Fsync: persist.FsyncEverySec, RDBPreamble: true}}
		d.clear()
		fsys := newRoot()
		d.journal = journal.New(journal.Options{BacklogBytes: 1 << 20, ID: firstID})
		var err error
		if d.aof, err = persist.OpenAOF(d.options(fsys, d.journal)); err != nil {
			t.Fatal(err)
		}
		if err := d.aof.Start(); err != nil {
			t.Fatal(err)
		}
		random := rand.New(rand.NewPCG(5, 6))
		for range 50 {
			d.write(random)
			time.Sleep(200 * time.Millisecond)
		}
		if err := d.aof.Close(); err != nil {
			t.Fatal(err)
		}
		content := string(fsys.Content(root + "/appendonlydir/appendonly.aof.1.incr.aof"))
		if n := strings.Count(content, "#DISK:"); n < 5 || n > 15 {
			t.Errorf("it says so %d times in ten seconds", n)
		}
		last := strings.LastIndex(content, "#DISK:")
		if end := fmt.Sprintf("#DISK:%d\r\n", last); content[last:] != end {
			t.Errorf("it ends with %q, not %q", content[last:], end)
		}
	})
}

func newRoot() *memfs.FS { return memfs.New(root) }
