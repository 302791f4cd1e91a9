package config

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
)

// Config is the set of all directives with their values. Handles read without
// locks; loading, Set, Assign and Rewrite exclude each other.
type Config struct {
	// mu serializes everything that changes values.
	mu sync.Mutex
	// byName has every directive under its name and its aliases, lower case.
	byName map[string]*directive
	// names has the names and aliases in the order of the table.
	names []string
	// file is the absolute path of the configuration file, or empty.
	file string
	// given has the directives that were named while loading.
	given map[*directive]bool
	// statements are the lines that are no directives: user, rename-command,
	// loadmodule.
	statements []Statement
	// word is the value of a directive of one word while Set parses it. mu guards it.
	word [1]string
}

// directive is a row and its current value.
type directive struct {
	row Row
	// n repeats value.n so that a number costs one atomic load.
	n   atomic.Int64
	cur atomic.Pointer[value]
	// hooks run after a change by Set, see OnChange.
	hooks []func() error
	// slow is true if one of them may take its time.
	slow bool
}

// value is the immutable value of a directive.
type value struct {
	// n is a number, 0 or 1, or the bits of an enumeration.
	n int64
	// words is what CONFIG GET shows, joined by spaces.
	words []string
	// word has room for words if it is but one.
	word [1]string
}

// oneWord returns a value that is shown as one word.
func oneWord(n int64, word string) *value {
	v := &value{n: n, word: [1]string{word}}
	v.words = v.word[:]
	return v
}

func (v *value) text() string { return strings.Join(v.words, " ") }

// is reports whether v is a value that was parsed, and has the number n.
func (v *value) is(n int64) bool { return v.n == n && len(v.words) > 0 }

func (d *directive) store(v *value) {
	d.n.Store(v.n)
	d.cur.Store(v)
}

// New returns the configuration with every directive at its default.
func New() *Config {
	c := &Config{byName: make(map[string]*directive), given: make(map[*directive]bool)}
	for _, row := range rows() {
		d := &directive{row: row}
		v, err := row.Kind.parse(row.Default, &value{})
		if err != nil {
			panic(fmt.Sprintf("config: default of %s: %v", row.Name, err))
		}
		d.store(v)
		for _, name := range append([]string{row.Name}, row.Aliases...) {
			if c.byName[name] != nil {
				panic("config: two rows named " + name)
			}
			c.byName[name] = d
			c.names = append(c.names, name)
		}
	}
	return c
}

// lookup finds a directive by name or alias in any case, or nil.
func (c *Config) lookup(name string) *directive {
	if d := c.byName[name]; d != nil {
		return d
	}
	return c.byName[strings.ToLower(name)]
}

// mustLookup finds a directive whose kind must be K.
func mustLookup[K kind](c *Config, name string) *directive {
	d := c.lookup(name)
	if d == nil {
		panic("config: no directive " + name)
	}
	if _, ok := d.row.Kind.(K); !ok {
		panic(fmt.Sprintf("config: directive %s is a %T", name, d.row.Kind))
	}
	return d
}

// OnChange has fn called after every CONFIG SET that changed the directive,
// when the new values of all directives of that command are in place. An error
// refuses the change: everything is put back and the hooks run once more. Its
// text is shown to the client. fn must not call Set, Assign or Rewrite. Hooks
// are registered while the node is composed, before the first Set.
func (c *Config) OnChange(name string, fn func() error) { c.onChange(name, true, fn) }

// OnChangeAtOnce is OnChange for a hook that neither waits nor does any work: TrySet
// may run it.
func (c *Config) OnChangeAtOnce(name string, fn func() error) { c.onChange(name, false, fn) }

func (c *Config) onChange(name string, slow bool, fn func() error) {
	d := c.lookup(name)
	if d == nil {
		panic("config: no directive " + name)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	d.hooks, d.slow = append(d.hooks, fn), d.slow || slow
}

// File is the absolute path of the configuration file, empty without one. Load
// sets it; hooks may ask for it.
func (c *Config) File() string { return c.file }

// Default reports whether the directive has its default value.
func (c *Config) Default(name string) bool {
	d := c.lookup(name)
	if d == nil {
		panic("config: no directive " + name)
	}
	return d.isDefault(d.cur.Load())
}

func (d *directive) isDefault(v *value) bool {
	def, err := d.row.Kind.parse(d.row.Default, &value{})
	return err == nil && def.n == v.n && def.text() == v.text()
}

// Notice is a directive that was set although it does nothing here.
type Notice struct{ Name, Reason string }

// Inert lists the directives that have another value than their default and no
// effect, in the order of the table, for the log.
func (c *Config) Inert() []Notice {
	var list []Notice
	for _, name := range c.names {
		d := c.byName[name]
		if name == d.row.Name && d.row.Inert != "" && !d.isDefault(d.cur.Load()) {
			list = append(list, Notice{name, d.row.Inert})
		}
	}
	return list
}
