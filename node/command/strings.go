package command

import (
	"bytes"
	"math"
	"strconv"

	"slotmesh/node/resp"
	"slotmesh/node/store"
	"slotmesh/node/store/value"
)

// The key specs that most rows share.
var (
	readsKey    = []KeySpec{{Flags: KeyRO | KeyAccess, Begin: 1, Step: 1}}
	insertsKey  = []KeySpec{{Flags: KeyRW | KeyInsert, Begin: 1, Step: 1}}
	updatesKey  = []KeySpec{{Flags: KeyRW | KeyUpdate, Begin: 1, Step: 1}}
	replacesKey = []KeySpec{{Flags: KeyOW | KeyUpdate, Begin: 1, Step: 1}}
	countsKey   = []KeySpec{{Flags: KeyRW | KeyAccess | KeyUpdate, Begin: 1, Step: 1}}
)

// Strings are the rows of string values.
func Strings() []Spec {
	return inGroup("string", []Spec{
		{
			Name: "append", Syntax: "key value", Arity: 3, Flags: Write | DenyOOM | Fast, Keys: insertsKey,
			Since: "2.0.0", Complexity: "O(1) amortized: space is doubled when it runs out.",
			Summary: "Adds text to the end of a string, which is made if need be.", Run: runAppend,
		},
		{
			Name: "decr", Syntax: "key", Arity: 2, Flags: Write | DenyOOM | Fast, Keys: countsKey,
			Since: "1.0.0", Complexity: "O(1)", Summary: "Takes one from the number in a string.",
			Run: func(c *Call) error { return increment(c, -1) },
		},
		{
			Name: "decrby", Syntax: "key decrement", Arity: 3, Flags: Write | DenyOOM | Fast, Keys: countsKey,
			Since: "1.0.0", Complexity: "O(1)", Summary: "Takes an amount from the number in a string.", Run: runDecrBy,
		},
		{
			Name: "delifeq", Syntax: "key value", Arity: 3, Flags: Write,
			Keys:  []KeySpec{{Flags: KeyRM | KeyAccess | KeyDelete, Begin: 1, Step: 1}},
			Since: "9.0.0", Complexity: "O(1)", Summary: "Deletes a key if its string is the one given.", Run: runDelIfEq,
		},
		{
			Name: "get", Syntax: "key", Arity: 2, Flags: ReadOnly | Fast, Keys: readsKey,
			Since: "1.0.0", Complexity: "O(1)", Summary: "Returns the string of a key.", Run: runGet,
		},
		{
			Name: "getdel", Syntax: "key", Arity: 2, Flags: Write | Fast,
			Keys:  []KeySpec{{Flags: KeyRW | KeyAccess | KeyDelete, Begin: 1, Step: 1}},
			Since: "6.2.0", Complexity: "O(1)", Summary: "Returns the string of a key and deletes the key.", Run: runGetDel,
		},
		{
			Name:   "getex",
			Syntax: "key [EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST]",
			Arity:  -2, Flags: Write | Fast,
			Keys:  []KeySpec{{Flags: KeyRW | KeyAccess | KeyUpdate, Notes: "changes the expiry, and not the value", Begin: 1, Step: 1}},
			Since: "6.2.0", Complexity: "O(1)", Summary: "Returns the string of a key and sets or ends its expiry.", Run: runGetEx,
		},
		{
			Name: "getrange", Syntax: "key start end", Arity: 4, Flags: ReadOnly, Keys: readsKey,
			Since: "2.4.0", Complexity: "O(N) where N is the length of what is returned.",
			Summary: "Returns a part of a string.", Run: runGetRange,
		},
		{
			Name: "getset", Syntax: "key value", Arity: 3, Flags: Write | DenyOOM | Fast, Keys: countsKey,
			Since: "1.0.0", Complexity: "O(1)", Summary: "Sets the string of a key and returns what it was.", Run: runGetSet,
			Deprecated: "6.2.0", ReplacedBy: "`SET` with the `!GET` argument",
		},
		{
			Name: "incr", Syntax: "key", Arity: 2, Flags: Write | DenyOOM | Fast, Keys: countsKey,
			Since: "1.0.0", Complexity: "O(1)", Summary: "Adds one to the number in a string.",
			Run: func(c *Call) error { return increment(c, 1) },
		},
		{
			Name: "incrby", Syntax: "key increment", Arity: 3, Flags: Write | DenyOOM | Fast, Keys: countsKey,
			Since: "1.0.0", Complexity: "O(1)", Summary: "Adds an amount to the number in a string.", Run: runIncrBy,
		},
		{
			Name: "incrbyfloat", Syntax: "key increment:double", Arity: 3, Flags: Write | DenyOOM | Fast, Keys: countsKey,
			Since: "2.6.0", Complexity: "O(1)", Summary: "Adds a fraction to the number in a string.", Run: runIncrByFloat,
		},
		{
			Name:   "lcs",
			Syntax: "key1 key2 [LEN] [IDX] [MINMATCHLEN len] [WITHMATCHLEN]",
			Arity:  -3, Flags: ReadOnly, Keys: []KeySpec{{Flags: KeyRO | KeyAccess, Begin: 1, Last: 1, Step: 1}},
			Since: "7.0.0", Complexity: "O(N*M) where N and M are the lengths of the two strings.",
			Summary: "Finds the longest subsequence that two strings have in common.", Run: runLCS, Sized: true, Squared: true,
		},
		{
			Name: "mget", Syntax: "key [key ...]", Arity: -2, Flags: ReadOnly | Fast,
			Keys:  []KeySpec{{Flags: KeyRO | KeyAccess, Begin: 1, Last: -1, Step: 1}},
			Since: "1.0.0", Complexity: "O(N) where N is the number of keys.", Summary: "Returns the strings of several keys.",
			Tips: []string{"request_policy:multi_shard"}, Run: runMGet, Heavy: manyArgs,
		},
		{
			Name: "mset", Syntax: "key value [key value ...]", Arity: -3, Flags: Write | DenyOOM,
			Keys:  []KeySpec{{Flags: KeyOW | KeyUpdate, Begin: 1, Last: -1, Step: 2}},
			Since: "1.0.1", Complexity: "O(N) where N is the number of keys.", Summary: "Sets the strings of several keys at once.",
			Tips: []string{"request_policy:multi_shard", "response_policy:all_succeeded"}, Run: runMSet, Heavy: manyArgs,
		},
		{
			Name: "msetnx", Syntax: "key value [key value ...]", Arity: -3, Flags: Write | DenyOOM,
			Keys:  []KeySpec{{Flags: KeyOW | KeyInsert, Begin: 1, Last: -1, Step: 2}},
			Since: "1.0.1", Complexity: "O(N) where N is the number of keys.",
			Summary: "Sets the strings of several keys, if none of them exists.",
			Tips:    []string{"request_policy:multi_shard", "response_policy:agg_min"}, Run: runMSetNX, Heavy: manyArgs,
		},
		{
			Name: "psetex", Syntax: "key milliseconds value", Arity: 4, Flags: Write | DenyOOM, Keys: replacesKey,
			Since: "2.6.0", Complexity: "O(1)", Summary: "Sets the string of a key and its expiry in milliseconds.",
			Run: func(c *Call) error { return setWithExpiry(c, 1) },
		},
		{
			Name: "set",
			Syntax: "key value [NX | XX | IFEQ comparison-value] [GET] [EX seconds | PX milliseconds | EXAT unix-time-seconds |" +
				" PXAT unix-time-milliseconds | KEEPTTL]",
			Arity: -3, Flags: Write | DenyOOM,
			Keys: []KeySpec{{
				Flags: KeyRW | KeyAccess | KeyUpdate | KeyVariableFlags,
				Notes: "reads the old value with GET and IFEQ only", Begin: 1, Step: 1,
			}},
			FlagsOf: func(args [][]byte) KeyFlags {
				if o, err := parseSetOptions(args[3:], true); err == nil && (o.get || o.ifEqual) {
					return KeyRW | KeyAccess | KeyUpdate
				}
				return KeyOW | KeyUpdate
			},
			Since: "1.0.0", Complexity: "O(1)", Summary: "Sets the string of a key, whatever it held before.", Run: runSet,
		},
		{
			Name: "setex", Syntax: "key seconds value", Arity: 4, Flags: Write | DenyOOM, Keys: replacesKey,
			Since: "2.0.0", Complexity: "O(1)", Summary: "Sets the string of a key and its expiry in seconds.",
			Run: func(c *Call) error { return setWithExpiry(c, 1000) },
		},
		{
			Name: "setnx", Syntax: "key value", Arity: 3, Flags: Write | DenyOOM | Fast,
			Keys:  []KeySpec{{Flags: KeyOW | KeyInsert, Begin: 1, Step: 1}},
			Since: "1.0.0", Complexity: "O(1)", Summary: "Sets the string of a key that does not exist yet.", Run: runSetNX,
		},
		{
			Name: "setrange", Syntax: "key offset value", Arity: 4, Flags: Write | DenyOOM, Keys: updatesKey,
			Since: "2.2.0", Complexity: "O(M) where M is the length of the value, when no space is needed; else of the whole string.",
			Summary: "Overwrites a part of a string.", Run: runSetRange, Heavy: farOffset,
		},
		{
			Name: "strlen", Syntax: "key", Arity: 2, Flags: ReadOnly | Fast,
			Keys:  []KeySpec{{Flags: KeyRO, Begin: 1, Step: 1}},
			Since: "2.2.0", Complexity: "O(1)", Summary: "Returns the length of a string.", Run: runStrLen,
		},
		{
			Name: "substr", Syntax: "key start end", Arity: 4, Flags: ReadOnly, Keys: readsKey,
			Since: "1.0.0", Complexity: "O(N) where N is the length of what is returned.",
			Summary: "Returns a part of a string, under its first name.", Run: runGetRange,
			Deprecated: "2.0.0", ReplacedBy: "`GETRANGE`",
		},
	})
}

// inGroup sets the group of rows.
func inGroup(group string, rows []Spec) []Spec {
	for i := range rows {
		rows[i].Group = group
		for j := range rows[i].Sub {
			rows[i].Sub[j].Group = group
		}
	}
	return rows
}

// farOffset is the Heavy of SETRANGE, which may have to fill all that lies before
// its offset: with seven digits, a megabyte and more.
func farOffset(c *Call) bool { return len(c.Args) > 2 && len(c.Args[2]) > 6 }

// manyArgs is the Heavy of commands whose work grows with their keys.
func manyArgs(c *Call) bool { return len(c.Args) > 512 }

// replyString answers with the string of ref, or null. It returns ErrLong, and has
// answered nothing, if the string is too long for a loop.
func replyString(c *Call, ref store.Ref) error {
	if !ref.OK() {
		c.Reply.Null()
		return nil
	}
	text, n, isInt := ref.Text()
	if isInt {
		text = c.Number(n)
	}
	if c.tooLong(len(text), loopBytes) {
		return ErrLong
	}
	c.Reply.Bulk(text)
	return nil
}

func runGet(c *Call) error {
	ref := c.Read(c.Args[1])
	if err := isKind(ref, value.KindString); err != nil {
		return err
	}
	return replyString(c, ref)
}

func runStrLen(c *Call) error {
	ref := c.Read(c.Args[1])
	if err := isKind(ref, value.KindString); err != nil {
		return err
	}
	if !ref.OK() {
		c.Reply.Int(0)
		return nil
	}
	c.Reply.Int(int64(ref.Value().TextLen()))
	return nil
}

func runMGet(c *Call) error {
	mark := len(c.Reply.Buf)
	c.Reply.Array(len(c.Args) - 1)
	for i, key := range c.Args[1:] {
		ref := c.Read(key)
		if ref.OK() && ref.Kind() != value.KindString {
			ref = store.Ref{}
		}
		if replyString(c, ref) != nil || c.tooLong(len(c.Reply.Buf)-mark, loopBytes) {
			c.Reply.Buf = c.Reply.Buf[:mark]
			// Only the first run counts and marks what it looks up.
			for _, key := range c.Args[i+2:] {
				c.Read(key)
			}
			return ErrLong
		}
	}
	return nil
}

// setOptions are the options of SET and GETEX.
type setOptions struct {
	nx, xx, get, keepTTL, persist bool
	// ifEqual is true with IFEQ, and equal what the key's string must be. The
	// option is Valkey's.
	ifEqual bool
	equal   []byte
	// expiry is the option word and its argument, nil without one.
	word, amount []byte
}

// parseSetOptions reads words; allowed are the ones that only one of the two
// commands has.
func parseSetOptions(words [][]byte, isSet bool) (o setOptions, err error) {
	for i := 0; i < len(words); i++ {
		word := words[i]
		switch {
		case isSet && IsWord(word, "nx") && !o.xx && !o.ifEqual:
			o.nx = true
		case isSet && IsWord(word, "xx") && !o.nx && !o.ifEqual:
			o.xx = true
		case isSet && IsWord(word, "ifeq") && !o.nx && !o.xx && !o.ifEqual && i+1 < len(words):
			o.ifEqual, o.equal = true, words[i+1]
			i++
		case isSet && IsWord(word, "get"):
			o.get = true
		case isSet && IsWord(word, "keepttl") && o.word == nil:
			o.keepTTL = true
		case !isSet && IsWord(word, "persist") && o.word == nil:
			o.persist = true
		case (IsWord(word, "ex") || IsWord(word, "px") || IsWord(word, "exat") || IsWord(word, "pxat")) &&
			!o.keepTTL && !o.persist && (o.word == nil || isSame(o.word, word)) && i+1 < len(words):
			o.word, o.amount = word, words[i+1]
			i++
		default:
			return o, resp.ErrSyntax
		}
	}
	return o, nil
}

// deadline returns the absolute time that the options set, 0 for none.
func (o *setOptions) deadline(c *Call) (int64, error) {
	if o.word == nil {
		return 0, nil
	}
	unit, base := int64(1), c.Now
	if IsWord(o.word[:2], "ex") {
		unit = 1000
	}
	if len(o.word) == 4 {
		base = 0
	}
	return parseDeadline(c, o.amount, unit, base)
}

// parseDeadline reads amount in unit milliseconds after base: it must be
// positive and must not overflow.
func parseDeadline(c *Call, amount []byte, unit, base int64) (int64, error) {
	n, ok := value.ParseInt(amount)
	if !ok {
		return 0, resp.ErrNotInteger
	}
	if n <= 0 || n > math.MaxInt64/unit || n*unit > math.MaxInt64-base {
		return 0, errExpireTime(c)
	}
	return n*unit + base, nil
}

func errExpireTime(c *Call) error {
	return resp.Errf("ERR invalid expire time in '", c.Spec.FullName(), "' command")
}

var (
	wordSet       = []byte("SET")
	wordPXAT      = []byte("PXAT")
	wordKeepTTL   = []byte("KEEPTTL")
	wordPExpireAt = []byte("PEXPIREAT")
	wordPersist   = []byte("PERSIST")
)

func runSet(c *Call) error {
	key, text := c.Args[1], c.Args[2]
	if len(c.Args) == 3 {
		c.Put(key, value.StringValue(text), false)
		c.Changed(key)
		c.Reply.OK()
		return nil
	}
	o, err := parseSetOptions(c.Args[3:], true)
	if err != nil {
		return err
	}
	at, err := o.deadline(c)
	if err != nil {
		return err
	}
	var ref store.Ref
	if o.get {
		ref = c.Read(key)
		if err := isKind(ref, value.KindString); err != nil {
			return err
		}
		if err := replyString(c, ref); err != nil {
			return err
		}
	} else if o.nx || o.xx || o.keepTTL || o.ifEqual {
		ref = c.Peek(key) // Put marks the access
	}
	if o.ifEqual {
		if err := isKind(ref, value.KindString); err != nil {
			return err
		}
	}
	if o.nx && ref.OK() || o.xx && !ref.OK() || o.ifEqual && !holds(ref, o.equal) {
		if ref.OK() {
			ref.Touch(c.Now)
		}
		if !o.get {
			c.Reply.Null()
		}
		return nil
	}
	if at > 0 {
		c.PutUntil(key, value.StringValue(text), at)
	} else {
		c.Put(key, value.StringValue(text), o.keepTTL)
	}
	c.Changed(key)
	if !o.get {
		c.Reply.OK()
	}
	switch {
	case at > 0 && (o.ifEqual || !IsWord(o.word, "pxat")):
		c.Effect(wordSet, key, text, wordPXAT, c.Number(at))
	case o.ifEqual && o.keepTTL:
		c.Effect(wordSet, key, text, wordKeepTTL)
	case o.ifEqual:
		// Replicas and files need not know the option.
		c.Effect(wordSet, key, text)
	case o.get:
		// The journal has no use for the old text.
		c.effectWithout("get")
	}
	return nil
}

// effectWithout journals the command without the option word.
func (c *Call) effectWithout(word string) {
	args := make([][]byte, 0, len(c.Args))
	for i, arg := range c.Args {
		if i >= 3 && IsWord(arg, word) {
			continue
		}
		args = append(args, arg)
	}
	c.Effect(args...)
}

func setWithExpiry(c *Call, unit int64) error {
	key, text := c.Args[1], c.Args[3]
	at, err := parseDeadline(c, c.Args[2], unit, c.Now)
	if err != nil {
		return err
	}
	c.PutUntil(key, value.StringValue(text), at)
	c.Changed(key)
	c.Effect(wordSet, key, text, wordPXAT, c.Number(at))
	c.Reply.OK()
	return nil
}

func runSetNX(c *Call) error {
	key := c.Args[1]
	if c.Write(key).OK() {
		c.Reply.Int(0)
		return nil
	}
	c.Put(key, value.StringValue(c.Args[2]), false)
	c.Changed(key)
	c.Reply.Int(1)
	return nil
}

func runGetSet(c *Call) error {
	key, text := c.Args[1], c.Args[2]
	ref := c.Read(key)
	if err := isKind(ref, value.KindString); err != nil {
		return err
	}
	if err := replyString(c, ref); err != nil {
		return err
	}
	c.Put(key, value.StringValue(text), false)
	c.Changed(key)
	c.Effect(wordSet, key, text)
	return nil
}

func runGetDel(c *Call) error {
	key := c.Args[1]
	ref := c.Read(key)
	if err := isKind(ref, value.KindString); err != nil {
		return err
	}
	if err := replyString(c, ref); err != nil {
		return err
	}
	if ref.OK() {
		c.Delete(key)
		c.Changed(key)
		c.Effect(wordDel, key)
	}
	return nil
}

// runDelIfEq is Valkey's DELIFEQ.
func runDelIfEq(c *Call) error {
	key := c.Args[1]
	ref := c.Write(key)
	if err := isKind(ref, value.KindString); err != nil {
		return err
	}
	if !holds(ref, c.Args[2]) {
		c.Reply.Int(0)
		return nil
	}
	c.Delete(key)
	c.Changed(key)
	c.Effect(wordDel, key)
	c.Reply.Int(1)
	return nil
}

// holds reports whether ref is there and its string is text, byte by byte.
func holds(ref store.Ref, text []byte) bool {
	if !ref.OK() {
		return false
	}
	own, n, isInt := ref.Text()
	if isInt {
		// Only a number's one spelling is kept as a number.
		var digits [20]byte
		own = strconv.AppendInt(digits[:0], n, 10)
	}
	return bytes.Equal(own, text)
}

func runGetEx(c *Call) error {
	key := c.Args[1]
	o, err := parseSetOptions(c.Args[2:], false)
	if err != nil {
		return err
	}
	ref := c.Read(key)
	if !ref.OK() {
		c.Reply.Null()
		return nil
	}
	if err := isKind(ref, value.KindString); err != nil {
		return err
	}
	at, err := o.deadline(c)
	if err != nil {
		return err
	}
	if err := replyString(c, ref); err != nil {
		return err
	}
	switch {
	case at > 0 && len(o.word) == 4 && c.alreadyExpired(at):
		c.Delete(key)
		c.Changed(key)
		c.Effect(c.expiryWord(), key)
	case at > 0:
		ref.SetExpire(at)
		c.Changed(key)
		c.Effect(wordPExpireAt, key, c.Number(at))
	case o.persist && ref.Expires():
		ref.SetExpire(0)
		c.Changed(key)
		c.Effect(wordPersist, key)
	}
	return nil
}

// checkLength refuses a string longer than a client could be sent, unless it is so long
// elsewhere already.
func checkLength(c *Call, size, grown int64) error {
	if total := size + grown; !c.Applied && total > c.engine.maxBulk.Load() || total < size {
		return resp.ErrStringTooLong
	}
	return nil
}

func runAppend(c *Call) error {
	key, tail := c.Args[1], c.Args[2]
	ref := c.Write(key)
	if !ref.OK() {
		c.Put(key, value.StringValue(tail), false)
		c.Changed(key)
		c.Reply.Int(int64(len(tail)))
		return nil
	}
	if err := isKind(ref, value.KindString); err != nil {
		return err
	}
	if err := checkLength(c, int64(ref.Value().TextLen()), int64(len(tail))); err != nil {
		return err
	}
	size := ref.Append(tail)
	c.Changed(key)
	c.Reply.Int(int64(size))
	return nil
}

func runSetRange(c *Call) error {
	key, data := c.Args[1], c.Args[3]
	offset, ok := value.ParseInt(c.Args[2])
	if !ok {
		return resp.ErrNotInteger
	}
	if offset < 0 {
		return resp.ErrOffsetRange
	}
	ref := c.Write(key)
	if err := isKind(ref, value.KindString); err != nil {
		return err
	}
	if len(data) == 0 {
		size := 0
		if ref.OK() {
			size = ref.Value().TextLen()
		}
		c.Reply.Int(int64(size))
		return nil
	}
	if err := checkLength(c, offset, int64(len(data))); err != nil {
		return err
	}
	if !ref.OK() {
		ref = c.Put(key, value.RawValue(nil), false)
	}
	content := ref.Extend(int(offset) + len(data))
	copy(content[offset:], data)
	c.Changed(key)
	c.Reply.Int(int64(len(content)))
	return nil
}

func runGetRange(c *Call) error {
	start, ok := value.ParseInt(c.Args[2])
	if !ok {
		return resp.ErrNotInteger
	}
	end, ok := value.ParseInt(c.Args[3])
	if !ok {
		return resp.ErrNotInteger
	}
	ref := c.Read(c.Args[1])
	if err := isKind(ref, value.KindString); err != nil {
		return err
	}
	if !ref.OK() {
		c.Reply.Bulk(nil)
		return nil
	}
	text := c.text(ref.Value())
	size := int64(len(text))
	if start < 0 && end < 0 && start > end {
		c.Reply.Bulk(nil)
		return nil
	}
	if start < 0 {
		start = max(start+size, 0)
	}
	if end < 0 {
		end = max(end+size, 0)
	}
	end = min(end, size-1)
	if start > end || size == 0 {
		c.Reply.Bulk(nil)
		return nil
	}
	if c.tooLong(int(end+1-start), loopBytes) {
		return ErrLong
	}
	c.Reply.Bulk(text[start : end+1])
	return nil
}

func runMSet(c *Call) error {
	if len(c.Args)%2 == 0 {
		return resp.WrongArity(c.Spec.FullName())
	}
	setPairs(c)
	c.Reply.OK()
	return nil
}

func runMSetNX(c *Call) error {
	if len(c.Args)%2 == 0 {
		return resp.WrongArity(c.Spec.FullName())
	}
	for i := 1; i < len(c.Args); i += 2 {
		if c.Write(c.Args[i]).OK() {
			c.Reply.Int(0)
			return nil
		}
	}
	setPairs(c)
	c.Reply.Int(1)
	return nil
}

func setPairs(c *Call) {
	for i := 1; i < len(c.Args); i += 2 {
		c.Put(c.Args[i], value.StringValue(c.Args[i+1]), false)
		c.Changed(c.Args[i])
	}
}

func runIncrBy(c *Call) error {
	by, ok := value.ParseInt(c.Args[2])
	if !ok {
		return resp.ErrNotInteger
	}
	return increment(c, by)
}

func runDecrBy(c *Call) error {
	by, ok := value.ParseInt(c.Args[2])
	if !ok {
		return resp.ErrNotInteger
	}
	if by == math.MinInt64 {
		return resp.Error("ERR decrement would overflow")
	}
	return increment(c, -by)
}

func increment(c *Call, by int64) error {
	key := c.Args[1]
	ref := c.Write(key)
	if err := isKind(ref, value.KindString); err != nil {
		return err
	}
	old := int64(0)
	if ref.OK() {
		text, n, isInt := ref.Text()
		if !isInt {
			if n, isInt = value.ParseInt(text); !isInt {
				return resp.ErrNotInteger
			}
		}
		old = n
	}
	if by < 0 && old < math.MinInt64-by || by > 0 && old > math.MaxInt64-by {
		return resp.ErrOverflow
	}
	if ref.OK() {
		ref.SetInt(old + by)
	} else {
		c.Put(key, value.IntValue(by), false)
	}
	c.Changed(key)
	c.Reply.Int(old + by)
	return nil
}

func runIncrByFloat(c *Call) error {
	key := c.Args[1]
	ref := c.Write(key)
	if err := isKind(ref, value.KindString); err != nil {
		return err
	}
	var old extended
	if ref.OK() {
		var ok bool
		if old, ok = readExtended(c.text(ref.Value())); !ok {
			return resp.ErrNotFloat
		}
	}
	by, ok := readExtended(c.Args[2])
	if !ok {
		return resp.ErrNotFloat
	}
	sum, ok := old.plus(by)
	if !ok {
		return resp.ErrNaNOrInfinity
	}
	from := len(c.arena)
	c.arena = sum.appendTo(c.arena)
	text := c.arena[from:len(c.arena):len(c.arena)]
	if ref.OK() {
		ref.SetValue(value.TextValue(text))
	} else {
		c.Put(key, value.TextValue(text), false)
	}
	c.Changed(key)
	c.Effect(wordSet, key, text, wordKeepTTL)
	c.Reply.Bulk(text)
	return nil
}
