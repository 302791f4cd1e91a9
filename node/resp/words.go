package resp

// SplitWords cuts line into words by the quoting rules of inline requests: words
// are separated by blanks; inside "double quotes" \n \r \t \a \b and \xHH stand
// for bytes and any other escaped byte for itself; inside 'single quotes' only
// \' is special; a closing quote must be followed by a blank or the end. It
// appends the words to args; their bytes are appended to text, which they
// alias. ok is false for unbalanced quotes. Source: the reference's
// sdssplitargs.
func SplitWords(args [][]byte, text, line []byte) (words [][]byte, grown []byte, ok bool) {
	// Unquoting never lengthens, so text is grown once and words stay where
	// they are.
	if cap(text)-len(text) < len(line) {
		text = make([]byte, 0, len(line))
	}
	i := 0
	for {
		for i < len(line) && isSpace(line[i]) {
			i++
		}
		if i == len(line) {
			return args, text, true
		}
		start := len(text)
	word:
		for i < len(line) {
			switch c := line[i]; c {
			case ' ', '\n', '\r', '\t':
				break word
			case '"', '\'':
				var closed bool
				text, i, closed = unquote(text, line, i+1, c)
				if !closed {
					return args, text, false
				}
				break word
			default:
				text = append(text, c)
				i++
			}
		}
		args = append(args, text[start:len(text):len(text)])
	}
}

// unquote appends what stands from i to the closing quote. It returns the
// place behind that quote, and false if the quote is missing or is followed by
// something else than a blank.
func unquote(text, line []byte, i int, quote byte) ([]byte, int, bool) {
	for i < len(line) {
		c := line[i]
		rest := line[i+1:]
		switch {
		case c == quote:
			return text, i + 1, len(rest) == 0 || isSpace(rest[0])
		case c == '\\' && quote == '\'' && len(rest) > 0 && rest[0] == '\'':
			text = append(text, '\'')
			i += 2
		case c == '\\' && quote == '"' && len(rest) >= 3 && rest[0] == 'x' && isHex(rest[1]) && isHex(rest[2]):
			text = append(text, hexValue(rest[1])<<4|hexValue(rest[2]))
			i += 4
		case c == '\\' && quote == '"' && len(rest) > 0:
			text = append(text, unescape(rest[0]))
			i += 2
		default:
			text = append(text, c)
			i++
		}
	}
	return text, i, false
}

func unescape(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'b':
		return '\b'
	case 'a':
		return '\a'
	}
	return c
}

func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func hexValue(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c >= 'a':
		return c - 'a' + 10
	}
	return c - 'A' + 10
}
