package rdb

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
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

func writeFile(t testing.TB, h Header, entries []store.Entry, functions ...[]byte) []byte {
	t.Helper()
	var file bytes.Buffer
	w := NewWriter(&file, h)
	for _, code := range functions {
		if err := w.Function(code); err != nil {
			t.Fatal(err)
		}
	}
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
		if e.Draft != nil { // given back by some
			e.Value = e.Draft.Value()
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
	notices := ""
	r := NewReader(strings.NewReader(file), func(slots.Slot) Target { return target() })
	r.Notice = func(text string) { notices += text }
	e, err := r.Next()
	if err != nil || string(e.Key) != "k" || len(r.Functions) != 1 || string(r.Functions[0]) != "#!lua" || notices != "a function library is left out: functions cannot be run" {
		t.Errorf("%v, %v, functions %q, notices %q", e, err, r.Functions, notices)
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
		compareLoad(t, "the input", b)
		_, entries, err := readFile(bytes.NewReader(b))
		defer discardAll(entries)
		if err != nil {
			return
		}
		again := writeFile(t, Header{Compress: true, Checksum: true}, entries)
		_, got, err := readFile(bytes.NewReader(again))
		defer discardAll(got)
		if err != nil || !slices.Equal(listing(got), listing(entries)) {
			t.Fatalf("%q goes round as %q, %v", listing(entries), listing(got), err)
		}
	})
}

func discardAll(entries []store.Entry) {
	for _, e := range entries {
		if e.Draft != nil {
			e.Draft.Discard()
		}
	}
}

// TestEmptyCollections: they are left out with a notice, the first ten of them,
// and refused in a dump.
func TestEmptyCollections(t *testing.T) {
	raw, err := os.ReadFile("testdata/samples/redis-corrupt_empty_keys.rdb")
	if err != nil {
		t.Fatal(err)
	}
	var notices []string
	r := NewReader(bytes.NewReader(raw), func(slots.Slot) Target { return target() })
	r.Notice = func(text string) { notices = append(notices, text) }
	if _, err := r.Next(); err != io.EOF || r.Empty != 9 || len(notices) != 9 {
		t.Errorf("%v, %d empty ones, notices %q", err, r.Empty, notices)
	}
	if want := `key "hash_ziplist" holds a hash (listpack) without elements and is left out`; !slices.Contains(notices, want) {
		t.Errorf("no notice %q among %q", want, notices)
	}
	file := strings.Repeat("\x04\x01h\x00", 25) + "\xfc12345678\x02\x01s\x00\x00\x01k\x01v\xff" + strings.Repeat("\x00", 8)
	notices = nil
	r = NewReader(strings.NewReader("REDIS0010"+file), func(slots.Slot) Target { return target() })
	r.Notice = func(text string) { notices = append(notices, text) }
	e, err := r.Next()
	if err != nil || string(e.Key) != "k" || e.ExpireAtMs != 0 || r.Empty != 26 || len(notices) != emptyNotices {
		t.Errorf("%+v, %v, %d empty ones, %d notices", e, err, r.Empty, len(notices))
	}
	for _, body := range []string{
		"\x01\x00", "\x02\x00", "\x03\x00", "\x05\x00", "\x04\x00", "\x09\x02\x00\xff", "\x0e\x00", "\x12\x00",
		"\x12\x01\x02" + plain(packOf()), "\x10" + plain(packOf()), "\x11" + plain(packOf()), "\x14" + plain(packOf()),
		"\x0a" + plain(string(appendZiplist(nil))), "\x0c" + plain(string(appendZiplist(nil))), "\x0d" + plain(string(appendZiplist(nil))),
		"\x0e\x01" + plain(string(appendZiplist(nil))), "\x0b" + plain("\x02\x00\x00\x00\x00\x00\x00\x00"),
	} {
		if _, err := parseDump(footed(Version, body)); !errors.Is(err, ErrFormat) {
			t.Errorf("%q: %v", body, err)
		}
	}
}

// TestForeignHeaders: Valkey 9's header changes what one type means; its later
// versions are refused, and what it says of incoming slots is passed over.
func TestForeignHeaders(t *testing.T) {
	body := "\xf3\x04name\x02\x00\x05\x0a\x0b\x16\x01h\x01\x01f\x01v" + strings.Repeat("\xff", 8) + "\xff" + strings.Repeat("\x00", 8)
	r, entries, err := readFile(strings.NewReader("VALKEY080" + body))
	if err != nil || len(entries) != 1 || contentOf(entries[0].Value) != `hash: "f"="v"` || r.Version() != valkeyVersion {
		t.Errorf("%v, %v", listing(entries), err)
	}
	for _, magic := range []string{"REDIS0080", "VALKEY081", "VALKEY000", "VALKEYabc", "valkey080"} {
		if _, _, err := readFile(strings.NewReader(magic + body)); err == nil || !strings.Contains(err.Error(), "at byte 9") {
			t.Errorf("%s: %v", magic, err)
		}
	}
	if v, err := parseDump(footed(valkeyVersion, "\x16\x01\x01f\x01v"+ms(1700000000000))); err != nil || contentOf(v) != `hash: "f"="v"@1700000000000` {
		t.Errorf("a dump of Valkey: %v", err)
	}
}

// TestHints: how many keys follow is told to whoever wants to know.
func TestHints(t *testing.T) {
	var file bytes.Buffer
	w := NewWriter(&file, Header{AOFBase: true})
	if err := w.SelectDB(3, 70_000, 5); err != nil {
		t.Fatal(err)
	}
	if err := w.Entry(store.Entry{DB: 3, Key: []byte("k"), Value: value.StringValue([]byte("v")), IdleSec: -1, Freq: -1}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	size := int64(file.Len())
	var hints []string
	r := NewReader(&file, func(slots.Slot) Target { return target() })
	r.OnResize = func(db int, keys, expires uint64) { hints = append(hints, fmt.Sprint(db, keys, expires)) }
	e, err := r.Next()
	if err != nil || e.DB != 3 || !slices.Equal(hints, []string{"3 70000 5"}) || r.Aux["aof-base"] != "1" {
		t.Errorf("%+v, %v, hints %q, %q", e, err, hints, r.Aux)
	}
	if _, known := r.Position(); known {
		t.Error("a file without a position has one")
	}
	if _, err := r.Next(); err != io.EOF || r.Offset() != size {
		t.Errorf("%v at %d of %d", err, r.Offset(), size)
	}
}

// TestLongAux: scripts that Redis 6 kept in AUX fields do not hinder reading.
func TestLongAux(t *testing.T) {
	script := strings.Repeat("return 1;", maxAuxBytes)
	file := "REDIS0009\xfa" + plain("lua") + plain(script) + "\xfa" + plain("aof-base") + "\xc0\x01" + "\x00\x01k\x01v\xff" + strings.Repeat("\x00", 8)
	r, entries, err := readFile(strings.NewReader(file))
	if err != nil || len(entries) != 1 || r.Aux["lua"] != "" || r.Aux["aof-base"] != "1" {
		t.Errorf("%d entries, %v, %q", len(entries), err, r.Aux)
	}
}
