package config

import "strings"

// errUnbalanced is the reference's reason for quotes that do not close.
const errUnbalanced = Refusal("Unbalanced quotes in configuration line")

// Split cuts a line into words as the reference's configuration grammar has
// it: blanks separate; "double quotes" know \n \r \t \b \a, \xHH and a
// backslash before any other byte; in 'single quotes' only \' is special. After
// a closing quote a blank or the end must follow.
func Split(line string) ([]string, error) {
	var words []string
	for i := 0; ; {
		for i < len(line) && isBlank(line[i]) {
			i++
		}
		if i == len(line) {
			return words, nil
		}
		word, next, err := nextWord(line, i)
		if err != nil {
			return nil, err
		}
		words = append(words, word)
		i = next
	}
}

// nextWord reads the word that starts at i. A quote may open in the middle of
// a word: a"b c" is one word, ab c.
func nextWord(line string, i int) (word string, next int, err error) {
	var out strings.Builder
	for i < len(line) && !isBlank(line[i]) {
		quote := line[i]
		if quote != '"' && quote != '\'' {
			out.WriteByte(quote)
			i++
			continue
		}
		i++
		for {
			if i == len(line) {
				return "", 0, errUnbalanced
			}
			b := line[i]
			if b == quote {
				i++
				break
			}
			if b == '\\' {
				read, width := unescape(line[i:], quote)
				out.WriteByte(read)
				i += width
				continue
			}
			out.WriteByte(b)
			i++
		}
		if i < len(line) && !isBlank(line[i]) {
			return "", 0, errUnbalanced
		}
	}
	return out.String(), i, nil
}

// unescape reads what stands after a backslash inside quotes.
func unescape(s string, quote byte) (b byte, width int) {
	if len(s) < 2 {
		return '\\', 1
	}
	if quote == '\'' {
		if s[1] == '\'' {
			return '\'', 2
		}
		return '\\', 1
	}
	if len(s) >= 4 && s[1] == 'x' {
		high, low := hexDigit(s[2]), hexDigit(s[3])
		if high >= 0 && low >= 0 {
			return byte(high<<4 | low), 4
		}
	}
	switch s[1] {
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'b':
		return '\b', 2
	case 'a':
		return '\a', 2
	}
	return s[1], 2
}

func hexDigit(b byte) int {
	switch {
	case b >= '0' && b <= '9':
		return int(b - '0')
	case b >= 'a' && b <= 'f':
		return int(b-'a') + 10
	case b >= 'A' && b <= 'F':
		return int(b-'A') + 10
	}
	return -1
}

func isBlank(b byte) bool {
	return b == ' ' || b == '\t' || b == '\n' || b == '\r' || b == '\v' || b == '\f'
}

// Quote writes s so that Split reads it back as one word.
func Quote(s string) string {
	const hex = "0123456789abcdef"
	var out strings.Builder
	out.WriteByte('"')
	for i := range len(s) {
		switch b := s[i]; {
		case b == '"' || b == '\\':
			out.WriteByte('\\')
			out.WriteByte(b)
		case b == '\n':
			out.WriteString(`\n`)
		case b == '\r':
			out.WriteString(`\r`)
		case b == '\t':
			out.WriteString(`\t`)
		case b == '\a':
			out.WriteString(`\a`)
		case b == '\b':
			out.WriteString(`\b`)
		case b < 0x20 || b >= 0x7f:
			out.WriteString(`\x`)
			out.WriteByte(hex[b>>4])
			out.WriteByte(hex[b&15])
		default:
			out.WriteByte(b)
		}
	}
	out.WriteByte('"')
	return out.String()
}
