package persist

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

// FuzzEntries reads anything as a file of entries: every byte is accounted for, it
// does not matter how the bytes arrive, and what was read is written the same.
func FuzzEntries(f *testing.F) {
	f.Add([]byte("#TS:1\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n"))
	f.Add([]byte("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$0\r\n\r\n*1\r\n$5\r\nMULTI\r\n"))
	f.Add([]byte("*2\r\n$6\r\nSEL\x00\x00\x00\x00\x00"))
	f.Add([]byte("*1048576\r\n$4294967296\r\nx"))
	f.Fuzz(func(t *testing.T, file []byte) {
		read := func(src io.Reader) (end int64, n int, why error) {
			r := newEntryReader(src, 0, nil)
			for {
				e, err := r.next()
				if err != nil {
					var bad *damage
					if err != io.EOF && (!errors.As(err, &bad) || bad.at != end || bad.found < end || bad.found > int64(len(file))) {
						t.Fatalf("at %d: %v", end, err)
					}
					return end, n, err
				}
				if e.at != end || e.size <= 0 {
					t.Fatalf("entry at %d of %d bytes, the last one ended at %d", e.at, e.size, end)
				}
				end += int64(e.size)
				n++
			}
		}
		end, n, err := read(bytes.NewReader(file))
		slowEnd, slowN, slowErr := read(iotest.OneByteReader(bytes.NewReader(file)))
		if end != slowEnd || n != slowN || (err == io.EOF) != (slowErr == io.EOF) {
			t.Fatalf("%d entries up to %d (%v), byte by byte %d up to %d (%v)", n, end, err, slowN, slowEnd, slowErr)
		}
		if err == io.EOF && end != int64(len(file)) {
			t.Fatalf("the end at %d of %d", end, len(file))
		}
	})
}

// FuzzManifest: what is read of a manifest is what it says when written again.
func FuzzManifest(f *testing.F) {
	f.Add("file appendonly.aof.1.base.rdb seq 1 type b\nfile appendonly.aof.1.incr.aof seq 1 type i\n")
	f.Add("# a comment\nfile \"a b\\x00\" seq 1 type h\n")
	f.Fuzz(func(t *testing.T, content string) {
		m, err := parseManifest("m", []byte(content))
		if err != nil {
			return
		}
		again, err := parseManifest("m", m.encode())
		if m.empty() && len(m.history) == 0 {
			return // only comments: it is written as an empty file
		}
		if err != nil || !reflect.DeepEqual(m, again) {
			t.Fatalf("%q: %+v, written and read %+v, %v", content, m, again, err)
		}
	})
}

func TestManifest(t *testing.T) {
	for _, bad := range []string{
		"", "file a seq 1 type b", "file a seq 1\n", "file a seq 0 type b\n", "file a seq x type b\n",
		"file ../a seq 1 type b\n", "file a seq 1 type bb\n", "file a seq 1 type x\n", "\n",
		"file a seq 1 type b\nfile b seq 2 type b\n", "file a seq 2 type i\nfile b seq 2 type i\n",
		"file a seq 2 type i\nfile b seq 1 type i\n", "file \"a seq 1 type b\n",
		"file " + strings.Repeat("a", 1100) + " seq 1 type b\n",
	} {
		if m, err := parseManifest("m", []byte(bad)); err == nil {
			t.Errorf("%.40q was read as %+v", bad, m)
		}
	}
	m, err := parseManifest("m", []byte("# made by hand\nFILE a.base SEQ 3 TYPE b other x\nfile \"an incr\" seq 7 type i\nfile old seq 2 type h\n"))
	if err != nil || m.base.name != "a.base" || m.incrSeq != 7 || m.baseSeq != 3 || m.incr[0].name != "an incr" || len(m.history) != 1 {
		t.Fatalf("%+v, %v", m, err)
	}
	next := m.rebased(aofFile{"b.base", 4, kindBase}, aofFile{"new", 8, kindIncr})
	if got := string(next.encode()); got != "file b.base seq 4 type b\nfile old seq 2 type h\nfile a.base seq 3 type h\nfile \"an incr\" seq 7 type h\nfile new seq 8 type i\n" {
		t.Errorf("rebased:\n%s", got)
	}
}
