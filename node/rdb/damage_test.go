package rdb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"slotmesh/node/resp"
	"slotmesh/node/store/listpack"
	"slotmesh/node/store/value"
)

// appendZiplist makes a ziplist of words, integers where they are some.
func appendZiplist(b []byte, words ...string) []byte {
	start := len(b)
	b = append(b, make([]byte, ziplistHeader)...)
	before, last := 0, ziplistHeader
	for _, word := range words {
		at := len(b)
		if before < ziplistWidePrev {
			b = append(b, byte(before))
		} else {
			b = binary.LittleEndian.AppendUint32(append(b, ziplistWidePrev), uint32(before))
		}
		n, isInt := listpack.ParseInt([]byte(word))
		switch {
		case isInt && n >= 0 && n <= 12:
			b = append(b, 0xf1+byte(n))
		case isInt && n >= math.MinInt8 && n <= math.MaxInt8:
			b = append(b, 0xfe, byte(n))
		case isInt && n >= math.MinInt16 && n <= math.MaxInt16:
			b = binary.LittleEndian.AppendUint16(append(b, 0xc0), uint16(n))
		case isInt && n >= -1<<23 && n < 1<<23:
			b = append(b, 0xf0, byte(n), byte(n>>8), byte(n>>16))
		case isInt && n >= math.MinInt32 && n <= math.MaxInt32:
			b = binary.LittleEndian.AppendUint32(append(b, 0xd0), uint32(n))
		case isInt:
			b = binary.LittleEndian.AppendUint64(append(b, 0xe0), uint64(n))
		case len(word) < 1<<6:
			b = append(append(b, byte(len(word))), word...)
		case len(word) < 1<<14:
			b = append(append(b, 1<<6|byte(len(word)>>8), byte(len(word))), word...)
		default:
			b = append(binary.BigEndian.AppendUint32(append(b, 2<<6), uint32(len(word))), word...)
		}
		before, last = len(b)-at, at-start
	}
	b = append(b, ziplistEnd)
	binary.LittleEndian.PutUint32(b[start:], uint32(len(b)-start))
	binary.LittleEndian.PutUint32(b[start+4:], uint32(last))
	binary.LittleEndian.PutUint16(b[start+8:], uint16(len(words)))
	return b
}

func appendZipmap(b []byte, words ...string) []byte {
	b = append(b, byte(len(words)/2))
	for i, word := range words {
		if len(word) < ziplistWidePrev {
			b = append(b, byte(len(word)))
		} else {
			b = binary.LittleEndian.AppendUint32(append(b, ziplistWidePrev), uint32(len(word)))
		}
		if i%2 == 1 {
			b = append(b, 2)
			word += "??"
		}
		b = append(b, word...)
	}
	return append(b, ziplistEnd)
}

func packOf(words ...string) string {
	lp := listpack.AppendEmpty(nil)
	for _, word := range words {
		lp = listpack.Push(lp, []byte(word))
	}
	return string(lp)
}

func plain(s string) string { return string(appendString(nil, []byte(s), nil)) }
func lengths(n ...uint64) string {
	var b []byte
	for _, n := range n {
		b = appendLen(b, n)
	}
	return string(b)
}

func ms(n int64) string { return string(binary.LittleEndian.AppendUint64(nil, uint64(n))) }

// foreignBodies are values in every type that is read and not written, and some
// that are, with what they hold.
func foreignBodies() map[string]string {
	words := []string{"a", "1", "bb", "-200", "c", "70000", "d", "5000000000", "e", "-8000000", strings.Repeat("f", 70), "12", "g", "x"}
	scores := []string{"a", "-inf", "b", "-1.5", "c", "0", "d", "3", "e", "inf"}
	zl := string(appendZiplist(nil, words...))
	zm := string(appendZipmap(nil, words...))
	id := func(ms, seq uint64) string {
		return string(binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, ms), seq))
	}
	// A block of two entries, the second one with the fields of the first.
	block := packOf("2", "0", "1", "f", "0", "2", "0", "0", "v", "4", "2", "1", "0", "w", "4")
	streamOf := func(t Type, facts, read, active string) string {
		return string(byte(t)) + "\x01" + plain(id(5, 1)) + plain(block) + "\x02" + lengths(6, 1) + facts +
			"\x01" + plain("group") + lengths(5, 1) + read +
			"\x01" + id(5, 1) + ms(1700000000000) + "\x01" +
			"\x01" + plain("someone") + ms(1700000000001) + active + "\x01" + id(5, 1)
	}
	return map[string]string{
		"list":              "\x01\x03" + plain("a") + plain("10") + plain("c"),
		"list ziplist":      "\x0a" + plain(zl),
		"list quicklist":    "\x0e\x02" + plain(zl) + plain(zl),
		"list quicklist 2":  "\x12\x02" + "\x02" + plain(packOf(words...)) + "\x01" + plain("plain"),
		"set":               "\x02\x03" + plain("a") + plain("10") + plain("c"),
		"set intset":        "\x0b" + plain("\x02\x00\x00\x00\x03\x00\x00\x00\xfe\xff\x01\x00\x02\x00"),
		"set listpack":      "\x14" + plain(packOf(words...)),
		"zset":              "\x03\x05\x01a\xff\x01b\x04-1.5\x01c\x010\x01d\x013\x01e\xfe",
		"zset 2":            "\x05\x02\x01a" + ms(int64(math.Float64bits(1.5))) + "\x01b" + ms(int64(math.Float64bits(math.Inf(1)))),
		"zset ziplist":      "\x0c" + plain(string(appendZiplist(nil, scores...))),
		"zset listpack":     "\x11" + plain(packOf(scores...)),
		"hash":              "\x04\x02" + plain("a") + plain("10") + plain("b") + plain("c"),
		"hash zipmap":       "\x09" + plain(zm),
		"hash ziplist":      "\x0d" + plain(zl),
		"hash listpack":     "\x10" + plain(packOf(words...)),
		"hash ttl pre":      "\x16\x02" + lengths(1700000000000) + plain("f") + plain("v") + lengths(0) + plain("g") + plain("w"),
		"hash ttl pack pre": "\x17" + plain(packOf("f", "v", "1700000000000", "g", "w", "0")),
		"hash ttl":          "\x18" + ms(1700000000000) + "\x02" + lengths(5) + plain("f") + plain("v") + lengths(0) + plain("g") + plain("w"),
		"hash ttl pack":     "\x19" + ms(1700000000000) + plain(packOf("f", "v", "1700000000000", "g", "w", "0")),
		"stream":            streamOf(typeStream1, "", "", ""),
		"stream 2":          streamOf(typeStream2, lengths(5, 1, 0, 0, 2), "\x01", ""),
		"stream 3":          streamOf(typeStream3, lengths(5, 1, 0, 0, 2), "\x01", ms(1700000000002)),
		"stream empty":      "\x0f\x00\x00\x00\x00\x00",
		"stream 2 empty":    "\x13\x00\x00\x05\x01\x00\x00\x00\x00\x07\x01" + plain("group") + "\x05\x01" + lengths(math.MaxUint64) + "\x00\x00",
		"string":            "\x00\x05hello",
		"string lzf":        "\x00\xc3\x09\x40\x64\x01aa\xe0\x57\x00\x01aa",
	}
}

// TestForeignTypes pins what every type that is read and not written holds.
func TestForeignTypes(t *testing.T) {
	const (
		words  = ` "a" "1" "bb" "-200" "c" "70000" "d" "5000000000" "e" "-8000000" "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff" "12" "g" "x"`
		fields = `hash: "a"="1" "bb"="-200" "c"="70000" "d"="5000000000" "e"="-8000000" "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"="12" "g"="x"`
		scores = `zset: "a"=-inf "b"=-1.5 "c"=0 "d"=3 "e"=inf`
		stream = `stream: length=2 last=6-1 first=5-1 deleted=0-0 added=2 5-1 "f"="v" 6-1 "f"="w"` +
			`; group "group" last=5-1 read=1 5-1*1@1700000000000:"someone", consumer "someone"@1700000000001 5-1`
	)
	want := map[string]string{
		"list": `list: "a" "10" "c"`, "list ziplist": "list:" + words, "list quicklist": "list:" + words + words,
		"list quicklist 2": "list:" + words + ` "plain"`,
		"set":              `set: "10" "a" "c"`, "set intset": `set: "-2" "1" "2"`,
		"zset": scores, "zset 2": `zset: "a"=1.5 "b"=inf`, "zset ziplist": scores, "zset listpack": scores,
		"hash": `hash: "a"="10" "b"="c"`, "hash zipmap": fields, "hash ziplist": fields, "hash listpack": fields,
		"hash ttl pre": `hash: "f"="v"@1700000000000 "g"="w"`, "hash ttl pack pre": `hash: "f"="v"@1700000000000 "g"="w"`,
		"hash ttl": `hash: "f"="v"@1700000000004 "g"="w"`, "hash ttl pack": `hash: "f"="v"@1700000000000 "g"="w"`,
		"stream": stream, "stream 2": stream, "stream 3": stream,
	}
	ref := startReference(t)
	for name, body := range foreignBodies() {
		v, err := parseDump(footed(Version, body))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if Type(body[0]) <= typeStream2 { // as far as the reference knows them
			ref.do("RESTORE", "theirs", "0", string(footed(Version, body)), "REPLACE")
			ref.do("RESTORE", "ours", "0", string(AppendDump(nil, v)), "REPLACE")
			if a, b := ref.told("ours"), ref.told("theirs"); a != b {
				t.Errorf("%s, as we write it, is there\n%s", name, difference(a, b))
			}
		}
		if want := want[name]; want != "" && contentOf(v) != want {
			t.Errorf("%s holds\n%s", name, difference(contentOf(v), want))
		}
	}
}

// damaged calls try for every damaged form of body: cut off at each byte, each
// byte in some other values, and some random ones.
func damaged(body string, try func(how string, b []byte)) {
	for n := range len(body) {
		try(fmt.Sprintf("cut at %d", n), []byte(body[:n]))
	}
	for i := range len(body) {
		for _, flip := range []byte{0x01, 0x80, 0xff, 0x40, body[i], body[i] ^ 0xfe, 0x07} {
			b := []byte(body)
			b[i] ^= flip
			try(fmt.Sprintf("byte %d ^ %02x", i, flip), b)
		}
	}
	random := rand.New(rand.NewPCG(1, uint64(len(body))))
	for range 300 {
		b := []byte(body)
		for range 1 + random.IntN(4) {
			b[random.IntN(len(b))] = byte(random.Uint32())
		}
		try(fmt.Sprintf("%q", b), b)
	}
}

// clientText is what RESTORE answers for an error.
func clientText(err error) resp.Error {
	if errors.Is(err, ErrFormat) {
		return resp.ErrBadDataFormat
	}
	return resp.ErrBadDump
}

// TestDamagedValues damages values of every type behind a checksum that fits:
// they are refused without leaving anything behind, or are values that go round,
// and nothing takes memory for what is not there. The reference takes everything
// that we take.
func TestDamagedValues(t *testing.T) {
	ref := startReference(t, "--sanitize-dump-payload", "yes")
	to, memory := newTarget(t)
	var before, after runtime.MemStats
	tried, taken, refused, onlyWe, onlyThey := 0, 0, 0, 0, map[string]int{}
	for name, body := range foreignBodies() {
		damaged(body, func(how string, b []byte) {
			tried++
			payload := footed(Version, string(b))
			runtime.ReadMemStats(&before)
			v, draft, err := ParseDump(payload, to)
			runtime.ReadMemStats(&after)
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
				t.Errorf("%s, %s: %d bytes allocated", name, how, grown)
			}
			theirs := ref.try("RESTORE", "k", "0", string(payload), "REPLACE")
			switch {
			case err != nil:
				refused++
				if theirs.Err() == nil {
					onlyThey[name]++
				} else if text := theirs.Err().Error(); text != string(clientText(err)) {
					t.Errorf("%s, %s: %v, there %v", name, how, err, theirs.Err())
				}
			default:
				taken++
				if draft != nil {
					v = draft.Value()
				}
				content, dump := contentOf(v), AppendDump(nil, v)
				if draft != nil {
					draft.Discard()
				}
				if back, err := parseDump(dump); err != nil || contentOf(back) != content {
					t.Errorf("%s, %s: %q comes back with %v", name, how, content, err)
				}
				if theirs.Err() != nil {
					onlyWe++
				}
				if Type(dump[0]) != typeHashTTL {
					if err := ref.try("RESTORE", "k", "0", string(dump), "REPLACE").Err(); err != nil {
						t.Errorf("%s, %s: the reference says %v of what we make of it: %q", name, how, err, content)
					}
				}
			}
			if used := memory.Used(); used != 0 {
				t.Fatalf("%s, %s: %d bytes are left", name, how, used)
			}
		})
	}
	t.Logf("%d payloads: %d taken (%d only here), %d refused (only here: %v)", tried, taken, onlyWe, refused, onlyThey)
}

// TestParserAgain gives one Parser values of every type, whole and damaged, in any
// order: what it had before is nothing to what it reads now, and a value whose bytes
// it lends is the one that is built.
func TestParserAgain(t *testing.T) {
	to, memory := newTarget(t)
	bodies := foreignBodies()
	for name, text := range map[string]string{"text": "some words", "text again and again": strings.Repeat("and again ", 300)} {
		bodies[name] = string(appendString([]byte{byte(TypeString)}, []byte(text), new(scratch)))
		bodies["list of "+name] = string(appendString([]byte{byte(typeQuicklist2), 1, nodePacked}, []byte(packOf(text, "1", text)), new(scratch)))
		bodies["hash of "+name] = string(appendString([]byte{byte(typeHashListpack)}, []byte(packOf("a", text, "7", "8")), new(scratch)))
	}
	tell := func(v value.Value, draft *value.Draft, err error) string {
		if err != nil {
			return "refused"
		}
		if draft != nil {
			v = draft.Value()
			defer draft.Discard()
		}
		return fmt.Sprint(contentOf(v), v.Enc, v.FieldsExpireAt)
	}
	var p Parser
	for range 20 {
		for name, body := range bodies {
			if rand.IntN(3) == 0 {
				broken := []byte(body)
				broken[1+rand.IntN(len(broken)-1)] ^= 1 << rand.IntN(8)
				body = string(broken)
			}
			built := decoder{buf: []byte(body), pos: 1}
			want := tell(built.readValue(Type(body[0]), nil, to))
			if built.pos != len(body) {
				want = "refused"
			}
			if got := tell(p.Parse(footed(Version, body), to)); got != want {
				t.Errorf("%s: %s", name, difference(got, want))
			}
			if used := memory.Used(); used != 0 {
				t.Fatalf("%s: %d bytes are left", name, used)
			}
		}
	}
}
