package rdb

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"slotmesh/node/store/arena"
	"slotmesh/node/store/hash"
	"slotmesh/node/store/tree"
	"slotmesh/node/store/value"
	"slotmesh/node/store/zset"
)

// TestChecksum pins the parameters with the check value that the reference's
// own test uses.
func TestChecksum(t *testing.T) {
	if got := updateCRC(0, []byte("123456789")); got != 0xe9c6d914c4b8d9ca {
		t.Errorf("checksum of 123456789 is %016x", got)
	}
	long := bytes.Repeat([]byte("slotmesh"), 1000)
	var pieces uint64
	for i := 0; i < len(long); i += 13 {
		pieces = updateCRC(pieces, long[i:min(i+13, len(long))])
	}
	if whole := updateCRC(0, long); whole != pieces {
		t.Errorf("in pieces %016x, at once %016x", pieces, whole)
	}
}

// TestPayloads compares with what DUMP of Redis 7.0.15 answered.
func TestPayloads(t *testing.T) {
	for _, c := range []struct {
		value value.Value
		want  string
	}{
		{value.TextValue([]byte("hello")), "\x00\x05hello\n\x00cr\xdfve4 \n"},
		{value.IntValue(10), "\x00\xc0\n\n\x00n\x9fWE\x0e\xaec\xbb"},
	} {
		if got := string(AppendDump(nil, c.value)); got != c.want {
			t.Errorf("dump of %v is %q, want %q", c.value, got, c.want)
		}
		v, err := parseDump([]byte(c.want))
		if err != nil || !sameValue(v, c.value) {
			t.Errorf("%q parses as %v, %v", c.want, v, err)
		}
	}
}

// memory is where the tests' collections lie.
var memory = sync.OnceValue(func() *arena.Memory {
	m, err := arena.New(arena.Options{Reserve: 4 << 30})
	if err != nil {
		panic(err)
	}
	return m
})

func target() Target {
	limits := DefaultLimits()
	return Target{Space: tree.Space{Heap: memory().Heap(0), Version: 1}, Limits: &limits}
}

// parseDump is ParseDump, whose drafts are never given back.
func parseDump(payload []byte) (value.Value, error) {
	v, draft, err := ParseDump(payload, target())
	if draft != nil {
		v = draft.Value()
	}
	return v, err
}

func sameValue(a, b value.Value) bool {
	if a.Kind != value.KindString {
		return bytes.Equal(AppendDump(nil, a), AppendDump(nil, b))
	}
	return a.Kind == b.Kind && bytes.Equal(a.AppendText(nil), b.AppendText(nil))
}

func TestStringsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		piece := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "piece")
		content := bytes.Repeat(piece, rapid.SampledFrom([]int{1, 1, 2, 50, 3000}).Draw(t, "times"))
		content = append(content, rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "tail")...)
		v := value.StringValue(content)
		dump := AppendDump([]byte("in front"), v)[len("in front"):]
		got, err := parseDump(dump)
		if err != nil || !sameValue(got, v) || got.Enc != v.Enc {
			t.Fatalf("%q came back as %v, %v", content, got, err)
		}
		if len(dump) > len(content)+1+9+footerSize {
			t.Fatalf("%d bytes take %d", len(content), len(dump))
		}
	})
}

func TestIntegersRoundTrip(t *testing.T) {
	for _, n := range []int64{
		0, 1, -1, 127, 128, -128, -129, 32767, 32768, -32768, -32769, math.MaxInt32, math.MaxInt32 + 1,
		math.MinInt32, math.MinInt32 - 1, math.MaxInt64, math.MinInt64,
	} {
		got, err := parseDump(AppendDump(nil, value.IntValue(n)))
		if err != nil || got.Enc != value.EncInt || got.Int != n {
			t.Errorf("%d came back as %v, %v", n, got, err)
		}
	}
}

// TestDumpOfTrees: the dump of a hash or a sorted set that the reference keeps packed
// is packed, and restored as it is; a file tells what lies in trees.
func TestDumpOfTrees(t *testing.T) {
	to, memory := newTarget(t)
	h := value.NewDraft(to.Space, value.KindHash, value.EncListpack)
	z := value.NewDraft(to.Space, value.KindZSet, value.EncListpack)
	fields, members := hash.Open(&h.Cell, to.Limits.Hash), zset.Open(&z.Cell, to.Limits.ZSet)
	for i := range 120 {
		fields.Set(fmt.Append(nil, "field", i), fmt.Appendf(nil, "value %d of the field", i))
		members.Add(fmt.Appendf(nil, "member %d with a name that is a little longer", i), float64(i)/3, 0)
	}
	for _, c := range []struct {
		draft       *value.Draft
		dump, plain Type
	}{{h, typeHashListpack, typeHash}, {z, typeZSetListpack, typeZSet}} {
		v := c.draft.Value()
		if v.Roots == 0 {
			t.Fatalf("%s is not in trees", v.Kind)
		}
		dump := AppendDump(nil, v)
		if got := Type(dump[0]); got != c.dump {
			t.Errorf("dumped as %s, want %s", got, c.dump)
		}
		if got := Type(appendValue(nil, nil, v, nil, new(Writer))[0]); got != c.plain {
			t.Errorf("filed as %s, want %s", got, c.plain)
		}
		_, back, err := ParseDump(dump, to)
		if err != nil {
			t.Fatal(err)
		}
		restored := back.Value()
		if a, b := contentOf(restored), contentOf(v); a != b || restored.Roots != 0 || restored.Enc != v.Enc {
			t.Errorf("restored as %s with %d trees: %s", restored.Enc, restored.Roots, difference(a, b))
		}
		if again := AppendDump(nil, restored); !bytes.Equal(again, dump) {
			t.Errorf("%s: the dump of what was restored is another one", v.Kind)
		}
		back.Discard()
		c.draft.Discard()
	}
	if used := memory.Used(); used != 0 {
		t.Errorf("%d bytes are left", used)
	}
}

func TestCompression(t *testing.T) {
	v := value.RawValue([]byte(strings.Repeat("slotmesh ", 10_000)))
	if dump := AppendDump(nil, v); len(dump) > 2000 {
		t.Errorf("%d repetitive bytes take %d", len(v.Bytes), len(dump))
	}
}

// footed adds a footer of the given version to body.
func footed(version uint16, body string) []byte {
	b := binary.LittleEndian.AppendUint16([]byte(body), version)
	return binary.LittleEndian.AppendUint64(b, updateCRC(0, b))
}

func TestBadPayloads(t *testing.T) {
	for _, c := range []struct {
		name    string
		payload []byte
		want    error
		text    string
	}{
		{"empty", nil, ErrChecksum, ""},
		{"footer only", footed(Version, ""), ErrFormat, "too early"},
		{"newer version", footed(MaxVersion+1, "\x00\x01a"), ErrChecksum, ""},
		{"wrong checksum", append(footed(Version, "\x00\x01a")[:12], 0), ErrChecksum, ""},
		{"string too short", footed(Version, "\x00\x05a"), ErrFormat, "too early"},
		{"claims 4 GiB", footed(Version, "\x00\x80\xff\xff\xff\xffa"), ErrFormat, "too early"},
		{"claims more than memory", footed(Version, "\x00\x81\xff\xff\xff\xff\xff\xff\xff\xffa"), ErrFormat, "too early"},
		{"bytes behind", footed(Version, "\x00\x01ab"), ErrFormat, "1 bytes after"},
		{"length form", footed(Version, "\x00\x82a"), ErrFormat, "length"},
		{"string encoding", footed(Version, "\x00\xc4a"), ErrFormat, "encoding 4"},
		{"compressed claims too much", footed(Version, "\x00\xc3\x01\x80\xff\xff\xff\xff\x00"), ErrFormat, "compressed"},
		{"compressed to nothing", footed(Version, "\x00\xc3\x00\x00"), ErrFormat, "compressed"},
		{"compressed from before", footed(Version, "\x00\xc3\x02\x03\x20\x00"), ErrFormat, "compressed"},
		{"empty hash", footed(Version, "\x04\x00"), ErrFormat, "empty"},
		{"module", footed(Version, "\x07\x00"), ErrFormat, "module"},
		{"unknown type", footed(Version, "\x63\x00"), ErrFormat, "type 99"},
	} {
		_, err := parseDump(c.payload)
		if !errors.Is(err, c.want) || !strings.Contains(fmt.Sprint(err), c.text) {
			t.Errorf("%s: %v, want %v with %q", c.name, err, c.want, c.text)
		}
	}
	for version := range uint16(MaxVersion + 1) {
		if _, err := parseDump(footed(version, "\x00\x01a")); err != nil {
			t.Errorf("version %d: %v", version, err)
		}
	}
}

// TestFlippedBytes flips every bit of a payload: the checksum finds it.
func TestFlippedBytes(t *testing.T) {
	dump := AppendDump(nil, value.RawValue([]byte(strings.Repeat("abcdef", 30)+"tail")))
	for i := range dump {
		for bit := range 8 {
			broken := bytes.Clone(dump)
			broken[i] ^= 1 << bit
			if _, err := parseDump(broken); !errors.Is(err, ErrChecksum) {
				t.Fatalf("bit %d of byte %d flipped: %v", bit, i, err)
			}
		}
	}
	for n := range dump {
		if _, err := parseDump(dump[:n]); !errors.Is(err, ErrChecksum) {
			t.Fatalf("%d bytes of it: %v", n, err)
		}
	}
}

// FuzzParseDump fixes the footer of what the fuzzer makes, so that the decoders
// behind the checksum are reached; every value that parses goes round.
func FuzzParseDump(f *testing.F) {
	f.Add([]byte("\x00\x05hello"))
	f.Add([]byte("\x00\xc0\x0a"))
	f.Add([]byte("\x00\xc3\x09\x40\x64\x01aa\xe0\x5a\x00\x01aa"))
	f.Add([]byte("\x07\x81\x00\x00\x00\x00\x00\x00\x00\x01"))
	to, memory := newTarget(f)
	parse := func(payload []byte) (v value.Value, discard func(), err error) {
		v, draft, err := ParseDump(payload, to)
		if draft == nil {
			return v, func() {}, err
		}
		return draft.Value(), draft.Discard, err
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if _, discard, err := parse(body); err == nil {
			discard()
		}
		v, discard, err := parse(footed(Version, string(body)))
		if err == nil {
			again, discardToo, err := parse(AppendDump(nil, v))
			if err != nil || contentOf(again) != contentOf(v) {
				t.Fatalf("%s goes round as %s, %v", contentOf(v), contentOf(again), err)
			}
			discardToo()
			discard()
		}
		if used := memory.Used(); used != 0 {
			t.Fatalf("%d bytes are left, %v", used, err)
		}
	})
}

// TestLZFItems decompresses items of every distance and length, as they lie in the
// middle and at both ends, and as they are cut off anywhere.
func TestLZFItems(t *testing.T) {
	seed := rand.Uint64()
	dice := rand.New(rand.NewPCG(seed, 1))
	for range 300 {
		var packed, want []byte
		for n := 1 + dice.IntN(40); n > 0; n-- {
			if len(want) == 0 || dice.IntN(2) == 0 {
				size := 1 + dice.IntN(lzfMaxLiteral)
				packed = append(packed, byte(size-1))
				for range size {
					packed = append(packed, byte(dice.Uint32()))
				}
				want = append(want, packed[len(packed)-size:]...)
				continue
			}
			length, distance := 3+dice.IntN(14), 1+dice.IntN(min(len(want), 20))
			if dice.IntN(4) == 0 {
				length, distance = 3+dice.IntN(lzfMaxMatch-2), 1+dice.IntN(len(want))
			}
			if code := length - 2; code < 7 {
				packed = append(packed, byte(code<<5|(distance-1)>>8), byte(distance-1))
			} else {
				packed = append(packed, byte(7<<5|(distance-1)>>8), byte(code-7), byte(distance-1))
			}
			for range length {
				want = append(want, want[len(want)-distance])
			}
		}
		for _, before := range []string{"", "before"} {
			got, err := lzfDecompress([]byte(before), packed, uint64(len(want)))
			if err != nil || string(got) != before+string(want) {
				t.Fatalf("seed %d: %x: %x, %v; want %x", seed, packed, got, err, want)
			}
		}
		for _, size := range []int{len(want) - 1, len(want) + 1} {
			if _, err := lzfDecompress(nil, packed, uint64(size)); err == nil {
				t.Fatalf("seed %d: %x is taken for %d bytes, which it is not", seed, packed, size)
			}
		}
		if _, err := lzfDecompress(nil, packed[:len(packed)-1], uint64(len(want))); err == nil {
			t.Fatalf("seed %d: %x is taken without its last byte", seed, packed)
		}
	}
}

// TestLZFMatches compresses texts of many repeats, of every length and at every distance,
// and looks at the items that come out: they fit into the limit and stand for the text, and
// none ends where it could have gone on.
func TestLZFMatches(t *testing.T) {
	seed := rand.Uint64()
	dice := rand.New(rand.NewPCG(seed, 1))
	var table lzfTable
	for round := range 3000 {
		var src []byte
		letters := 1 << dice.IntN(9)
		for parts := 1 + dice.IntN(30); parts > 0; parts-- {
			if len(src) == 0 || dice.IntN(3) == 0 {
				for range 1 + dice.IntN(1+round%200) {
					src = append(src, byte(dice.IntN(letters)))
				}
				continue
			}
			distance := 1 + dice.IntN(len(src))
			for range lzfMinMatch + dice.IntN(2*lzfMaxMatch)>>dice.IntN(8) {
				src = append(src, src[len(src)-distance])
			}
		}
		if dice.IntN(20) == 0 { // beyond the greatest distance
			src = append(append(src, make([]byte, lzfMaxDistance-dice.IntN(2*len(src)))...), src...)
		}
		if table.seen != nil && dice.IntN(10) == 0 { // positions begin again soon: they never go back but so
			table.base = max(table.base, math.MaxUint32-uint64(dice.IntN(4*len(src))))
		}
		whole, ok := table.compress(nil, src, len(src))
		if !ok || len(whole) == len(src) {
			continue
		}
		// At its very length it may be given up for a match that might have been longer.
		for _, limit := range []int{len(whole) + 1, len(whole), len(whole) - 1, dice.IntN(len(whole))} {
			got, ok := table.compress([]byte("before"), src, min(limit, len(src)))
			fits := string(got) == "before"+string(whole)
			if ok != fits || !ok && string(got) != "before" || ok && limit < len(whole) || !ok && limit > len(whole) {
				t.Fatalf("seed %d: %x is %x in %d bytes, and %x in %d", seed, src, whole, len(whole), got, limit)
			}
		}
		at := 0
		for in := 0; in < len(whole); {
			out := make([]byte, len(src))
			copy(out, src[:at])
			end, next := lzfItem(out, at, whole, in)
			if next < 0 || !bytes.Equal(out[:end], src[:end]) {
				t.Fatalf("seed %d: %x is %x: item at %d is wrong", seed, src, whole, in)
			}
			if whole[in] >= lzfMaxLiteral {
				distance := int(whole[in]&31)<<8 | int(whole[next-1]) + 1
				if end < len(src) && end-at < lzfMaxMatch && src[end] == src[end-distance] {
					t.Fatalf("seed %d: %x is %x: the match at %d is too short", seed, src, whole, in)
				}
			}
			at, in = end, next
		}
		if at != len(src) {
			t.Fatalf("seed %d: %x is %x, which stands for %d bytes of %d", seed, src, whole, at, len(src))
		}
	}
}

// FuzzLZF decompresses anything, and compresses and decompresses it.
func FuzzLZF(f *testing.F) {
	f.Add([]byte("aaaaaaaaaaaaaaaaaaaaaaaaaaaa"), uint32(28))
	f.Add([]byte("\x01aa\xe0\x5a\x00\x01aa"), uint32(100))
	f.Add([]byte("\x00a\x20\x05"), uint32(4))
	f.Fuzz(func(t *testing.T, b []byte, size uint32) {
		if out, err := lzfDecompress(nil, b, uint64(size)); err == nil && uint64(len(out)) != uint64(size) {
			t.Fatalf("%d bytes where %d were claimed", len(out), size)
		}
		var table, used lzfTable
		packed, ok := table.compress(nil, b, len(b))
		// What was compressed before makes no difference.
		used.compress(nil, bytes.Repeat(b, 3), len(b))
		if again, too := used.compress([]byte("before"), b, len(b)); too != ok || string(again) != "before"+string(packed) {
			t.Fatalf("%q compresses to %q, then to %q", b, packed, again)
		}
		if !ok {
			return
		}
		back, err := lzfDecompress(nil, packed, uint64(len(b)))
		if err != nil || !bytes.Equal(back, b) {
			t.Fatalf("%q compresses to %q and comes back as %q, %v", b, packed, back, err)
		}
	})
}

func BenchmarkAppendDump(b *testing.B) {
	for _, size := range []int{16, 64, 1000, 100_000} {
		text := make([]byte, size)
		for i := range text {
			text[i] = byte('a' + i*i%23)
		}
		v := value.RawValue(text)
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			b.SetBytes(int64(size))
			var buf []byte
			for b.Loop() {
				buf = AppendDump(buf[:0], v)
			}
		})
	}
}
