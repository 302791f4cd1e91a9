package command

// IsWord reports whether arg is word, which is in lower case, in any case.
func IsWord(arg []byte, word string) bool {
	if len(arg) != len(word) {
		return false
	}
	for i, c := range arg {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != word[i] {
			return false
		}
	}
	return true
}

// isSame reports whether two words differ in case at most.
func isSame(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i, c := range a {
		d := b[i]
		if c|0x20 != d|0x20 {
			return false
		}
	}
	return true
}
