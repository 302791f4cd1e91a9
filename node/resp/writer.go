package resp

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/tidwall/redcon"
)

// Writer appends replies to Buf in the protocol version of one connection.
// The zero Writer speaks RESP2. It is not safe for concurrent use.
type Writer struct {
	// Buf holds the encoded replies; the owner takes and resets it.
	Buf []byte
	// Proto is 2 or 3; 0 means 2.
	Proto int
}

// RESP3 reports whether the connection chose protocol version 3.
func (w *Writer) RESP3() bool { return w.Proto == 3 }

// OK appends +OK.
func (w *Writer) OK() { w.Buf = append(w.Buf, "+OK\r\n"...) }

// Simple appends a simple string. Line ends in it become blanks.
func (w *Writer) Simple(text string) { w.line('+', text) }

// Error appends an error with its prefix, such as resp.ErrWrongType. Line ends in
// it become blanks.
func (w *Writer) Error(text string) { w.line('-', text) }

// line appends text as one line of its kind.
func (w *Writer) line(kind byte, text string) {
	w.Buf = append(append(w.Buf, kind), text...)
	if strings.IndexByte(text, '\n') >= 0 || strings.IndexByte(text, '\r') >= 0 {
		for i := len(w.Buf) - len(text); i < len(w.Buf); i++ {
			if w.Buf[i] == '\r' || w.Buf[i] == '\n' {
				w.Buf[i] = ' '
			}
		}
	}
	w.Buf = append(w.Buf, '\r', '\n')
}

// Int appends an integer.
func (w *Writer) Int(n int64) { w.Buf = appendNumber(w.Buf, ':', n) }

// Bulk appends a bulk string; a nil slice is the empty string, not null.
func (w *Writer) Bulk(b []byte) {
	buf := append(AppendHeader(w.Buf, '$', len(b)), b...)
	w.Buf = append(buf, '\r', '\n')
}

// BulkString appends a bulk string.
func (w *Writer) BulkString(text string) { w.Buf = redcon.AppendBulkString(w.Buf, text) }

// Null appends the null of a single value.
func (w *Writer) Null() {
	if w.RESP3() {
		w.Buf = append(w.Buf, "_\r\n"...)
		return
	}
	w.Buf = append(w.Buf, "$-1\r\n"...)
}

// NullArray appends the null of an aggregate.
func (w *Writer) NullArray() {
	if w.RESP3() {
		w.Buf = append(w.Buf, "_\r\n"...)
		return
	}
	w.Buf = append(w.Buf, "*-1\r\n"...)
}

// Array opens an array of n elements, which the caller appends next.
func (w *Writer) Array(n int) { w.open('*', n) }

// Map opens a map of n pairs: 2n elements of an array in RESP2.
func (w *Writer) Map(n int) {
	if w.RESP3() {
		w.open('%', n)
		return
	}
	w.open('*', 2*n)
}

// Set opens a set of n elements, an array in RESP2.
func (w *Writer) Set(n int) {
	if w.RESP3() {
		w.open('~', n)
		return
	}
	w.open('*', n)
}

// Push opens a push of n elements, an array in RESP2.
func (w *Writer) Push(n int) {
	if w.RESP3() {
		w.open('>', n)
		return
	}
	w.open('*', n)
}

// Attribute opens an attribute of n pairs. RESP2 has none: callers ask RESP3
// first.
func (w *Writer) Attribute(n int) { w.open('|', n) }

// Bool appends true or false, 1 or 0 in RESP2.
func (w *Writer) Bool(b bool) {
	switch {
	case w.RESP3() && b:
		w.Buf = append(w.Buf, "#t\r\n"...)
	case w.RESP3():
		w.Buf = append(w.Buf, "#f\r\n"...)
	case b:
		w.Int(1)
	default:
		w.Int(0)
	}
}

// Double appends a floating point number, as a bulk string in RESP2, in the text
// of FormatDouble.
func (w *Writer) Double(f float64) {
	var room [maxDouble]byte
	text := AppendDouble(room[:0], f)
	if w.RESP3() {
		w.Buf = append(w.Buf, ',')
	} else {
		w.open('$', len(text))
	}
	w.Buf = append(w.Buf, text...)
	w.Buf = append(w.Buf, "\r\n"...)
}

// BigNumber appends a decimal integer of any size.
func (w *Writer) BigNumber(digits string) {
	if w.RESP3() {
		w.Buf = append(w.Buf, '(')
		w.Buf = append(w.Buf, digits...)
		w.Buf = append(w.Buf, "\r\n"...)
		return
	}
	w.BulkString(digits)
}

// Verbatim appends text with a format of three letters, such as "txt"; RESP2
// gets a bulk string.
func (w *Writer) Verbatim(format, text string) {
	if !w.RESP3() {
		w.BulkString(text)
		return
	}
	w.open('=', len(text)+4)
	w.Buf = append(w.Buf, format...)
	w.Buf = append(w.Buf, ':')
	w.Buf = append(w.Buf, text...)
	w.Buf = append(w.Buf, "\r\n"...)
}

// Text is Verbatim with the format "txt" for a text that write appends: how long it
// is, is known only then.
func (w *Writer) Text(write func(dst []byte) []byte) {
	// Room for a length of more bytes than there are. What is too much is cut out.
	const room = 24
	begin := len(w.Buf)
	buf := write(append(w.Buf, make([]byte, room)...))
	var space [room]byte
	head, length := space[:0], len(buf)-begin-room
	if w.RESP3() {
		head = append(AppendHeader(head, '=', length+len("txt:")), "txt:"...)
	} else {
		head = AppendHeader(head, '$', length)
	}
	buf = slices.Delete(buf, begin, begin+room-len(head))
	copy(buf[begin:], head)
	w.Buf = append(buf, '\r', '\n')
}

func (w *Writer) open(kind byte, n int) { w.Buf = AppendHeader(w.Buf, kind, n) }

// FormatDouble returns the text of f as the reference prints a double reply: 17
// significant digits without trailing zeros (printf's %.17g), "inf", "-inf" or
// "nan".
func FormatDouble(f float64) string { return string(AppendDouble(nil, f)) }

// maxDouble is the length of the longest text of a double.
const maxDouble = 24

// AppendDouble appends what FormatDouble returns.
func AppendDouble(dst []byte, f float64) []byte {
	// Up to here all digits of a whole number are printed.
	const whole = 1e17
	switch {
	case f > -whole && f < whole && f == math.Trunc(f) && (f != 0 || !math.Signbit(f)):
		return strconv.AppendInt(dst, int64(f), 10)
	case math.IsInf(f, 1):
		return append(dst, "inf"...)
	case math.IsInf(f, -1):
		return append(dst, "-inf"...)
	case math.IsNaN(f):
		return append(dst, "nan"...)
	}
	return strconv.AppendFloat(dst, f, 'g', 17, 64)
}
