package resp

import (
	"bytes"
	"fmt"
	"math"
)

// maxLine bounds a line whose end has not been seen: an inline request, or the
// count of an array or a bulk string. The reference's PROTO_INLINE_MAX_SIZE.
const maxLine = 64 * 1024

// What a connection may send before it has authenticated.
const (
	unauthArgs = 10
	unauthBulk = 16 * 1024
)

// keepArgs is how many argument slots an idle Scanner keeps.
const keepArgs = 64

// Scanner cuts requests out of a connection's input without copying them. It
// remembers how far it has looked, so that a request which arrives in n pieces
// costs what it costs in one, and it believes no length before the bytes are
// there: the memory it takes is proportional to what was received.
//
// The zero Scanner is ready, with MaxBulk to be set. It is not safe for
// concurrent use.
type Scanner struct {
	// MaxBulk is the longest bulk string accepted, proto-max-bulk-len.
	MaxBulk int64
	// Restricted is true until the connection has authenticated: requests may
	// then hold at most 10 arguments of 16 KiB.
	Restricted bool

	// The request that has begun, as offsets from its first byte. Invariant:
	// everything before pos is understood, and bytes from pos to searched hold
	// no line end.
	pos, searched int
	// left is the number of arguments that are still to come of an array; zero
	// while no array is open.
	left int
	// bulk is the length of the argument at pos, or -1 while its '$' line has
	// not been read.
	bulk  int
	spans []span
	args  [][]byte
	// text holds the unquoted words of an inline request.
	text []byte
}

// span is an argument's place in the request: its bytes may move until the
// request is complete.
type span struct{ from, to int }

// Next looks for a request at the head of data and returns its arguments and
// its length in bytes. Length 0 means that more bytes must come; the next call
// then gets the same bytes with more behind them. A length without arguments
// is an empty request, to be skipped in silence. The arguments alias data
// (inline requests alias the Scanner) until the next call of Next. An error is
// an Error to be sent before the connection is closed; the Scanner is of no use
// afterwards.
func (s *Scanner) Next(data []byte) ([][]byte, int, error) {
	if s.left == 0 {
		if len(data) == 0 {
			return nil, 0, nil
		}
		if data[0] != '*' {
			return s.inline(data)
		}
		count, done, err := s.count(data, 0, ErrBigMultibulk)
		switch {
		case err != nil || !done:
			return nil, 0, err
		case count > math.MaxInt32:
			return nil, 0, ErrMultibulkLen
		case count > unauthArgs && s.Restricted:
			return nil, 0, ErrUnauthMultibulk
		case count <= 0:
			n := s.pos
			s.reset()
			return nil, n, nil
		}
		s.left, s.bulk = int(count), -1
	}
	for s.left > 0 {
		if s.bulk < 0 {
			if s.pos >= len(data) {
				return nil, 0, nil
			}
			if data[s.pos] != '$' {
				return nil, 0, expectedBulk(data[s.pos])
			}
			length, done, err := s.count(data, s.pos, ErrBigBulk)
			switch {
			case err != nil || !done:
				return nil, 0, err
			case length < 0 || length > s.MaxBulk:
				return nil, 0, ErrBulkLen
			case length > unauthBulk && s.Restricted:
				return nil, 0, ErrUnauthBulk
			}
			s.bulk = int(length)
		}
		if len(data)-s.pos-2 < s.bulk {
			return nil, 0, nil
		}
		s.spans = append(s.spans, span{s.pos, s.pos + s.bulk})
		s.pos += s.bulk + 2
		s.bulk = -1
		s.left--
	}
	args := s.args[:0]
	for _, sp := range s.spans {
		args = append(args, data[sp.from:sp.to:sp.to])
	}
	s.args = args
	n := s.pos
	s.reset()
	return args, n, nil
}

// Pending tells about a request that has begun and is not complete: how many
// bytes beyond those seen are known to be needed for the argument under way
// (0 when unknown). A reader sizes its buffer by it, as far as it trusts it.
func (s *Scanner) Pending(seen int) int {
	if s.left == 0 || s.bulk < 0 {
		return 0
	}
	return max(s.bulk-(seen-s.pos-2), 0)
}

// Args is the number of arguments collected of a request that is not complete,
// for the memory accounts: each costs more than its bytes on the wire.
func (s *Scanner) Args() int { return len(s.spans) }

// Trim gives back memory that an unusually long request left behind. The
// arguments of the last request must no longer be in use.
func (s *Scanner) Trim() {
	if cap(s.spans) > keepArgs && len(s.spans) == 0 {
		s.spans = nil
	}
	if cap(s.args) > keepArgs {
		s.args = nil
	}
	s.text = nil
}

func (s *Scanner) reset() {
	s.pos, s.searched, s.left, s.bulk = 0, 0, 0, 0
	s.spans = s.spans[:0]
}

// invalidCount is what count answers for a line that is not a number: a count
// that is above every limit.
const invalidCount = math.MaxInt64

// count reads the number on the line at start, after its type byte, and moves
// pos behind the line. done is false while the line's end is missing. As in
// the reference a line ends at CR, and the byte after it is not looked at.
func (s *Scanner) count(data []byte, start int, tooLong Error) (n int64, done bool, err error) {
	// The common line is short and here: one or two digits.
	if i := start + 2; len(data) > i+1 && data[i] == '\r' {
		if d := data[start+1] - '0'; d <= 9 {
			s.pos, s.searched = i+2, i+2
			return int64(d), true, nil
		}
	}
	from := max(s.searched, start+1)
	if from > len(data) {
		return 0, false, nil
	}
	at := bytes.IndexByte(data[from:], '\r')
	if at < 0 {
		s.searched = len(data)
		if len(data)-start > maxLine {
			return 0, false, tooLong
		}
		return 0, false, nil
	}
	end := from + at
	if end-start > maxLine {
		return 0, false, tooLong
	}
	if end+1 >= len(data) {
		s.searched = end
		return 0, false, nil
	}
	s.pos, s.searched = end+2, end+2
	n, ok := ParseInt(data[start+1 : end])
	if !ok {
		n = invalidCount
	}
	return n, true, nil
}

// Ahead looks at the requests that data begins with and appends the first
// argument of each to keys, until keys has no more room, a request is not whole
// or is not written as clients write it. It changes nothing.
func (s *Scanner) Ahead(data []byte, keys [][]byte) [][]byte {
	if s.left != 0 {
		return keys
	}
	// digits reads a line of a mark and up to seven digits.
	digits := func(mark byte) (n int, ok bool) {
		if len(data) < 4 || data[0] != mark {
			return 0, false
		}
		i := 1
		for ; i < len(data) && i < 8; i++ {
			d := data[i] - '0'
			if d > 9 {
				break
			}
			n = n*10 + int(d)
		}
		if i == 1 || i+2 > len(data) || data[i] != '\r' {
			return 0, false
		}
		data = data[i+2:]
		return n, true
	}
	for len(keys) < cap(keys) {
		count, ok := digits('*')
		if !ok || count < 2 {
			return keys
		}
		for i := range count {
			n, ok := digits('$')
			if !ok || n+2 > len(data) {
				return keys
			}
			if i == 1 {
				keys = append(keys, data[:n:n])
			}
			data = data[n+2:]
		}
	}
	return keys
}

func expectedBulk(got byte) Error {
	if got == '\r' || got == '\n' {
		got = ' '
	}
	return Error(fmt.Sprintf("ERR Protocol error: expected '$', got '%s'", []byte{got}))
}

// inline reads a request that is a line of words.
func (s *Scanner) inline(data []byte) ([][]byte, int, error) {
	at := bytes.IndexByte(data[s.searched:], '\n')
	if at < 0 {
		s.searched = len(data)
		if len(data) > maxLine {
			return nil, 0, ErrBigInline
		}
		return nil, 0, nil
	}
	end := s.searched + at
	if end > maxLine {
		return nil, 0, ErrBigInline
	}
	line := data[:end]
	if end > 0 && line[end-1] == '\r' {
		line = line[:end-1]
	}
	// The reference's line is a C string.
	if nul := bytes.IndexByte(line, 0); nul >= 0 {
		line = line[:nul]
	}
	s.reset()
	args, text, ok := SplitWords(s.args[:0], s.text[:0], line)
	if !ok {
		return nil, 0, ErrUnbalanced
	}
	s.args, s.text = args, text
	return args, end + 1, nil
}

// ParseInt reads a decimal integer as the protocol and every command write it:
// no blanks, no plus sign, no leading zeros, no "-0", within 64 bits.
func ParseInt(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > 20 {
		return 0, false
	}
	if len(b) == 1 && b[0] == '0' {
		return 0, true
	}
	digits := b
	negative := b[0] == '-'
	if negative {
		digits = b[1:]
	}
	if len(digits) == 0 || digits[0] < '1' || digits[0] > '9' {
		return 0, false
	}
	var n uint64
	for _, c := range digits {
		d := uint64(c - '0')
		if d > 9 || n > (math.MaxUint64-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	switch {
	case negative && n <= 1<<63:
		return -int64(n), true
	case !negative && n <= math.MaxInt64:
		return int64(n), true
	}
	return 0, false
}
