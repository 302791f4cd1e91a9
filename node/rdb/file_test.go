package rdb

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"

	"slotmesh/node/store"
	"slotmesh/node/store/value"
	"slotmesh/slots"
)

var testPosition = Position{ID: strings.Repeat("a1", 20), Offset: 12345, StreamDB: 3}

func writeFile(t testing.TB, h Header, entries []store.Entry) []byte {
	t.Helper()
	var file bytes.Buffer
	w := NewWriter(&file, h)
	for _, e := range entries {
		if err := w.Entry(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if w.Written != int64(file.Len()) {
		t.Fatalf("%d bytes written, Written says %d", file.Len(), w.Written)
	}
	return file.Bytes()
}

func readFile(r io.Reader) (*Reader, []store.Entry, error) {
	file := NewReader(r, func(slots.Slot) Target { return target() })
	var entries []store.Entry
	for {
		e, err := file.Next()
		if err != nil {
			if err == io.EOF {
				err = nil
			}
			return file, entries, err
		}
		if e.Draft != nil { // never given back
			e.Value, e.Draft = e.Draft.Value(), nil
		}
		entries = append(entries, e)
	}
}

func TestFilesRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		entries := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) store.Entry {
			e := store.Entry{
				DB:         rapid.IntRange(0, 20).Draw(t, "db"),
				Key:        rapid.SliceOfN(rapid.Byte(), 0, 30).Draw(t, "key"),
				ExpireAtMs: rapid.SampledFrom([]int64{0, 1, 1700000000123}).Draw(t, "expire"),
				IdleSec:    -1,
				Freq:       -1,
			}
			e.Value = value.StringValue(bytes.Repeat(rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "value"), rapid.IntRange(0, 300).Draw(t, "times")))
			e.Slot = slots.Of(e.Key)
			switch rapid.IntRange(0, 2).Draw(t, "access") {
			case 1:
				e.IdleSec = rapid.Int64Range(0, 1<<30).Draw(t, "idle")
			case 2:
				e.Freq = rapid.IntRange(0, 255).Draw(t, "freq")
			}
			return e
		}), 0, 30).Draw(t, "entries")
		h := Header{
			RedisVersion: "7.2.4", CreatedSec: 1700000000, UsedMemory: 1 << 30, Repl: &testPosition,
			Compress: rapid.Bool().Draw(t, "compress"), Checksum: rapid.Bool().Draw(t, "checksum"),
		}
		var file bytes.Buffer
		w := NewWriter(&file, h)
		for _, e := range entries {
			w.Entry(e)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		file.WriteString("what follows")
		r, got, err := readFile(&file)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) != len(entries) {
			t.Fatalf("%d entries, want %d", len(got), len(entries))
		}
		for i, want := range entries {
			e := got[i]
			if e.DB != want.DB || e.Slot != want.Slot || !bytes.Equal(e.Key, want.Key) || !sameValue(e.Value, want.Value) ||
				e.ExpireAtMs != want.ExpireAtMs || e.Freq != want.Freq || e.IdleSec != want.IdleSec {
				t.Fatalf("entry %d is %+v, want %+v", i, e, want)
			}
		}
		if at, ok := r.Position(); !ok || at != testPosition {
			t.Fatalf("position %+v", at)
		}
		if r.Aux["redis-ver"] != "7.2.4" || r.Aux["aof-base"] != "0" || r.Version() != Version {
			t.Fatalf("aux %v of version %d", r.Aux, r.Version())
		}
		if string(r.ReadAhead()) != "what follows" {
			t.Fatalf("%q was read ahead", r.ReadAhead())
		}
	})
}

func sampleFile(t testing.TB) []byte {
	var entries []store.Entry
	for i := range 20 {
		e := store.Entry{DB: i % 2, Key: fmt.Appendf(nil, "key:%d", i), IdleSec: -1, Freq: -1}
		e.Value = value.StringValue(fmt.Appendf(nil, strings.Repeat("value ", i)+"%d", i))
		entries = append(entries, e)
	}
	return writeFile(t, Header{RedisVersion: "7.2.4", Compress: true, Checksum: true}, entries)
}

func TestInPieces(t *testing.T) {
	file := sampleFile(t)
	for _, r := range []io.Reader{iotest.OneByteReader(bytes.NewReader(file)), iotest.DataErrReader(bytes.NewReader(file))} {
		if _, entries, err := readFile(r); err != nil || len(entries) != 20 {
			t.Errorf("%d entries, %v", len(entries), err)
		}
	}
	if _, _, err := readFile(iotest.TimeoutReader(iotest.OneByteReader(bytes.NewReader(file)))); !errors.Is(err, iotest.ErrTimeout) {
		t.Errorf("a failing reader yields %v", err)
	}
}

// TestDamagedFiles flips every byte and cuts everywhere: with the checksum on,
// no damage goes unseen, and the error says where.
func TestDamagedFiles(t *testing.T) {
	file := sampleFile(t)
	for i := range file {
		broken := slices.Clone(file)
		broken[i] ^= 0x41
		if _, _, err := readFile(bytes.NewReader(broken)); err == nil {
			t.Errorf("byte %d flipped: no error", i)
		}
	}
	for n := range file {
		_, _, err := readFile(bytes.NewReader(file[:n]))
		if err == nil || !strings.Contains(err.Error(), "at byte") {
			t.Errorf("%d bytes of it: %v", n, err)
		}
	}
}

func TestRefusedFiles(t *testing.T) {
	for _, c := range []struct{ name, file, want string }{
		{"empty", "", "at byte 0"},
		{"foreign", "\x7fELF.......", "wrong signature"},
		{"version 0", "REDIS0000\xff", "version"},
		{"version 13", "REDIS0013\xff", "version"},
		{"no number", "REDISabcd\xff", "version"},
		{"hash twice a field", "REDIS0010\x04\x04hash\x02\x01f\x01v\x01f\x01w", "twice"},
		{"module", "REDIS0009\x07\x01k\x81\x6c\xa9\x86\x8a\xeb\xdf\x44\x01", "data of module"},
		{"module aux", "REDIS0009\xf7\x81\x6c\xa9\x86\x8a\xeb\xdf\x44\x01", "data of module"},
		{"unknown type", "REDIS0010\x63\x01k", "type 99"},
		{"old functions", "REDIS0010\xf6", "pre-release"},
		{"huge aux claim", "REDIS0010\xfa\x81\x7f\xff\xff\xff\xff\xff\xff\xff", "too early"},
		{"huge key claim", "REDIS0010\x00\x80\xff\xff\xff\xff", "too early"},
		{"database", "REDIS0010\xfe\x80\xff\xff\xff\xff", "database"},
		{"encoded length", "REDIS0010\xfe\xc0\x01", "length"},
	} {
		_, _, err := readFile(strings.NewReader(c.file))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestOldAndForeignFields(t *testing.T) {
	// Version 4 has no checksum; EXPIRETIME is in seconds; slot info and
	// functions are passed over.
	file := "REDIS0004\xfd\x40\xe2\x01\x00\x00\x01k\x01v\xff"
	if _, entries, err := readFile(strings.NewReader(file)); err != nil || len(entries) != 1 || entries[0].ExpireAtMs != 123456000 {
		t.Errorf("%v, %v", entries, err)
	}
	file = "REDIS0011\xf5\x05#!lua\xf4\x01\x02\x03\x00\x01k\x01v\xff\x00\x00\x00\x00\x00\x00\x00\x00"
	notices := 0
	r := NewReader(strings.NewReader(file), func(slots.Slot) Target { return target() })
	r.Notice = func(string) { notices++ }
	e, err := r.Next()
	if err != nil || string(e.Key) != "k" || len(r.Functions) != 1 || string(r.Functions[0]) != "#!lua" || notices != 1 {
		t.Errorf("%v, %v, functions %q, %d notices", e, err, r.Functions, notices)
	}
	if _, err := r.Next(); err != io.EOF {
		t.Errorf("end: %v", err)
	}
	if _, err := r.Next(); err != io.EOF {
		t.Errorf("after the end: %v", err)
	}
}

func TestModuleName(t *testing.T) {
	for _, name := range []string{"ReJSON-RL", "hellotype", "MBbloom--"} {
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		var number uint64
		for _, c := range name {
			number = number<<6 | uint64(strings.IndexRune(alphabet, c))
		}
		if got := moduleName(number<<10 | 3); got != name {
			t.Errorf("%s decodes as %s", name, got)
		}
	}
}

// FuzzReader reads anything; what reads without error is written and read
// again.
func FuzzReader(f *testing.F) {
	f.Add(sampleFile(f))
	f.Add([]byte("REDIS0010\xfa\x01a\x01b\xfe\x00\xfb\x01\x00\x00\x01k\x01v\xff\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Add([]byte("REDIS0004\xfd\x40\xe2\x01\x00\x00\x01k\x01v\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, entries, err := readFile(bytes.NewReader(b))
		if err != nil {
			return
		}
		again := writeFile(t, Header{Compress: true, Checksum: true}, entries)
		if _, got, err := readFile(bytes.NewReader(again)); err != nil || len(got) != len(entries) {
			t.Fatalf("%d entries go round as %d, %v", len(entries), len(got), err)
		}
	})
}
