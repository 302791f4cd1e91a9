package rdb

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"slotmesh/node/store"
	"slotmesh/node/store/value"
	"slotmesh/slots"
)

// BenchmarkReader reads files of one type: many small values, or few large ones.
func BenchmarkReader(b *testing.B) {
	element := func(i int) string { return plain(fmt.Sprintf("element:%d:%s", i, strings.Repeat("x", 30))) }
	many := func(n int, t Type, each func(i int) string) string {
		var body strings.Builder
		body.WriteString(string(byte(t)) + lengths(uint64(n)))
		for i := range n {
			body.WriteString(each(i))
		}
		return body.String()
	}
	for name, body := range map[string]string{
		"string": "\x00" + plain(strings.Repeat("v", 64)),
		"hash":   many(1000, typeHash, func(i int) string { return element(i) + element(i) }),
		"set":    many(1000, typeSet, element),
		"zset":   many(1000, typeZSet, func(i int) string { return element(i) + ms(0) }),
		"list":   many(1000, typeList, element),
		"pack":   "\x10" + plain(packOf("field", "value", "another", "1", "third", strings.Repeat("x", 50))),
	} {
		b.Run(name, func(b *testing.B) {
			to, _ := newTarget(b)
			_, draft, err := ParseDump(footed(Version, body), to)
			if err != nil {
				b.Fatal(err)
			}
			v := value.RawValue([]byte(strings.Repeat("v", 64)))
			if draft != nil {
				v = draft.Value()
			}
			entries := make([]store.Entry, 300)
			for i := range entries {
				entries[i] = store.Entry{Key: fmt.Appendf(nil, "key:%d", i), Value: v, IdleSec: -1, Freq: -1}
			}
			file := writeFile(b, Header{Checksum: true}, entries)
			b.SetBytes(int64(len(file)))
			b.ReportAllocs()
			for b.Loop() {
				r := NewReader(bytes.NewReader(file), func(slots.Slot) Target { return to })
				for {
					e, err := r.Next()
					if err == io.EOF {
						break
					}
					if err != nil {
						b.Fatal(err)
					}
					if e.Draft != nil {
						e.Draft.Discard()
					}
				}
			}
		})
	}
}
