package command

import (
	"slices"
	"strconv"

	"slotmesh/node/resp"
	"slotmesh/node/store/set"
	"slotmesh/node/store/value"
)

// This file is the commands that combine sets: those that answer with the
// result, and those that keep it.

// readSets looks up the sets of keys, into memory of the call. Those that are
// not there are left out; missing says how many.
func (c *Call) readSets(keys [][]byte) (sets []set.Reader, missing int, err error) {
	sets, missing, err = c.addSets(c.sets[:0], keys)
	if err == nil && c.OnLoop {
		if _, all := set.Sizes(sets); c.tooLong(all, loopMembers) {
			err = ErrLong
		}
	}
	return sets, missing, err
}

// readCommon is readSets for what all of them have. It takes as long as to look the
// members of the smallest one up in the others.
func (c *Call) readCommon(keys [][]byte) (sets []set.Reader, missing int, err error) {
	sets, missing, err = c.addSets(c.sets[:0], keys)
	if err == nil && missing == 0 && c.OnLoop {
		least, all := set.Sizes(sets)
		if c.tooLong(min(all, lookedUp(least, len(sets)-1)), loopMembers) {
			err = ErrLong
		}
	}
	return sets, missing, err
}

// lookedUp is how many members could be gone through in the time that it takes to look n
// up in each of so many other sets.
func lookedUp(n, others int) int { return n + 4*n*others }

// addSets adds the sets of keys to sets.
func (c *Call) addSets(sets []set.Reader, keys [][]byte) (all []set.Reader, missing int, err error) {
	for _, key := range keys {
		ref, err := c.ReadKind(key, value.KindSet)
		if err != nil {
			return nil, 0, err
		}
		if !ref.OK() {
			missing++
			continue
		}
		v := ref.Value()
		sets = set.Append(sets, &v)
	}
	c.sets = sets[:0]
	return sets, missing, nil
}

// setReply is a reply of members whose number is known in the end only. The
// members are written at once, and moved when the size is put before them.
type setReply struct {
	w    *resp.Writer
	from int
	n    int
}

func (c *Call) openSetReply() setReply { return setReply{w: c.Reply, from: len(c.Reply.Buf)} }

func (s *setReply) add(member []byte) {
	s.w.Bulk(member)
	s.n++
}

// room makes room for n bytes of members, has says whether there is.
func (s *setReply) room(n int)     { s.w.Buf = slices.Grow(s.w.Buf, n) }
func (s *setReply) has(n int) bool { return cap(s.w.Buf)-len(s.w.Buf) >= n }

// drop takes back what was written.
func (s *setReply) drop() { s.w.Buf = s.w.Buf[:s.from] }

// close ends it.
func (s *setReply) close() {
	end := len(s.w.Buf)
	s.w.Set(s.n)
	s.turn(end)
}

// closeArray ends it as an array.
func (s *setReply) closeArray() {
	end := len(s.w.Buf)
	s.w.Array(s.n)
	s.turn(end)
}

// closeScan ends it as the reply of a scan that goes on at next.
func (s *setReply) closeScan(next uint64) {
	var digits [20]byte
	end := len(s.w.Buf)
	s.w.Array(2)
	s.w.Bulk(strconv.AppendUint(digits[:0], next, 10))
	s.w.Array(s.n)
	s.turn(end)
}

// turn puts what was written from end on before the members.
func (s *setReply) turn(end int) {
	var head [96]byte
	size := copy(head[:], s.w.Buf[end:])
	copy(s.w.Buf[s.from+size:], s.w.Buf[s.from:end])
	copy(s.w.Buf[s.from:], head[:size])
}

// setDraft is a set that is being built: the result of a command.
type setDraft struct {
	set.Builder
	draft *value.Draft
}

// draftSet returns an empty set that may become that of key.
func (c *Call) draftSet(key []byte) setDraft {
	d := c.Draft(key, value.KindSet, value.EncIntset)
	return setDraft{set.Build(&d.Cell, &c.Limits().Set), d}
}

// store makes what was built the set of key, and answers with the number of
// members. No members mean no key.
func (s *setDraft) store(c *Call, key []byte) {
	s.Close()
	n := s.Len()
	if n == 0 {
		s.draft.Discard()
		c.storeNothing(key)
		return
	}
	c.PutDraft(key, s.draft, false)
	c.Changed(key)
	c.Reply.Int(int64(n))
}

// reply answers with what was built.
func (s *setDraft) reply(c *Call) {
	s.Close()
	r := set.Read(s.draft.Value())
	replyMembers(c, &r)
	s.draft.Discard()
}

// setResult is a setDraft whose members are known to be different. It becomes
// one when there are many of them.
type setResult struct {
	c   *Call
	key []byte
	// small is the room of the call, in use until draft is set.
	small *set.Bundle
	large setDraft
}

func (c *Call) newSetResult(key []byte) setResult {
	c.bundle.Reset()
	return setResult{c: c, key: key, small: &c.bundle}
}

// add adds the member that it is at.
func (s *setResult) add(it *set.Iterator) {
	if s.large.draft == nil {
		if s.small.Add(it, &s.c.Limits().Set) {
			return
		}
		s.large = s.c.draftSet(s.key)
		s.small.AddTo(&s.large.Builder)
	}
	s.large.AddFrom(it)
}

// store is that of setDraft.
func (s *setResult) store() {
	c, n := s.c, s.small.Len()
	switch {
	case s.large.draft != nil:
		s.large.store(c, s.key)
	case n == 0:
		c.storeNothing(s.key)
	default:
		c.Put(s.key, s.small.Value(), false)
		c.Changed(s.key)
		c.Reply.Int(int64(n))
	}
}

// storeNothing is what commands do that keep a result when there is none.
func (c *Call) storeNothing(key []byte) {
	if c.Write(key).OK() {
		c.Delete(key)
		c.Changed(key)
		c.Effect(wordDel, key)
	}
	c.Reply.Int(0)
}

func runSInter(c *Call) error {
	sets, missing, err := c.readCommon(c.Args[1:])
	if err != nil {
		return err
	}
	switch {
	case missing > 0:
		c.Reply.Set(0)
	case len(sets) == 1:
		replyMembers(c, &sets[0])
	default:
		reply := c.openSetReply()
		f := set.Filter{Ahead: &c.looked}
		for f.Intersect(sets); f.Next(); {
			reply.add(f.Member())
		}
		reply.close()
	}
	return nil
}

func runSInterStore(c *Call) error {
	sets, missing, err := c.readCommon(c.Args[2:])
	if err != nil {
		return err
	}
	if missing > 0 {
		c.storeNothing(c.Args[1])
		return nil
	}
	result := c.newSetResult(c.Args[1])
	f := set.Filter{Ahead: &c.looked}
	for f.Intersect(sets); f.Next(); {
		result.add(&f.Iterator)
	}
	result.store()
	return nil
}

func runSInterCard(c *Call) error {
	numKeys, ok := value.ParseInt(c.Args[1])
	if !ok || numKeys < 1 {
		return resp.Error("ERR numkeys should be greater than 0")
	}
	if numKeys > int64(len(c.Args)-2) {
		return resp.Error("ERR Number of keys can't be greater than number of args")
	}
	keys, rest := c.Args[2:2+numKeys], c.Args[2+numKeys:]
	limit := int64(0)
	for ; len(rest) > 0; rest = rest[2:] {
		if len(rest) < 2 || !IsWord(rest[0], "limit") {
			return resp.ErrSyntax
		}
		if limit, ok = value.ParseInt(rest[1]); !ok || limit < 0 {
			return resp.Error("ERR LIMIT can't be negative")
		}
	}
	sets, missing, err := c.readCommon(keys)
	if err != nil {
		return err
	}
	n := int64(0)
	if missing == 0 {
		f := set.Filter{Ahead: &c.looked}
		for f.Intersect(sets); (limit == 0 || n < limit) && f.Next(); {
			n++
		}
	}
	c.Reply.Int(n)
	return nil
}

func runSUnion(c *Call) error {
	sets, _, err := c.readSets(c.Args[1:])
	if err != nil {
		return err
	}
	switch {
	case len(sets) == 0:
		c.Reply.Set(0)
	case len(sets) == 1:
		replyMembers(c, &sets[0])
	case set.CanUnite(sets):
		reply := c.openSetReply()
		var u set.Union
		for u.Unite(sets); u.Next(); {
			reply.add(u.At().Member())
		}
		reply.close()
	default:
		d := c.draftSet(c.Args[1])
		addAll(&d.Builder, sets)
		d.reply(c)
	}
	return nil
}

func addAll(b *set.Builder, sets []set.Reader) {
	for _, r := range sets {
		it := r.All()
		for it.Next() {
			b.AddFrom(&it)
		}
	}
}

func runSUnionStore(c *Call) error {
	sets, _, err := c.readSets(c.Args[2:])
	if err != nil {
		return err
	}
	if set.CanUnite(sets) {
		result := c.newSetResult(c.Args[1])
		var u set.Union
		for u.Unite(sets); u.Next(); {
			result.add(u.At())
		}
		result.store()
		return nil
	}
	d := c.draftSet(c.Args[1])
	addAll(&d.Builder, sets)
	d.store(c, c.Args[1])
	return nil
}

// readDifference looks up the sets of SDIFF. all are those that exist, the first
// one at the front; there is no result if it does not exist, or is named again.
func (c *Call) readDifference(keys [][]byte) (all []set.Reader, some bool, err error) {
	all, missing, err := c.addSets(c.sets[:0], keys[:1])
	if err != nil {
		return nil, false, err
	}
	some = missing == 0
	if all, _, err = c.addSets(all, keys[1:]); err != nil {
		return nil, false, err
	}
	for _, key := range keys[1:] {
		some = some && string(key) != string(keys[0])
	}
	if some && c.OnLoop {
		_, work := set.Sizes(all)
		if !set.RemovalIsBetter(all) {
			work = min(work, lookedUp(all[0].Len(), len(all)-1))
		}
		if c.tooLong(work, loopMembers) {
			err = ErrLong
		}
	}
	return all, some, err
}

func runSDiff(c *Call) error {
	sets, some, err := c.readDifference(c.Args[1:])
	if err != nil {
		return err
	}
	switch {
	case !some:
		c.Reply.Set(0)
	case len(sets) == 1:
		replyMembers(c, &sets[0])
	case set.RemovalIsBetter(sets):
		d := c.draftSet(c.Args[1])
		set.SubtractByRemoval(sets[0], sets[1:], &d.Builder)
		d.reply(c)
	default:
		reply := c.openSetReply()
		f := set.Filter{Ahead: &c.looked}
		for f.Subtract(&sets[0], sets[1:]); f.Next(); {
			reply.add(f.Member())
		}
		reply.close()
	}
	return nil
}

func runSDiffStore(c *Call) error {
	sets, some, err := c.readDifference(c.Args[2:])
	if err != nil {
		return err
	}
	if !some {
		c.storeNothing(c.Args[1])
		return nil
	}
	if set.RemovalIsBetter(sets) {
		d := c.draftSet(c.Args[1])
		set.SubtractByRemoval(sets[0], sets[1:], &d.Builder)
		d.store(c, c.Args[1])
		return nil
	}
	result := c.newSetResult(c.Args[1])
	f := set.Filter{Ahead: &c.looked}
	for f.Subtract(&sets[0], sets[1:]); f.Next(); {
		result.add(&f.Iterator)
	}
	result.store()
	return nil
}
