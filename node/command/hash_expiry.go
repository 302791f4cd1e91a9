package command

import (
	"slotmesh/node/journal"
	"slotmesh/node/resp"
	"slotmesh/node/store"
	"slotmesh/node/store/hash"
	"slotmesh/node/store/value"
)

// This file is the commands on the deadlines of single fields, as Redis 7.4 and
// 8.0 define them.

func hashExpiryRows() []Spec {
	const fields = " FIELDS numfields field [field ...]"
	const perField = "O(N) where N is the number of fields given."
	const expiry = "EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds"
	expire := func(name, amount, summary string, unit int64, relative bool) Spec {
		return Spec{
			Name: name, Syntax: "key " + amount + " [NX | XX | GT | LT]" + fields, Arity: -6, Flags: Write | DenyOOM | Fast, Keys: updatesKey,
			Since: "7.4.0", Complexity: perField, Summary: summary, Heavy: manyArgs,
			Run: func(c *Call) error { return runHExpire(c, unit, relative) },
		}
	}
	ttl := func(name, summary string, tips []string, read func(c *Call, at int64) int64) Spec {
		return Spec{
			Name: name, Syntax: "key" + fields, Arity: -5, Flags: ReadOnly | Fast, Keys: readsKey,
			Since: "7.4.0", Complexity: perField, Summary: summary, Tips: tips, Heavy: manyArgs,
			Run: func(c *Call) error { return fieldTimes(c, read) },
		}
	}
	chance := []string{"nondeterministic_output"}
	return []Spec{
		expire("hexpire", "seconds", "Sets when fields end, in seconds from now.", 1000, true),
		expire("hexpireat", "unix-time-seconds", "Sets when fields end, as a Unix time.", 1000, false),
		ttl("hexpiretime", "Returns when fields end, as a Unix time.", nil, func(_ *Call, at int64) int64 { return secondsUp(at) }),
		{
			Name: "hgetdel", Syntax: "key" + fields, Arity: -5, Flags: Write | Fast,
			Keys:  []KeySpec{{Flags: KeyRW | KeyAccess | KeyDelete, Begin: 1, Step: 1}},
			Since: "8.0.0", Complexity: perField, Summary: "Returns the values of fields and deletes the fields.",
			Run: runHGetDel, Heavy: manyArgs,
		},
		{
			Name: "hgetex", Syntax: "key [" + expiry + " | PERSIST]" + fields, Arity: -5, Flags: Write | Fast,
			Keys:  []KeySpec{{Flags: KeyRW | KeyAccess | KeyUpdate, Notes: "changes the expiry, and not the values", Begin: 1, Step: 1}},
			Since: "8.0.0", Complexity: perField, Summary: "Returns the values of fields and sets or ends their expiry.",
			Run: runHGetEx, Heavy: manyArgs,
		},
		{
			Name: "hpersist", Syntax: "key" + fields, Arity: -5, Flags: Write | Fast, Keys: updatesKey,
			Since: "7.4.0", Complexity: perField, Summary: "Takes the expiry of fields away.", Run: runHPersist, Heavy: manyArgs,
		},
		expire("hpexpire", "milliseconds", "Sets when fields end, in milliseconds from now.", 1, true),
		expire("hpexpireat", "unix-time-milliseconds", "Sets when fields end, as a Unix time in milliseconds.", 1, false),
		ttl("hpexpiretime", "Returns when fields end, as a Unix time in milliseconds.", nil, func(_ *Call, at int64) int64 { return at }),
		ttl("hpttl", "Returns how long fields have left, in milliseconds.", chance, func(c *Call, at int64) int64 { return max(at-c.Now, 0) }),
		{
			Name:   "hsetex",
			Syntax: "key [FNX | FXX] [" + expiry + " | KEEPTTL] FIELDS numfields field value [field value ...]",
			Arity:  -6, Flags: Write | DenyOOM | Fast, Keys: updatesKey,
			Since: "8.0.0", Complexity: perField, Summary: "Sets fields of a hash together with their expiry.",
			Run: runHSetEx, Heavy: manyArgs,
		},
		ttl("httl", "Returns how long fields have left, in seconds.", chance, func(c *Call, at int64) int64 { return secondsUp(max(at-c.Now, 0)) }),
	}
}

// secondsUp turns milliseconds into seconds, any part of one counting whole: that
// is how fields differ from keys.
func secondsUp(ms int64) int64 { return (ms + 999) / 1000 }

// Codes that are answered for a field.
const (
	fieldMissing    = -2
	fieldNoDeadline = -1
	fieldRefused    = 0
	fieldChanged    = 1
	fieldDeleted    = 2
)

const (
	errFieldsWord   = resp.Error("ERR Mandatory argument FIELDS is missing or not at the right position")
	errFieldsNumber = resp.Error("ERR Number of fields must be a positive integer")
	errFieldsMatch  = resp.Error("ERR The `numfields` parameter must match the number of arguments")
	errFieldsZero   = resp.Error("ERR Parameter `numFields` should be greater than 0")
	errFieldsBad    = resp.Error("ERR invalid number of fields")
	errPastTime     = resp.Error("ERR invalid expire time, must be >= 0")
)

// parseFields reads FIELDS numfields field … at args[at], which must be all that
// is left. bad is what is said of a number that is none.
func parseFields(c *Call, at int, bad error) ([][]byte, error) {
	if at >= len(c.Args) || !IsWord(c.Args[at], "fields") {
		return nil, errFieldsWord
	}
	if at+1 == len(c.Args) {
		return nil, resp.WrongArity(c.Spec.FullName())
	}
	n, ok := value.ParseInt(c.Args[at+1])
	if !ok || n < 1 {
		return nil, bad
	}
	fields := c.Args[at+2:]
	if n != int64(len(fields)) {
		return nil, errFieldsMatch
	}
	return fields, nil
}

// maxFieldTime is the latest deadline of a field: the reference keeps it in 46
// bits.
const maxFieldTime = 1<<46 - 1

// fieldDeadline reads a time in units of unit milliseconds, from now on if it is
// relative.
func fieldDeadline(c *Call, text []byte, unit int64, relative bool) (int64, error) {
	n, ok := value.ParseInt(text)
	if !ok {
		return 0, resp.ErrNotInteger
	}
	if n < 0 {
		return 0, errPastTime
	}
	base := int64(0)
	if relative {
		base = c.Now
	}
	if n > maxFieldTime/unit || n*unit > maxFieldTime-base {
		return 0, errExpireTime(c)
	}
	return n*unit + base, nil
}

// fieldList gathers the fields that a command changed, at the place where effects
// keep their arguments: they become those of one effect, behind room for others.
type fieldList struct{ from, n int }

// listRoom is how many arguments come before the fields at most.
const listRoom = 6

func (c *Call) newFieldList() fieldList {
	from := len(c.effectArgs)
	var room [listRoom][]byte
	c.effectArgs = append(c.effectArgs, room[:]...)
	return fieldList{from: from}
}

func (f *fieldList) add(c *Call, field []byte) {
	c.effectArgs = append(c.effectArgs, field)
	f.n++
}

// effect makes first and the fields the effect of the command.
func (f *fieldList) effect(c *Call, first ...[]byte) {
	c.replaced = true
	if c.Applied || !c.engine.journal.Active() {
		return
	}
	args := c.effectArgs[f.from+listRoom-len(first):]
	copy(args, first)
	c.effects = append(c.effects, journal.Effect{DB: c.DB, Slot: c.effectSlot(), Args: args[:len(args):len(args)]})
}

// fieldCodes answers the same code for each of n fields.
func fieldCodes(c *Call, n int, code int64) error {
	c.Reply.Array(n)
	for range n {
		c.Reply.Int(code)
	}
	return nil
}

var (
	wordHPExpireAt = []byte("HPEXPIREAT")
	wordHPersist   = []byte("HPERSIST")
)

func runHExpire(c *Call, unit int64, relative bool) error {
	key := c.Args[1]
	ref, err := c.WriteKind(key, value.KindHash)
	if err != nil {
		return err
	}
	at, err := fieldDeadline(c, c.Args[2], unit, relative)
	if err != nil {
		return err
	}
	var condition expireCondition
	from := 3
	switch word := c.Args[3]; {
	case IsWord(word, "nx"):
		condition.nx, from = true, 4
	case IsWord(word, "xx"):
		condition.xx, from = true, 4
	case IsWord(word, "gt"):
		condition.gt, from = true, 4
	case IsWord(word, "lt"):
		condition.lt, from = true, 4
	}
	fields, err := parseFields(c, from, errFieldsZero)
	if err != nil {
		return err
	}
	if ref.OK() {
		ref = c.withoutExpired(ref, key, fields, 1)
	}
	if !ref.OK() {
		return fieldCodes(c, len(fields), fieldMissing)
	}
	h := c.openHash(&ref)
	change := c.newDeadline(at)
	c.Reply.Array(len(fields))
	for _, field := range fields {
		r := h.Reader(c.fieldTime())
		old, found := r.Deadline(field)
		switch {
		case !found:
			c.Reply.Int(fieldMissing)
		case !condition.allows(old, at):
			c.Reply.Int(fieldRefused)
		case change.set(c, &h, field):
			c.Reply.Int(fieldChanged)
		default:
			c.Reply.Int(fieldDeleted)
		}
	}
	change.finish(c, ref, key, &h)
	return nil
}

// deadlineChange gives fields a deadline, or deletes them if that is over, or takes
// it away.
type deadlineChange struct {
	// at is 0 to take deadlines away.
	at     int64
	over   bool
	fields fieldList
}

// newDeadline begins a change. No other effect may come before its end.
func (c *Call) newDeadline(at int64) deadlineChange {
	d := c.noDeadline()
	d.at, d.over = max(at, 1), c.alreadyExpired(at)
	return d
}

func (c *Call) noDeadline() deadlineChange { return deadlineChange{fields: c.newFieldList()} }

// set does it to a field that is there. It returns false if the field was deleted.
func (d *deadlineChange) set(c *Call, h *hash.Hash, field []byte) bool {
	d.fields.add(c, field)
	if d.over {
		h.Delete(field)
		return false
	}
	h.Expire(field, d.at)
	return true
}

// finish says what was done.
func (d *deadlineChange) finish(c *Call, ref store.Ref, key []byte, h *hash.Hash) {
	n := d.fields.n
	if n == 0 {
		return
	}
	c.Changed(key)
	c.dirty += int64(n - 1)
	switch {
	case d.over:
		c.emptied(ref, key, h)
		d.fields.effect(c, wordHDel, key)
	case d.at == 0:
		d.fields.effect(c, wordHPersist, key, wordFields, c.Number(int64(n)))
	default:
		d.fields.effect(c, wordHPExpireAt, key, c.Number(d.at), wordFields, c.Number(int64(n)))
	}
}

func fieldTimes(c *Call, read func(c *Call, at int64) int64) error {
	r, ok, err := c.readHash(c.Args[1])
	if err != nil {
		return err
	}
	fields, err := parseFields(c, 2, errFieldsNumber)
	if err != nil {
		return err
	}
	if !ok {
		return fieldCodes(c, len(fields), fieldMissing)
	}
	c.Reply.Array(len(fields))
	for _, field := range fields {
		switch at, found := r.Deadline(field); {
		case !found:
			c.Reply.Int(fieldMissing)
		case at == 0:
			c.Reply.Int(fieldNoDeadline)
		default:
			c.Reply.Int(read(c, at))
		}
	}
	return nil
}

func runHPersist(c *Call) error {
	key := c.Args[1]
	ref, err := c.WriteKind(key, value.KindHash)
	if err != nil {
		return err
	}
	fields, err := parseFields(c, 2, errFieldsNumber)
	if err != nil {
		return err
	}
	if ref.OK() {
		ref = c.withoutExpired(ref, key, fields, 1)
	}
	if !ref.OK() {
		return fieldCodes(c, len(fields), fieldMissing)
	}
	h := c.openHash(&ref)
	change := c.noDeadline()
	c.Reply.Array(len(fields))
	for _, field := range fields {
		r := h.Reader(c.fieldTime())
		switch at, found := r.Deadline(field); {
		case !found:
			c.Reply.Int(fieldMissing)
		case at == 0:
			c.Reply.Int(fieldNoDeadline)
		default:
			change.set(c, &h, field)
			c.Reply.Int(fieldChanged)
		}
	}
	change.finish(c, ref, key, &h)
	return nil
}

func runHGetDel(c *Call) error {
	key := c.Args[1]
	ref, err := c.WriteKind(key, value.KindHash)
	if err != nil {
		return err
	}
	fields, err := parseFields(c, 2, errFieldsNumber)
	if err != nil {
		return err
	}
	if ref.OK() {
		ref = c.withoutExpired(ref, key, fields, 1)
	}
	c.Reply.Array(len(fields))
	if !ref.OK() {
		for range fields {
			c.Reply.Null()
		}
		return nil
	}
	h := c.openHash(&ref)
	deleted := c.newFieldList()
	for _, field := range fields {
		r := h.Reader(c.fieldTime())
		replyField(c, &r, true, field)
		if h.Delete(field) {
			deleted.add(c, field)
		}
	}
	if deleted.n > 0 {
		c.emptied(ref, key, &h)
		c.Changed(key)
		c.dirty += int64(deleted.n - 1)
		deleted.effect(c, wordHDel, key)
	}
	return nil
}

// fieldExpiry is one of the options EX, PX, EXAT and PXAT.
type fieldExpiry struct {
	unit     int64
	relative bool
}

func parseFieldExpiry(word []byte) (e fieldExpiry, ok bool) {
	switch {
	case IsWord(word, "ex"):
		return fieldExpiry{1000, true}, true
	case IsWord(word, "px"):
		return fieldExpiry{1, true}, true
	case IsWord(word, "exat"):
		return fieldExpiry{1000, false}, true
	case IsWord(word, "pxat"):
		return fieldExpiry{1, false}, true
	}
	return e, false
}

func runHGetEx(c *Call) error {
	key := c.Args[1]
	ref, err := c.WriteKind(key, value.KindHash)
	if err != nil {
		return err
	}
	from := 2
	persist := IsWord(c.Args[2], "persist")
	expiry, expires := parseFieldExpiry(c.Args[2])
	if persist {
		from = 3
	} else if expires {
		from = 4
	}
	fields, err := parseFields(c, from, errFieldsNumber)
	if err != nil {
		return err
	}
	at := int64(0)
	if expires {
		if at, err = fieldDeadline(c, c.Args[3], expiry.unit, expiry.relative); err != nil {
			return err
		}
	}
	if ref.OK() {
		ref = c.withoutExpired(ref, key, fields, 1)
	}
	c.Reply.Array(len(fields))
	if !ref.OK() {
		for range fields {
			c.Reply.Null()
		}
		return nil
	}
	h := c.openHash(&ref)
	var change deadlineChange
	if expires {
		change = c.newDeadline(at)
	} else {
		change = c.noDeadline()
	}
	for _, field := range fields {
		r := h.Reader(c.fieldTime())
		replyField(c, &r, true, field)
		if old, found := r.Deadline(field); found && (expires || persist && old != 0) {
			change.set(c, &h, field)
		}
	}
	change.finish(c, ref, key, &h)
	return nil
}

// setExOptions are what HSETEX was asked for.
type setExOptions struct {
	fnx, fxx, keepTTL bool
	// expires is set if the fields get the deadline at.
	expires bool
	at      int64
	pairs   [][]byte
}

func parseSetEx(c *Call) (o setExOptions, err error) {
	for i := 2; i < len(c.Args); i++ {
		word := c.Args[i]
		expiry, isExpiry := parseFieldExpiry(word)
		keepTTL := IsWord(word, "keepttl")
		switch {
		case IsWord(word, "fields"):
			if i >= len(c.Args)-3 {
				return o, resp.WrongArity(c.Spec.FullName())
			}
			n, ok := value.ParseInt(c.Args[i+1])
			if !ok || n < 1 || n > 1<<31-1 {
				return o, errFieldsBad
			}
			o.pairs = c.Args[i+2:]
			if int64(len(o.pairs)) != 2*n {
				return o, resp.WrongArity(c.Spec.FullName())
			}
			return o, nil
		case (isExpiry || keepTTL) && (o.expires || o.keepTTL):
			return o, resp.Error("ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified")
		case isExpiry && i+1 < len(c.Args):
			i++
			if o.at, err = fieldDeadline(c, c.Args[i], expiry.unit, expiry.relative); err != nil {
				return o, err
			}
			o.expires = true
		case keepTTL:
			o.keepTTL = true
		case IsWord(word, "fnx") || IsWord(word, "fxx"):
			if o.fnx || o.fxx {
				return o, resp.Error("ERR Only one of FXX or FNX arguments can be specified")
			}
			o.fnx = IsWord(word, "fnx")
			o.fxx = !o.fnx
		default:
			return o, resp.Errf("ERR unknown argument: ", oneLine(clip(word, 128)))
		}
	}
	return o, errFieldsWord
}

func runHSetEx(c *Call) error {
	o, err := parseSetEx(c)
	if err != nil {
		return err
	}
	key := c.Args[1]
	ref, err := c.writeHash(key, o.pairs, 2)
	if err != nil {
		return err
	}
	if !o.allows(c, ref) {
		c.Reply.Int(0)
		return nil
	}
	c.Reply.Int(1)
	if o.expires && c.alreadyExpired(o.at) {
		deletePairs(c, ref, key, o.pairs)
		return nil
	}
	if !ref.OK() {
		ref = c.Create(key, value.KindHash, value.EncListpack)
	}
	h := c.openHash(&ref)
	for i := 0; i < len(o.pairs); i += 2 {
		switch field, val := o.pairs[i], o.pairs[i+1]; {
		case o.keepTTL:
			h.Update(field, val)
		case o.expires:
			h.SetUntil(field, val, max(o.at, 1))
		default:
			h.Set(field, val)
		}
	}
	c.Changed(key)
	c.dirty += int64(len(o.pairs)/2 - 1)
	if o.expires {
		fields := c.newFieldList()
		c.effectArgs = append(c.effectArgs, o.pairs...)
		fields.effect(c, wordHSetEx, key, wordPXAT, c.Number(max(o.at, 1)), wordFields, c.Number(int64(len(o.pairs)/2)))
	}
	return nil
}

// allows reports whether the condition on the fields holds: FNX wants none of
// them to be there, FXX all.
func (o *setExOptions) allows(c *Call, ref store.Ref) bool {
	if !o.fnx && !o.fxx {
		return true
	}
	if !ref.OK() {
		return o.fnx
	}
	r := hash.Read(ref.Value(), c.fieldTime())
	for i := 0; i < len(o.pairs); i += 2 {
		if _, found := r.Get(o.pairs[i]); found != o.fxx {
			return false
		}
	}
	return true
}

// deletePairs is HSETEX with a time that is over: the fields are set and expire
// at once.
func deletePairs(c *Call, ref store.Ref, key []byte, pairs [][]byte) {
	if !ref.OK() {
		return
	}
	h := c.openHash(&ref)
	deleted := c.newFieldList()
	for i := 0; i < len(pairs); i += 2 {
		if h.Delete(pairs[i]) {
			deleted.add(c, pairs[i])
		}
	}
	if deleted.n > 0 {
		c.emptied(ref, key, &h)
		c.Changed(key)
		deleted.effect(c, wordHDel, key)
	}
}
