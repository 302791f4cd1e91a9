package persist_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"slotmesh/node/journal"
	"slotmesh/node/persist"
	"slotmesh/node/persist/memfs"
	"slotmesh/node/rdb"
	"slotmesh/node/store/value"
	"slotmesh/slots"
)

const (
	root      = "/data"
	firstID   = "1111111111111111111111111111111111111111"
	secondID  = "2222222222222222222222222222222222222222"
	databases = 3
)

// keyspace is a naive one: strings by database and key.
type keyspace map[string]string

// apply runs the commands that the driver journals.
func (k keyspace) apply(commands []persist.Command) error {
	for _, c := range commands {
		name := strings.ToUpper(string(c.Args[0]))
		switch {
		case name == "SET" && len(c.Args) == 3:
			k[fmt.Sprintf("%d/%s", c.DB, c.Args[1])] = string(c.Args[2])
		case name == "DEL" && len(c.Args) == 2:
			delete(k, fmt.Sprintf("%d/%s", c.DB, c.Args[1]))
		default:
			return fmt.Errorf("unexpected command %q", c.Args)
		}
	}
	return nil
}

// target takes a load into a keyspace, by several workers.
type target struct {
	mu sync.Mutex
	k  keyspace
}

func (t *target) Workers() int { return 3 }

func (t *target) Target(slot slots.Slot) rdb.Target { return rdb.Target{} }

func (t *target) Insert(entries []rdb.Entry) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range entries {
		t.k[fmt.Sprintf("%d/%s", e.DB, e.Key)] = string(e.Value.AppendText(nil))
	}
	return len(entries), nil
}

func (t *target) Route(c persist.Command) (slots.Slot, int, bool) {
	if len(c.Args) < 2 {
		return 0, 0, false
	}
	return slots.Of(c.Args[1]), 1, true
}

func (t *target) Expect(int, int64)  {}
func (t *target) Warm(int, [][]byte) {}

func (t *target) Apply(_ int, commands []persist.Command) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.k.apply(commands)
}

// step is one entry of the stream.
type step struct {
	end      int64
	commands []persist.Command
}

// promise is what was acknowledged at a time.
type promise struct {
	at     time.Time
	offset int64
}

// history is what there was at its beginning, and what was appended since.
type history struct {
	base  keyspace
	steps []step
}

// place is an offset in a history.
type place struct {
	history int
	offset  int64
}

// driver runs a workload on an AOF and recovers what crashes leave of it.
type driver struct {
	t        *testing.T
	random   *rand.Rand
	settings persist.AOFSettings
	busy     func() bool
	journal  *journal.Journal
	aof      *persist.AOF
	fs       *memfs.FS

	// gate is held while something is appended, or everything replaced: it is what
	// Engine.Exclusive closes. It is locked before mu.
	gate sync.Mutex
	// mu guards the model: the data, and all histories, the last of which is that of
	// the data, by their ids.
	mu        sync.Mutex
	k         keyspace
	histories []*history
	ids       map[string]int

	acked    atomic.Pointer[place]
	promises []promise // of this history; guarded by mu
	syncs    int

	crashing sync.Mutex // guards random2 and the counts
	random2  *rand.Rand
	every    int
	ops      int
	images   map[memfs.Crash]int
	cuts     int
	faults   bool
	failing  atomic.Bool
}

func (d *driver) options(fsys persist.FS, j *journal.Journal) persist.AOFOptions {
	return persist.AOFOptions{
		FS: fsys, Dir: root, DirName: "appendonlydir", FileName: "appendonly.aof",
		Journal: j, Source: d, Settings: func() persist.AOFSettings { return d.settings }, Busy: d.busy,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
}

type snapshot struct {
	entries []rdb.Entry
}

func (s *snapshot) Sizes() []rdb.DatabaseSize { return nil }
func (s *snapshot) UsedMemory() int64         { return 0 }
func (s *snapshot) Close()                    {}

func (s *snapshot) Walk(emit func([]rdb.Entry) error) error {
	for len(s.entries) > 0 {
		n := min(len(s.entries), 7)
		if err := emit(s.entries[:n]); err != nil {
			return err
		}
		s.entries = s.entries[n:]
		time.Sleep(time.Millisecond)
	}
	return nil
}

// Snapshot implements rdb.Source.
func (d *driver) Snapshot(at func()) rdb.Snapshot {
	d.gate.Lock()
	defer d.gate.Unlock()
	s := snapshotOf(d.k)
	at()
	return s
}

func snapshotOf(k keyspace) *snapshot {
	s := &snapshot{}
	for name, text := range k {
		e := rdb.Entry{Key: []byte(name[2:]), DB: int(name[0] - '0'), Value: value.StringValue([]byte(text)), IdleSec: -1, Freq: -1}
		s.entries = append(s.entries, e)
	}
	return s
}

// fullSync replaces everything by other data of another history, as a replica
// does, in each of the ways in which they may come to the disk.
func (d *driver) fullSync(random *rand.Rand) {
	data := keyspace{}
	for i := range random.IntN(60) {
		data[fmt.Sprintf("%d/key:%d", random.IntN(databases), i)] = strings.Repeat("s", random.IntN(300))
	}
	at := rdb.Position{ID: fmt.Sprintf("%040x", random.Uint64()), Offset: random.Int64N(1 << 20), StreamDB: random.IntN(databases)}
	received := d.aof.Receive()
	how := random.IntN(4)
	if how > 0 {
		rdb.WriteSnapshot(received, rdb.Header{RedisVersion: "7.0.15", Repl: &at, Checksum: true}, snapshotOf(data), nil)
		if how > 1 {
			received.Seal(at)
		}
	}
	d.gate.Lock()
	defer d.gate.Unlock()
	d.mu.Lock()
	d.syncs++
	d.ids[at.ID] = len(d.histories)
	d.histories = append(d.histories, &history{base: maps.Clone(data)})
	d.k = data
	// What was promised is thrown away by order.
	d.promises = nil
	d.acked.Store(&place{len(d.histories) - 1, 0})
	d.journal.Adopt(at.ID, at.Offset, at.StreamDB)
	d.mu.Unlock()
	d.aof.HistoryChanged(received)
}

// clear begins with no data.
func (d *driver) clear() {
	d.k = keyspace{}
	d.histories, d.ids = []*history{{base: keyspace{}}}, map[string]int{firstID: 0, secondID: 0}
	d.acked.Store(new(place))
}

// current is the history of the data. The caller holds mu.
func (d *driver) current() (*history, int) {
	last := len(d.histories) - 1
	return d.histories[last], last
}

// write appends one entry and waits until it may be acknowledged.
func (d *driver) write(random *rand.Rand) {
	var commands []persist.Command
	for range 1 + max(random.IntN(8)-4, 0) {
		key := fmt.Sprintf("key:%d", random.IntN(40))
		c := persist.Command{DB: random.IntN(databases), Args: [][]byte{[]byte("SET"), []byte(key), nil}}
		if random.IntN(5) == 0 {
			c.Args = [][]byte{[]byte("DEL"), []byte(key)}
		} else {
			c.Args[2] = []byte(fmt.Sprint(random.Uint32()) + strings.Repeat("x\r\n", random.IntN(40)))
		}
		commands = append(commands, c)
	}
	d.gate.Lock()
	d.mu.Lock()
	if random.IntN(10) == 0 {
		d.journal.AppendControl([]byte("PING"))
	}
	var effects []journal.Effect
	for _, c := range commands {
		effects = append(effects, journal.Effect{DB: c.DB, Slot: slots.Of(c.Args[1]), Args: c.Args})
	}
	end := d.journal.AppendGroup(effects)
	d.k.apply(commands)
	h, number := d.current()
	h.steps = append(h.steps, step{end, commands})
	d.mu.Unlock()
	d.gate.Unlock()
	for !d.aof.Barrier().Reached(end) {
		d.aof.Flush()
		done := make(chan struct{})
		d.aof.Barrier().Notify(end, func() { close(done) })
		<-done
		d.mu.Lock()
		_, now := d.current()
		d.mu.Unlock()
		if now != number {
			return
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, now := d.current(); now == number && end > d.acked.Load().offset {
		d.acked.Store(&place{number, end})
		d.promises = append(d.promises, promise{time.Now(), end})
	}
}

// crash recovers what a crash at this call leaves behind.
func (d *driver) crash(op memfs.Op) memfs.Fault {
	// What was acknowledged before the crash must be there after it.
	acked := *d.acked.Load()
	lasting := int64(0)
	d.crashing.Lock()
	defer d.crashing.Unlock()
	d.ops++
	important := op.Kind != "write" && op.Kind != "size" && op.Kind != "list" && op.Kind != "open"
	if important || d.ops%d.every == 0 {
		d.mu.Lock()
		defer d.mu.Unlock()
		now := time.Now()
		for i := len(d.promises) - 1; i >= 0; i-- {
			if now.Sub(d.promises[i].at) > 1100*time.Millisecond {
				lasting = d.promises[i].offset
				break
			}
		}
		for c := range memfs.Crashes {
			least := int64(0)
			switch {
			case c == memfs.Kill || d.settings.Fsync == persist.FsyncAlways:
				if _, now := d.current(); now == acked.history {
					least = acked.offset
				}
			case d.settings.Fsync == persist.FsyncEverySec && !d.faults && !d.settings.NoFsyncOnRewrite:
				least = lasting
			}
			if err := d.recover(op, c, least); err != nil {
				// The caller holds locks of the AOF: the test goes on to its end.
				d.t.Error(err)
				d.every = 1 << 30
			}
		}
	}
	if d.faults {
		return d.fault(op)
	}
	return memfs.Fault{}
}

// fault has the disk fail now and then.
func (d *driver) fault(op memfs.Op) memfs.Fault {
	if !d.failing.Load() {
		return memfs.Fault{}
	}
	n := d.random2.IntN(10)
	switch {
	case op.Kind == "write" && n < 5:
		return memfs.Fault{Err: syscall.ENOSPC, Short: d.random2.IntN(op.Bytes + 1)}
	case op.Kind == "write" && n < 7:
		return memfs.Fault{Cut: true, Short: d.random2.IntN(op.Bytes + 1)}
	case (op.Kind == "sync" || op.Kind == "syncdir" || op.Kind == "truncate") && n < 5:
		// More is written before the failure is known.
		return memfs.Fault{Err: syscall.EIO, Late: time.Duration(d.random2.IntN(200)) * time.Millisecond}
	case (op.Kind == "create" || op.Kind == "rename" || op.Kind == "remove" || op.Kind == "append") && n < 3:
		return memfs.Fault{Err: syscall.EROFS}
	}
	return memfs.Fault{}
}

// recover loads an image and compares it with the model.
func (d *driver) recover(op memfs.Op, c memfs.Crash, least int64) error {
	image := d.fs.Image(c, d.random2)
	d.images[c]++
	what := fmt.Sprintf("%s at call %d (%s %s)", c, d.ops, op.Kind, op.Path)
	j := journal.New(journal.Options{BacklogBytes: 16 << 10, ID: secondID})
	a, err := persist.OpenAOF(d.options(image, j))
	if err != nil {
		return fmt.Errorf("%s: %v", what, err)
	}
	if !a.Exists() {
		if least > 0 {
			return fmt.Errorf("%s: nothing to load, and %d was promised", what, least)
		}
		return nil
	}
	got := &target{k: keyspace{}}
	loaded, err := a.Load(got, nil)
	if err != nil {
		return fmt.Errorf("%s: start refused: %v\n%s", what, err, dump(image))
	}
	if loaded.CutBytes > 0 {
		d.cuts++
	}
	if !loaded.Known {
		return fmt.Errorf("%s: the offset is not known\n%s", what, dump(image))
	}
	number, known := d.ids[loaded.At.ID]
	if !known {
		return fmt.Errorf("%s: recovered history %s, which there was not", what, loaded.At.ID)
	}
	if _, now := d.current(); least > 0 && (number != now || loaded.At.Offset < least) {
		return fmt.Errorf("%s: recovered history %d up to %d, and %d up to %d was promised (acknowledged %v)\n%s", what, number, loaded.At.Offset, now, least, *d.acked.Load(), dump(image))
	}
	want := maps.Clone(d.histories[number].base)
	for _, s := range d.histories[number].steps {
		if s.end <= loaded.At.Offset {
			want.apply(s.commands)
		}
	}
	if !maps.Equal(want, got.k) {
		return fmt.Errorf("%s: recovered up to %d, and the data are others\n%s", what, loaded.At.Offset, dump(image))
	}
	if d.random2.IntN(20) != 0 {
		return nil
	}
	// Go on from there: what is written then is there as well.
	j.Adopt(secondID, loaded.At.Offset, loaded.At.StreamDB)
	if err := a.Start(); err != nil {
		return fmt.Errorf("%s: start: %v", what, err)
	}
	more := []persist.Command{{DB: 1, Args: [][]byte{[]byte("SET"), []byte("after"), []byte("crash")}}}
	end := j.Append(1, slots.Of([]byte("after")), more[0].Args)
	want.apply(more)
	a.Flush()
	if err := a.Close(); err != nil {
		return fmt.Errorf("%s: close: %v", what, err)
	}
	again, err := persist.OpenAOF(d.options(image.Image(memfs.LoseAll, d.random2), j))
	if err != nil {
		return fmt.Errorf("%s: second start: %v", what, err)
	}
	got = &target{k: keyspace{}}
	loaded, err = again.Load(got, nil)
	if err != nil || loaded.At.Offset != end || loaded.At.ID != secondID || !maps.Equal(want, got.k) {
		return fmt.Errorf("%s: second load: %+v (want offset %d), %v\n%s", what, loaded, end, err, dump(image))
	}
	return nil
}

// dump shows the files of an image.
func dump(image *memfs.FS) string {
	names, _ := image.List(root + "/appendonlydir")
	var b bytes.Buffer
	for _, name := range names {
		content := image.Content(root + "/appendonlydir/" + name)
		fmt.Fprintf(&b, "%s: %d bytes", name, len(content))
		if strings.HasSuffix(name, ".manifest") {
			fmt.Fprintf(&b, "\n%s", content)
		} else {
			fmt.Fprintf(&b, "\n%q … %q", content[:min(len(content), 200)], content[max(len(content)-300, 0):])
		}
		fmt.Fprintln(&b)
	}
	return b.String()
}

// run is one workload.
func (d *driver) run(writers, each int) {
	d.clear()
	d.images = make(map[memfs.Crash]int)
	d.fs = memfs.New(root)
	d.fs.Hook = d.crash
	d.journal = journal.New(journal.Options{BacklogBytes: 1 << 20, ID: firstID})
	var err error
	if d.aof, err = persist.OpenAOF(d.options(d.fs, d.journal)); err != nil {
		d.t.Fatal(err)
	}
	if err := d.aof.Start(); err != nil {
		d.t.Fatal(err)
	}
	var working sync.WaitGroup
	for i := range writers {
		random := rand.New(rand.NewPCG(d.random.Uint64(), uint64(i)))
		working.Go(func() {
			for range each {
				d.write(random)
				time.Sleep(time.Duration(random.IntN(120)) * time.Millisecond)
			}
		})
	}
	ended := make(chan struct{})
	var rewriting sync.WaitGroup
	random := rand.New(rand.NewPCG(d.random.Uint64(), 77))
	rewriting.Go(func() {
		for {
			select {
			case <-ended:
				return
			case <-time.After(time.Duration(random.IntN(900)) * time.Millisecond):
			}
			switch random.IntN(6) {
			case 0:
				d.gate.Lock()
				d.mu.Lock()
				id := fmt.Sprintf("%040x", random.Uint64())
				_, d.ids[id] = d.current()
				d.journal.Promote(id)
				d.mu.Unlock()
				d.gate.Unlock()
			case 1:
				d.fullSync(random)
			default:
				err := d.aof.Rewrite(context.Background())
				// A full sync ends a rewrite.
				if err != nil && !d.faults && err != persist.ErrRewriting && !strings.Contains(err.Error(), "replaced meanwhile") {
					d.t.Errorf("rewrite: %v", err)
				}
			}
		}
	})
	if d.faults {
		rewriting.Go(func() {
			for {
				select {
				case <-ended:
					return
				case <-time.After(300 * time.Millisecond):
					d.failing.Store(!d.failing.Load())
				}
			}
		})
	}
	working.Wait()
	close(ended)
	rewriting.Wait()
	d.failing.Store(false)
	// An fsync that fails late may be under way, and would fail in Close.
	time.Sleep(time.Second)
	for d.aof.Failing() != nil || d.aof.Unfounded() || !d.aof.Barrier().Reached(d.journal.EffectOffset()) {
		time.Sleep(time.Second)
	}
	if err := d.aof.Close(); err != nil {
		d.t.Error(err)
	}
	d.crashing.Lock()
	defer d.crashing.Unlock()
	if err := d.recover(memfs.Op{Kind: "end"}, memfs.LoseAll, d.acked.Load().offset); err != nil {
		d.t.Error(err)
	}
}

// TestCrashes loses power, and the process, at every call that orders things on the
// disk and at many others.
func TestCrashes(t *testing.T) {
	seeds, each := 2, 25
	if os.Getenv("SLOTMESH_LONG") != "" {
		seeds, each = 10, 60
	}
	modes := map[string]persist.FsyncMode{"always": persist.FsyncAlways, "everysec": persist.FsyncEverySec, "no": persist.FsyncNo}
	total, cuts, syncs := 0, 0, 0
	for name, mode := range modes {
		for seed := range seeds {
			for _, faults := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/%d/faults=%v", name, seed, faults), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						d := &driver{
							t: t, random: rand.New(rand.NewPCG(uint64(seed), 1)), random2: rand.New(rand.NewPCG(uint64(seed), 2)),
							every: 3, faults: faults,
							settings: persist.AOFSettings{
								Fsync: mode, LoadTruncated: true, RDBPreamble: seed%2 == 0, Timestamps: seed%2 == 1,
								IncrementalFsync: true, Compress: true, Checksum: true, Version: "7.0.15",
							},
						}
						d.run(4, each)
						for _, n := range d.images {
							total += n
						}
						cuts += d.cuts
						syncs += d.syncs
					})
				})
			}
		}
	}
	t.Logf("%d crash images recovered, %d of them with an incomplete end; %d full syncs", total, cuts, syncs)
}
