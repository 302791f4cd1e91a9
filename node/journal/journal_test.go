package journal_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"slotmesh/node/journal"
	"slotmesh/slots"
)

const (
	idA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	idB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

func command(words ...string) [][]byte {
	args := make([][]byte, len(words))
	for i, w := range words {
		args[i] = []byte(w)
	}
	return args
}

func encoded(words ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(words))
	for _, w := range words {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(w), w)
	}
	return b.String()
}

func newActive(backlog int64) *journal.Journal {
	j := journal.New(journal.Options{BacklogBytes: backlog, ID: idA})
	j.Activate()
	return j
}

func readAll(t testing.TB, r *journal.Reader) string {
	t.Helper()
	var b bytes.Buffer
	for {
		part, err := r.Next(1000)
		if err != nil {
			t.Fatalf("Next: %v", err)
		}
		if len(part) == 0 {
			return b.String()
		}
		b.Write(part)
	}
}

func TestSelectIsInserted(t *testing.T) {
	j := newActive(1 << 20)
	r, err := j.NewReader(0, journal.ReaderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	j.Append(0, 1, command("SET", "a", "1"))
	j.Append(0, 1, command("SET", "a", "2"))
	j.Append(11, 1, command("SET", "a", "3"))
	j.AppendControl([]byte("PING"))
	j.Append(11, 1, command("DEL", "a"))
	j.ForceSelect()
	end := j.Append(11, 1, command("DEL", "b"))
	want := encoded("SELECT", "0") + encoded("SET", "a", "1") + encoded("SET", "a", "2") +
		encoded("SELECT", "11") + encoded("SET", "a", "3") + encoded("PING") + encoded("DEL", "a") +
		encoded("SELECT", "11") + encoded("DEL", "b")
	if got := readAll(t, r); got != want {
		t.Errorf("stream is\n%q, want\n%q", got, want)
	}
	if end != int64(len(want)) || j.Offset() != end || r.Position() != end {
		t.Errorf("offsets %d, %d, %d; want %d", end, j.Offset(), r.Position(), len(want))
	}
}

func TestGroup(t *testing.T) {
	j := newActive(1 << 20)
	r, _ := j.NewReader(0, journal.ReaderOptions{})
	j.AppendGroup([]journal.Effect{{DB: 2, Slot: 7, Args: command("DEL", "a")}})
	j.AppendGroup([]journal.Effect{
		{DB: 2, Slot: 7, Args: command("DEL", "a")},
		{DB: 3, Slot: 7, Args: command("DEL", "b")},
	})
	j.Append(3, 9, command("DEL", "c"))
	want := []journal.Entry{
		{Slot: journal.SlotSelect, Bytes: []byte(encoded("SELECT", "2"))},
		{Slot: 7, Bytes: []byte(encoded("DEL", "a"))},
		{Slot: 7, Bytes: []byte(encoded("MULTI") + encoded("DEL", "a") + encoded("SELECT", "3") + encoded("DEL", "b") + encoded("EXEC"))},
		{Slot: 9, Bytes: []byte(encoded("DEL", "c"))},
	}
	var offset int64
	for _, w := range want {
		e, ok, err := r.NextEntry()
		if !ok || err != nil {
			t.Fatalf("NextEntry: %v, %v", ok, err)
		}
		if e.Offset != offset || e.Slot != w.Slot || string(e.Bytes) != string(w.Bytes) {
			t.Errorf("entry %+v %q, want %+v %q at %d", e, e.Bytes, w, w.Bytes, offset)
		}
		offset += int64(len(e.Bytes))
	}
	if _, ok, _ := r.NextEntry(); ok {
		t.Error("an entry after the last")
	}
}

func TestInactiveKeepsNothing(t *testing.T) {
	j := journal.New(journal.Options{BacklogBytes: 1 << 20, ID: idA})
	j.Append(0, 1, command("SET", "a", "1"))
	if j.Offset() != 0 {
		t.Errorf("offset %d", j.Offset())
	}
	if _, err := j.NewReader(0, journal.ReaderOptions{}); err != journal.ErrGone {
		t.Errorf("NewReader of an inactive journal: %v", err)
	}
	j.Activate()
	j.Append(0, 1, command("SET", "a", "1"))
	r, err := j.NewReader(0, journal.ReaderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if j.Deactivate(idB) {
		t.Error("deactivated under a reader")
	}
	r.Close()
	if !j.Deactivate(idB) {
		t.Error("not deactivated")
	}
	offset := j.Offset()
	j.Append(0, 1, command("SET", "a", "1"))
	if id, former, second := j.IDs(); id != idB || former != journal.NoID || second != -1 || j.Offset() != offset {
		t.Errorf("after Deactivate: %s %s %d at %d", id, former, second, j.Offset())
	}
}

func TestHistories(t *testing.T) {
	j := newActive(1 << 20)
	j.Append(0, 1, command("SET", "a", "1"))
	mid := j.Offset()
	cut := make(chan error, 1)
	if _, err := j.NewReader(mid, journal.ReaderOptions{OnCut: func(err error) { cut <- err }}); err != nil {
		t.Fatal(err)
	}
	j.Promote(idB)
	if err := <-cut; err != journal.ErrHistory {
		t.Errorf("reader was cut for %v", err)
	}
	j.Append(0, 1, command("SET", "a", "2"))
	if id, former, second := j.IDs(); id != idB || former != idA || second != mid+1 {
		t.Errorf("ids %s %s %d", id, former, second)
	}
	for _, c := range []struct {
		id   string
		from int64
		want error
	}{
		{idB, 0, nil},
		{idB, j.Offset(), nil},
		{idB, j.Offset() + 1, journal.ErrGone},
		{idA, mid, nil},
		{idA, mid + 1, journal.ErrHistory},
		{journal.NoID, 0, journal.ErrHistory},
	} {
		r, id, err := j.Resume(c.id, c.from, journal.ReaderOptions{})
		if err != c.want {
			t.Errorf("Resume(%.1s…, %d): %v, want %v", c.id, c.from, err, c.want)
		}
		if err == nil {
			if id != idB {
				t.Errorf("Resume tells %s", id)
			}
			r.Close()
		}
	}
	j.Adopt(idA, 5000, 3)
	if j.Offset() != 5000 || j.FirstOffset() != 5000 || j.StreamDB() != 3 {
		t.Errorf("after Adopt: %d, %d, db %d", j.Offset(), j.FirstOffset(), j.StreamDB())
	}
	if _, _, err := j.Resume(idB, 5000, journal.ReaderOptions{}); err != journal.ErrHistory {
		t.Errorf("the former id survived Adopt: %v", err)
	}
}

func TestSlowReaderIsCut(t *testing.T) {
	for name, limit := range map[string]journal.Limit{
		"hard": {HardBytes: 300 << 10},
		"soft": {SoftBytes: 300 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			j := newActive(1 << 16)
			cut := make(chan error, 1)
			slow, _ := j.NewReader(0, journal.ReaderOptions{
				Limit: func() journal.Limit { return limit },
				OnCut: func(err error) { cut <- err },
			})
			fast, _ := j.NewReader(0, journal.ReaderOptions{Limit: func() journal.Limit { return limit }})
			value := strings.Repeat("x", 1000)
			for range 1000 {
				j.Append(0, 1, command("SET", "a", value))
				readAll(t, fast)
			}
			select {
			case err := <-cut:
				if err != journal.ErrSlow || slow.Err() != journal.ErrSlow {
					t.Errorf("cut for %v, Err %v", err, slow.Err())
				}
			case <-time.After(10 * time.Second):
				t.Fatal("not cut")
			}
			if _, err := slow.Next(10); err != journal.ErrSlow {
				t.Errorf("Next after the cut: %v", err)
			}
			if fast.Err() != nil {
				t.Errorf("the fast reader: %v", fast.Err())
			}
			if kept := j.RetainedBytes(); kept > 1<<17 {
				t.Errorf("%d bytes are kept", kept)
			}
		})
	}
}

func TestBacklogIsBounded(t *testing.T) {
	j := newActive(1 << 20)
	value := strings.Repeat("x", 1000)
	for range 5000 {
		j.Append(0, 1, command("SET", "a", value))
	}
	length := j.Offset() - j.FirstOffset()
	if length < 1<<20 || length > 1<<20+1<<18 {
		t.Errorf("backlog of 1 MiB holds %d bytes", length)
	}
	j.SetBacklogBytes(1 << 16)
	if length := j.Offset() - j.FirstOffset(); length < 1<<16 || length > 1<<18 {
		t.Errorf("backlog of 64 KiB holds %d bytes", length)
	}
}

// TestAgainstModel drives a journal with random operations and compares every
// reader's bytes with a plain string.
func TestAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		backlog := rapid.Int64Range(1, 1<<18).Draw(t, "backlog")
		j := newActive(backlog)
		var stream []byte
		db := -1
		type follower struct {
			r    *journal.Reader
			from int64
			got  []byte
		}
		var followers []*follower
		sel := func(next int) {
			if next != db {
				stream = append(stream, encoded("SELECT", strconv.Itoa(next))...)
				db = next
			}
		}
		value := func() string {
			return strings.Repeat("v", rapid.SampledFrom([]int{0, 1, 50, 5000, 70_000, 400_000}).Draw(t, "size"))
		}
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				next, v := rapid.IntRange(0, 2).Draw(t, "db"), value()
				j.Append(next, 5, command("SET", "k", v))
				sel(next)
				stream = append(stream, encoded("SET", "k", v)...)
			},
			"group": func(t *rapid.T) {
				first, second, v := rapid.IntRange(0, 2).Draw(t, "db"), rapid.IntRange(0, 2).Draw(t, "db2"), value()
				j.AppendGroup([]journal.Effect{
					{DB: first, Slot: 1, Args: command("SET", "k", v)},
					{DB: second, Slot: 2, Args: command("DEL", "k")},
				})
				sel(first)
				stream = append(stream, encoded("MULTI")+encoded("SET", "k", v)...)
				sel(second)
				stream = append(stream, encoded("DEL", "k")+encoded("EXEC")...)
			},
			"verbatim": func(t *rapid.T) {
				raw := encoded("SET", "k", value())
				next := rapid.IntRange(0, 2).Draw(t, "db")
				j.AppendVerbatim([]byte(raw), 1, next)
				stream = append(stream, raw...)
				db = next
			},
			"control": func(*rapid.T) {
				j.AppendControl([]byte("PING"))
				stream = append(stream, encoded("PING")...)
			},
			"cut": func(*rapid.T) {
				j.ForceSelect()
				db = -1
			},
			"follow": func(t *rapid.T) {
				from := rapid.Int64Range(0, int64(len(stream))).Draw(t, "from")
				r, err := j.NewReader(from, journal.ReaderOptions{})
				if (err == nil) != (from >= j.FirstOffset()) {
					t.Fatalf("NewReader(%d) with %d to %d: %v", from, j.FirstOffset(), j.Offset(), err)
				}
				if err == nil {
					followers = append(followers, &follower{r: r, from: from})
				}
			},
			"read": func(t *rapid.T) {
				if len(followers) == 0 {
					return
				}
				f := followers[rapid.IntRange(0, len(followers)-1).Draw(t, "who")]
				b, err := f.r.Next(rapid.IntRange(1, 100_000).Draw(t, "limit"))
				if err != nil {
					t.Fatal(err)
				}
				f.got = append(f.got, b...)
			},
			"": func(t *rapid.T) {
				if j.Offset() != int64(len(stream)) {
					t.Fatalf("offset %d, want %d", j.Offset(), len(stream))
				}
				if kept := j.Offset() - j.FirstOffset(); kept < min(backlog, j.Offset()) {
					t.Fatalf("backlog holds %d of %d", kept, backlog)
				}
				for _, f := range followers {
					if want := stream[f.from:][:len(f.got)]; !bytes.Equal(f.got, want) {
						t.Fatalf("reader from %d differs", f.from)
					}
					if f.r.LagBytes() != int64(len(stream))-f.from-int64(len(f.got)) {
						t.Fatalf("lag %d", f.r.LagBytes())
					}
				}
			},
		})
		for _, f := range followers {
			for {
				b, err := f.r.Next(1 << 20)
				if err != nil {
					t.Fatal(err)
				}
				if len(b) == 0 {
					break
				}
				f.got = append(f.got, b...)
			}
			if !bytes.Equal(f.got, stream[f.from:]) {
				t.Fatalf("reader from %d ends with %d bytes, want %d", f.from, len(f.got), int64(len(stream))-f.from)
			}
		}
	})
}

// TestConcurrent appends from several goroutines while readers follow: every
// entry is whole, each writer's entries are in order, and all readers see the
// same.
func TestConcurrent(t *testing.T) {
	j := newActive(1 << 20)
	const writers, each, readers = 4, 5000, 3
	var finished sync.WaitGroup
	results := make([][]byte, readers)
	total := make(chan struct{})
	for i := range readers {
		r, _ := j.NewReader(0, journal.ReaderOptions{})
		finished.Go(func() {
			defer r.Close()
			var got []byte
			for done := false; ; {
				b, err := r.Next(1 << 16)
				if err != nil {
					t.Error(err)
					return
				}
				if len(b) > 0 {
					got = append(got, b...)
					continue
				}
				if done {
					break
				}
				select {
				case <-r.Ready():
				case <-total:
					done = true
				}
			}
			results[i] = got
		})
	}
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			random := rand.New(rand.NewPCG(1, uint64(w)))
			for n := range each {
				value := strings.Repeat("v", random.IntN(300))
				if n%1000 == 999 {
					value = strings.Repeat("v", 100_000)
				}
				j.Append(0, slots.Slot(w), command("SET", fmt.Sprintf("%d:%d", w, n), value))
			}
		})
	}
	writing.Wait()
	close(total)
	finished.Wait()
	for _, got := range results[1:] {
		if !bytes.Equal(got, results[0]) {
			t.Fatal("readers differ")
		}
	}
	if int64(len(results[0])) != j.Offset() {
		t.Fatalf("%d bytes read of %d", len(results[0]), j.Offset())
	}
	next := make([]int, writers)
	for _, entry := range bytes.Split(results[0], []byte("SET\r\n"))[1:] {
		key := bytes.Split(entry, []byte("\r\n"))[1]
		var w, n int
		if _, err := fmt.Sscanf(string(key), "%d:%d", &w, &n); err != nil {
			t.Fatalf("key %q: %v", key, err)
		}
		if n != next[w] {
			t.Fatalf("writer %d: entry %d where %d belongs", w, n, next[w])
		}
		next[w]++
	}
}

func TestWatermark(t *testing.T) {
	var w journal.Watermark
	var order []int
	w.Notify(0, func() { order = append(order, 0) })
	w.Notify(30, func() { order = append(order, 30) })
	cancel := w.Notify(20, func() { order = append(order, 20) })
	w.Notify(10, func() { order = append(order, 10) })
	w.Advance(15)
	w.Advance(5)
	if !w.Reached(15) || w.Reached(16) {
		t.Errorf("at %d", w.Position())
	}
	if !cancel() || cancel() {
		t.Error("cancel before the call must succeed once")
	}
	w.Advance(40)
	if fmt.Sprint(order) != "[0 10 30]" {
		t.Errorf("called in order %v", order)
	}
}

func BenchmarkAppend(b *testing.B) {
	args := command("SET", "key:000000000001", strings.Repeat("v", 64))
	for _, active := range []bool{false, true} {
		b.Run(fmt.Sprintf("active=%v", active), func(b *testing.B) {
			j := journal.New(journal.Options{BacklogBytes: 1 << 20, ID: idA})
			if active {
				j.Activate()
			}
			b.ReportAllocs()
			for b.Loop() {
				j.Append(0, 77, args)
			}
		})
	}
	b.Run("parallel", func(b *testing.B) {
		j := newActive(1 << 20)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				j.Append(0, 77, args)
			}
		})
	})
}

// TestNextRun reads the stream in runs: whole entries, and all of them but those
// that only count as bytes.
func TestNextRun(t *testing.T) {
	j := newActive(64 << 10)
	r, err := j.NewReader(0, journal.ReaderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(5, 6))
	want := make(map[int64]byte)
	for range 2000 {
		from := j.Offset()
		switch random.IntN(10) {
		case 0:
			j.AppendControl([]byte("PING"))
			continue
		case 1:
			j.Append(0, 5, command("SET", "large", strings.Repeat("v", 100_000)))
		default:
			j.Append(random.IntN(2), 5, command("SET", "k", strings.Repeat("v", random.IntN(200))))
		}
		want[from] = 0
		if random.IntN(3) == 0 {
			continue
		}
		for {
			offset, run, err := r.NextRun(random.IntN(2000))
			if err != nil {
				t.Fatal(err)
			}
			if len(run) == 0 {
				if offset != j.Offset() {
					t.Fatalf("at the end %d, want %d", offset, j.Offset())
				}
				break
			}
			if run[0] != '*' || bytes.Contains(run, []byte("PING")) || !bytes.HasSuffix(run, []byte("\r\n")) {
				t.Fatalf("run %q", run)
			}
			if offset+int64(len(run)) != r.Position() {
				t.Fatalf("position %d after a run of %d at %d", r.Position(), len(run), offset)
			}
			for at := range want {
				if at >= offset && at < r.Position() {
					delete(want, at)
				}
			}
		}
	}
	for at := range want {
		if at < r.Position() {
			t.Errorf("the entry at %d was left out", at)
		}
	}
}
