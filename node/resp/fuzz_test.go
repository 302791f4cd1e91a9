package resp

import (
	"bufio"
	"bytes"
	"slices"
	"testing"

	"github.com/tidwall/redcon"
)

// FuzzScanner feeds the same bytes whole and in pieces: the same requests and
// the same error must come out, whatever the bytes are. Where redcon is known to
// be right (well-formed arrays, the whole of them) it must agree.
func FuzzScanner(f *testing.F) {
	for _, seed := range []string{
		"*1\r\n$4\r\nPING\r\n", "*2\r\n$3\r\nGET\r\n$1\r\nk\r\nPING\r\n", "*-5\r\n", "*1\r\n$9223372036854775807\r\n",
		"*1\r\n$-2\r\n", "$9223372036854775807 x\r\n", "*9223372036854775807\r\n", "set \"a\\x41\" 'b'\n", "POST / HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		f.Add([]byte(seed), byte(3))
	}
	f.Fuzz(func(t *testing.T, input []byte, piece byte) {
		whole := scanAll(input, len(input)+1, false)
		if pieces := scanAll(input, int(piece)+1, false); !slices.Equal(whole, pieces) {
			t.Fatalf("whole:  %q\npieces: %q", whole, pieces)
		}
		scanAll(input, int(piece)+1, true)
		checkAhead(t, input, 512<<20)
		compareWithRedcon(t, input)
	})
}

// compareWithRedcon looks at the first request of input, if it is an array in
// the canonical form, which is where redcon is right.
func compareWithRedcon(t *testing.T, input []byte) {
	s := &Scanner{MaxBulk: 512 << 20}
	args, n, err := s.Next(input)
	if err != nil || n == 0 || len(args) == 0 || input[0] != '*' {
		return
	}
	canonical := AppendCommand(nil, args...)
	if !bytes.Equal(canonical, input[:n]) {
		return
	}
	command, err := redcon.Parse(canonical)
	if err != nil || !slices.EqualFunc(command.Args, args, bytes.Equal) {
		t.Fatalf("redcon: %q, %v\nours:   %q", command.Args, err, args)
	}
}

// FuzzReplyReader must neither panic nor take memory that the bytes do not
// account for.
func FuzzReplyReader(f *testing.F) {
	for _, seed := range []string{
		"+OK\r\n", "-ERR x\r\n", ":1\r\n", "$3\r\nabc\r\n", "$-1\r\n", "*2\r\n:1\r\n*1\r\n+a\r\n", "%1\r\n+a\r\n:1\r\n", "_\r\n", "#t\r\n", "|1\r\n+a\r\n+b\r\n+c\r\n",
		"*9999999999\r\n", "$536870912\r\nx",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(_ *testing.T, input []byte) {
		r := NewReplyReader(bufio.NewReader(bytes.NewReader(input)), ReplyLimits{Elements: 1000})
		for {
			if _, err := r.Read(); err != nil {
				return
			}
		}
	})
}
