package command

import (
	"bytes"
	"errors"
	"math"

	"slotmesh/node/rdb"
	"slotmesh/node/resp"
	"slotmesh/node/store"
	"slotmesh/node/store/stream"
	"slotmesh/node/store/tree"
	"slotmesh/node/store/value"
	"slotmesh/slots"
)

// Keys are the rows of keys in general: the reference's groups "generic" and,
// for the ones on whole databases, "server".
func Keys() []Spec {
	rows := inGroup("generic", append(append(keyRows(), expireRows()...), walkRows()...))
	return append(append(rows, objectRows()...), inGroup("server", databaseRows())...)
}

func keyRows() []Spec {
	everyKey := func(flags KeyFlags) []KeySpec { return []KeySpec{{Flags: flags, Begin: 1, Last: -1, Step: 1}} }
	perShard := []string{"request_policy:multi_shard", "response_policy:agg_sum"}
	restored := []KeySpec{{Flags: KeyOW | KeyUpdate, Begin: 1, Step: 1}}
	renamed := func(to KeyFlags) []KeySpec {
		return []KeySpec{
			{Flags: KeyRW | KeyAccess | KeyDelete, Begin: 1, Step: 1},
			{Flags: KeyOW | to, Begin: 2, Step: 1},
		}
	}
	return []Spec{
		{
			Name: "copy", Syntax: "source destination [DB destination-db] [REPLACE]", Arity: -3, Flags: Write | DenyOOM,
			Keys: []KeySpec{
				{Flags: KeyRO | KeyAccess, Begin: 1, Step: 1},
				{Flags: KeyOW | KeyUpdate, Begin: 2, Step: 1},
			},
			Since: "6.2.0", Complexity: "O(N) where N is the size of the value.", Summary: "Copies a key to another key.",
			Run: runCopy, Sized: true, Ahead: cloneAhead,
		},
		{
			Name: "del", Syntax: "key [key ...]", Arity: -2, Flags: Write, Keys: everyKey(KeyRM | KeyDelete),
			Since: "1.0.0", Complexity: "O(N) where N is the number of keys.", Summary: "Deletes keys.",
			Tips: perShard, Run: runDel, Heavy: manyArgs,
		},
		{
			Name: "dump", Syntax: "key", Arity: 2, Flags: ReadOnly, Keys: readsKey,
			Since: "2.6.0", Complexity: "O(N) where N is the size of the value.",
			Summary: "Returns a value in the form that RESTORE reads.", Tips: []string{"nondeterministic_output"}, Run: runDump,
		},
		{
			Name: "exists", Syntax: "key [key ...]", Arity: -2, Flags: ReadOnly | Fast, Keys: everyKey(KeyRO),
			Since: "1.0.0", Complexity: "O(N) where N is the number of keys.", Summary: "Counts which of the keys exist.",
			Tips: perShard, Run: runExists, Heavy: manyArgs,
		},
		{
			Name: "move", Syntax: "key db", Arity: 3, Flags: Write | Fast,
			Keys:  []KeySpec{{Flags: KeyRW | KeyAccess | KeyUpdate, Begin: 1, Step: 1}},
			Since: "1.0.0", Complexity: "O(1)", Summary: "Moves a key to another database.", Run: runMove,
			Elsewhere: func(args [][]byte) (int, bool) {
				n, ok := value.ParseInt(args[len(args)-1])
				return int(n), ok
			},
		},
		{
			Name: "rename", Syntax: "key newkey", Arity: 3, Flags: Write, Keys: renamed(KeyUpdate),
			Since: "1.0.0", Complexity: "O(1) for small values.", Summary: "Gives a key another name, over a key that has it.",
			Run: func(c *Call) error { return rename(c, false) },
		},
		{
			Name: "renamenx", Syntax: "key newkey", Arity: 3, Flags: Write | Fast, Keys: renamed(KeyInsert),
			Since: "1.0.0", Complexity: "O(1) for small values.", Summary: "Gives a key another name that is free.",
			Run: func(c *Call) error { return rename(c, true) },
		},
		{
			Name: "restore", Syntax: restoreSyntax, Arity: -4, Flags: Write | DenyOOM, Keys: restored,
			Since: "2.6.0", Complexity: restoreComplexity, Summary: "Makes a key out of what DUMP returned.",
			Categories: []string{"dangerous"}, Run: runRestore, Heavy: largePayload, Ahead: unpackAhead,
		},
		{
			Name: "restore-asking", Syntax: restoreSyntax, Arity: -4, Flags: Write | DenyOOM | Asking, Keys: restored,
			Since: "3.0.0", Complexity: restoreComplexity, Summary: "RESTORE for the slot that a node is importing.",
			Categories: []string{"dangerous"}, Run: runRestore, Heavy: largePayload, Ahead: unpackAhead, DocFlags: []string{"syscmd"}, DocGroup: "server",
		},
		{
			Name: "touch", Syntax: "key [key ...]", Arity: -2, Flags: ReadOnly | Fast, Keys: everyKey(KeyRO),
			Since: "3.2.1", Complexity: "O(N) where N is the number of keys.", Summary: "Marks keys as just accessed and counts them.",
			Tips: perShard, Run: runTouch, Heavy: manyArgs,
		},
		{
			Name: "type", Syntax: "key", Arity: 2, Flags: ReadOnly | Fast, Keys: []KeySpec{{Flags: KeyRO, Begin: 1, Step: 1}},
			Since: "1.0.0", Complexity: "O(1)", Summary: "Returns the type of a key's value.", Run: runType,
		},
		{
			Name: "unlink", Syntax: "key [key ...]", Arity: -2, Flags: Write | Fast, Keys: everyKey(KeyRM | KeyDelete),
			Since: "4.0.0", Complexity: "O(N) where N is the number of keys; memory is freed in the background.",
			Summary: "Deletes keys and frees their memory later.", Tips: perShard, Run: runDel, Heavy: manyArgs,
		},
	}
}

const (
	restoreSyntax     = "key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]"
	restoreComplexity = "O(N) where N is the size of the value."
)

func runDel(c *Call) error {
	n := 0
	for _, key := range c.Args[1:] {
		ref := c.Peek(key)
		if !ref.OK() {
			continue
		}
		c.engine.store.Remove(ref, c.placeOf(key))
		c.Changed(key)
		n++
	}
	c.Reply.Int(int64(n))
	return nil
}

// Look is Read without the mark of access.
func (c *Call) Look(key []byte) store.Ref {
	ref := c.Peek(key)
	if ref.OK() {
		c.counted.hits++
	} else {
		c.counted.misses++
	}
	return ref
}

func runExists(c *Call) error { return countKeys(c, (*Call).Look) }
func runTouch(c *Call) error  { return countKeys(c, (*Call).Read) }

func countKeys(c *Call, find func(*Call, []byte) store.Ref) error {
	n := 0
	for _, key := range c.Args[1:] {
		if find(c, key).OK() {
			n++
		}
	}
	c.Reply.Int(int64(n))
	return nil
}

func runType(c *Call) error {
	ref := c.Look(c.Args[1])
	if !ref.OK() {
		c.Reply.Simple("none")
		return nil
	}
	c.Reply.Simple(ref.Kind().String())
	return nil
}

// parseDB reads the index of a database.
func parseDB(c *Call, text []byte) (int, error) {
	n, ok := value.ParseInt(text)
	switch {
	case !ok:
		return 0, resp.ErrNotInteger
	case n < math.MinInt32 || n > math.MaxInt32:
		return 0, resp.ErrNotInt32
	case n < 0 || n >= int64(c.engine.databases):
		return 0, resp.ErrDBIndex
	}
	return int(n), nil
}

func runCopy(c *Call) error {
	from, to := c.Args[1], c.Args[2]
	db, replace := c.DB, false
	for i := 3; i < len(c.Args); i++ {
		switch {
		case IsWord(c.Args[i], "replace"):
			replace = true
		case IsWord(c.Args[i], "db") && i+1 < len(c.Args):
			var err error
			if db, err = parseDB(c, c.Args[i+1]); err != nil {
				return err
			}
			i++
		default:
			return resp.ErrSyntax
		}
	}
	if db != 0 && c.engine.Routing() != nil {
		return resp.Error("ERR Copying to another database is not allowed in cluster mode")
	}
	if db == c.DB && string(from) == string(to) {
		return resp.ErrSameObject
	}
	old := c.Read(from)
	if old.OK() && c.tooLongToCopy(old) {
		return ErrLong
	}
	if !old.OK() || c.taken(db, to, from, &old) && !replace {
		c.Reply.Int(0)
		return nil
	}
	if u := c.ahead; u != nil && u.stillOf(old) {
		c.ahead = nil
		c.engine.store.CopyMade(old, u.draft, db, c.placeOf(to), to, c.Now)
	} else {
		c.engine.store.Copy(old, db, c.placeOf(to), to, c.Now)
	}
	c.ChangedIn(db, to)
	c.Reply.Int(1)
	return nil
}

// tooLongToCopy is tooLong for the value of ref from end to end.
func (c *Call) tooLongToCopy(ref store.Ref) bool {
	if ref.Roots() > 0 {
		return c.tooLong(int(ref.Size()), aheadBytes)
	}
	return c.tooLong(len(ref.Value().Bytes), loopBytes)
}

func runMove(c *Call) error {
	if c.engine.Routing() != nil {
		return resp.Error("ERR MOVE is not allowed in cluster mode")
	}
	key := c.Args[1]
	db, err := parseDB(c, c.Args[2])
	if err != nil {
		return err
	}
	if db == c.DB {
		return resp.ErrSameObject
	}
	ref, place := c.Write(key), c.placeOf(key)
	if !ref.OK() || c.taken(db, key, key, &ref) {
		c.Reply.Int(0)
		return nil
	}
	c.engine.store.Move(ref, place, db, place, key, c.Now)
	c.Changed(key)
	c.touch(db, key)
	c.Reply.Int(1)
	return nil
}

// taken reports whether key of db is there, and marks the access, for a command that has
// found from. Looking it up may delete it, and that move from: ref is where it is then.
func (c *Call) taken(db int, key, from []byte, ref *store.Ref) bool {
	there := c.engine.store.FindAt(db, c.placeOf(key), key)
	if !there.OK() {
		return false
	}
	if there.Expires() {
		there = c.unexpired(there, db, there.Slot(), key)
		*ref = c.Peek(from)
	}
	if !there.OK() {
		return false
	}
	there.Touch(c.Now)
	return true
}

func rename(c *Call, onlyFree bool) error {
	from, to := c.Args[1], c.Args[2]
	ref := c.Write(from)
	if !ref.OK() {
		return resp.ErrNoSuchKey
	}
	same := string(from) == string(to)
	switch taken := same || c.taken(c.DB, to, from, &ref); {
	case onlyFree && taken:
		c.Reply.Int(0)
		return nil
	case same:
		c.Reply.OK()
		return nil
	}
	c.engine.store.Move(ref, c.placeOf(from), c.DB, c.placeOf(to), to, c.Now)
	c.Changed(from)
	c.touch(c.DB, to)
	if onlyFree {
		c.Reply.Int(1)
	} else {
		c.Reply.OK()
	}
	return nil
}

func runDump(c *Call) error {
	ref := c.Read(c.Args[1])
	if !ref.OK() {
		c.Reply.Null()
		return nil
	}
	if c.tooLongToCopy(ref) {
		return ErrLong
	}
	d := c.engine.dumpers.Get().(*rdb.Dumper)
	c.Reply.Bulk(d.Dump(ref.Value()))
	c.engine.dumpers.Put(d)
	return nil
}

// restoreOptions are the options of RESTORE; idle and freq are -1 if not given.
type restoreOptions struct {
	replace, absolute bool
	idle, freq        int64
}

func parseRestoreOptions(words [][]byte) (o restoreOptions, err error) {
	o.idle, o.freq = -1, -1
	number := func(i int) (int64, error) {
		n, ok := value.ParseInt(words[i])
		if !ok {
			return 0, resp.ErrNotInteger
		}
		return n, nil
	}
	for i := 0; i < len(words); i++ {
		hasNext := i+1 < len(words)
		switch {
		case IsWord(words[i], "replace"):
			o.replace = true
		case IsWord(words[i], "absttl"):
			o.absolute = true
		case IsWord(words[i], "idletime") && hasNext && o.freq < 0:
			if o.idle, err = number(i + 1); err != nil {
				return o, err
			}
			if o.idle < 0 {
				return o, resp.Error("ERR Invalid IDLETIME value, must be >= 0")
			}
			i++
		case IsWord(words[i], "freq") && hasNext && o.idle < 0:
			if o.freq, err = number(i + 1); err != nil {
				return o, err
			}
			if o.freq < 0 || o.freq > 255 {
				return o, resp.Error("ERR Invalid FREQ value, must be >= 0 and <= 255")
			}
			i++
		default:
			return o, resp.ErrSyntax
		}
	}
	return o, nil
}

var (
	wordRestore = []byte("RESTORE")
	wordReplace = []byte("REPLACE")
	wordAbsTTL  = []byte("ABSTTL")
)

// unpacked is the value in the payload of RESTORE, or what is wrong with it, or a
// clone of the source of COPY as of since, or what becomes of a value of that time and
// the reply to that, or where a stream of that time is cut. A draft belongs to whoever
// takes it.
type unpacked struct {
	v       value.Value
	draft   *value.Draft
	err     error
	since   *store.Snapshot
	thinned *thinned
	cut     *stream.Cut
	reply   resp.Writer
	// parser is what v and draft of a RESTORE lie in; it is free when they are.
	parser *rdb.Parser
}

// stillOf reports whether ref has the very value that was kept: the roots of its
// trees stand in the bytes.
func (u *unpacked) stillOf(ref store.Ref) bool {
	return ref.UnchangedSince(u.since) && bytes.Equal(ref.Value().Bytes, u.v.Bytes)
}

// answerRoom is the room in front of what answer keeps: the call may have begun to
// answer, with the name of the key.
const answerRoom = 256

// answer keeps what write answers with. A call without a writer, as in a transaction,
// answers when it runs.
func (u *unpacked) answer(c *Call, write func()) {
	if c.Reply == nil {
		return
	}
	reply := c.Reply
	u.reply.Proto = reply.Proto
	u.reply.Buf = make([]byte, answerRoom)
	c.Reply = &u.reply
	defer func() { c.Reply = reply }()
	write()
}

// answered answers with that, if it was kept for a client that speaks as this one
// does. It is not copied: that may be hundreds of megabytes, and the slot is held.
func (u *unpacked) answered(c *Call) bool {
	if u == nil || len(u.reply.Buf) <= answerRoom || u.reply.RESP3() != c.Reply.RESP3() {
		return false
	}
	before := c.Reply.Buf
	if len(before) > answerRoom {
		c.Reply.Buf = append(before, u.reply.Buf[answerRoom:]...)
		return true
	}
	all := u.reply.Buf[answerRoom-len(before):]
	copy(all, before)
	c.Reply.Buf, u.reply.Buf = all, nil
	return true
}

// drop gives back what was not taken. No slot is held.
func (u *unpacked) drop() {
	if u.draft != nil {
		u.draft.Discard()
	}
	if u.thinned != nil {
		u.thinned.end()
		u.since.Close()
	}
}

// aheadBytes is how much memory the trees of a value have that is made or cloned
// before its slot is held.
const aheadBytes = 64 << 10

// keepAhead cuts a snapshot for a large collection while its slot is free, and
// returns the value as it was then. The snapshot keeps its trees as they are; it is
// nil if the value is not there, or not wanted, or changed all the same.
func (c *Call) keepAhead(key []byte, wanted func(store.Ref) bool) (v value.Value, sn *store.Snapshot) {
	e, slot := c.engine, slots.Of(key)
	find := func(use func(store.Ref)) {
		e.WithSlot(slot, func() {
			if ref := e.store.Find(c.DB, slot, key); ref.OK() && ref.Roots() > 0 && wanted(ref) {
				use(ref)
			}
		})
	}
	large := false
	find(func(store.Ref) { large = true })
	if !large {
		return v, nil
	}
	only := slots.SetOf(slots.Range{First: slot, Last: slot})
	e.Exclusive(func() { sn = e.store.Cut(&only) })
	find(func(ref store.Ref) {
		if ref.UnchangedSince(sn) {
			v = ref.Value().Detach()
		}
	})
	if v.Roots == 0 {
		sn.Close()
		return v, nil
	}
	return v, sn
}

// cloneAhead clones a large collection while its slot is free. If it is changed
// before the slot is held again, COPY clones it then.
func cloneAhead(c *Call) {
	if len(c.Args) < 3 {
		return
	}
	v, sn := c.keepAhead(c.Args[1], func(ref store.Ref) bool { return ref.Size() > aheadBytes })
	if sn == nil {
		return
	}
	defer sn.Close()
	var space tree.Space
	to := slots.Of(c.Args[2])
	c.engine.WithSlot(to, func() { space = c.engine.store.DraftSpace(to) })
	c.ahead = &unpacked{v: v, draft: v.Clone(space), since: sn}
}

func (c *Call) unpack(space tree.Space) (u unpacked) {
	u.parser = c.engine.parsers.Get().(*rdb.Parser)
	u.v, u.draft, u.err = u.parser.Parse(c.Args[3], rdb.Target{Space: space, Limits: &c.Limits().Limits})
	return u
}

// largePayload says which values take so long to unpack that nobody else in
// their slot should wait for it.
func largePayload(c *Call) bool { return len(c.Args) > 3 && len(c.Args[3]) > 16<<10 }

// unpackAhead unpacks a large value before its slot is held.
func unpackAhead(c *Call) {
	if !largePayload(c) {
		return
	}
	slot := slots.Of(c.Args[1])
	var space tree.Space
	c.engine.WithSlot(slot, func() { space = c.engine.store.DraftSpace(slot) })
	u := c.unpack(space)
	c.ahead = &u
}

// dropAhead gives back what no handler has taken.
func (c *Call) dropAhead() {
	if c.ahead != nil {
		c.ahead.drop()
	}
	c.ahead = nil
}

func runRestore(c *Call) error {
	key, payload := c.Args[1], c.Args[3]
	o, err := parseRestoreOptions(c.Args[4:])
	if err != nil {
		return err
	}
	if !o.replace && c.Write(key).OK() {
		return resp.ErrBusyKey
	}
	at, ok := value.ParseInt(c.Args[2])
	if !ok {
		return resp.ErrNotInteger
	}
	if at < 0 {
		return resp.Error("ERR Invalid TTL value, must be >= 0")
	}
	var u unpacked
	if c.ahead != nil {
		u, c.ahead = *c.ahead, nil
	} else {
		u = c.unpack(c.engine.store.DraftSpace(c.slotOf(key)))
	}
	defer c.engine.parsers.Put(u.parser)
	switch {
	case errors.Is(u.err, rdb.ErrChecksum):
		return resp.ErrBadDump
	case u.err != nil:
		return resp.ErrBadDataFormat
	}
	// What is replaced is looked for only now: a refused payload leaves it, expired or not.
	found := o.replace && c.Write(key).OK()
	if at > 0 && !o.absolute {
		at += c.Now
	}
	c.Reply.OK()
	if at != 0 && c.alreadyExpired(at) {
		u.drop()
		if found {
			c.Delete(key)
			c.Changed(key)
			c.Effect(c.expiryWord(), key)
		}
		return nil
	}
	if u.draft != nil {
		u.v = u.draft.Value()
	}
	ref := c.engine.store.RenewAt(c.DB, c.placeOf(key), key, &u.v, c.Now)
	if u.draft != nil {
		u.draft.Close()
	}
	if at != 0 {
		ref.SetExpire(at)
	}
	ref.SetAccess(o.idle, int(o.freq), c.Now)
	c.Changed(key)
	args := [...][]byte{wordRestore, key, c.Number(at), payload, wordAbsTTL, wordReplace}
	if o.replace {
		c.Effect(args[:]...)
	} else {
		c.Effect(args[:len(args)-1]...)
	}
	return nil
}

// slotsWith is a helper of commands that walk: the slots of db that have keys,
// from first on.
func slotsWith(s *store.Store, db, first int) func(func(slots.Slot) bool) {
	return func(yield func(slots.Slot) bool) {
		for slot, ok := s.NextUsed(db, first); ok && yield(slot); {
			slot, ok = s.NextUsed(db, int(slot)+1)
		}
	}
}
