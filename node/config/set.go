package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Pair is a directive and its value as text, the way CONFIG GET shows it.
type Pair struct{ Name, Value string }

// Get returns the directives that match any of the patterns, each once. A
// pattern without *, ? or [ names one directive, hidden ones too, and is given
// back in the case it was asked in.
func (c *Config) Get(patterns ...string) []Pair {
	var found []Pair
	// seen has the names that were shown, if some may be asked for twice.
	var seen map[string]bool
	if len(patterns) > 1 {
		seen = make(map[string]bool)
	}
	show := func(name, shown string, d *directive) {
		if seen[name] {
			return
		}
		if seen != nil {
			seen[name] = true
		}
		found = append(found, Pair{shown, d.cur.Load().text()})
	}
	for _, pattern := range patterns {
		lower := strings.ToLower(pattern)
		if !strings.ContainsAny(pattern, "*?[") {
			if d := c.byName[lower]; d != nil {
				show(lower, pattern, d)
			}
			continue
		}
		for _, name := range c.names {
			if d := c.byName[name]; !d.row.Hidden && matchGlob(lower, name) {
				show(name, name, d)
			}
		}
	}
	return found
}

// matchGlob reports whether name matches pattern: * any bytes, ? one byte,
// [a-z] and [^a-z] classes, a backslash takes the next byte literally.
func matchGlob(pattern, name string) bool {
	// star is the pattern after the last *, to which a mismatch returns with
	// one byte more taken by the star.
	star, retry := -1, 0
	p, n := 0, 0
	for n < len(name) {
		if p < len(pattern) && pattern[p] == '*' {
			star, retry = p+1, n
			p++
			continue
		}
		if p < len(pattern) {
			if ok, width := matchByte(pattern[p:], name[n]); ok {
				p += width
				n++
				continue
			}
		}
		if star < 0 {
			return false
		}
		retry++
		p, n = star, retry
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// matchByte matches one byte with the head of a pattern, which is width bytes
// long.
func matchByte(pattern string, b byte) (ok bool, width int) {
	switch pattern[0] {
	case '?':
		return true, 1
	case '\\':
		if len(pattern) > 1 {
			return pattern[1] == b, 2
		}
	case '[':
		i := 1
		not := i < len(pattern) && pattern[i] == '^'
		if not {
			i++
		}
		for ; i < len(pattern) && pattern[i] != ']'; i++ {
			if pattern[i] == '\\' && i+1 < len(pattern) {
				i++
				ok = ok || pattern[i] == b
			} else if i+2 < len(pattern) && pattern[i+1] == '-' {
				low, high := min(pattern[i], pattern[i+2]), max(pattern[i], pattern[i+2])
				ok = ok || low <= b && b <= high
				i += 2
			} else {
				ok = ok || pattern[i] == b
			}
		}
		return ok != not, min(i+1, len(pattern))
	}
	return pattern[0] == b, 1
}

// Set changes several directives at once, all or none. protected says whether
// the client may set protected ones (see enable-protected-configs). The text of
// the error is the whole reply.
func (c *Config) Set(pairs []Pair, protected bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := c.set(pairs, protected, false)
	return err
}

// TrySet is Set for who must not wait. It does nothing and returns false where a
// change is under way, and where it would change a directive that somebody acts upon
// who may take his time: see OnChange.
func (c *Config) TrySet(pairs []Pair, protected bool) (bool, error) {
	if !c.mu.TryLock() {
		return false, nil
	}
	defer c.mu.Unlock()
	return c.set(pairs, protected, true)
}

// change is a directive that Set gives another value.
type change struct {
	name     string
	d        *directive
	old, new *value
}

// undo puts the values of changes back.
func undo(changes []change) {
	for i := len(changes) - 1; i >= 0; i-- {
		changes[i].d.store(changes[i].old)
	}
}

// set is Set, or TrySet if it must not wait, with mu held.
func (c *Config) set(pairs []Pair, protected, atOnce bool) (done bool, err error) {
	// Every name is looked at before any value.
	var named [8]*directive
	directives := named[:0]
	for i, pair := range pairs {
		d := c.lookup(pair.Name)
		switch {
		case d == nil:
			return true, errors.New("ERR Unknown option or number of arguments for CONFIG SET - '" + pair.Name + "'")
		case d.row.Immutable:
			return true, setFailed(pair.Name, "can't set immutable config")
		case d.row.Protected && !protected:
			return true, setFailed(pair.Name, "can't set protected config")
		}
		for _, before := range pairs[:i] {
			if strings.EqualFold(before.Name, pair.Name) {
				return true, setFailed(pair.Name, "duplicate parameter")
			}
		}
		directives = append(directives, d)
	}
	if atOnce {
		for i, d := range directives {
			if !d.slow {
				continue
			}
			if _, changes, _ := c.wanted(d, pairs[i].Value); changes {
				return false, nil
			}
		}
	}

	var room [2]change
	changes := room[:0]
	for i, d := range directives {
		v, changed, err := c.wanted(d, pairs[i].Value)
		if err != nil {
			undo(changes)
			return true, valueFailed(pairs[i].Name, err)
		}
		if changed {
			changes = append(changes, change{pairs[i].Name, d, d.cur.Load(), v})
			d.store(v)
		}
	}
	for i, ch := range changes {
		for _, hook := range ch.d.hooks {
			err := hook()
			if err == nil {
				continue
			}
			undo(changes)
			var again []error
			for _, done := range changes[:i+1] {
				for _, hook := range done.d.hooks {
					again = append(again, hook())
				}
			}
			if failed := errors.Join(again...); failed != nil {
				err = fmt.Errorf("%w (and not undone: %v)", err, failed)
			}
			return true, valueFailed(ch.name, err)
		}
	}
	return true, nil
}

// wanted returns the value that text gives the directive, and whether it is another
// than it has. The caller holds mu.
func (c *Config) wanted(d *directive, text string) (v *value, changed bool, err error) {
	old := d.cur.Load()
	v, err = d.row.Kind.parse(c.setArguments(d, text), setBase(d, old))
	c.word[0] = ""
	if err != nil {
		return nil, false, err
	}
	return v, v != old && (v.n != old.n || !slices.Equal(v.words, old.words)), nil
}

func setFailed(name, reason string) error {
	return errors.New("ERR CONFIG SET failed (possibly related to argument '" + name + "') - " + reason)
}

// valueFailed is setFailed for a value that is refused: here the reference names the directive as its
// table does, not as the client did.
func valueFailed(name string, err error) error {
	return setFailed(strings.ToLower(name), err.Error())
}

// setArguments cuts the value of CONFIG SET into words for directives that
// have several. The result is good until the next call.
func (c *Config) setArguments(d *directive, text string) []string {
	switch {
	case !d.row.Kind.multi():
		c.word[0] = text
		return c.word[:]
	case text == "":
		return nil
	}
	return strings.Split(text, " ")
}

// setBase is the value that CONFIG SET builds upon: save is replaced as a
// whole, client-output-buffer-limit class by class.
func setBase(d *directive, old *value) *value {
	if _, isSave := d.row.Kind.(savePoints); isSave {
		return &value{}
	}
	return old
}

// Assign gives a directive the value that the node itself decided on, such as
// replicaof after REPLICAOF, so that CONFIG GET and REWRITE show it. Hooks do
// not run and immutable directives are not refused.
func (c *Config) Assign(name string, words ...string) error {
	d := c.lookup(name)
	if d == nil {
		return fmt.Errorf("config: assign: no directive %s", name)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	v, err := d.row.Kind.parse(words, setBase(d, d.cur.Load()))
	if err != nil {
		return fmt.Errorf("config: assign %s: %w", name, err)
	}
	d.store(v)
	return nil
}
