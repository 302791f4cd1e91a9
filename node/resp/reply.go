package resp

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// ReplyLimits bound what a peer may send. A zero field takes its default.
type ReplyLimits struct {
	// Bulk is the longest bulk string; default 512 MiB.
	Bulk int
	// Elements is how many values one reply may hold, nested ones included;
	// default 1 MiB.
	Elements int
	// Depth is how deep aggregates may nest; default 16.
	Depth int
}

// Reply is one value from a peer.
type Reply struct {
	// Kind is the type byte of the wire: '+', '-', ':', '$', '*' and those of
	// RESP3.
	Kind byte
	// Null is true for a null of any type.
	Null bool
	// Int is the value of ':', and the truth of '#'.
	Int int64
	// Text is the text of '+', '-', '$', '=', ',', '('. It belongs to the
	// caller.
	Text []byte
	// Elements are the members of an aggregate; those of a map are keys and
	// values in turn.
	Elements []Reply
}

// Err returns the error that the peer answered, or nil.
func (r Reply) Err() error {
	if r.Kind == '-' || r.Kind == '!' {
		return Error(r.Text)
	}
	return nil
}

// ErrBadReply marks every error of ReplyReader that is the peer's fault rather
// than the connection's.
var ErrBadReply = errors.New("malformed reply")

// ReplyReader reads what a peer answers, within limits and without believing
// lengths before the bytes are there. It is not safe for concurrent use.
type ReplyReader struct {
	in     *bufio.Reader
	limits ReplyLimits
	left   int
}

// NewReplyReader reads from in, whose buffer must hold the longest line (4 KiB
// are enough for what nodes say to each other).
func NewReplyReader(in *bufio.Reader, limits ReplyLimits) *ReplyReader {
	if limits.Bulk == 0 {
		limits.Bulk = 512 << 20
	}
	if limits.Elements == 0 {
		limits.Elements = 1 << 20
	}
	if limits.Depth == 0 {
		limits.Depth = 16
	}
	return &ReplyReader{in: in, limits: limits}
}

// Read returns the next value. An error that the peer answered is a value; see
// Reply.Err.
func (r *ReplyReader) Read() (Reply, error) {
	r.left = r.limits.Elements
	return r.value(r.limits.Depth)
}

// Line returns the next line without its end, as replication's handshake and
// keep-alives need it. The result is valid until the next read.
func (r *ReplyReader) Line() ([]byte, error) {
	line, err := r.in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return nil, fmt.Errorf("%w: a line longer than %d bytes", ErrBadReply, len(line))
	}
	if err != nil {
		if err == io.EOF && len(line) > 0 {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return bytes.TrimSuffix(line[:len(line)-1], []byte("\r")), nil
}

func (r *ReplyReader) value(depth int) (Reply, error) {
	if r.left--; r.left < 0 {
		return Reply{}, fmt.Errorf("%w: more than %d values", ErrBadReply, r.limits.Elements)
	}
	line, err := r.Line()
	if err != nil {
		return Reply{}, err
	}
	if len(line) == 0 {
		return Reply{}, fmt.Errorf("%w: an empty line", ErrBadReply)
	}
	reply := Reply{Kind: line[0]}
	rest := line[1:]
	switch reply.Kind {
	case '+', '-', ',', '(':
		reply.Text = bytes.Clone(rest)
		return reply, nil
	case '_':
		reply.Null = true
		return reply, nil
	case '#':
		if len(rest) == 1 && rest[0] == 't' {
			reply.Int = 1
		}
		return reply, nil
	case ':', '$', '!', '=', '*', '~', '>', '%', '|':
	default:
		return Reply{}, fmt.Errorf("%w: type byte %q", ErrBadReply, reply.Kind)
	}
	n, ok := ParseInt(rest)
	if !ok {
		return Reply{}, fmt.Errorf("%w: %q is not a number", ErrBadReply, rest)
	}
	switch reply.Kind {
	case ':':
		reply.Int = n
		return reply, nil
	case '$', '!', '=':
		if n == -1 {
			reply.Null = true
			return reply, nil
		}
		reply.Text, err = r.bulk(n)
		return reply, err
	}
	if n == -1 {
		reply.Null = true
		return reply, nil
	}
	if reply.Kind == '%' || reply.Kind == '|' {
		if n > int64(r.limits.Elements) {
			return Reply{}, fmt.Errorf("%w: %d pairs", ErrBadReply, n)
		}
		n *= 2
	}
	return r.aggregate(reply, n, depth)
}

func (r *ReplyReader) aggregate(reply Reply, n int64, depth int) (Reply, error) {
	if n < 0 || n > int64(r.left) {
		return Reply{}, fmt.Errorf("%w: %d elements", ErrBadReply, n)
	}
	if depth == 0 {
		return Reply{}, fmt.Errorf("%w: nested deeper than %d", ErrBadReply, r.limits.Depth)
	}
	reply.Elements = make([]Reply, 0, min(n, 64))
	for range n {
		element, err := r.value(depth - 1)
		if err != nil {
			return Reply{}, unexpected(err)
		}
		reply.Elements = append(reply.Elements, element)
	}
	if reply.Kind == '|' {
		// An attribute goes before the value that it describes.
		return r.value(depth - 1)
	}
	return reply, nil
}

// bulk reads n bytes and CRLF, taking memory only as bytes arrive.
func (r *ReplyReader) bulk(n int64) ([]byte, error) {
	if n < 0 || n > int64(r.limits.Bulk) {
		return nil, fmt.Errorf("%w: a bulk string of %d bytes", ErrBadReply, n)
	}
	const step = 1 << 20
	text := make([]byte, 0, min(n, step))
	for int64(len(text)) < n {
		if len(text) == cap(text) {
			grown := make([]byte, len(text), min(n, int64(2*cap(text))))
			copy(grown, text)
			text = grown
		}
		free := text[len(text):cap(text)]
		if err := unexpected(second(io.ReadFull(r.in, free))); err != nil {
			return nil, err
		}
		text = text[:cap(text)]
	}
	var end [2]byte
	if err := unexpected(second(io.ReadFull(r.in, end[:]))); err != nil {
		return nil, err
	}
	if end != [2]byte{'\r', '\n'} {
		return nil, fmt.Errorf("%w: a bulk string longer than told", ErrBadReply)
	}
	return text, nil
}

func second(_ int, err error) error { return err }

// unexpected turns the end of input inside a value into an error that says so.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
