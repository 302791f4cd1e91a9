package command

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"slotmesh/node/resp"
)

// Table is the set of rows that a server knows. It is immutable.
type Table struct {
	byName map[string]*Spec
	// list has the rows in the order of their families, each followed by its
	// subcommands, so that list[s.Index()] is s.
	list []*Spec
}

// NewTable builds a table of families. It refuses rows that contradict
// themselves or each other.
func NewTable(families ...[]Spec) (*Table, error) {
	t := &Table{byName: make(map[string]*Spec)}
	for _, family := range families {
		for i := range family {
			s := family[i] // a copy: the facts are this table's
			if err := t.add(&s, nil); err != nil {
				return nil, fmt.Errorf("command table: %w", err)
			}
		}
	}
	return t, nil
}

// add puts s, whose container is parent, into the table.
func (t *Table) add(s, parent *Spec) error {
	s.facts = facts{fullName: s.Name, parent: parent, index: len(t.list)}
	names := t.byName
	if parent != nil {
		s.fullName = parent.Name + "|" + s.Name
		names = parent.subs
	}
	if s.Name == "" || s.Name != strings.ToLower(s.Name) {
		return fmt.Errorf("name %q is not lower case", s.Name)
	}
	if _, twice := names[s.Name]; twice {
		return fmt.Errorf("%s is declared twice", s.fullName)
	}
	if s.Run == nil && len(s.Sub) == 0 {
		return fmt.Errorf("%s has nothing to run", s.fullName)
	}
	if s.Arity == 0 {
		return fmt.Errorf("%s has no arity", s.fullName)
	}
	for _, key := range s.Keys {
		if key.Flags&KeyNotKey == 0 {
			s.keyed = true
		}
	}
	s.keyed = s.keyed || s.KeysOf != nil
	s.migrate = s.fullName == "migrate"
	s.onlyKey, s.onlyWords = s.soleKey()
	s.plainKeys = s.keyed && s.keysStandPlain()
	s.keysAt = s.fixedKeys()
	s.categories = s.aclCategories()
	var err error
	if s.args, err = parseSyntax(s.Syntax); err != nil {
		return fmt.Errorf("%s: %w", s.fullName, err)
	}
	first := 1
	if parent != nil {
		first = 2
	}
	linkKeys(s.args, s.Keys, first)
	names[s.Name] = s
	t.list = append(t.list, s)
	if len(s.Sub) > 0 {
		s.subs = make(map[string]*Spec, len(s.Sub))
		subs := make([]Spec, len(s.Sub))
		copy(subs, s.Sub)
		s.Sub = subs
		for i := range subs {
			if err := t.add(&subs[i], s); err != nil {
				return err
			}
		}
	}
	return nil
}

// soleKey returns the position of the one key that calls of up to so many words have;
// 0 if there are no such calls.
func (s *Spec) soleKey() (at, words int) {
	if len(s.Keys) != 1 || !s.keysStandPlain() {
		return 0, 0
	}
	k := s.Keys[0]
	if k.Begin >= max(s.Arity, -s.Arity) {
		return 0, 0
	}
	switch {
	case k.Last == 0:
		return k.Begin, math.MaxInt
	case k.Last < 0 && k.Limit <= 1:
		return k.Begin, k.Begin + max(k.Step, 1) - 1 - k.Last
	}
	return 0, 0
}

// fixedKeys returns the positions of the keys if they are the same in every call, or nil.
func (s *Spec) fixedKeys() (at []int) {
	if !s.plainKeys {
		return nil
	}
	for _, k := range s.Keys {
		if k.Last != 0 || k.Begin >= max(s.Arity, -s.Arity) {
			return nil
		}
		at = append(at, k.Begin)
	}
	return at
}

// keysStandPlain reports whether it takes no look at the words to tell where all keys of
// a call are.
func (s *Spec) keysStandPlain() bool {
	return s.KeysOf == nil && !slices.ContainsFunc(s.Keys, func(k KeySpec) bool {
		return k.Flags&KeyNotKey != 0 || k.Keyword != "" || k.KeyNum || k.Unknown || k.Begin < 1
	})
}

// maxName is longer than every command's name.
const maxName = 64

// Lookup returns the row of name, in any case, or nil. It does not allocate.
func (t *Table) Lookup(name []byte) *Spec { return lookup(t.byName, name) }

func lookup(names map[string]*Spec, name []byte) *Spec {
	if s, found := names[string(name)]; found {
		return s
	}
	if len(name) > maxName {
		return nil
	}
	var lower [maxName]byte
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		lower[i] = c
	}
	return names[string(lower[:len(name)])]
}

// Find returns the row that args call, subcommands resolved and arity checked,
// or the error that the client is told: unknown command, unknown subcommand,
// wrong number of arguments, with the row all the same in that last case.
func (t *Table) Find(args [][]byte) (*Spec, error) { return t.Lookup(args[0]).Find(args) }

// Find is Table.Find for who has looked up the row of args[0] already; it is nil if
// there is none.
func (s *Spec) Find(args [][]byte) (*Spec, error) {
	if s == nil {
		return nil, unknownCommand(args)
	}
	if s.subs != nil && len(args) > 1 {
		sub := lookup(s.subs, args[1])
		if sub == nil {
			return nil, unknownSubcommand(s, args[1])
		}
		s = sub
	}
	if s.Arity > 0 && len(args) != s.Arity || len(args) < -s.Arity || s.Run == nil {
		return s, resp.WrongArity(s.fullName)
	}
	return s, nil
}

// Resolve is Find for COMMAND and ACL: "config|get" names a subcommand.
func (t *Table) Resolve(name []byte) *Spec {
	before, after, isSub := bytes.Cut(name, []byte("|"))
	s := t.Lookup(before)
	if s == nil || !isSub {
		return s
	}
	return lookup(s.subs, after)
}

// Len is the number of rows, subcommands included.
func (t *Table) Len() int { return len(t.list) }

// All returns the rows, each container before its subcommands. It must not be
// changed.
func (t *Table) All() []*Spec { return t.list }

// unknownCommand quotes the name and as much of the arguments as the reference
// does: 128 bytes of each part, printable as it came.
func unknownCommand(args [][]byte) error {
	const limit = 128
	var room [512]byte
	text := append(room[:0], "ERR unknown command '"...)
	text = appendLine(text, args[0], limit)
	text = append(text, "', with args beginning with: "...)
	quoted := len(text)
	for _, arg := range args[1:] {
		left := limit - (len(text) - quoted)
		if left <= 0 {
			break
		}
		text = append(text, '\'')
		text = appendLine(text, arg, left)
		text = append(text, "' "...)
	}
	return resp.Error(text)
}

func unknownSubcommand(s *Spec, name []byte) error {
	var room [256]byte
	text := append(room[:0], "ERR unknown subcommand '"...)
	text = appendLine(text, name, 128)
	text = append(text, "'. Try "...)
	text = append(append(text, strings.ToUpper(s.Name)...), " HELP."...)
	return resp.Error(text)
}

// appendLine appends what an error shows of b: at most limit bytes, on one line.
func appendLine(dst, b []byte, limit int) []byte {
	begin := len(dst)
	dst = append(dst, clip(b, limit)...)
	joinLines(dst[begin:])
	return dst
}

// clip cuts b as the reference does, which formats with %.*s: that ends at a NUL.
func clip(b []byte, limit int) []byte {
	b = b[:min(len(b), max(limit, 0))]
	if end := bytes.IndexByte(b, 0); end >= 0 {
		b = b[:end]
	}
	return b
}

// oneLine keeps an error on its line.
func oneLine(b []byte) string {
	line := bytes.Clone(b)
	joinLines(line)
	return string(line)
}

// joinLines turns line ends into blanks, as the reference does in errors.
func joinLines(text []byte) {
	for i, c := range text {
		if c == '\r' || c == '\n' {
			text[i] = ' '
		}
	}
}

// KeyPositions appends the positions of the keys in args to at. It returns an
// error where args contradict the row, such as a number of keys that is not
// there.
func (s *Spec) KeyPositions(args [][]byte, at []int) ([]int, error) {
	if s.KeysOf != nil {
		return s.KeysOf(args, at)
	}
	if s.keysAt != nil && len(args) >= max(s.Arity, -s.Arity) {
		return append(at, s.keysAt...), nil
	}
	for i := range s.Keys {
		if s.Keys[i].Flags&KeyNotKey != 0 {
			continue
		}
		var err error
		if at, err = s.Keys[i].positions(args, at); err != nil {
			return at, err
		}
	}
	return at, nil
}

// positions appends where the keys of k stand in args.
func (k *KeySpec) positions(args [][]byte, at []int) ([]int, error) {
	first, found := k.begin(args)
	if !found || k.Unknown {
		return at, nil
	}
	step := max(k.Step, 1)
	last := 0
	if k.KeyNum {
		place := first + k.KeyNumIndex
		if place >= len(args) {
			return at, errInvalidKeys
		}
		n, err := strconv.Atoi(string(args[place]))
		if err != nil || n < 0 {
			return at, errInvalidKeys
		}
		first += k.FirstKey
		if n > (len(args)-first+step-1)/step {
			return at, errInvalidKeys
		}
		last = first + (n-1)*step
	} else {
		switch {
		case k.Last >= 0:
			last = first + k.Last
		case k.Limit <= 1:
			last = len(args) + k.Last
		default:
			last = first + (len(args)-first)/k.Limit + k.Last
		}
	}
	for i := first; i <= last; i += step {
		if i >= len(args) {
			// A row whose arity leaves keys open; the handler has the error.
			return at, nil
		}
		at = append(at, i)
	}
	return at, nil
}

var errInvalidKeys = resp.Error("ERR Invalid arguments specified for command")

// begin returns where the first key of k stands.
func (k *KeySpec) begin(args [][]byte) (int, bool) {
	if k.Keyword == "" {
		return k.Begin, k.Begin < len(args)
	}
	from, step := k.Begin, 1
	if from < 0 {
		from, step = len(args)+from, -1
	}
	for i := from; i > 0 && i < len(args); i += step {
		if strings.EqualFold(string(args[i]), k.Keyword) {
			return i + 1, i+1 < len(args)
		}
	}
	return 0, false
}
