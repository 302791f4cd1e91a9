package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Row is a directive as declared: its name, how its value reads and its
// default.
type Row struct {
	Name    string
	Aliases []string
	Kind    kind
	// Default is what follows the name in a file that says the default.
	Default []string
	// Immutable directives are set at start only.
	Immutable bool
	// Protected directives need enable-protected-configs for CONFIG SET.
	Protected bool
	// Hidden directives are shown only to who names them.
	Hidden bool
	// Inert is why the directive does nothing here; empty when it does.
	Inert string
}

// kind is how values of a directive are read and written. Errors are the
// reference's reasons, word for word: tools match on them.
type kind interface {
	// parse reads the words that follow the name. old is the current value, for
	// directives that change only a part of it. It is what the kinds of one word
	// return if they read the same, and args is of no use to them afterwards.
	parse(args []string, old *value) (*value, error)
	// multi reports whether more than one word may follow the name.
	multi() bool
	// lines are the lines of the directive in a rewritten file.
	lines(name string, v *value) []string
}

// Refusal is why a value is not taken, in the reference's words: it is shown to
// clients as it stands.
type Refusal string

func (r Refusal) Error() string { return string(r) }

// single is the part that directives with exactly one word share.
type single struct{}

func (single) multi() bool { return false }

func (single) lines(name string, v *value) []string { return []string{name + " " + v.text()} }

// several is the part of those with any number of words.
type several struct{}

func (several) multi() bool { return true }

func (several) lines(name string, v *value) []string {
	if len(v.words) == 0 {
		return []string{name + ` ""`}
	}
	return []string{name + " " + v.text()}
}

var (
	errArgumentCount = Refusal("wrong number of arguments")
	errNotInteger    = Refusal("argument couldn't be parsed into an integer")
	errNotOctal      = Refusal("argument couldn't be parsed as an octal number")
	errNotYesNo      = Refusal("argument must be 'yes' or 'no'")
	errNotMemory     = Refusal("argument must be a memory value")
	errNotPercent    = Refusal("argument must be a memory or percent value")
	errPercentRange  = Refusal("percentage argument must be less or equal to 100")
)

// integer is a whole number between min and max.
type integer struct {
	single
	min, max int64
	octal    bool
	// adjust, if set, moves an accepted number into the range that is used.
	adjust func(int64) int64
}

func (k integer) parse(args []string, old *value) (*value, error) {
	if len(args) != 1 {
		return nil, errArgumentCount
	}
	var n int64
	base := 10
	if k.octal {
		base = 8
		var err error
		if n, err = strconv.ParseInt(args[0], 8, 64); err != nil {
			return nil, errNotOctal
		}
	} else {
		var ok bool
		if n, ok = parseInt(args[0]); !ok {
			return nil, errNotInteger
		}
	}
	if n < k.min || n > k.max {
		return nil, fmt.Errorf("argument must be between %s and %s inclusive", strconv.FormatInt(k.min, base), strconv.FormatInt(k.max, base))
	}
	if k.adjust != nil {
		n = k.adjust(n)
	}
	if old.is(n) {
		return old, nil
	}
	return oneWord(n, strconv.FormatInt(n, base)), nil
}

// parseInt reads a number written the one canonical way: no plus, no leading
// zero, no blanks.
func parseInt(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return n, false
	}
	var room [20]byte
	return n, string(strconv.AppendInt(room[:0], n, 10)) == s
}

// mustInt reads a number that a parse has accepted.
func mustInt(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		panic("config: stored number: " + err.Error())
	}
	return n
}

func mustFloat(s string) float64 {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		panic("config: stored number: " + err.Error())
	}
	return f
}

// memory is a number of bytes, given with or without a unit.
type memory struct {
	single
	min int64
	// unsigned allows up to the greatest 64-bit number; Int.Load then stops at
	// the greatest int64.
	unsigned bool
	// percent allows a share of maxmemory, kept as a negative number.
	percent bool
	adjust  func(int64) int64
}

func (k memory) parse(args []string, old *value) (*value, error) {
	if len(args) != 1 {
		return nil, errArgumentCount
	}
	if number, isPercent := strings.CutSuffix(args[0], "%"); k.percent && isPercent {
		n, ok := parseInt(number)
		switch {
		case !ok || n < 0:
			return nil, errNotPercent
		case n > 100:
			return nil, errPercentRange
		case n == 0:
			return oneWord(0, "0"), nil
		}
		if old.is(-n) {
			return old, nil
		}
		return oneWord(-n, args[0]), nil
	}
	bytes, ok := ParseBytes(args[0])
	if !ok {
		if k.percent {
			return nil, errNotPercent
		}
		return nil, errNotMemory
	}
	if !k.unsigned && (bytes > math.MaxInt64 || int64(bytes) < k.min) {
		return nil, fmt.Errorf("argument must be between %d and %d inclusive", k.min, int64(math.MaxInt64))
	}
	n := int64(min(bytes, math.MaxInt64))
	if k.adjust != nil {
		n = k.adjust(n)
		bytes = uint64(n)
	}
	// Numbers beyond int64 are shown as they are.
	if bytes < math.MaxInt64 && old.is(n) {
		return old, nil
	}
	return oneWord(n, strconv.FormatUint(bytes, 10)), nil
}

func (k memory) lines(name string, v *value) []string {
	if n, err := strconv.ParseUint(v.text(), 10, 64); err == nil {
		return []string{name + " " + formatBytes(n)}
	}
	return k.single.lines(name, v)
}

// ParseBytes reads a size such as 1048576, 1mb (of 1024) or 1m (of 1000). The
// empty string is 0, as it is for the reference.
func ParseBytes(s string) (bytes uint64, ok bool) {
	digits := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' })
	if digits < 0 {
		digits = len(s)
	}
	var unit uint64
	switch strings.ToLower(s[digits:]) {
	case "", "b":
		unit = 1
	case "k":
		unit = 1000
	case "kb":
		unit = 1 << 10
	case "m":
		unit = 1000 * 1000
	case "mb":
		unit = 1 << 20
	case "g":
		unit = 1000 * 1000 * 1000
	case "gb":
		unit = 1 << 30
	default:
		return 0, false
	}
	if digits == 0 {
		return 0, s == ""
	}
	n, err := strconv.ParseUint(s[:digits], 10, 64)
	if err != nil || n > math.MaxUint64/unit {
		return 0, false
	}
	return n * unit, true
}

// formatBytes writes a size with the greatest unit that divides it.
func formatBytes(n uint64) string {
	switch {
	case n != 0 && n%(1<<30) == 0:
		return strconv.FormatUint(n>>30, 10) + "gb"
	case n != 0 && n%(1<<20) == 0:
		return strconv.FormatUint(n>>20, 10) + "mb"
	case n != 0 && n%(1<<10) == 0:
		return strconv.FormatUint(n>>10, 10) + "kb"
	}
	return strconv.FormatUint(n, 10)
}

// boolean is yes or no.
type boolean struct {
	single
	// check, if set, refuses a value.
	check func(bool) error
}

func (k boolean) parse(args []string, old *value) (*value, error) {
	if len(args) != 1 {
		return nil, errArgumentCount
	}
	yes := isWord(args[0], "yes")
	if !yes && !isWord(args[0], "no") {
		return nil, errNotYesNo
	}
	if k.check != nil {
		if err := k.check(yes); err != nil {
			return nil, err
		}
	}
	n, word := int64(0), "no"
	if yes {
		n, word = 1, "yes"
	}
	if old.is(n) {
		return old, nil
	}
	return oneWord(n, word), nil
}

// isWord reports whether s is a word of ASCII letters, in whatever case. Letters of other
// scripts that fold to those have more bytes.
func isWord(s, word string) bool { return len(s) == len(word) && strings.EqualFold(s, word) }

// text is any string.
type text struct {
	single
	check func(string) error
	// resolve, if set, gives the text that is kept.
	resolve func(string) (string, error)
}

func (k text) parse(args []string, old *value) (*value, error) {
	if len(args) != 1 {
		return nil, errArgumentCount
	}
	s := args[0]
	if k.check != nil {
		if err := k.check(s); err != nil {
			return nil, err
		}
	}
	if k.resolve != nil {
		var err error
		if s, err = k.resolve(s); err != nil {
			return nil, err
		}
	}
	if len(old.words) == 1 && old.words[0] == s {
		return old, nil
	}
	return oneWord(0, s), nil
}

func (text) lines(name string, v *value) []string { return []string{name + " " + Quote(v.text())} }

// option is one word of an enumeration. Two words may mean the same; the
// first is the one that is shown.
type option struct {
	word string
	bits int64
}

// enum is one word out of several, or a set of them.
type enum struct {
	options []option
	set     bool
	// conflict, if set, refuses a combination.
	conflict func(bits int64) error
}

// choice is an enumeration of words that exclude each other.
func choice(words ...string) enum {
	k := enum{}
	for i, word := range words {
		k.options = append(k.options, option{word, int64(i)})
	}
	return k
}

func (k enum) multi() bool { return k.set }

func (k enum) parse(args []string, old *value) (*value, error) {
	if len(args) == 0 || !k.set && len(args) != 1 {
		return nil, k.complaint()
	}
	var bits int64
	for _, arg := range args {
		found := false
		for _, o := range k.options {
			if isWord(arg, o.word) {
				bits |= o.bits
				found = true
				break
			}
		}
		if !found {
			return nil, k.complaint()
		}
	}
	if k.conflict != nil {
		if err := k.conflict(bits); err != nil {
			return nil, err
		}
	}
	if old.is(bits) {
		return old, nil
	}
	v := &value{n: bits}
	rest := bits
	for _, o := range k.options {
		if o.bits == bits && (!k.set || bits == 0) {
			v.words = append(v.words, o.word)
			break
		}
		if k.set && o.bits != 0 && rest&o.bits == o.bits {
			v.words = append(v.words, o.word)
			rest &^= o.bits
		}
	}
	return v, nil
}

func (k enum) complaint() error {
	words := make([]string, len(k.options))
	for i, o := range k.options {
		words[i] = o.word
	}
	return Refusal("argument(s) must be one of the following: " + strings.Join(words, ", "))
}

func (k enum) lines(name string, v *value) []string { return []string{name + " " + v.text()} }
