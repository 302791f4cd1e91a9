package rdb

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
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

// BenchmarkParser reads payloads of values that applications have.
func BenchmarkParser(b *testing.B) {
	to, _ := newTarget(b)
	words := func(n int, each func(i int) []string) (list []string) {
		for i := range n {
			list = append(list, each(i)...)
		}
		return list
	}
	member := func(i int) []string { return []string{fmt.Sprint("member", i)} }
	scored := func(i int) []string { return []string{fmt.Sprint("member", i), fmt.Sprint(i)} }
	priced := func(i int) []string { return []string{fmt.Sprint("member", i), fmt.Sprintf("%.17g", float64(i)+0.14)} }
	halves := func(i int) []string { return []string{fmt.Sprint("member", i), fmt.Sprint(i, ".5")} }
	tied := func(i int) []string { return []string{fmt.Sprintf("member%03d", i), "0"} }
	field := func(i int) []string { return []string{fmt.Sprint("field", i), "value"} }
	set := func(n int) string {
		body := string(byte(typeSet)) + lengths(uint64(n))
		for _, word := range words(n, member) {
			body += plain(word)
		}
		return body
	}
	zset := func(n int) string {
		body := string(byte(typeZSet)) + lengths(uint64(n))
		for i := range n {
			body += plain(member(i)[0]) + ms(int64(math.Float64bits(float64(i))))
		}
		return body
	}
	pack := func(t Type, words []string) string {
		return string(appendString([]byte{byte(t)}, []byte(packOf(words...)), new(scratch)))
	}
	list := func(n int) string {
		body := pack(typeQuicklist2, words(n, member))
		return body[:1] + "\x01\x02" + body[1:]
	}
	for _, c := range []struct{ name, body string }{
		{"string", "\x00" + plain("some words in a row")},
		{"hash of 20", pack(typeHashListpack, words(20, field))},
		{"hash of 400", pack(typeHashListpack, words(400, field))},
		{"set of 20", set(20)},
		{"set of 100", set(100)},
		{"set of 1,000", set(1000)},
		{"zset of 100", pack(typeZSetListpack, words(100, scored))},
		{"zset of 100 halves", pack(typeZSetListpack, words(100, halves))},
		{"zset of 100 prices", pack(typeZSetListpack, words(100, priced))},
		{"zset of 100 equal scores", pack(typeZSetListpack, words(100, tied))},
		{"zset of 1,000", zset(1000)},
		{"list of 20", list(20)},
		{"list of 500", list(500)},
	} {
		b.Run(c.name, func(b *testing.B) {
			var p Parser
			payload := footed(Version, c.body)
			b.ReportAllocs()
			for b.Loop() {
				_, draft, err := p.Parse(payload, to)
				if err != nil {
					b.Fatal(err)
				}
				if draft != nil {
					draft.Discard()
				}
			}
		})
	}
}

// BenchmarkDumper makes payloads of values that applications have, of those that lie packed
// in memory and of those that do not.
func BenchmarkDumper(b *testing.B) {
	to, _ := newTarget(b)
	hashOf := func(n int, format string) string {
		body := string(byte(typeHash)) + lengths(uint64(n))
		for i := range n {
			body += plain(fmt.Sprint("field", i)) + plain(fmt.Sprintf(format, i))
		}
		return body
	}
	zset := string(byte(typeZSet)) + lengths(100)
	for i := range 100 {
		zset += plain(fmt.Sprint("member", i)) + ms(int64(math.Float64bits(float64(i))))
	}
	list := string(byte(typeList)) + lengths(500)
	for i := range 500 {
		list += plain(fmt.Sprint("element", i))
	}
	for _, c := range []struct{ name, body string }{
		{"string", "\x00" + plain("some words in a row")},
		{"hash of 20", hashOf(20, "value")},
		{"hash of 100 descriptions", hashOf(100, "a few words about field %d")},
		{"hash of 400", hashOf(400, "value")},
		{"zset of 100", zset},
		{"list of 500", list},
	} {
		b.Run(c.name, func(b *testing.B) {
			_, draft, err := ParseDump(footed(Version, c.body), to)
			if err != nil {
				b.Fatal(err)
			}
			v := value.RawValue([]byte("some words in a row"))
			if draft != nil {
				defer draft.Discard()
				v = draft.Value()
			}
			var d Dumper
			b.ReportMetric(float64(len(d.Dump(v))), "payload")
			b.ReportAllocs()
			for b.Loop() {
				d.Dump(v)
			}
		})
	}
}

// BenchmarkLZF compresses and decompresses what collections and texts look like.
func BenchmarkLZF(b *testing.B) {
	pack := func(n int, each func(i int) []string) string {
		var words []string
		for i := range n {
			words = append(words, each(i)...)
		}
		return packOf(words...)
	}
	dice := rand.New(rand.NewPCG(1, 2))
	var text, noise strings.Builder
	for text.Len() < 4000 {
		text.WriteString(strings.Fields("the of and a to in he have it that for they with as not on she at by this we you do but from or")[dice.IntN(26)])
		text.WriteByte(" ,."[min(dice.IntN(12), 2)])
	}
	for noise.Len() < 4000 {
		noise.WriteByte(byte(dice.Uint32()))
	}
	for _, c := range []struct{ name, text string }{
		{"list of 100", pack(100, func(i int) []string { return []string{fmt.Sprint("m", i)} })},
		{"list of 1,000", pack(1000, func(i int) []string { return []string{fmt.Sprint("m", i)} })},
		{"hash of 100", pack(100, func(i int) []string { return []string{fmt.Sprint("field", i), fmt.Sprint("value", i)} })},
		{"zset of 100", pack(100, func(i int) []string { return []string{fmt.Sprint("member", i), fmt.Sprint(i)} })},
		{"objects", pack(30, func(i int) []string {
			return []string{fmt.Sprintf(`{"id":%d,"name":"user %x","score":%.2f,"active":%t}`, i*31, dice.Uint32(), dice.Float64()*100, i%3 == 0)}
		})},
		{"integers", pack(500, func(int) []string { return []string{fmt.Sprint(dice.IntN(100_000))} })},
		{"text", text.String()},
		{"noise", noise.String()},
	} {
		src := []byte(c.text)
		var table lzfTable
		packed, ok := table.compress(nil, src, len(src)-4)
		b.Run("compress/"+c.name, func(b *testing.B) {
			b.SetBytes(int64(len(src)))
			var out []byte
			for b.Loop() {
				out, _ = table.compress(out[:0], src, len(src)-4)
			}
			b.ReportMetric(float64(len(packed))/float64(len(src)), "packed")
		})
		if !ok {
			continue
		}
		b.Run("decompress/"+c.name, func(b *testing.B) {
			b.SetBytes(int64(len(src)))
			var out []byte
			for b.Loop() {
				var err error
				if out, err = lzfDecompress(out[:0], packed, uint64(len(src))); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
