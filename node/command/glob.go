package command

import "bytes"

// Match reports whether text matches pattern as KEYS and SCAN match: ? is any
// byte, * any number of them, [abc] one of a class with ranges and ^ for "none
// of", \x is x itself. Source: the reference's stringmatchlen.
//
// A star is tried with the shortest stretch first, and only the last star is
// ever tried again: where the later one fails, a longer stretch of an earlier
// one cannot help. So the work is bounded by the product of the lengths.
//
// The empty text matches the empty pattern only, not even a star, as in the
// reference; commands that take "*" for everything ask for it first.
func Match(pattern, text []byte) bool {
	if len(text) == 0 {
		return len(pattern) == 0
	}
	return matchAll(pattern, text)
}

// matchAll is Match but for the empty text.
func matchAll(pattern, text []byte) bool {
	p, t := 0, 0
	star, from := -1, 0
	for {
		if p < len(pattern) && pattern[p] == '*' {
			for p < len(pattern) && pattern[p] == '*' {
				p++
			}
			if p == len(pattern) {
				return true
			}
			star, from = p, t
			if from = beginOf(pattern[p], text, t); from < 0 {
				return false
			}
			t = from
			continue
		}
		if t == len(text) {
			return p == len(pattern)
		}
		if p < len(pattern) {
			if plain := pattern[p]; plain == text[t] && plain != '[' && plain != '\\' {
				p++
				t++
				continue
			}
			if width, ok := matchOne(pattern[p:], text[t]); ok {
				p += width
				t++
				continue
			}
		}
		if star < 0 {
			return false
		}
		if from++; from > len(text) {
			return false
		}
		if from = beginOf(pattern[star], text, from); from < 0 {
			return false
		}
		p, t = star, from
	}
}

// beginOf returns the first place from from on at which text may match a pattern whose
// first byte is that, or -1.
func beginOf(first byte, text []byte, from int) int {
	if first == '?' || first == '[' || first == '\\' {
		return from
	}
	for from < len(text) && text[from] != first {
		from++
	}
	if from == len(text) {
		return -1
	}
	return from
}

// glob is a pattern for many texts.
type glob struct {
	pattern []byte
	// prefix is what all texts begin with, rest what follows it. stars says that
	// that is nothing but stars.
	prefix, rest []byte
	stars        bool
}

func newGlob(pattern []byte) glob {
	g := glob{pattern: pattern, prefix: pattern}
	if at := bytes.IndexAny(pattern, "*?[\\"); at >= 0 {
		g.prefix, g.rest = pattern[:at], pattern[at:]
		g.stars = len(bytes.Trim(g.rest, "*")) == 0
	}
	return g
}

// match is Match.
func (g *glob) match(text []byte) bool {
	n := len(g.prefix)
	switch {
	case len(text) < n:
		return false
	case n > 0 && text[n-1] != g.prefix[n-1]:
		// Names of keys differ in their ends, more often than where they begin.
		return false
	case string(text[:n]) != string(g.prefix):
		return false
	case len(text) == 0:
		return len(g.pattern) == 0
	case len(g.rest) == 0:
		return len(text) == n
	case g.stars:
		return true
	}
	return matchAll(g.rest, text[n:])
}

// matchOne matches c against the first element of pattern, which is not a star,
// and returns the element's width.
func matchOne(pattern []byte, c byte) (width int, ok bool) {
	switch pattern[0] {
	case '?':
		return 1, true
	case '[':
		return matchClass(pattern, c)
	case '\\':
		if len(pattern) >= 2 {
			return 2, pattern[1] == c
		}
	}
	return 1, pattern[0] == c
}

// matchClass matches c against the class that pattern begins with. A class
// that is not closed ends with the pattern.
func matchClass(pattern []byte, c byte) (width int, ok bool) {
	i := 1
	negate := i < len(pattern) && pattern[i] == '^'
	if negate {
		i++
	}
	for ; i < len(pattern) && pattern[i] != ']'; i++ {
		switch {
		case pattern[i] == '\\' && i+1 < len(pattern):
			i++
			ok = ok || pattern[i] == c
		case i+2 < len(pattern) && pattern[i+1] == '-':
			low, high := pattern[i], pattern[i+2]
			if low > high {
				low, high = high, low
			}
			ok = ok || low <= c && c <= high
			i += 2
		default:
			ok = ok || pattern[i] == c
		}
	}
	return min(i+1, len(pattern)), ok != negate
}
