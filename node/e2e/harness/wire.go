package harness

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// Reply is one value of RESP2 or RESP3.
type Reply struct {
	// Kind is the first byte on the wire: + - : $ * _ # , ( ! = % ~ > |
	Kind byte
	// Null is true for $-1, *-1 and _.
	Null bool
	// Text is the content of a kind that holds no other values, as sent.
	Text string
	// Elems are the values inside an aggregate; of a map, keys and values in
	// turn.
	Elems []Reply
}

// IsError reports whether the reply is an error.
func (r Reply) IsError() bool { return r.Kind == '-' || r.Kind == '!' }

// Err returns the reply as an error, or nil if it is none.
func (r Reply) Err() error {
	if r.IsError() {
		return ReplyError(r.Text)
	}
	return nil
}

// Int returns the number in the reply, 0 if it holds none.
func (r Reply) Int() int64 {
	n, err := strconv.ParseInt(r.Text, 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// Strings returns the texts of the elements.
func (r Reply) Strings() []string {
	texts := make([]string, len(r.Elems))
	for i, e := range r.Elems {
		texts[i] = e.Text
	}
	return texts
}

// String prints the reply on one line, unambiguous enough to compare.
func (r Reply) String() string {
	var b strings.Builder
	r.print(&b)
	return b.String()
}

func (r Reply) print(b *strings.Builder) {
	b.WriteByte(r.Kind)
	switch {
	case r.Null:
		b.WriteString("null")
	case aggregate(r.Kind):
		b.WriteByte('[')
		for i, e := range r.Elems {
			if i > 0 {
				b.WriteByte(' ')
			}
			e.print(b)
		}
		b.WriteByte(']')
	case r.Kind == '$' || r.Kind == '=' || r.Kind == '!':
		b.WriteString(strconv.Quote(r.Text))
	default:
		b.WriteString(r.Text)
	}
}

func aggregate(kind byte) bool {
	switch kind {
	case '*', '%', '~', '>', '|':
		return true
	}
	return false
}

// ReplyError is an error that a server answered, with its prefix.
type ReplyError string

func (e ReplyError) Error() string { return string(e) }

// IsReplyError reports whether err was answered by a server, so that the
// connection is still good.
func IsReplyError(err error) bool {
	var e ReplyError
	return errors.As(err, &e)
}

// Conn is a plain connection to a server. It is for one goroutine.
type Conn struct {
	net.Conn
	r *bufio.Reader
	// Timeout is how long Do waits for an answer.
	Timeout time.Duration
}

// Dial connects to addr within timeout, which is also the Timeout of the Conn.
func Dial(addr string, timeout time.Duration) (*Conn, error) {
	socket, err := net.DialTimeout("tcp", addr, timeout)
	if err != nil {
		return nil, err
	}
	return &Conn{Conn: socket, r: bufio.NewReader(socket), Timeout: timeout}, nil
}

// Do sends one command and returns its reply. The error is that of the
// connection, or the error that the server answered, as a ReplyError.
func (c *Conn) Do(args ...string) (Reply, error) {
	if err := c.SetDeadline(time.Now().Add(c.Timeout)); err != nil {
		return Reply{}, err
	}
	if err := c.Send(args...); err != nil {
		return Reply{}, err
	}
	reply, err := c.Receive()
	if err != nil {
		return reply, err
	}
	return reply, reply.Err()
}

// Send writes one command.
func (c *Conn) Send(args ...string) error {
	_, err := c.Write(Encode(args...))
	return err
}

// Encode returns a command as a server reads it.
func Encode(args ...string) []byte {
	out := fmt.Appendf(nil, "*%d\r\n", len(args))
	for _, a := range args {
		out = fmt.Appendf(out, "$%d\r\n%s\r\n", len(a), a)
	}
	return out
}

// Receive reads one reply; the deadline is the caller's.
func (c *Conn) Receive() (Reply, error) { return ReadReply(c.r) }

// ReadReply reads one value. Attributes are returned as values of their own.
func ReadReply(r *bufio.Reader) (Reply, error) {
	line, err := r.ReadString('\n')
	if err != nil {
		return Reply{}, err
	}
	line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
	if line == "" {
		return Reply{}, errors.New("harness: empty line where a reply should start")
	}
	reply := Reply{Kind: line[0], Text: line[1:]}
	switch reply.Kind {
	case '+', '-', ':', '#', ',', '(':
		return reply, nil
	case '_':
		reply.Null = true
		return reply, nil
	case '$', '!', '=':
		size, err := strconv.Atoi(reply.Text)
		if err != nil {
			return Reply{}, fmt.Errorf("harness: length %q: %w", line, err)
		}
		if size < 0 {
			return Reply{Kind: reply.Kind, Null: true}, nil
		}
		content := make([]byte, size+2)
		if _, err := io.ReadFull(r, content); err != nil {
			return Reply{}, err
		}
		if string(content[size:]) != "\r\n" {
			return Reply{}, fmt.Errorf("harness: %q is not followed by CRLF", line)
		}
		reply.Text = string(content[:size])
		return reply, nil
	case '*', '%', '~', '>', '|':
		count, err := strconv.Atoi(reply.Text)
		if err != nil {
			return Reply{}, fmt.Errorf("harness: count %q: %w", line, err)
		}
		if count < 0 {
			return Reply{Kind: reply.Kind, Null: true}, nil
		}
		if reply.Kind == '%' || reply.Kind == '|' {
			count *= 2
		}
		reply.Text = ""
		for range count {
			elem, err := ReadReply(r)
			if err != nil {
				return Reply{}, err
			}
			reply.Elems = append(reply.Elems, elem)
		}
		return reply, nil
	}
	return Reply{}, fmt.Errorf("harness: %q is not the start of a reply", line)
}
