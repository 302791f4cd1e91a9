package command

import (
	"slices"
	"strings"

	"slotmesh/node/resp"
)

// Introspection are the rows of COMMAND.
func Introspection() []Spec {
	const flags = Loading | Stale
	unordered := []string{"nondeterministic_output_order"}
	return inGroup("server", []Spec{{
		Name: "command", Syntax: "", Arity: -1, Flags: flags, Since: "2.8.13",
		Complexity: "O(N) where N is the number of commands.", Summary: "Describes every command.",
		Categories: []string{"connection"}, Tips: unordered, Heavy: Always,
		Run: func(c *Call) error { return c.replyInfos(nil) },
		Sub: []Spec{
			{
				Name: "count", Arity: 2, Flags: flags, Since: "2.8.13", Complexity: "O(1)",
				Summary: "Returns the number of commands.", Categories: []string{"connection"},
				Run: func(c *Call) error {
					c.Reply.Int(int64(len(c.engine.table.byName)))
					return nil
				},
			},
			{
				Name: "docs", Syntax: "[command-name [command-name ...]]", Arity: -2, Flags: flags, Since: "7.0.0",
				Complexity: "O(N) where N is the number of commands to look up.",
				Summary:    "Returns the documentation of commands.", Categories: []string{"connection"}, Tips: unordered,
				Heavy: manyNames, Run: commandDocs,
			},
			{
				Name: "getkeys", Syntax: "command arg [arg ...]", Arity: -4, Flags: flags, Since: "2.8.13",
				Complexity: "O(N) where N is the number of arguments.",
				Summary:    "Returns the keys of a whole command.", Categories: []string{"connection"},
				Run: func(c *Call) error { return commandGetKeys(c, false) },
			},
			{
				Name: "getkeysandflags", Syntax: "command arg [arg ...]", Arity: -4, Flags: flags, Since: "7.0.0",
				Complexity: "O(N) where N is the number of arguments.",
				Summary:    "Returns the keys of a whole command and what it does with each.", Categories: []string{"connection"},
				Run: func(c *Call) error { return commandGetKeys(c, true) },
			},
			{
				Name: "help", Arity: 2, Flags: flags, Since: "5.0.0", Complexity: "O(1)",
				Summary: "Lists the subcommands.", Categories: []string{"connection"}, Run: commandHelp,
			},
			{
				Name: "info", Syntax: "[command-name [command-name ...]]", Arity: -2, Flags: flags, Since: "2.8.13",
				Complexity: "O(N) where N is the number of commands to look up.",
				Summary:    "Describes commands.", Categories: []string{"connection"}, Tips: unordered, Heavy: manyNames,
				Run: func(c *Call) error { return c.replyInfos(c.Args[2:]) },
			},
			{
				Name: "list", Syntax: "[FILTERBY <MODULE module-name | ACLCAT category | PATTERN pattern>]", Arity: -2,
				Flags: flags, Since: "7.0.0", Complexity: "O(N) where N is the number of commands.",
				Summary: "Returns the names of commands.", Categories: []string{"connection"}, Tips: unordered,
				Heavy: longListing, Run: commandList,
			},
		},
	}})
}

// manyNames reports whether COMMAND DOCS or INFO describes many commands: all of
// them, or those that are named.
func manyNames(c *Call) bool { return len(c.Args) == 2 || len(c.Args) > 10 }

// longListing reports whether COMMAND LIST looks for what takes long to match.
func longListing(c *Call) bool { return len(c.Args) == 5 && len(c.Args[4]) > 256 }

func commandHelp(c *Call) error {
	Help(c.Reply, "COMMAND",
		"(no subcommand)", "    Describe every command.",
		"COUNT", "    The number of commands.",
		"LIST [FILTERBY (MODULE <name>|ACLCAT <category>|PATTERN <glob>)]", "    The names of commands.",
		"INFO [<command-name> ...]", "    Describe these commands, or every command.",
		"DOCS [<command-name> ...]", "    The documentation of these commands, or of every command.",
		"GETKEYS <full-command>", "    The keys of a whole command.",
		"GETKEYSANDFLAGS <full-command>", "    The keys of a whole command and what it does with each.",
	)
	return nil
}

// top yields the commands without subcommands.
func (t *Table) top(yield func(*Spec) bool) {
	for _, s := range t.list {
		if s.parent == nil && !yield(s) {
			return
		}
	}
}

// replyInfos answers with the descriptions of names, or of all commands.
func (c *Call) replyInfos(names [][]byte) error {
	w, t := c.Reply, c.engine.table
	if len(names) == 0 {
		w.Array(len(t.byName))
		for s := range t.top {
			replyInfo(w, s)
		}
		return nil
	}
	w.Array(len(names))
	for _, name := range names {
		if s := t.Resolve(name); s != nil {
			replyInfo(w, s)
		} else {
			w.Null()
		}
	}
	return nil
}

// replyInfo writes the ten elements that describe s.
func replyInfo(w *resp.Writer, s *Spec) {
	w.Array(10)
	w.BulkString(s.fullName)
	w.Int(int64(s.Arity))
	replyNames(w, flagNames, s.Flags)
	first, last, step := s.legacyRange()
	w.Int(int64(first))
	w.Int(int64(last))
	w.Int(int64(step))
	replyNames(w, categoryNames, s.categories)
	w.Set(len(s.Tips))
	for _, tip := range s.Tips {
		w.BulkString(tip)
	}
	w.Set(len(s.Keys))
	for i := range s.Keys {
		replyKeySpec(w, &s.Keys[i])
	}
	if len(s.Sub) == 0 {
		w.Set(0) // the reference's empty list is a set
		return
	}
	w.Array(len(s.Sub))
	for i := range s.Sub {
		replyInfo(w, &s.Sub[i])
	}
}

// named is what a bit of a set is called.
type named[T ~uint16 | ~uint32] struct {
	bit  T
	name string
}

// replyNames writes a set of bits as the set of their names.
func replyNames[T ~uint16 | ~uint32](w *resp.Writer, names []named[T], bits T) {
	n := 0
	for i := range names {
		if bits&names[i].bit != 0 {
			n++
		}
	}
	w.Set(n)
	for i := range names {
		if bits&names[i].bit != 0 {
			w.Simple(names[i].name)
		}
	}
}

func replyKeySpec(w *resp.Writer, k *KeySpec) {
	if k.Notes != "" {
		w.Map(4)
		w.BulkString("notes")
		w.BulkString(k.Notes)
	} else {
		w.Map(3)
	}
	w.BulkString("flags")
	replyNames(w, keyFlagNames, k.Flags)

	if k.Unknown {
		for _, part := range [...]string{"begin_search", "find_keys"} {
			w.BulkString(part)
			w.Map(2)
			w.BulkString("type")
			w.BulkString("unknown")
			w.BulkString("spec")
			w.Map(0)
		}
		return
	}
	w.BulkString("begin_search")
	w.Map(2)
	w.BulkString("type")
	if k.Keyword != "" {
		w.BulkString("keyword")
		w.BulkString("spec")
		w.Map(2)
		w.BulkString("keyword")
		w.BulkString(k.Keyword)
		w.BulkString("startfrom")
	} else {
		w.BulkString("index")
		w.BulkString("spec")
		w.Map(1)
		w.BulkString("index")
	}
	w.Int(int64(k.Begin))

	w.BulkString("find_keys")
	w.Map(2)
	w.BulkString("type")
	names, numbers := [...]string{"lastkey", "keystep", "limit"}, [...]int{k.Last, k.Step, k.Limit}
	if k.KeyNum {
		w.BulkString("keynum")
		names, numbers = [...]string{"keynumidx", "firstkey", "keystep"}, [...]int{k.KeyNumIndex, k.FirstKey, k.Step}
	} else {
		w.BulkString("range")
	}
	w.BulkString("spec")
	w.Map(len(names))
	for i, name := range names {
		w.BulkString(name)
		w.Int(int64(numbers[i]))
	}
}

// legacyRange is the first key, the last key and the step, as far as three
// numbers can tell. Source: the reference's populateCommandLegacyRangeSpec.
func (s *Spec) legacyRange() (first, last, step int) {
	end := func(k KeySpec, begin int) int {
		if k.Last >= 0 {
			return begin + k.Last
		}
		return k.Last
	}
	isRange := func(k KeySpec) bool { return k.Keyword == "" && !k.KeyNum && !k.Unknown }
	if len(s.Keys) == 1 && isRange(s.Keys[0]) {
		k := s.Keys[0]
		return k.Begin, end(k, k.Begin), k.Step
	}
	for _, k := range s.Keys {
		if !isRange(k) {
			continue
		}
		if k.Step != 1 {
			return 0, 0, 0
		}
		if first == 0 || k.Begin < first {
			first = k.Begin
		}
		// A negative end is the greatest.
		if e := end(k, k.Begin); e < 0 || last >= 0 && e > last {
			last = e
		}
	}
	if first == 0 {
		return 0, 0, 0
	}
	return first, last, 1
}

// flagNames are the names that COMMAND INFO gives flags.
var flagNames = []named[Flags]{
	{Write, "write"},
	{ReadOnly, "readonly"},
	{DenyOOM, "denyoom"},
	{Admin, "admin"},
	{PubSub, "pubsub"},
	{NoScript, "noscript"},
	{Blocking, "blocking"},
	{Loading, "loading"},
	{Stale, "stale"},
	{SkipMonitor, "skip_monitor"},
	{SkipSlowlog, "skip_slowlog"},
	{Asking, "asking"},
	{Fast, "fast"},
	{NoAuth, "no_auth"},
	{NoMandatoryKeys, "no_mandatory_keys"},
	{NoAsyncLoading, "no_async_loading"},
	{NoMulti, "no_multi"},
	{AllowBusy, "allow_busy"},
	{MovableKeys, "movablekeys"},
}

var keyFlagNames = []named[KeyFlags]{
	{KeyRO, "RO"},
	{KeyRW, "RW"},
	{KeyOW, "OW"},
	{KeyRM, "RM"},
	{KeyAccess, "access"},
	{KeyUpdate, "update"},
	{KeyInsert, "insert"},
	{KeyDelete, "delete"},
	{KeyNotKey, "not_key"},
	{KeyIncomplete, "incomplete"},
	{KeyVariableFlags, "variable_flags"},
}

// categories are ACL categories, a bit each.
type categories uint32

// categoryNames are in the order in which the reference lists them.
var categoryNames = func() []named[categories] {
	names := []string{
		"@keyspace", "@read", "@write", "@set", "@sortedset", "@list", "@hash", "@string", "@bitmap", "@hyperloglog", "@geo",
		"@stream", "@pubsub", "@admin", "@fast", "@slow", "@blocking", "@dangerous", "@connection", "@transaction", "@scripting",
	}
	list := make([]named[categories], len(names))
	for i, name := range names {
		list[i] = named[categories]{1 << i, name}
	}
	return list
}()

// category returns the bit of the category name, 0 if there is none.
func category(name string) categories {
	for _, c := range categoryNames {
		if c.name[len("@"):] == name {
			return c.bit
		}
	}
	return 0
}

// groupCategories are the categories that a group implies.
var groupCategories = map[string]string{
	"string": "string", "generic": "keyspace", "list": "list", "set": "set", "sorted-set": "sortedset", "hash": "hash",
	"bitmap": "bitmap", "hyperloglog": "hyperloglog", "geo": "geo", "stream": "stream", "pubsub": "pubsub",
	"connection": "connection", "transactions": "transaction", "scripting": "scripting",
}

// aclCategories are the categories of s: those of its group, those that follow
// from its flags, and its own.
func (s *Spec) aclCategories() (is categories) {
	add := func(on bool, name string) {
		if on {
			is |= category(name)
		}
	}
	for _, name := range s.Categories {
		add(true, name)
	}
	add(s.Run != nil, groupCategories[s.Group])
	add(s.Flags&Write != 0, "write")
	add(s.Flags&(Write|ReadOnly) == ReadOnly && s.Group != "scripting", "read")
	add(s.Flags&Admin != 0, "admin")
	add(s.Flags&Admin != 0, "dangerous")
	add(s.Flags&PubSub != 0, "pubsub")
	add(s.Flags&Blocking != 0, "blocking")
	add(s.Flags&Fast != 0, "fast")
	add(s.Flags&Fast == 0, "slow")
	return is
}

// Categories are the names of all categories of rows.
func Categories() []string {
	names := make([]string, len(categoryNames))
	for i, c := range categoryNames {
		names[i] = c.name[len("@"):]
	}
	return names
}

// commandList is COMMAND LIST.
func commandList(c *Call) error {
	keep := func(*Spec) bool { return true }
	switch {
	case len(c.Args) == 2:
	case len(c.Args) != 5 || !IsWord(c.Args[2], "filterby"):
		return resp.ErrSyntax
	case IsWord(c.Args[3], "module"):
		keep = func(*Spec) bool { return false } // there are none
	case IsWord(c.Args[3], "aclcat"):
		wanted := category(strings.ToLower(string(c.Args[4])))
		keep = func(s *Spec) bool { return s.categories&wanted != 0 }
	case IsWord(c.Args[3], "pattern"):
		pattern := []byte(strings.ToLower(string(c.Args[4])))
		keep = func(s *Spec) bool { return Match(pattern, []byte(s.fullName)) }
	default:
		return resp.ErrSyntax
	}
	var room [512]*Spec
	kept := room[:0]
	for _, s := range c.engine.table.list {
		if keep(s) {
			kept = append(kept, s)
		}
	}
	c.Reply.Array(len(kept))
	for _, s := range kept {
		c.Reply.BulkString(s.fullName)
	}
	return nil
}

var (
	errNoSuchCommand = resp.Error("ERR Invalid command specified")
	errNoKeys        = resp.Error("ERR The command has no key arguments")
	errKeyArity      = resp.Error("ERR Invalid number of arguments specified for command")
)

// commandGetKeys is COMMAND GETKEYS and GETKEYSANDFLAGS.
func commandGetKeys(c *Call, withFlags bool) error {
	args := c.Args[2:]
	s := c.engine.table.Lookup(args[0])
	if s == nil {
		return errNoSuchCommand
	}
	if s.subs != nil {
		if s = lookup(s.subs, args[1]); s == nil {
			return errNoSuchCommand
		}
	}
	switch {
	case !s.keyed:
		return errNoKeys
	case s.Arity > 0 && len(args) != s.Arity || len(args) < -s.Arity:
		return errKeyArity
	}
	var room [8]flaggedKey
	keys, err := s.keysWithFlags(args, room[:0])
	if err != nil {
		keys = nil
	}
	if len(keys) == 0 && s.Flags&NoMandatoryKeys == 0 {
		return errInvalidKeys
	}
	c.Reply.Array(len(keys))
	for _, key := range keys {
		if withFlags {
			c.Reply.Array(2)
		}
		c.Reply.Bulk(args[key.at])
		if withFlags {
			replyNames(c.Reply, keyFlagNames, key.flags)
		}
	}
	return nil
}

type flaggedKey struct {
	at    int
	flags KeyFlags
}

// keysWithFlags appends the positions of the keys in args to keys, and what s does
// with each. A spec that finds none is
// an error, unless a word would have to be there that need not be.
func (s *Spec) keysWithFlags(args [][]byte, keys []flaggedKey) ([]flaggedKey, error) {
	if s.KeysOf != nil {
		positions, err := s.KeysOf(args, nil)
		for _, at := range positions {
			keys = append(keys, flaggedKey{at, s.flagsAt(args, at)})
		}
		return keys, err
	}
	for i := range s.Keys {
		k := &s.Keys[i]
		if k.Flags&KeyNotKey != 0 {
			continue
		}
		var room [8]int
		positions, err := k.positions(args, room[:0])
		if err != nil {
			return nil, err
		}
		if len(positions) == 0 && !k.Unknown && k.Keyword == "" {
			return nil, errInvalidKeys
		}
		flags := k.Flags
		if s.FlagsOf != nil {
			flags = s.FlagsOf(args)
		}
		for _, at := range positions {
			keys = append(keys, flaggedKey{at, flags})
		}
	}
	return keys, nil
}

// flagsAt returns the flags of the spec that finds a key at position at.
func (s *Spec) flagsAt(args [][]byte, at int) KeyFlags {
	for i := range s.Keys {
		positions, err := s.Keys[i].positions(args, nil)
		if err == nil && slices.Contains(positions, at) {
			return s.Keys[i].Flags
		}
	}
	// KeysOf found it where no numbers could tell: it is what the last row of
	// that kind is about.
	for _, k := range slices.Backward(s.Keys) {
		if k.Unknown {
			return k.Flags
		}
	}
	return 0
}
