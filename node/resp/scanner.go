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

// Trim gives back memory that the last request left behind: its arguments, which lie
// in the reader's buffer and must no longer be in use, and what it took if it was
// unusually long.
func (s *Scanner) Trim() {
	if cap(s.spans) > keepArgs && len(s.spans) == 0 {
		s.spans = nil
	}
	if cap(s.args) > keepArgs {
		s.args = nil
	}
	clear(s.args[:cap(s.args)])
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

// Batch holds requests that Ahead has cut off the head of some input.
type Batch struct {
	requests [BatchLen]Request
	args     [4 * BatchLen][]byte
}

// BatchLen is how many requests a Batch holds at most.
const BatchLen = 16

// Request is one request of a Batch: its arguments, which alias the input, and
// its length in bytes.
type Request struct {
	Args [][]byte
	Size int
}

// Clear forgets the input that the batch aliases.
func (b *Batch) Clear() { *b = Batch{} }

// Ahead cuts the requests that data begins with, as Next would one after the
// other, as long as they are whole, written as clients write them, and fit into
// b. It returns what it found, until b is used again. The caller may take any
// number of them, and goes on with Next behind those.
func (s *Scanner) Ahead(data []byte, b *Batch) []Request {
	if s.left != 0 || s.Restricted {
		return nil
	}
	// What was searched of the first one is no place in the next.
	s.pos, s.searched = 0, 0
	found, used, from := 0, 0, 0
	for found < BatchLen {
		// A count of one digit, and for each argument a length without zeros
		// before it. What is not so is left to Next.
		rest := data[from:]
		if len(rest) < 4 || rest[0] != '*' || rest[2] != '\r' {
			break
		}
		count := int(rest[1]) - '0'
		if count < 1 || count > 9 || used+count > len(b.args) {
			break
		}
		at := from + 4
		args := b.args[used : used+count : used+count]
		for i := range args {
			n, text := bulk(data, at)
			if text == 0 || int64(n) > s.MaxBulk || len(data)-text-2 < n {
				return b.requests[:found]
			}
			args[i] = data[text : text+n : text+n]
			at = text + n + 2
		}
		b.requests[found] = Request{args, at - from}
		found++
		used += count
		from = at
	}
	return b.requests[:found]
}

// bulk reads the line of a bulk string's length at at, and returns the length and
// where the text begins; 0 if the line is not plain and whole.
func bulk(data []byte, at int) (n, text int) {
	if at+4 > len(data) || data[at] != '$' {
		return 0, 0
	}
	line := data[at+1:]
	n = int(line[0]) - '0'
	switch {
	case n < 0 || n > 9:
		return 0, 0
	case line[1] == '\r':
		return n, at + 4
	case n == 0:
		return 0, 0
	}
	for i := 1; i < len(line) && i < 9; i++ {
		if line[i] == '\r' {
			return n, at + i + 3
		}
		d := int(line[i]) - '0'
		if d < 0 || d > 9 {
			break
		}
		n = n*10 + d
	}
	return 0, 0
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
