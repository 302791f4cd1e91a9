package resp

import "strconv"

// AppendCommand appends args as a request: an array of bulk strings. It is the
// form of the journal, of replication streams and of what a node asks a peer.
func AppendCommand[T []byte | string](dst []byte, args ...T) []byte {
	dst = AppendHeader(dst, '*', len(args))
	for _, arg := range args {
		dst = AppendHeader(dst, '$', len(arg))
		dst = append(dst, arg...)
		dst = append(dst, '\r', '\n')
	}
	return dst
}

// AppendHeader appends a type byte, a length and CRLF. Lengths below 100 are
// nearly all there are.
func AppendHeader(dst []byte, kind byte, n int) []byte {
	switch {
	case 0 <= n && n < 10:
		return append(dst, kind, byte('0'+n), '\r', '\n')
	case 10 <= n && n < 100:
		return append(dst, kind, byte('0'+n/10), byte('0'+n%10), '\r', '\n')
	}
	dst = append(dst, kind)
	dst = strconv.AppendInt(dst, int64(n), 10)
	return append(dst, '\r', '\n')
}
