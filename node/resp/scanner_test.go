package resp

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// scanAll feeds input in pieces of the given size and returns what came out: a
// line for each request, and the error at the end if there was one.
func scanAll(input []byte, piece int, restricted bool) []string {
	s := &Scanner{MaxBulk: 512 << 20, Restricted: restricted}
	var out []string
	var data []byte
	for {
		args, n, err := s.Next(data)
		switch {
		case err != nil:
			return append(out, err.Error())
		case n > 0:
			if len(args) > 0 {
				out = append(out, fmt.Sprintf("%q", args))
			}
			data = data[n:]
			continue
		case len(input) == 0:
			return append(out, fmt.Sprintf("rest %d", len(data)))
		}
		take := min(piece, len(input))
		// A fresh buffer each time: nothing may rely on the bytes' place.
		data = append(bytes.Clone(data), input[:take]...)
		input = input[take:]
	}
}

func TestScannerRequests(t *testing.T) {
	cases := []struct{ input, want string }{
		{"*1\r\n$4\r\nPING\r\n", `["PING"] rest 0`},
		{"*2\r\n$3\r\nGET\r\n$0\r\n\r\n", `["GET" ""] rest 0`},
		{"*-5\r\nPING\r\n", `["PING"] rest 0`},
		{"*0\r\n*1\r\n$1\r\na\r\n", `["a"] rest 0`},
		{"*1\r\n$4\r\nPINGxxPING\r\n", `["PING"] ["PING"] rest 0`},
		{"\r\n\n  \r\nPING\n", `["PING"] rest 0`},
		{"set\ta  'b c' \"\\x41\\n\\\"\"\r\n", `["set" "a" "b c" "A\n\""] rest 0`},
		{`echo "a\x4g" 'it\'s' a"b c"` + "\n", `["echo" "ax4g" "it's" "ab c"] rest 0`},
		{`""` + "\n", `[""] rest 0`},
		{"$4 PING\r\n", `["$4" "PING"] rest 0`},
		{"*2\r\n$3\r\nGET\r\n$5\r\nab", `rest 19`},
		{`echo "a"b` + "\n", string(ErrUnbalanced)},
		{"echo 'a\n", string(ErrUnbalanced)},
		{"*1\r\n$-2\r\n", string(ErrBulkLen)},
		{"*1\r\n$ 4\r\n", string(ErrBulkLen)},
		{"*1\r\n$+4\r\n", string(ErrBulkLen)},
		{"*1\r\n$04\r\n", string(ErrBulkLen)},
		{"*1\r\n$\r\n", string(ErrBulkLen)},
		{"*1\r\n$9223372036854775807\r\n", string(ErrBulkLen)},
		{"*1\r\n$9223372036854775808\r\n", string(ErrBulkLen)},
		{"*1\r\n$536870913\r\n", string(ErrBulkLen)},
		{"*1\r\n$536870912\r\n", "rest 16"},
		{"*x\r\n", string(ErrMultibulkLen)},
		{"*\r\n", string(ErrMultibulkLen)},
		{"*-0\r\n", string(ErrMultibulkLen)},
		{"*01\r\n", string(ErrMultibulkLen)},
		{"*2147483648\r\n", string(ErrMultibulkLen)},
		{"*2147483647\r\n", "rest 13"},
		{"*1\n$4\nPING\r\n", string(ErrMultibulkLen)},
		{"*1\r\nx\r\n", "ERR Protocol error: expected '$', got 'x'"},
		{"*1\r\n\r\n", "ERR Protocol error: expected '$', got ' '"},
		{"*1" + strings.Repeat("1", 70000), string(ErrBigMultibulk)},
		{"*1\r\n$" + strings.Repeat("1", 70000), string(ErrBigBulk)},
		{strings.Repeat("a", 70000), string(ErrBigInline)},
	}
	for _, c := range cases {
		for _, piece := range []int{1 << 20, 1, 2, 3, 7} {
			if len(c.input) > 1000 && piece < 1000 {
				piece *= 1000
			}
			if got := strings.Join(scanAll([]byte(c.input), piece, false), " "); got != c.want {
				t.Errorf("%.60q in pieces of %d:\n got %s\nwant %s", c.input, piece, got, c.want)
			}
		}
	}
}

func TestScannerBeforeAuthentication(t *testing.T) {
	cases := []struct{ input, want string }{
		{"*11\r\n", string(ErrUnauthMultibulk)},
		{"*1000000\r\n", string(ErrUnauthMultibulk)},
		{"*10\r\n", "rest 5"},
		{"*1\r\n$16385\r\n", string(ErrUnauthBulk)},
		{"*1\r\n$16384\r\n", "rest 12"},
		{"*1\r\n$4\r\nPING\r\n", `["PING"] rest 0`},
	}
	for _, c := range cases {
		if got := strings.Join(scanAll([]byte(c.input), 5, true), " "); got != c.want {
			t.Errorf("%q: got %s, want %s", c.input, got, c.want)
		}
	}
}

// A value of 32 MiB that arrives in 8 thousand pieces is looked at once.
func TestScannerIsLinear(t *testing.T) {
	const size, pieces = 32 << 20, 8192
	input := AppendCommand(nil, []byte("SET"), []byte("k"), make([]byte, size))
	s := &Scanner{MaxBulk: 512 << 20}
	begun := time.Now()
	step := len(input)/pieces + 1
	for seen := step; ; seen += step {
		args, n, err := s.Next(input[:min(seen, len(input))])
		if err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			if len(args) != 3 || len(args[2]) != size || n != len(input) {
				t.Fatalf("%d arguments in %d bytes", len(args), n)
			}
			break
		}
		if seen > step && s.Pending(seen) != len(input)-seen {
			t.Fatalf("after %d bytes %d are pending, want %d", seen, s.Pending(seen), len(input)-seen)
		}
	}
	if took := time.Since(begun); took > time.Second {
		t.Errorf("took %v", took)
	}
}

// Many arguments cost their bytes, whatever the count says.
func TestScannerBelievesNoCount(t *testing.T) {
	s := &Scanner{MaxBulk: 512 << 20}
	if _, n, err := s.Next([]byte("*2147483647\r\n$1\r\na\r\n")); n != 0 || err != nil {
		t.Fatal(n, err)
	}
	if cap(s.spans) > 64 {
		t.Errorf("%d places for one argument", cap(s.spans))
	}
}

func TestScannerTrim(t *testing.T) {
	words := make([][]byte, 5000)
	for i := range words {
		words[i] = []byte("x")
	}
	s := &Scanner{MaxBulk: 512 << 20}
	if args, _, err := s.Next(AppendCommand(nil, words...)); err != nil || len(args) != len(words) {
		t.Fatal(len(args), err)
	}
	s.Trim()
	if cap(s.args) > keepArgs || cap(s.spans) > keepArgs {
		t.Errorf("kept %d and %d places", cap(s.args), cap(s.spans))
	}
}

func TestParseInt(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "7": 7, "-1": -1, "9223372036854775807": 1<<63 - 1, "-9223372036854775808": -1 << 63} {
		if got, ok := ParseInt([]byte(text)); !ok || got != want {
			t.Errorf("%s: %d, %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "-", "+1", "01", "-0", " 1", "1 ", "1a", "9223372036854775808", "-9223372036854775809", "18446744073709551616", "99999999999999999999"} {
		if got, ok := ParseInt([]byte(text)); ok {
			t.Errorf("%q is read as %d", text, got)
		}
	}
}

func TestAppendCommand(t *testing.T) {
	got := AppendCommand(nil, []byte("SET"), nil, bytes.Repeat([]byte("x"), 12))
	if want := "*3\r\n$3\r\nSET\r\n$0\r\n\r\n$12\r\nxxxxxxxxxxxx\r\n"; string(got) != want {
		t.Errorf("got %q", got)
	}
}

func BenchmarkScannerSet(b *testing.B) {
	input := AppendCommand(nil, "SET", "key:000000000001", strings.Repeat("x", 64))
	s := &Scanner{MaxBulk: 512 << 20}
	b.ReportAllocs()
	for b.Loop() {
		if _, n, _ := s.Next(input); n == 0 {
			b.Fatal("incomplete")
		}
	}
}

func TestAhead(t *testing.T) {
	const get = "*2\r\n$3\r\nGET\r\n$1\r\na\r\n"
	ping := strings.Repeat("*1\r\n$4\r\nPING\r\n", 20)
	for _, c := range []struct {
		data string
		want int
	}{
		{"", 0},
		{get, 1},
		{get + "*3\r\n$3\r\nSET\r\n$10\r\n0123456789\r\n$0\r\n\r\n" + get, 3},
		{get + get[:len(get)-1], 1},
		{get + "*1\r\n$4\r\nPING\r\n" + get, 3},
		{get + "PING\r\n" + get, 1},
		{get + "*0\r\n" + get, 1},
		{get + "*-1\r\n" + get, 1},
		{get + "*2\r\n$-1\r\n", 1},
		{get + "*2\r\n$03\r\nGET\r\n$1\r\na\r\n", 1},
		{get + "*2\r\n$4\r\nECHO\r\n$101\r\n" + strings.Repeat("x", 101) + "\r\n", 1},
		{get + "*2\r\n$99999999\r\n", 1},
		{get + "*9999999999\r\n", 1},
		{ping, BatchLen},
	} {
		s := Scanner{MaxBulk: 100}
		var b Batch
		if found := s.Ahead([]byte(c.data), &b); len(found) != c.want {
			t.Errorf("%.60q: %d requests, want %d", c.data, len(found), c.want)
		}
		checkAhead(t, []byte(c.data), 100)
	}
	s := Scanner{MaxBulk: 100, Restricted: true}
	if found := s.Ahead([]byte(get), new(Batch)); len(found) != 0 {
		t.Errorf("a restricted scanner looks ahead: %v", found)
	}
}

// checkAhead holds what Ahead finds against what Next finds.
func checkAhead(t *testing.T, data []byte, maxBulk int64) {
	t.Helper()
	ahead, plain := Scanner{MaxBulk: maxBulk}, Scanner{MaxBulk: maxBulk}
	for i, found := range ahead.Ahead(data, new(Batch)) {
		args, n, err := plain.Next(data)
		if err != nil || n != found.Size || !slices.EqualFunc(args, found.Args, bytes.Equal) {
			t.Fatalf("request %d of %.100q: Ahead found %q, %d bytes, Next %q, %d bytes, %v", i, data, found.Args, found.Size, args, n, err)
		}
		data = data[n:]
	}
}
