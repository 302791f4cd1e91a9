package rdb

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"slotmesh/node/store"
	"slotmesh/slots"
)

// maker fills the reference with values of every type and size.
type maker struct {
	*reference
	*rand.Rand
	keys []string
}

// newMaker prints the seed, so that a failure can be replayed.
func newMaker(ref *reference, seed uint64) *maker {
	ref.t.Logf("seed %d", seed)
	return &maker{ref, rand.New(rand.NewPCG(seed, 1)), nil}
}

func (m *maker) pick(n ...int) int { return n[m.IntN(len(n))] }

// word is an element: integers around the limits of every width, binary and
// text of lengths around the limits of every encoding.
func (m *maker) word(longest int) string {
	if m.IntN(3) == 0 {
		bits := m.pick(0, 1, 3, 4, 6, 7, 8, 12, 13, 15, 16, 23, 24, 31, 32, 47, 62, 63)
		n := int64(1)<<bits + int64(m.IntN(5)) - 2
		if m.IntN(2) == 0 {
			n = -n
		}
		return fmt.Sprint(n)
	}
	n := min(longest, m.pick(0, 1, 2, 5, 10, 20, 21, 40, 62, 63, 64, 65, 66, 126, 127, 128, 254, 255, 256, 1000, 4094, 4095, 4096, 4097, 9000, 70_000))
	if m.IntN(4) == 0 {
		return strings.Repeat(string(rune('a'+m.IntN(26))), n)
	}
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(m.Uint32())
	}
	return string(b)
}

// key returns a new one.
func (m *maker) key(kind string) string {
	key := fmt.Sprintf("%s:%d", kind, len(m.keys))
	m.keys = append(m.keys, key)
	return key
}

func (m *maker) size(around int) (n, longest int) {
	n = m.pick(1, 2, 10, around-1, around, around+1, 3*around)
	return n, m.pick(8, 20, 64, 64, 65, 300, 100_000/n+64)
}

// batched sends a command with the words that each yields, a hundred times each
// per call.
func (m *maker) batched(n int, each func() []string, command ...string) {
	for n > 0 {
		args := slices.Clone(command)
		for range min(n, 100) {
			args = append(args, each()...)
			n--
		}
		m.do(args...)
	}
}

func (m *maker) str() {
	longest := m.pick(20, 300, 100_000)
	m.do("SET", m.key("string"), strings.Repeat(m.word(longest), m.pick(1, 1, 1, 30)))
}

func (m *maker) list() {
	n, longest := m.size(300)
	m.batched(n, func() []string { return []string{m.word(longest)} }, "RPUSH", m.key("list"))
}

func (m *maker) set() {
	n, longest := m.size(512)
	bits := m.pick(15, 31, 63)
	member := func() []string { return []string{fmt.Sprint(m.Int64N(1<<bits-1)*2 - 1<<bits + 1)} }
	if m.IntN(2) == 0 {
		member = func() []string { return []string{m.word(longest)} }
	}
	m.batched(n, member, "SADD", m.key("set"))
}

func (m *maker) zset() {
	n, longest := m.size(128)
	m.batched(n, func() []string {
		score := fmt.Sprint(m.NormFloat64() * float64(m.pick(1, 10, 1_000_000_000)))
		switch m.IntN(8) {
		case 0:
			score = []string{"inf", "-inf", "0", "-0", "1.7976931348623157e308", "5e-324", "9007199254740993", "1e17"}[m.IntN(8)]
		case 1, 2, 3:
			score = fmt.Sprint(m.Int64N(1<<m.IntN(62)+1) - 5)
		}
		return []string{score, m.word(longest)}
	}, "ZADD", m.key("zset"))
}

func (m *maker) hash() {
	n, longest := m.size(512)
	m.batched(n, func() []string { return []string{m.word(min(longest, 1000)), m.word(longest)} }, "HSET", m.key("hash"))
}

// stream makes one with groups, consumers, pending and deleted entries.
func (m *maker) stream() {
	key := m.key("stream")
	n := m.pick(0, 1, 5, 99, 100, 101, 350)
	longest := m.pick(8, 64, 300)
	m.do("XGROUP", "CREATE", key, "first", "$", "MKSTREAM")
	var ids []string
	fields := m.words(m.pick(1, 2, 5), 20)
	for range n {
		if m.IntN(5) == 0 {
			fields = m.words(m.pick(1, 2, 5, 70), 20)
		}
		args := []string{"XADD", key, fmt.Sprintf("%d-%d", 1000+len(ids)/3, 1+len(ids)%3)}
		for _, field := range fields {
			args = append(args, field, m.word(longest))
		}
		ids = append(ids, string(m.do(args...).Text))
	}
	for g := range m.IntN(4) {
		group := m.word(20) + fmt.Sprint(g)
		args := []string{"XGROUP", "CREATE", key, group, []string{"0", "1001-2", "$"}[m.IntN(3)]}
		if m.IntN(2) == 0 {
			args = append(args, "ENTRIESREAD", fmt.Sprint(m.IntN(n+1)))
		}
		m.do(args...)
		for range m.IntN(4) {
			consumer := m.word(20)
			m.do("XREADGROUP", "GROUP", group, consumer, "COUNT", fmt.Sprint(m.pick(1, 3, 120)), "STREAMS", key, ">")
			if len(ids) > 0 {
				m.do("XACK", key, group, ids[m.IntN(len(ids))], ids[m.IntN(len(ids))])
				m.do("XCLAIM", key, group, m.word(20), "0", ids[m.IntN(len(ids))], "RETRYCOUNT", fmt.Sprint(m.pick(0, 1, 70_000)))
			}
		}
		m.do("XGROUP", "CREATECONSUMER", key, group, "idle")
	}
	for range min(n, m.pick(0, 0, 3, 150)) {
		m.do("XDEL", key, ids[m.IntN(len(ids))])
	}
	switch m.IntN(4) {
	case 0:
		m.do("XTRIM", key, "MAXLEN", fmt.Sprint(m.IntN(n+1)))
	case 1:
		m.do("XSETID", key, "18446744073709551615-18446744073709551614", "ENTRIESADDED", fmt.Sprint(n+m.IntN(1<<40)), "MAXDELETEDID", "5-5")
	}
}

func (m *maker) words(n, longest int) []string {
	words := make([]string, n)
	for i := range words {
		words[i] = m.word(longest)
	}
	return words
}

// all makes n values of each type.
func (m *maker) all(n int) {
	for range n {
		m.str()
		m.list()
		m.set()
		m.zset()
		m.hash()
		m.stream()
	}
}

// huge makes values with elements of up to a megabyte, random ones and repetitive ones.
func (m *maker) huge() {
	random := make([]byte, 600_000)
	for i := range random {
		random[i] = byte(m.Uint32())
	}
	for _, text := range []string{string(random), strings.Repeat("again and again ", 60_000)} {
		m.do("SET", m.key("string"), text)
		m.do("RPUSH", m.key("list"), "small", text, "smaller", text[1:], "1")
		m.do("SADD", m.key("set"), text, "small", text[1:])
		m.do("ZADD", m.key("zset"), "1", text, "-2.5", "small")
		m.do("HSET", m.key("hash"), text, "v", "f", text, "small", "w")
		m.do("XADD", m.key("stream"), "1-1", "small", "v")
		m.do("XADD", m.keys[len(m.keys)-1], "1-2", "field", text)
		m.do("XGROUP", "CREATE", m.keys[len(m.keys)-1], text[:100_000], "0")
	}
}

// TestValuesGoRound takes values of every type and size through the reference's
// DUMP, our reader, our DUMP, the reference's RESTORE, and compares everything
// that it tells of either; the bytes too, where both keep values the same way.
func TestValuesGoRound(t *testing.T) {
	rounds := 20
	if testing.Short() {
		rounds = 5
	}
	ref := startReference(t)
	m := newMaker(ref, rand.Uint64())
	m.all(rounds)
	m.huge()
	to, memory := newTarget(t)
	equal := map[Type]int{}
	types := map[Type]int{}
	before := memory.Used()
	for _, key := range m.keys {
		if ref.do("EXISTS", key).Int == 0 {
			t.Fatalf("no key %s", key)
		}
		theirs := ref.do("DUMP", key).Text
		v, draft, err := ParseDump(theirs, to)
		if err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		if draft != nil {
			v = draft.Value()
		}
		if want := string(ref.do("OBJECT", "ENCODING", key).Text); v.Enc.String() != want {
			t.Errorf("%s has encoding %s, there %s", key, v.Enc, want)
		}
		ours := AppendDump(nil, v)
		content := contentOf(v)
		ref.do("RESTORE", "copy", "0", string(ours), "REPLACE")
		if a, b := ref.told("copy"), ref.told(key); a != b {
			t.Fatalf("%s: our copy is\n%s", key, difference(a, b))
		}
		back, err := parseDump(ours)
		if err != nil {
			t.Fatalf("%s: our own dump: %v", key, err)
		}
		if got := contentOf(back); got != content {
			t.Fatalf("%s comes back as\n%s", key, difference(got, content))
		}
		plain := appendValue(nil, nil, v, nil, nil)
		types[Type(theirs[0])]++
		if bytes.Equal(plain, theirs[:len(theirs)-footerSize]) {
			equal[Type(theirs[0])]++
		} else if mustEqual(theirs) {
			t.Errorf("%s: %s is dumped as\n%.500q, there\n%.500q", key, Type(theirs[0]), plain, theirs)
		}
		if draft != nil {
			draft.Discard()
		}
		if used := memory.Used(); used != before {
			t.Fatalf("%s: %d bytes are left of it", key, used-before)
		}
	}
	for typ, n := range types {
		t.Logf("%s: %d values, %d dumps equal byte for byte", typ, n, equal[typ])
	}
}

// mustEqual tells whether a dump holds a value that is kept here just as there:
// strings, sets of integers, streams, and what is small.
func mustEqual(dump []byte) bool {
	const small = 1000
	switch Type(dump[0]) {
	case TypeString, typeIntset, typeStream2:
		return true
	case typeHashListpack, typeZSetListpack:
		return len(dump) < 16*small
	case typeQuicklist2:
		return len(dump) < small && dump[1] == 1
	}
	return false
}

// TestFilesGoRound has the reference load and check a file of ours, and reads
// one of its own.
func TestFilesGoRound(t *testing.T) {
	checker, err := exec.LookPath("redis-check-rdb")
	if err != nil {
		t.Skip("SKIPPED: redis-check-rdb is not installed")
	}
	ref := startReference(t)
	m := newMaker(ref, rand.Uint64())
	m.all(10)
	m.huge()
	ref.do("FUNCTION", "LOAD", "#!lua name=some\nredis.register_function('f', function() return 1 end)")
	functions := ref.ask("FUNCTION", "LIST", "WITHCODE")
	for i, key := range m.keys {
		switch i % 5 {
		case 0:
			ref.do("PEXPIRE", key, "100000000")
		case 1:
			ref.do("MOVE", key, "7")
		}
	}
	path := filepath.Join(ref.dir, "dump.rdb")
	for _, compression := range []string{"yes", "no"} {
		ref.do("CONFIG", "SET", "rdbcompression", compression)
		ref.do("SAVE")
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		digest := ref.ask("DEBUG", "DIGEST")
		told := tellAll(ref)
		file, entries, err := readFile(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		_, again, err := readFile(iotest.OneByteReader(bytes.NewReader(raw)))
		if err != nil || !slices.Equal(listing(again), listing(entries)) {
			t.Fatalf("byte by byte %d entries come, %v", len(again), err)
		}
		if len(file.Functions) != 1 {
			t.Fatalf("%d function libraries", len(file.Functions))
		}
		if len(entries) != len(m.keys) {
			t.Fatalf("%d entries of %d", len(entries), len(m.keys))
		}
		slices.SortStableFunc(entries, func(a, b store.Entry) int { return a.DB - b.DB })
		for _, h := range []Header{
			{RedisVersion: "7.0.15", Compress: true, Checksum: true, Repl: &testPosition},
			{RedisVersion: "7.0.15", AOFBase: true},
		} {
			ours := writeFile(t, h, entries, file.Functions...)
			ref.do("FUNCTION", "FLUSH")
			if err := os.WriteFile(path, ours, 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command(checker, path).CombinedOutput(); err != nil || !bytes.Contains(out, []byte("RDB looks OK")) {
				t.Fatalf("%s: %v\n%s", checker, err, out)
			}
			ref.do("DEBUG", "RELOAD", "NOSAVE")
			if got := ref.ask("DEBUG", "DIGEST"); got != digest {
				t.Errorf("the digest of our file is %s, want %s", got, digest)
			}
			if got := tellAll(ref); !slices.Equal(got, told) {
				t.Errorf("our file holds\n%s", difference(strings.Join(got, "\n"), strings.Join(told, "\n")))
			}
			if got := ref.ask("FUNCTION", "LIST", "WITHCODE"); got != functions {
				t.Errorf("functions of our file are %s, want %s", got, functions)
			}
		}
	}
}

// tellAll is what the reference tells of all its keys.
func tellAll(ref *reference) (all []string) {
	for _, db := range []string{"0", "7"} {
		ref.do("SELECT", db)
		for _, key := range ref.do("KEYS", "*").Elements {
			name := string(key.Text)
			all = append(all, fmt.Sprintf("%s/%s %s %s", db, name, ref.ask("PEXPIRETIME", name), ref.told(name)))
		}
	}
	ref.do("SELECT", "0")
	slices.Sort(all)
	return all
}

// TestWrittenInPieces sees that a large collection does not gather in memory
// while it is written, nor a second copy of it while it is read.
func TestWrittenInPieces(t *testing.T) {
	ref := startReference(t)
	to, memory := newTarget(t)
	for _, script := range []string{
		"for i=1,20000 do redis.call('RPUSH', KEYS[1], string.rep('x', 50)..i) end",
		"for i=1,20000 do redis.call('SADD', KEYS[1], string.rep('x', 50)..i) end",
		"for i=1,20000 do redis.call('ZADD', KEYS[1], i, string.rep('x', 50)..i) end",
		"for i=1,20000 do redis.call('HSET', KEYS[1], i, string.rep('x', 50)..i) end",
		"for i=1,20000 do redis.call('XADD', KEYS[1], i, 'field', string.rep('x', 50)..i) end",
	} {
		ref.do("DEL", "big")
		ref.do("EVAL", script, "1", "big")
		_, draft, err := ParseDump(ref.do("DUMP", "big").Text, to)
		if err != nil {
			t.Fatal(err)
		}
		var pieces pieceCounter
		w := NewWriter(&pieces, Header{Checksum: true})
		e := store.Entry{Key: []byte("big"), Value: draft.Value(), IdleSec: -1, Freq: -1}
		e.Slot = slots.Of(e.Key)
		if err := w.Entry(e); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if pieces.longest > 2*flushThreshold {
			t.Errorf("%s: a piece of %d bytes", e.Value.Kind, pieces.longest)
		}
		_, entries, err := readFile(&pieces.file)
		if err != nil || len(entries) != 1 || contentOf(entries[0].Value) != contentOf(e.Value) {
			t.Errorf("%s came back as %d entries, %v", e.Value.Kind, len(entries), err)
		}
		draft.Discard()
	}
	if used := memory.Used(); used != 0 {
		t.Errorf("%d bytes are left", used)
	}
}

type pieceCounter struct {
	file    bytes.Buffer
	longest int
}

func (p *pieceCounter) Write(b []byte) (int, error) {
	p.longest = max(p.longest, len(b))
	return p.file.Write(b)
}

// TestForeignThresholds takes what a server with larger thresholds dumped: the
// encoding is the one that the reference chooses.
func TestForeignThresholds(t *testing.T) {
	ref := startReference(t)
	limits := map[string][2]string{
		"hash-max-listpack-value": {"64", "1000"}, "hash-max-listpack-entries": {"512", "2000"},
		"zset-max-listpack-value": {"64", "1000"}, "zset-max-listpack-entries": {"128", "2000"},
		"set-max-intset-entries": {"512", "2000"}, "list-max-listpack-size": {"-2", "-5"},
	}
	set := func(which int) {
		for name, values := range limits {
			ref.do("CONFIG", "SET", name, values[which])
		}
	}
	set(1)
	for _, n := range []int{1, 127, 128, 129, 511, 512, 513, 1000} {
		for _, length := range []int{1, 64, 65, 300} {
			for i := range n {
				text := fmt.Sprintf("%0*d", length, i)
				ref.do("HSET", "hash", text, "v")
				ref.do("ZADD", "zset", "1", text)
				ref.do("SADD", "set", fmt.Sprint(i))
				ref.do("RPUSH", "list", text)
			}
			for _, key := range []string{"hash", "zset", "set", "list"} {
				dump := ref.do("DUMP", key).Text
				set(0)
				ref.do("RESTORE", "k", "0", string(dump), "REPLACE")
				want := string(ref.do("OBJECT", "ENCODING", "k").Text)
				set(1)
				v, err := parseDump(dump)
				if err != nil || v.Enc.String() != want {
					t.Errorf("%s of %d with length %d: %s, %v, there %s", key, n, length, v.Enc, err, want)
				}
			}
			ref.do("FLUSHALL")
		}
	}
}
