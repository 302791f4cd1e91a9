package command

import (
	"slotmesh/node/store"
	"slotmesh/node/store/set"
	"slotmesh/node/store/value"
)

// Sets are the rows of sets.
func Sets() []Spec {
	unordered := []string{"nondeterministic_output_order"}
	random := []string{"nondeterministic_output"}
	tested := []KeySpec{{Flags: KeyRO, Begin: 1, Step: 1}}
	deletes := []KeySpec{{Flags: KeyRW | KeyDelete, Begin: 1, Step: 1}}
	readsAll := []KeySpec{{Flags: KeyRO | KeyAccess, Begin: 1, Last: -1, Step: 1}}
	stores := func(flags KeyFlags) []KeySpec {
		return []KeySpec{{Flags: flags, Begin: 1, Step: 1}, {Flags: KeyRO | KeyAccess, Begin: 2, Last: -1, Step: 1}}
	}
	return inGroup("set", []Spec{
		{
			Name: "sadd", Syntax: "key member [member ...]", Arity: -3, Flags: Write | DenyOOM | Fast, Keys: insertsKey,
			Since: "1.0.0", Complexity: "O(1) for each member.",
			Summary: "Adds members to a set, which is made if need be.", Run: runSAdd, Heavy: manyArgs,
		},
		{
			Name: "scard", Syntax: "key", Arity: 2, Flags: ReadOnly | Fast, Keys: tested,
			Since: "1.0.0", Complexity: "O(1)", Summary: "Returns the number of members of a set.", Run: runSCard,
		},
		{
			Name: "sdiff", Syntax: "key [key ...]", Arity: -2, Flags: ReadOnly, Keys: readsAll,
			Since: "1.0.0", Complexity: "O(N) where N is the number of members of all sets.",
			Summary: "Returns the members of a set that others do not have.", Tips: unordered,
			Run: runSDiff, Heavy: manyArgs, Sized: true,
		},
		{
			Name: "sdiffstore", Syntax: "destination key [key ...]", Arity: -3, Flags: Write | DenyOOM,
			Keys:  stores(KeyOW | KeyUpdate),
			Since: "1.0.0", Complexity: "O(N) where N is the number of members of all sets.",
			Summary: "Keeps the members of a set that others do not have.", Run: runSDiffStore, Heavy: manyArgs, Sized: true,
		},
		{
			Name: "sinter", Syntax: "key [key ...]", Arity: -2, Flags: ReadOnly, Keys: readsAll,
			Since: "1.0.0", Complexity: "O(N*M) at worst, where N is the size of the smallest set and M the number of sets.",
			Summary: "Returns the members that several sets have in common.", Tips: unordered,
			Run: runSInter, Heavy: manyArgs, Sized: true,
		},
		{
			Name: "sintercard", Syntax: "numkeys key [key ...] [LIMIT limit:integer]", Arity: -3, Flags: ReadOnly | MovableKeys,
			Keys:  []KeySpec{{Flags: KeyRO | KeyAccess, Begin: 1, KeyNum: true, KeyNumIndex: 0, FirstKey: 1, Step: 1}},
			Since: "7.0.0", Complexity: "O(N*M) at worst, where N is the size of the smallest set and M the number of sets.",
			Summary: "Returns how many members several sets have in common.", Run: runSInterCard, Heavy: manyArgs, Sized: true,
		},
		{
			Name: "sinterstore", Syntax: "destination key [key ...]", Arity: -3, Flags: Write | DenyOOM,
			Keys:  stores(KeyRW | KeyUpdate),
			Since: "1.0.0", Complexity: "O(N*M) at worst, where N is the size of the smallest set and M the number of sets.",
			Summary: "Keeps the members that several sets have in common.", Run: runSInterStore, Heavy: manyArgs, Sized: true,
		},
		{
			Name: "sismember", Syntax: "key member", Arity: 3, Flags: ReadOnly | Fast, Keys: tested,
			Since: "1.0.0", Complexity: "O(1)", Summary: "Tells whether a set has a member.", Run: runSIsMember,
		},
		{
			Name: "smembers", Syntax: "key", Arity: 2, Flags: ReadOnly, Keys: readsKey,
			Since: "1.0.0", Complexity: "O(N) where N is the number of members.", Summary: "Returns all members of a set.",
			Tips: unordered, Run: runSMembers, Sized: true,
		},
		{
			Name: "smismember", Syntax: "key member [member ...]", Arity: -3, Flags: ReadOnly | Fast, Keys: readsKey,
			Since: "6.2.0", Complexity: "O(N) where N is the number of members asked for.",
			Summary: "Tells which of several members a set has.", Run: runSMIsMember, Heavy: manyArgs,
		},
		{
			Name: "smove", Syntax: "source destination member", Arity: 4, Flags: Write | Fast,
			Keys: []KeySpec{
				{Flags: KeyRW | KeyAccess | KeyDelete, Begin: 1, Step: 1},
				{Flags: KeyRW | KeyInsert, Begin: 2, Step: 1},
			},
			Since: "1.0.0", Complexity: "O(1)", Summary: "Moves a member from one set to another.", Run: runSMove,
		},
		{
			Name: "spop", Syntax: "key [count]", Arity: -2, Flags: Write | Fast,
			Keys:  []KeySpec{{Flags: KeyRW | KeyAccess | KeyDelete, Begin: 1, Step: 1}},
			Since: "1.0.0", Complexity: "O(N) where N is the number of members that are asked for.",
			Summary: "Removes members of a set at random and returns them.", Tips: random, Run: runSPop, Heavy: heavyCount, Ahead: drawAhead,
		},
		{
			Name: "srandmember", Syntax: "key [count]", Arity: -2, Flags: ReadOnly, Keys: readsKey,
			Since: "1.0.0", Complexity: "O(N) where N is the number of members that are asked for.",
			Summary: "Returns members of a set at random.", Tips: random, Run: runSRandMember, Heavy: heavyCount, Ahead: randomAhead,
		},
		{
			Name: "srem", Syntax: "key member [member ...]", Arity: -3, Flags: Write | Fast, Keys: deletes,
			Since: "1.0.0", Complexity: "O(N) where N is the number of members to remove.",
			Summary: "Removes members from a set.", Run: runSRem, Heavy: manyArgs,
		},
		{
			Name: "sscan", Syntax: "key cursor [MATCH pattern] [COUNT count]", Arity: -3, Flags: ReadOnly, Keys: readsKey,
			Since: "2.8.0", Complexity: "O(1) for each call, O(N) for the whole, where N is the number of members.",
			Summary: "Returns the members of a set step by step.", Tips: random, Run: runSScan, Heavy: longScan(3),
		},
		{
			Name: "sunion", Syntax: "key [key ...]", Arity: -2, Flags: ReadOnly, Keys: readsAll,
			Since: "1.0.0", Complexity: "O(N) where N is the number of members of all sets.",
			Summary: "Returns the members that any of several sets has.", Tips: unordered,
			Run: runSUnion, Heavy: manyArgs, Sized: true,
		},
		{
			Name: "sunionstore", Syntax: "destination key [key ...]", Arity: -3, Flags: Write | DenyOOM,
			Keys:  stores(KeyOW | KeyUpdate),
			Since: "1.0.0", Complexity: "O(N) where N is the number of members of all sets.",
			Summary: "Keeps the members that any of several sets has.", Run: runSUnionStore, Heavy: manyArgs, Sized: true,
		},
	})
}

// loopMembers is how many members a command may go through on a loop.
const loopMembers = 2000

// heavyCount is the Heavy of commands whose last argument says how much they
// return: more than three digits.
func heavyCount(c *Call) bool { return len(c.Args) > 2 && len(c.Args[2]) > 3 }

// readSet returns what is in the set of key; ok is false if there is none.
func (c *Call) readSet(key []byte) (r set.Reader, ok bool, err error) {
	ref, err := c.ReadKind(key, value.KindSet)
	if err != nil || !ref.OK() {
		return r, false, err
	}
	return set.Read(ref.Value()), true, nil
}

// changedBy is Changed for a change of n elements.
func (c *Call) changedBy(key []byte, n int) {
	c.Changed(key)
	c.dirty += int64(n) - 1
}

func runSAdd(c *Call) error {
	key, members := c.Args[1], c.Args[2:]
	ref, err := c.WriteKind(key, value.KindSet)
	if err != nil {
		return err
	}
	added := 0
	switch {
	case len(members) > 1:
		if !ref.OK() {
			ref = c.Create(key, value.KindSet, set.Encoding(members[0]))
		}
		added = set.Open(&ref.Cell).AddAll(members, &c.Limits().Set)
	case c.addMember(ref, key, members[0]):
		added = 1
	}
	if added > 0 {
		c.changedBy(key, added)
	}
	c.Reply.Int(int64(added))
	return nil
}

func runSRem(c *Call) error {
	key := c.Args[1]
	ref, err := c.WriteKind(key, value.KindSet)
	if err != nil {
		return err
	}
	removed := 0
	if ref.OK() {
		s := set.Open(&ref.Cell)
		if removed = s.RemoveAll(c.Args[2:]); removed > 0 && s.Empty() {
			c.Delete(key)
		}
	}
	if removed > 0 {
		c.changedBy(key, removed)
	}
	c.Reply.Int(int64(removed))
	return nil
}

func runSCard(c *Call) error {
	r, ok, err := c.readSet(c.Args[1])
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

func runSIsMember(c *Call) error {
	r, ok, err := c.readSet(c.Args[1])
	if err != nil {
		return err
	}
	c.Reply.Int(oneIf(ok && r.Has(c.Args[2])))
	return nil
}

func oneIf(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func runSMIsMember(c *Call) error {
	r, ok, err := c.readSet(c.Args[1])
	if err != nil {
		return err
	}
	c.Reply.Array(len(c.Args) - 2)
	for _, member := range c.Args[2:] {
		c.Reply.Int(oneIf(ok && r.Has(member)))
	}
	return nil
}

func runSMembers(c *Call) error {
	r, ok, err := c.readSet(c.Args[1])
	if err != nil {
		return err
	}
	if !ok {
		c.Reply.Set(0)
		return nil
	}
	if c.tooLong(r.Len(), loopMembers) {
		return ErrLong
	}
	replyMembers(c, &r)
	return nil
}

// replyMembers answers with a whole set.
func replyMembers(c *Call, r *set.Reader) {
	c.Reply.Set(r.Len())
	it := r.All()
	for it.Next() {
		c.Reply.Bulk(it.Member())
	}
}

func runSMove(c *Call) error {
	from, to, member := c.Args[1], c.Args[2], c.Args[3]
	source := c.Write(from)
	target := c.Write(to)
	if !source.OK() {
		c.Reply.Int(0)
		return nil
	}
	if err := isKind(source, value.KindSet); err != nil {
		return err
	}
	if err := isKind(target, value.KindSet); err != nil {
		return err
	}
	if string(from) == string(to) {
		c.Reply.Int(oneIf(set.Read(source.Value()).Has(member)))
		return nil
	}
	s := set.Open(&source.Cell)
	if !s.Remove(member) {
		c.Reply.Int(0)
		return nil
	}
	if s.Empty() {
		c.Delete(from)
	}
	c.Changed(from)
	if target.OK() && target.Slot() == source.Slot() {
		// What was found before may have moved.
		target = c.Peek(to)
	}
	if c.addMember(target, to, member) {
		c.Changed(to)
	}
	c.Reply.Int(1)
	return nil
}

// addMember adds member to the set of key, which is at ref or is to be made, and reports
// whether it was missing.
func (c *Call) addMember(ref store.Ref, key, member []byte) bool {
	limits := &c.Limits().Set
	if ref.OK() {
		return set.Open(&ref.Cell).Add(member, limits)
	}
	if v, ok := c.bundle.Only(member, limits); ok {
		c.Put(key, v, false)
		return true
	}
	ref = c.Create(key, value.KindSet, set.Encoding(member))
	return set.Open(&ref.Cell).Add(member, limits)
}

func runSScan(c *Call) error { return scanElements(c, (*Call).readSet, (*Call).scanSet) }

func (c *Call) scanSet(r set.Reader, o elementScan) {
	reply := c.openSetReply()
	next := r.Scan(set.Place(o.cursor), o.count, func(member []byte) {
		if o.pattern == nil || Match(o.pattern, member) {
			reply.add(member)
		}
	})
	reply.closeScan(uint64(next))
}

// addSet adds the members of a set.
func (d *Digest) addSet(v value.Value) {
	it := set.Read(v).All()
	for it.Next() {
		d.add(it.Member())
	}
}
