package resp

import "strconv"

// AppendCommand appends args as a request: an array of bulk strings. It is the
// form of the journal, of replication streams and of what a node asks a peer.
func AppendCommand(dst []byte, args ...[]byte) []byte {
	dst = AppendHeader(dst, '*', len(args))
	for _, arg := range args {
		dst = AppendHeader(dst, '$', len(arg))
		dst = append(dst, arg...)
		dst = append(dst, '\r', '\n')
	}
	return dst
}

// AppendCommandStrings is AppendCommand for words.
func AppendCommandStrings(dst []byte, args ...string) []byte {
	dst = AppendHeader(dst, '*', len(args))
	for _, arg := range args {
		dst = AppendHeader(dst, '$', len(arg))
		dst = append(dst, arg...)
		dst = append(dst, '\r', '\n')
	}
	return dst
}

// AppendHeader appends a type byte, a length and CRLF.
func AppendHeader(dst []byte, kind byte, n int) []byte {
	dst = append(dst, kind)
	if 0 <= n && n < 10 {
		dst = append(dst, byte('0'+n))
	} else {
		dst = strconv.AppendInt(dst, int64(n), 10)
	}
	return append(dst, '\r', '\n')
}

// CommandLen returns how many bytes AppendCommand would append.
func CommandLen(args ...[]byte) int {
	n := headerLen(len(args))
	for _, arg := range args {
		n += headerLen(len(arg)) + len(arg) + 2
	}
	return n
}

func headerLen(n int) int {
	digits := 1
	for ; n >= 10; n /= 10 {
		digits++
	}
	return digits + 3
}
