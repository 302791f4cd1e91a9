package command

import (
	"slotmesh/node/resp"
	"slotmesh/node/store/set"
	"slotmesh/node/store/value"
)

// This file is the commands that combine sets: those that answer with the
// result, and those that keep it.

// readSets looks up the sets of keys. Those that are not there are left out;
// missing says how many.
func (c *Call) readSets(keys [][]byte, buf []set.Reader) (sets []set.Reader, missing int, err error) {
	sets = buf
	for _, key := range keys {
		r, ok, err := c.readSet(key)
		if err != nil {
			return nil, 0, err
		}
		if !ok {
			missing++
			continue
		}
		sets = append(sets, r)
	}
	return sets, missing, nil
}

// setReply is a reply that is a set whose size is known in the end only. The
// members are written at once, and moved when the size is put before them.
type setReply struct {
	w    *resp.Writer
	from int
	n    int
}

func (c *Call) openSetReply() setReply { return setReply{w: c.Reply, from: len(c.Reply.Buf)} }

func (s *setReply) add(it *set.Iterator) {
	s.w.Bulk(it.Member())
	s.n++
}

func (s *setReply) close() {
	end := len(s.w.Buf)
	s.w.Set(s.n)
	var head [24]byte
	size := copy(head[:], s.w.Buf[end:])
	copy(s.w.Buf[s.from+size:], s.w.Buf[s.from:end])
	copy(s.w.Buf[s.from:], head[:size])
}

// storeSet makes the members that fill adds the set of key, and answers with
// their number. No members mean no key.
func (c *Call) storeSet(key []byte, fill func(b *set.Builder)) {
	d := c.Draft(key, value.KindSet, value.EncIntset)
	b := set.Build(&d.Cell, &c.Limits().Set)
	fill(&b)
	b.Close()
	n := b.Len()
	if n == 0 {
		d.Discard()
		c.storeNothing(key)
		return
	}
	c.PutDraft(key, d, false)
	c.Changed(key)
	c.Reply.Int(int64(n))
}

// storeNothing is what commands do that keep a result when there is none.
func (c *Call) storeNothing(key []byte) {
	if c.Write(key).OK() {
		c.Remove(key)
		c.Changed(key)
		c.Effect(wordDel, key)
	}
	c.Reply.Int(0)
}

func runSInter(c *Call) error {
	var buf [4]set.Reader
	sets, missing, err := c.readSets(c.Args[1:], buf[:0])
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
		set.Intersect(sets, func(it *set.Iterator) bool {
			reply.add(it)
			return true
		})
		reply.close()
	}
	return nil
}

func runSInterStore(c *Call) error {
	var buf [4]set.Reader
	sets, missing, err := c.readSets(c.Args[2:], buf[:0])
	if err != nil {
		return err
	}
	if missing > 0 {
		c.storeNothing(c.Args[1])
		return nil
	}
	c.storeSet(c.Args[1], func(b *set.Builder) {
		set.Intersect(sets, func(it *set.Iterator) bool {
			b.AddFrom(it)
			return true
		})
	})
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
		if len(rest) < 2 || !isWord(rest[0], "limit") {
			return resp.ErrSyntax
		}
		if limit, ok = value.ParseInt(rest[1]); !ok || limit < 0 {
			return resp.Error("ERR LIMIT can't be negative")
		}
	}
	var buf [4]set.Reader
	sets, missing, err := c.readSets(keys, buf[:0])
	if err != nil {
		return err
	}
	n := int64(0)
	if missing == 0 {
		set.Intersect(sets, func(*set.Iterator) bool {
			n++
			return n != limit
		})
	}
	c.Reply.Int(n)
	return nil
}

func runSUnion(c *Call) error {
	var buf [4]set.Reader
	sets, _, err := c.readSets(c.Args[1:], buf[:0])
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
		set.Unite(sets, reply.add)
		reply.close()
	default:
		c.replyBuilt(c.Args[1], func(b *set.Builder) { addAll(b, sets) })
	}
	return nil
}

// replyBuilt answers with the set that fill builds, which is nobody's. key says
// in which part of the memory.
func (c *Call) replyBuilt(key []byte, fill func(b *set.Builder)) {
	d := c.Draft(key, value.KindSet, value.EncIntset)
	defer d.Discard()
	b := set.Build(&d.Cell, &c.Limits().Set)
	fill(&b)
	b.Close()
	r := set.Read(d.Value())
	replyMembers(c, &r)
}

func addAll(b *set.Builder, sets []set.Reader) {
	for _, r := range sets {
		for it := r.All(); it.Next(); {
			b.AddFrom(&it)
		}
	}
}

func runSUnionStore(c *Call) error {
	var buf [4]set.Reader
	sets, _, err := c.readSets(c.Args[2:], buf[:0])
	if err != nil {
		return err
	}
	c.storeSet(c.Args[1], func(b *set.Builder) {
		if set.CanUnite(sets) {
			set.Unite(sets, func(it *set.Iterator) { b.AddFrom(it) })
			return
		}
		addAll(b, sets)
	})
	return nil
}

// readDifference looks up the sets of SDIFF. all are those that exist, the first
// one at the front; there is no result if it does not exist, or is named again.
func (c *Call) readDifference(keys [][]byte, buf []set.Reader) (all []set.Reader, some bool, err error) {
	all, missing, err := c.readSets(keys[:1], buf)
	if err != nil {
		return nil, false, err
	}
	some = missing == 0
	all, _, err = c.readSets(keys[1:], all)
	for _, key := range keys[1:] {
		some = some && string(key) != string(keys[0])
	}
	return all, some, err
}

func runSDiff(c *Call) error {
	var buf [4]set.Reader
	sets, some, err := c.readDifference(c.Args[1:], buf[:0])
	if err != nil {
		return err
	}
	switch {
	case !some:
		c.Reply.Set(0)
	case len(sets) == 1:
		replyMembers(c, &sets[0])
	case set.RemovalIsBetter(sets):
		c.replyBuilt(c.Args[1], func(b *set.Builder) { set.SubtractByRemoval(sets[0], sets[1:], b) })
	default:
		reply := c.openSetReply()
		set.Subtract(sets[0], sets[1:], reply.add)
		reply.close()
	}
	return nil
}

func runSDiffStore(c *Call) error {
	var buf [4]set.Reader
	sets, some, err := c.readDifference(c.Args[2:], buf[:0])
	if err != nil {
		return err
	}
	if !some {
		c.storeNothing(c.Args[1])
		return nil
	}
	c.storeSet(c.Args[1], func(b *set.Builder) {
		if set.RemovalIsBetter(sets) {
			set.SubtractByRemoval(sets[0], sets[1:], b)
			return
		}
		set.Subtract(sets[0], sets[1:], func(it *set.Iterator) { b.AddFrom(it) })
	})
	return nil
}
