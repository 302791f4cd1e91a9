package rdb

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"slotmesh/node/store"
	"slotmesh/node/store/arena"
	"slotmesh/node/store/value"
	"slotmesh/slots"
)

// loaded is what a Load gave.
type loaded struct {
	file    *Reader
	lines   []string
	notices int
	err     error
}

// loadFile loads a file with three workers.
func loadFile(raw []byte, chunk int, target func(slots.Slot) Target) *loaded {
	l := &loaded{file: NewReader(iotest.DataErrReader(bytes.NewReader(raw)), target)}
	l.file.Notice = func(string) { l.notices++ }
	var mu sync.Mutex
	l.err = l.file.Load(LoadOptions{Workers: 3, chunk: chunk, Insert: func(entries []store.Entry) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		for _, e := range entries {
			if e.Slot != slots.Of(e.Key) {
				return 0, fmt.Errorf("key %q is said to be of slot %d", e.Key, e.Slot)
			}
			if e.Draft != nil {
				e.Value = e.Draft.Value()
			}
			l.lines = append(l.lines, listing([]store.Entry{e})...)
			discard(e)
		}
		return len(entries), nil
	}})
	slices.Sort(l.lines)
	return l
}

// heaps returns a target with as many heaps as a Store has, and its memory.
func heaps(t testing.TB) (func(slots.Slot) Target, *arena.Memory) {
	s := store.New(store.Options{Databases: 1})
	limits := DefaultLimits()
	return func(slot slots.Slot) Target { return Target{Space: s.DraftSpace(slot), Limits: &limits} }, s.Memory()
}

// compareLoad loads raw in chunks of several sizes and compares that with Next,
// entry by entry and to the text of the error.
func compareLoad(t testing.TB, what string, raw []byte) {
	t.Helper()
	to, memory := heaps(t)
	want, entries, wantErr := readFile(bytes.NewReader(raw))
	defer discardAll(entries)
	lines := listing(entries)
	for _, chunk := range []int{64, 1000, 1 << 20} {
		got := loadFile(raw, chunk, to)
		if fmt.Sprint(got.err) != fmt.Sprint(wantErr) {
			t.Fatalf("%s, chunks of %d: %v, want %v", what, chunk, got.err, wantErr)
		}
		if used := memory.Used(); used != 0 {
			t.Fatalf("%s, chunks of %d: %d bytes are left", what, chunk, used)
		}
		if wantErr != nil {
			continue
		}
		if !slices.Equal(got.lines, lines) {
			t.Fatalf("%s, chunks of %d: %q, want %q", what, chunk, got.lines, lines)
		}
		if got.file.Offset() != want.Offset() || got.file.Empty != want.Empty || got.notices != got.file.Empty && want.Empty > 0 && want.Empty <= emptyNotices && len(want.Functions) == 0 {
			t.Fatalf("%s, chunks of %d: ends at %d with %d empty ones, want %d with %d", what, chunk, got.file.Offset(), got.file.Empty, want.Offset(), want.Empty)
		}
		if !bytes.Equal(got.file.ReadAhead(), want.ReadAhead()) && len(raw) < window {
			t.Fatalf("%s, chunks of %d: %q read ahead, want %q", what, chunk, got.file.ReadAhead(), want.ReadAhead())
		}
	}
}

// TestLoad: whatever Next makes of a file, Load makes the same of it.
func TestLoad(t *testing.T) {
	files, err := filepath.Glob("testdata/samples/*.rdb")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d samples, %v", len(files), err)
	}
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		compareLoad(t, name, raw)
	}
	var entries []store.Entry
	for i := range 5000 {
		entries = append(entries, store.Entry{
			DB: i / 1000, Key: fmt.Appendf(nil, "%d", i*i*i), IdleSec: int64(i%3) - 1, Freq: -1, ExpireAtMs: int64(i % 2 * (1 << 40)),
			Value: value.StringValue(bytes.Repeat(fmt.Appendf(nil, "value %d ", i%7), i*17%200)),
		})
	}
	compareLoad(t, "many strings", writeFile(t, Header{Compress: true, Checksum: true}, entries, []byte("code")))
	large := []store.Entry{entries[1], {
		Key: []byte("large"), IdleSec: -1, Freq: -1, Value: value.StringValue(bytes.Repeat([]byte("0123456789"), maxChunk/5)),
	}, entries[2]}
	compareLoad(t, "a string longer than a chunk may be", writeFile(t, Header{Checksum: true}, large))
}

// TestLoadDamaged: a damaged file of every type is refused in the words of Next.
func TestLoadDamaged(t *testing.T) {
	file := []byte("REDIS0012\xfe\x00")
	for name, body := range foreignBodies() {
		file = append(append(append(file, body[0]), plain(name)...), body[1:]...)
	}
	file = append(file, opEOF, 0, 0, 0, 0, 0, 0, 0, 0)
	compareLoad(t, "whole", file)
	for n := 0; n < len(file); n += 7 {
		compareLoad(t, fmt.Sprintf("the first %d bytes", n), file[:n])
		broken := bytes.Clone(file)
		broken[n] ^= byte(1 + n%255)
		compareLoad(t, fmt.Sprintf("byte %d changed", n), broken)
	}
}

// TestLoadRefused: an entry that is refused is told of with its place, and what
// was not taken is given back.
func TestLoadRefused(t *testing.T) {
	to, memory := heaps(t)
	file := []byte("REDIS0012\xfe\x00")
	for i := range 1000 {
		file = append(file, "\x02"+plain(fmt.Sprintf("set:%03d", i))+lengths(1)+plain("member")...)
	}
	file = append(file, opEOF, 0, 0, 0, 0, 0, 0, 0, 0)
	r := NewReader(bytes.NewReader(file), to)
	refuse := errors.New("there is no room")
	err := r.Load(LoadOptions{Workers: 3, chunk: 1000, Insert: func(entries []store.Entry) (int, error) {
		for i, e := range entries {
			if string(e.Key) >= "set:500" {
				return i, fmt.Errorf("%s: %w", e.Key, refuse)
			}
			discard(e)
		}
		return len(entries), nil
	}})
	const size = 1 + 8 + 1 + 7
	if want := fmt.Sprintf("at byte %d: set:500: ", 11+501*size); !errors.Is(err, refuse) || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want one with %q", err, want)
	}
	if _, again := r.Next(); again != err {
		t.Errorf("after it: %v", again)
	}
	if used := memory.Used(); used != 0 {
		t.Errorf("%d bytes are left", used)
	}
}
