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
				Heavy: Always, Run: commandDocs,
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
				Summary:    "Describes commands.", Categories: []string{"connection"}, Tips: unordered, Heavy: Always,
				Run: func(c *Call) error { return c.replyInfos(c.Args[2:]) },
			},
			{
				Name: "list", Syntax: "[FILTERBY <MODULE module-name | ACLCAT category | PATTERN pattern>]", Arity: -2,
				Flags: flags, Since: "7.0.0", Complexity: "O(N) where N is the number of commands.",
				Summary: "Returns the names of commands.", Categories: []string{"connection"}, Tips: unordered,
				Heavy: Always, Run: commandList,
			},
		},
	}})
}

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
	replyWords(w, flagWords(s.Flags))
	first, last, step := s.legacyRange()
	w.Int(int64(first))
	w.Int(int64(last))
	w.Int(int64(step))
	categories := s.ACLCategories()
	w.Set(len(categories))
	for _, category := range categories {
		w.Simple("@" + category)
	}
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

func replyWords(w *resp.Writer, words []string) {
	w.Set(len(words))
	for _, word := range words {
		w.Simple(word)
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
	replyWords(w, keyFlagWords(k.Flags))

	if k.Unknown {
		for _, part := range []string{"begin_search", "find_keys"} {
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
	names, numbers := []string{"lastkey", "keystep", "limit"}, []int{k.Last, k.Step, k.Limit}
	if k.KeyNum {
		w.BulkString("keynum")
		names, numbers = []string{"keynumidx", "firstkey", "keystep"}, []int{k.KeyNumIndex, k.FirstKey, k.Step}
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

var flagNames = []struct {
	flag Flags
	name string
}{
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

// flagWords are the names that COMMAND INFO gives flags.
func flagWords(flags Flags) []string {
	var words []string
	for _, f := range flagNames {
		if flags&f.flag != 0 {
			words = append(words, f.name)
		}
	}
	return words
}

var keyFlagNames = []struct {
	flag KeyFlags
	name string
}{
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

func keyFlagWords(flags KeyFlags) []string {
	var words []string
	for _, f := range keyFlagNames {
		if flags&f.flag != 0 {
			words = append(words, f.name)
		}
	}
	return words
}

// categoryOrder is the order in which the reference lists categories.
var categoryOrder = []string{
	"keyspace", "read", "write", "set", "sortedset", "list", "hash", "string", "bitmap", "hyperloglog", "geo",
	"stream", "pubsub", "admin", "fast", "slow", "blocking", "dangerous", "connection", "transaction", "scripting",
}

// groupCategories are the categories that a group implies.
var groupCategories = map[string]string{
	"string": "string", "generic": "keyspace", "list": "list", "set": "set", "sorted-set": "sortedset", "hash": "hash",
	"bitmap": "bitmap", "hyperloglog": "hyperloglog", "geo": "geo", "stream": "stream", "pubsub": "pubsub",
	"connection": "connection", "transactions": "transaction", "scripting": "scripting",
}

// ACLCategories are the categories of s without the "@": those of its group,
// those that follow from its flags, and its own.
func (s *Spec) ACLCategories() []string {
	has := make(map[string]bool, 6)
	for _, category := range s.Categories {
		has[category] = true
	}
	if s.Run != nil {
		has[groupCategories[s.Group]] = true
	}
	switch {
	case s.Flags&Write != 0:
		has["write"] = true
	case s.Flags&ReadOnly != 0 && s.Group != "scripting":
		has["read"] = true
	}
	has["admin"] = has["admin"] || s.Flags&Admin != 0
	has["dangerous"] = has["dangerous"] || s.Flags&Admin != 0
	has["pubsub"] = has["pubsub"] || s.Flags&PubSub != 0
	has["blocking"] = s.Flags&Blocking != 0
	has["fast"] = s.Flags&Fast != 0
	has["slow"] = s.Flags&Fast == 0
	var categories []string
	for _, category := range categoryOrder {
		if has[category] {
			categories = append(categories, category)
		}
	}
	return categories
}

// Categories are the names of all categories of rows.
func Categories() []string { return slices.Clone(categoryOrder) }

// commandList is COMMAND LIST.
func commandList(c *Call) error {
	keep := func(*Spec) bool { return true }
	switch {
	case len(c.Args) == 2:
	case len(c.Args) != 5 || !isWord(c.Args[2], "filterby"):
		return resp.ErrSyntax
	case isWord(c.Args[3], "module"):
		keep = func(*Spec) bool { return false } // there are none
	case isWord(c.Args[3], "aclcat"):
		category := strings.ToLower(string(c.Args[4]))
		keep = func(s *Spec) bool { return slices.Contains(s.ACLCategories(), category) }
	case isWord(c.Args[3], "pattern"):
		pattern := []byte(strings.ToLower(string(c.Args[4])))
		keep = func(s *Spec) bool { return Match(pattern, []byte(s.fullName)) }
	default:
		return resp.ErrSyntax
	}
	var names []string
	for _, s := range c.engine.table.list {
		if keep(s) {
			names = append(names, s.fullName)
		}
	}
	c.Reply.Array(len(names))
	for _, name := range names {
		c.Reply.BulkString(name)
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
		if sub := lookup(s.subs, args[1]); sub != nil {
			s = sub
		} else if s.Run == nil {
			return errNoSuchCommand
		}
	}
	switch {
	case !s.keyed:
		return errNoKeys
	case s.Arity > 0 && len(args) != s.Arity || len(args) < -s.Arity:
		return errKeyArity
	}
	keys, err := s.keysWithFlags(args)
	switch {
	case err != nil:
		return errInvalidKeys
	case len(keys) == 0 && s.Flags&NoMandatoryKeys == 0:
		return errNoKeys
	}
	c.Reply.Array(len(keys))
	for _, key := range keys {
		if withFlags {
			c.Reply.Array(2)
		}
		c.Reply.Bulk(args[key.at])
		if withFlags {
			replyWords(c.Reply, keyFlagWords(key.flags))
		}
	}
	return nil
}

type flaggedKey struct {
	at    int
	flags KeyFlags
}

// keysWithFlags returns the positions of the keys in args and what s does with
// each.
func (s *Spec) keysWithFlags(args [][]byte) ([]flaggedKey, error) {
	var keys []flaggedKey
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
		positions, err := k.positions(args, nil)
		if err != nil {
			return nil, err
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
