package rdb

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"slotmesh/node/store/listpack"
	"slotmesh/slots"
)

// FuzzZiplist: whatever is taken becomes a listpack of as many entries.
func FuzzZiplist(f *testing.F) {
	f.Add(appendZiplist(nil, "a", "1", "-200", "70000", "5000000000", "-8000000", "100"))
	f.Fuzz(func(t *testing.T, zl []byte) {
		count := 0
		if err := eachOfZiplist(zl, func(text []byte, _ int64, isInt bool) {
			if count++; isInt && text != nil {
				t.Fatal("an integer with a text")
			}
		}); err != nil {
			return
		}
		d := decoder{buf: appendString(nil, zl, nil)}
		lp, err := d.ziplist()
		if count == 0 {
			if err != errEmpty {
				t.Fatalf("an empty one: %v", err)
			}
			return
		}
		if err != nil || listpack.Validate(lp) != nil || listpack.Len(lp) != count {
			t.Fatalf("%d entries become %q, %v", count, lp, err)
		}
	})
}

// FuzzZipmap: what is taken lies inside the input.
func FuzzZipmap(f *testing.F) {
	f.Add(appendZipmap(nil, "a", "1", "b", "2"))
	f.Fuzz(func(t *testing.T, zm []byte) {
		size := 0
		if err := eachOfZipmap(zm, func(field, val []byte) error {
			size += len(field) + len(val)
			return nil
		}); err == nil && size >= len(zm) {
			t.Fatalf("%d bytes in %d", size, len(zm))
		}
	})
}

// fuzzTypes fuzzes the decoders of types, alone and behind a file's header, of
// Redis and of Valkey: what is refused leaves nothing behind, what is taken goes
// round.
func fuzzTypes(f *testing.F, types ...Type) {
	for _, body := range foreignBodies() {
		for i, t := range types {
			if Type(body[0]) == t {
				f.Add(uint8(i), []byte(body[1:]))
			}
		}
	}
	to, memory := newTarget(f)
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		typ := types[int(which)%len(types)]
		for _, version := range []uint16{Version, valkeyVersion} {
			_, draft, err := ParseDump(footed(version, string(byte(typ))+string(body)), to)
			if err == nil {
				v := draft.Value()
				content := contentOf(v)
				_, again, err := ParseDump(AppendDump(nil, v), to)
				if err != nil {
					t.Fatalf("%s comes back with %v", content, err)
				}
				if back := again.Value(); contentOf(back) != content {
					t.Fatalf("%s comes back as %s", content, contentOf(back))
				}
				again.Discard()
				draft.Discard()
			}
			if used := memory.Used(); used != 0 {
				t.Fatalf("%d bytes are left, %v", used, err)
			}
		}
	})
}

func FuzzList(f *testing.F) {
	fuzzTypes(f, typeList, typeZiplist, typeQuicklist, typeQuicklist2)
}

func FuzzSet(f *testing.F) { fuzzTypes(f, typeSet, typeIntset, typeSetListpack) }

func FuzzZSet(f *testing.F) {
	fuzzTypes(f, typeZSetText, typeZSet, typeZSetZiplist, typeZSetListpack)
}

func FuzzHash(f *testing.F) {
	fuzzTypes(f, typeHash, typeZipmap, typeHashZiplist, typeHashListpack, typeHashTTLPre, typeHashTTLLPPre, typeHashTTL, typeHashTTLListLP)
}

func FuzzStream(f *testing.F) { fuzzTypes(f, typeStream1, typeStream2, typeStream3) }

// TestDamagedFile damages a file with values of every type and without a
// checksum: entries or an error that says where, and nothing left behind.
func TestDamagedFile(t *testing.T) {
	file := []byte("REDIS0012\xfe\x00")
	for name, body := range foreignBodies() {
		file = append(append(append(file, body[0]), plain(name)...), body[1:]...)
	}
	file = append(file, opEOF, 0, 0, 0, 0, 0, 0, 0, 0)
	to, memory := newTarget(t)
	read := func(b []byte) (entries int, err error) {
		r := NewReader(bytes.NewReader(b), func(slots.Slot) Target { return to })
		for {
			e, err := r.Next()
			if err == io.EOF {
				return entries, nil
			}
			if err != nil {
				return entries, err
			}
			if entries++; e.Draft != nil {
				e.Draft.Discard()
			}
		}
	}
	if n, err := read(file); err != nil || n != len(foreignBodies()) {
		t.Fatalf("%d entries, %v", n, err)
	}
	damaged(string(file), func(how string, b []byte) {
		_, err := read(b)
		if err != nil && !strings.Contains(err.Error(), "at byte ") {
			t.Errorf("%s: %v", how, err)
		}
		if used := memory.Used(); used != 0 {
			t.Fatalf("%s: %d bytes are left", how, used)
		}
	})
}
