package command

import (
	"math"
	"strconv"

	"slotmesh/node/resp"
	"slotmesh/node/store"
	"slotmesh/node/store/hash"
	"slotmesh/node/store/value"
)

// Hashes are the rows of hashes. Those on the deadlines of fields stand in
// hash_expiry.go.
func Hashes() []Spec {
	const perField = "O(N) where N is the number of fields given."
	const whole = "O(N) where N is the number of fields of the hash."
	anyOrder := []string{"nondeterministic_output_order"}
	statsKey := []KeySpec{{Flags: KeyRO, Begin: 1, Step: 1}}
	rows := []Spec{
		{
			Name: "hdel", Syntax: "key field [field ...]", Arity: -3, Flags: Write | Fast,
			Keys:  []KeySpec{{Flags: KeyRW | KeyDelete, Begin: 1, Step: 1}},
			Since: "2.0.0", Complexity: perField, Summary: "Deletes fields of a hash, and the hash with the last one.",
			Run: runHDel, Heavy: manyArgs,
		},
		{
			Name: "hexists", Syntax: "key field", Arity: 3, Flags: ReadOnly | Fast, Keys: statsKey,
			Since: "2.0.0", Complexity: "O(1)", Summary: "Tells whether a hash has a field.", Run: runHExists,
		},
		{
			Name: "hget", Syntax: "key field", Arity: 3, Flags: ReadOnly | Fast, Keys: readsKey,
			Since: "2.0.0", Complexity: "O(1)", Summary: "Returns the value of a field.", Run: runHGet,
		},
		{
			Name: "hgetall", Syntax: "key", Arity: 2, Flags: ReadOnly, Keys: readsKey,
			Since: "2.0.0", Complexity: whole, Summary: "Returns all fields of a hash with their values.",
			Tips: anyOrder, Run: runHGetAll, Sized: true,
		},
		{
			Name: "hincrby", Syntax: "key field increment", Arity: 4, Flags: Write | DenyOOM | Fast, Keys: countsKey,
			Since: "2.0.0", Complexity: "O(1)", Summary: "Adds an amount to the number in a field.", Run: runHIncrBy,
		},
		{
			Name: "hincrbyfloat", Syntax: "key field increment:double", Arity: 4, Flags: Write | DenyOOM | Fast, Keys: countsKey,
			Since: "2.6.0", Complexity: "O(1)", Summary: "Adds a fraction to the number in a field.", Run: runHIncrByFloat,
		},
		{
			Name: "hkeys", Syntax: "key", Arity: 2, Flags: ReadOnly, Keys: readsKey,
			Since: "2.0.0", Complexity: whole, Summary: "Returns the fields of a hash.", Tips: anyOrder, Run: runHKeys, Sized: true,
		},
		{
			Name: "hlen", Syntax: "key", Arity: 2, Flags: ReadOnly | Fast, Keys: statsKey,
			Since: "2.0.0", Complexity: "O(1)", Summary: "Returns the number of fields of a hash.", Run: runHLen,
		},
		{
			Name: "hmget", Syntax: "key field [field ...]", Arity: -3, Flags: ReadOnly | Fast, Keys: readsKey,
			Since: "2.0.0", Complexity: perField, Summary: "Returns the values of several fields.",
			Run: runHMGet, Heavy: manyArgs,
		},
		{
			Name: "hmset", Syntax: "key field value [field value ...]", Arity: -4, Flags: Write | DenyOOM | Fast, Keys: updatesKey,
			Since: "2.0.0", Complexity: perField, Summary: "Sets several fields of a hash.",
			Deprecated: "4.0.0", ReplacedBy: "`HSET` with multiple field-value pairs", Run: runHMSet, Heavy: manyArgs,
		},
		{
			Name: "hrandfield", Syntax: "key [count [WITHVALUES]]", Arity: -2, Flags: ReadOnly, Keys: readsKey,
			Since: "6.2.0", Complexity: "O(N) where N is the number of fields returned.",
			Summary: "Returns fields of a hash by chance.", Tips: []string{"nondeterministic_output"},
			Run: runHRandField, Heavy: longCount, Ahead: randomFieldsAhead,
		},
		{
			Name: "hscan", Syntax: "key cursor [MATCH pattern] [COUNT count]", Arity: -3, Flags: ReadOnly, Keys: readsKey,
			Since: "2.8.0", Complexity: "O(1) for each call, O(N) for the whole, where N is the number of fields.",
			Summary: "Returns the fields of a hash and their values step by step.", Tips: []string{"nondeterministic_output"},
			Run: runHScan, Heavy: longScan(3),
		},
		{
			Name: "hset", Syntax: "key field value [field value ...]", Arity: -4, Flags: Write | DenyOOM | Fast, Keys: updatesKey,
			Since: "2.0.0", Complexity: perField, Summary: "Sets fields of a hash, which is made if need be.",
			Run: runHSet, Heavy: manyArgs,
		},
		{
			Name: "hsetnx", Syntax: "key field value", Arity: 4, Flags: Write | DenyOOM | Fast,
			Keys:  []KeySpec{{Flags: KeyRW | KeyInsert, Begin: 1, Step: 1}},
			Since: "2.0.0", Complexity: "O(1)", Summary: "Sets a field that the hash does not have yet.", Run: runHSetNX,
		},
		{
			Name: "hstrlen", Syntax: "key field", Arity: 3, Flags: ReadOnly | Fast, Keys: statsKey,
			Since: "3.2.0", Complexity: "O(1)", Summary: "Returns the length of the value of a field.", Run: runHStrLen,
		},
		{
			Name: "hvals", Syntax: "key", Arity: 2, Flags: ReadOnly, Keys: readsKey,
			Since: "2.0.0", Complexity: whole, Summary: "Returns the values of a hash.", Tips: anyOrder, Run: runHVals, Sized: true,
		},
	}
	return inGroup("hash", append(rows, hashExpiryRows()...))
}

// loopHash is how many bytes a hash may have that is returned on a loop.
const loopHash = 128 << 10

// longCount is the Heavy of a command whose third argument says how much it
// returns: four digits are too much for a loop.
func longCount(c *Call) bool { return len(c.Args) > 2 && len(c.Args[2]) > 3 }

var (
	wordHSet     = []byte("HSET")
	wordHSetEx   = []byte("HSETEX")
	wordFields   = []byte("FIELDS")
	wordOne      = []byte("1")
	errHashInt   = resp.Error("ERR hash value is not an integer")
	errHashFloat = resp.Error("ERR hash value is not a float")
)

// fieldTime is the time by which fields have expired for this call: none have
// while a stream is applied, for whose deletions it waits.
func (c *Call) fieldTime() int64 {
	if c.Applied {
		return 0
	}
	return c.Now
}

// readHash returns the hash of key; ok is false if there is none, or none of its
// fields is left.
func (c *Call) readHash(key []byte) (r hash.Reader, ok bool, err error) {
	ref, err := c.ReadKind(key, value.KindHash)
	if err != nil || !ref.OK() {
		return r, false, err
	}
	now := c.fieldTime()
	r = hash.Read(ref.Value(), now)
	if !ref.HasFieldDeadline() || r.NextDeadline() > now {
		return r, true, nil
	}
	if c.expireFields(&ref, key) {
		return r, false, nil
	}
	r = hash.Read(ref.Value(), now)
	return r, r.Len() > 0, nil
}

// writeHash is readHash for a command that is going to change the hash: there is
// one if ref.OK(). It deletes those of fields that have expired, and says so to
// the journal, so that who replays the command finds the same fields. The
// fields are every step-th argument from first on.
func (c *Call) writeHash(key []byte, fields [][]byte, step int) (store.Ref, error) {
	ref, err := c.WriteKind(key, value.KindHash)
	if err != nil || !ref.OK() {
		return ref, err
	}
	return c.withoutExpired(ref, key, fields, step), nil
}

// withoutExpired is the part of writeHash that comes after the lookup.
func (c *Call) withoutExpired(ref store.Ref, key []byte, fields [][]byte, step int) store.Ref {
	if !ref.HasFieldDeadline() {
		return ref
	}
	now := c.fieldTime()
	if r := hash.Read(ref.Value(), now); r.NextDeadline() > now || c.engine.replica.Load() {
		return ref
	}
	if c.expireFields(&ref, key) {
		return store.Ref{}
	}
	h := c.openHash(&ref)
	for i := 0; i < len(fields); i += step {
		if h.Purge(fields[i], now) {
			c.noteExpired(key, fields[i])
		}
	}
	return c.emptied(ref, key, &h)
}

// expiredTurn is how many expired fields an access deletes on the way.
const expiredTurn = 16

// expireFields deletes some of the fields that have expired, on a primary, and
// reports whether the key went with the last one.
func (c *Call) expireFields(ref *store.Ref, key []byte) (gone bool) {
	if c.engine.replica.Load() {
		return false
	}
	h := c.openHash(ref)
	h.ExpireFields(c.Now, expiredTurn, func(field []byte) { c.noteExpired(key, field) })
	return !c.emptied(*ref, key, &h).OK()
}

// noteExpired says that a field has expired, which is gone or about to go.
func (c *Call) noteExpired(key, field []byte) {
	c.engine.expiredFields.Add(1)
	c.engine.watches.touch(c.DB, key)
	if c.engine.journal.Active() {
		c.note(c.DB, wordHDel, c.keep(key), c.keep(field))
	}
}

// emptied deletes the key whose hash has no field left, and returns ref or none.
func (c *Call) emptied(ref store.Ref, key []byte, h *hash.Hash) store.Ref {
	if r := h.Reader(0); r.Size() > 0 {
		return ref
	}
	c.Delete(key)
	return store.Ref{}
}

func (c *Call) openHash(ref *store.Ref) hash.Hash {
	return hash.Open(&ref.Cell, c.Limits().Hash)
}

// bulkText appends a bulk string with t.
func bulkText(w *resp.Writer, t hash.Text) {
	if !t.IsInt {
		w.Bulk(t.Bytes)
		return
	}
	var buf [20]byte
	w.Bulk(strconv.AppendInt(buf[:0], t.Int, 10))
}

func runHSet(c *Call) error {
	added, err := setFields(c)
	if err == nil {
		c.Reply.Int(int64(added))
	}
	return err
}

func runHMSet(c *Call) error {
	_, err := setFields(c)
	if err == nil {
		c.Reply.OK()
	}
	return err
}

// setFields sets the fields of HSET and returns how many are new.
func setFields(c *Call) (added int, err error) {
	if len(c.Args)%2 != 0 {
		return 0, resp.WrongArity(c.Spec.FullName())
	}
	key, pairs := c.Args[1], c.Args[2:]
	ref, err := c.writeHash(key, pairs, 2)
	if err != nil {
		return 0, err
	}
	if !ref.OK() {
		if c.putPacked(key, pairs) {
			c.Changed(key)
			c.dirty += int64(len(pairs)/2 - 1)
			return len(pairs) / 2, nil
		}
		ref = c.Create(key, value.KindHash, value.EncListpack)
	}
	h := c.openHash(&ref)
	if len(pairs) > 2 {
		size := 0
		for _, text := range pairs {
			size += len(text) + 2
		}
		h.Reserve(size)
	}
	for i := 0; i < len(pairs); i += 2 {
		if h.Set(pairs[i], pairs[i+1]) {
			added++
		}
	}
	c.Changed(key)
	c.dirty += int64(len(pairs)/2 - 1)
	return added, nil
}

// putPacked makes key a hash of pairs if that is a small one.
func (c *Call) putPacked(key []byte, pairs [][]byte) bool {
	from := len(c.arena)
	buf, enc, ok := hash.Pack(c.arena, pairs, c.Limits().Hash)
	c.arena = buf[:from]
	if ok {
		c.Put(key, value.Value{Kind: value.KindHash, Enc: enc, Bytes: buf[from:]}, false)
	}
	return ok
}

func runHSetNX(c *Call) error {
	key, field := c.Args[1], c.Args[2]
	ref, err := c.writeHash(key, c.Args[2:3], 1)
	if err != nil {
		return err
	}
	if !ref.OK() {
		ref = c.Create(key, value.KindHash, value.EncListpack)
	}
	h := c.openHash(&ref)
	r := h.Reader(c.fieldTime())
	if _, found := r.Get(field); found {
		c.Reply.Int(0)
		return nil
	}
	h.Set(field, c.Args[3])
	c.Changed(key)
	c.Reply.Int(1)
	return nil
}

func runHGet(c *Call) error {
	r, ok, err := c.readHash(c.Args[1])
	if err != nil {
		return err
	}
	if ok {
		if t, found := r.Get(c.Args[2]); found {
			bulkText(c.Reply, t)
			return nil
		}
	}
	c.Reply.Null()
	return nil
}

func runHMGet(c *Call) error {
	r, ok, err := c.readHash(c.Args[1])
	if err != nil {
		return err
	}
	fields := c.Args[2:]
	c.Reply.Array(len(fields))
	for _, field := range fields {
		replyField(c, &r, ok, field)
	}
	return nil
}

// replyField answers with the value of a field of r, or null; there is no hash
// unless ok.
func replyField(c *Call, r *hash.Reader, ok bool, field []byte) {
	if ok {
		if t, found := r.Get(field); found {
			bulkText(c.Reply, t)
			return
		}
	}
	c.Reply.Null()
}

func runHGetAll(c *Call) error { return replyHash(c, true, true) }
func runHKeys(c *Call) error   { return replyHash(c, true, false) }
func runHVals(c *Call) error   { return replyHash(c, false, true) }

// replyHash answers with the fields of a hash, or their values, or both as a map.
func replyHash(c *Call, fields, values bool) error {
	r, ok, err := c.readHash(c.Args[1])
	if err != nil {
		return err
	}
	n := 0
	if ok {
		n = r.Len()
		if c.tooLong(r.Bytes(), loopHash) {
			return ErrLong
		}
	}
	if fields && values {
		c.Reply.Map(n)
	} else {
		c.Reply.Array(n)
	}
	if n == 0 {
		return nil
	}
	it := r.All()
	for it.Next() {
		if fields {
			bulkText(c.Reply, it.Field)
		}
		if values {
			bulkText(c.Reply, it.Value)
		}
	}
	return nil
}

func runHLen(c *Call) error {
	r, ok, err := c.readHash(c.Args[1])
	if err != nil {
		return err
	}
	n := 0
	if ok {
		n = r.Len()
	}
	c.Reply.Int(int64(n))
	return nil
}

func runHExists(c *Call) error {
	r, ok, err := c.readHash(c.Args[1])
	if err != nil {
		return err
	}
	n := int64(0)
	if ok {
		if _, found := r.Get(c.Args[2]); found {
			n = 1
		}
	}
	c.Reply.Int(n)
	return nil
}

func runHStrLen(c *Call) error {
	r, ok, err := c.readHash(c.Args[1])
	if err != nil {
		return err
	}
	n := 0
	if ok {
		if t, found := r.Get(c.Args[2]); found {
			n = t.Len()
		}
	}
	c.Reply.Int(int64(n))
	return nil
}

func runHDel(c *Call) error {
	key, fields := c.Args[1], c.Args[2:]
	ref, err := c.writeHash(key, fields, 1)
	if err != nil {
		return err
	}
	n := int64(0)
	if ref.OK() {
		h := c.openHash(&ref)
		n = int64(h.DeleteAll(fields))
		if n > 0 {
			c.emptied(ref, key, &h)
			c.Changed(key)
			c.dirty += n - 1
		}
	}
	c.Reply.Int(n)
	return nil
}

func runHIncrBy(c *Call) error {
	key, field := c.Args[1], c.Args[2]
	by, ok := value.ParseInt(c.Args[3])
	if !ok {
		return resp.ErrNotInteger
	}
	ref, err := c.writeHash(key, c.Args[2:3], 1)
	if err != nil {
		return err
	}
	old := int64(0)
	if ref.OK() {
		r := hash.Read(ref.Value(), c.fieldTime())
		if t, found := r.Get(field); found {
			if old, ok = t.ParseInt(); !ok {
				return errHashInt
			}
		}
	}
	if by < 0 && old < math.MinInt64-by || by > 0 && old > math.MaxInt64-by {
		return resp.ErrOverflow
	}
	if !ref.OK() {
		ref = c.Create(key, value.KindHash, value.EncListpack)
	}
	h := c.openHash(&ref)
	var buf [20]byte
	h.Update(field, strconv.AppendInt(buf[:0], old+by, 10))
	c.Changed(key)
	c.Reply.Int(old + by)
	return nil
}

func runHIncrByFloat(c *Call) error {
	key, field := c.Args[1], c.Args[2]
	by, ok := readExtended(c.Args[3])
	if !ok {
		return resp.ErrNotFloat
	}
	if by.isInf() {
		return resp.Error("ERR value is NaN or Infinity")
	}
	ref, err := c.writeHash(key, c.Args[2:3], 1)
	if err != nil {
		return err
	}
	var old extended
	deadline := int64(0)
	if ref.OK() {
		r := hash.Read(ref.Value(), c.fieldTime())
		if t, found := r.Get(field); found {
			var buf [20]byte
			text := t.Bytes
			if t.IsInt {
				text = t.Append(buf[:0])
			}
			if old, ok = readExtended(text); !ok {
				return errHashFloat
			}
			deadline, _ = r.Deadline(field)
		}
	}
	sum, ok := old.plus(by)
	if !ok {
		return resp.ErrNaNOrInfinity
	}
	if !ref.OK() {
		ref = c.Create(key, value.KindHash, value.EncListpack)
	}
	from := len(c.arena)
	c.arena = sum.appendTo(c.arena)
	text := c.arena[from:len(c.arena):len(c.arena)]
	h := c.openHash(&ref)
	h.Update(field, text)
	c.Changed(key)
	if deadline != 0 {
		c.Effect(wordHSetEx, key, wordKeepTTL, wordFields, wordOne, field, text)
	} else {
		c.Effect(wordHSet, key, field, text)
	}
	c.Reply.Bulk(text)
	return nil
}
