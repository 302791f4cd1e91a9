package stream

import (
	"bytes"
	"encoding/binary"
	"sort"

	"slotmesh/node/store/tree"
)

// Groups and their consumers have numbers, from 1, each its own in the stream;
// those that are given up are given again. The tree of names is ordered by owner
// and name: the owner of a group is 0, that of a consumer the number of its
// group. Its items are
//
//	owner, length of the name (uvarints), name, number u32, what is known
//
// and what is known of a group are the last id delivered and the number of
// entries read, of a consumer the time it was last seen: fixed numbers, changed
// in place. The tree of numbers has the name of each number:
//
//	owner (uvarint), name

// NotKnown is the number of entries that a group has read when nobody can tell.
const NotKnown = -1

// Group is what is known of a consumer group.
type Group struct {
	Number uint32
	LastID ID
	// EntriesRead counts the entries up to LastID, or is NotKnown.
	EntriesRead int64
}

// Consumer is what is known of a consumer.
type Consumer struct {
	Number uint32
	// SeenMs is when it last did something, Unix milliseconds.
	SeenMs int64
}

const (
	groupSize    = 4 + 8 + 8 + 8
	consumerSize = 4 + 8
)

// namePrefix is what names are ordered by first: 24 bits of the owner and 40 of
// the name. Owners that do not fit share a prefix.
func namePrefix(owner uint32, name []byte) uint64 {
	const most = 1<<24 - 1
	if owner >= most {
		return most << 40
	}
	var b [8]byte
	copy(b[:5], name)
	return uint64(owner)<<40 | binary.BigEndian.Uint64(b[:])>>24
}

// ownerAndName splits an item of the tree of names.
func ownerAndName(item []byte) (owner uint32, name, known []byte) {
	u, n := uvarint(item)
	length, m := uvarint(item[n:])
	at := n + m
	return uint32(u), item[at : at+int(length)], item[at+int(length):]
}

// findName finds the name of an owner's group or consumer; without it, the place
// to put it.
func (r *Reader) findName(owner uint32, name []byte) (tree.Cursor, bool) {
	return r.view(treeNames).Find(namePrefix(owner, name), func(item []byte) int {
		itemOwner, itemName, _ := ownerAndName(item)
		switch {
		case itemOwner < owner:
			return -1
		case itemOwner > owner:
			return 1
		}
		return bytes.Compare(itemName, name)
	})
}

// addName puts a name that is not there at the cursor and returns the number
// that it got and the room for what is known.
func (s *Stream) addName(c *tree.Cursor, owner uint32, name []byte, size int) (number uint32, known []byte) {
	number = s.freeNumber()
	var head [2 * binary.MaxVarintLen64]byte
	n := binary.PutUvarint(head[:], uint64(owner))
	short := n
	n += binary.PutUvarint(head[n:], uint64(len(name)))

	t := s.tree(treeNumbers)
	place := t.At(int(number) - 1)
	item := t.Insert(&place, uint64(number), short+len(name))
	copy(item[copy(item, head[:short]):], name)
	s.roots[treeNumbers] = t.Root

	t = s.tree(treeNames)
	item = t.Insert(c, namePrefix(owner, name), n+len(name)+size)
	at := copy(item, head[:n])
	at += copy(item[at:], name)
	s.roots[treeNames] = t.Root
	binary.LittleEndian.PutUint32(item[at:], number)
	return number, item[at:]
}

// freeNumber returns the least number that nothing has.
func (s *Stream) freeNumber() uint32 {
	v := s.view(treeNumbers)
	n := v.Len()
	// Hardly ever has one been given up.
	if n == 0 {
		return 1
	}
	if last := v.At(n - 1); last.Prefix() == uint64(n) {
		return uint32(n) + 1
	}
	rank := sort.Search(n, func(i int) bool {
		c := v.At(i)
		return c.Prefix() > uint64(i)+1
	})
	return uint32(rank) + 1
}

// dropName removes the name at the cursor.
func (s *Stream) dropName(c *tree.Cursor, number uint32) {
	t := s.tree(treeNames)
	t.Delete(c)
	s.roots[treeNames] = t.Root
	s.dropNumber(number)
}

func (s *Stream) dropNumber(number uint32) {
	t := s.tree(treeNumbers)
	if c, found := t.Find(uint64(number), nil); found {
		t.Delete(&c)
		s.roots[treeNumbers] = t.Root
	}
}

// nameOf returns the name that has a number.
func (r *Reader) nameOf(number uint32) []byte {
	c, found := r.view(treeNumbers).Find(uint64(number), nil)
	if !found {
		return nil
	}
	item := c.Item()
	_, n := binary.Uvarint(item)
	return item[n:]
}

// ConsumerName returns a view of the name of the consumer with this number.
func (r *Reader) ConsumerName(number uint32) []byte { return r.nameOf(number) }

func (g *Group) put(b []byte) {
	binary.LittleEndian.PutUint32(b, g.Number)
	binary.LittleEndian.PutUint64(b[4:], g.LastID.Ms)
	binary.LittleEndian.PutUint64(b[12:], g.LastID.Seq)
	binary.LittleEndian.PutUint64(b[20:], uint64(g.EntriesRead))
}

func parseGroup(b []byte) Group {
	word := func(at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) }
	return Group{binary.LittleEndian.Uint32(b), ID{word(4), word(12)}, int64(word(20))}
}

func (c *Consumer) put(b []byte) {
	binary.LittleEndian.PutUint32(b, c.Number)
	binary.LittleEndian.PutUint64(b[4:], uint64(c.SeenMs))
}

func parseConsumer(b []byte) Consumer {
	return Consumer{binary.LittleEndian.Uint32(b), int64(binary.LittleEndian.Uint64(b[4:]))}
}

// Group returns the group of this name.
func (r *Reader) Group(name []byte) (Group, bool) {
	// There are few groups: hardly ever is another one before this among those whose
	// names begin like its own.
	v := r.view(treeNames)
	if item, found := v.Lookup(namePrefix(0, name)); found {
		if _, itemName, known := ownerAndName(item); string(itemName) == string(name) {
			return parseGroup(known), true
		}
	}
	c, found := r.findName(0, name)
	if !found {
		return Group{}, false
	}
	_, _, known := ownerAndName(c.Item())
	return parseGroup(known), true
}

// Consumer returns the consumer of this name in a group.
func (r *Reader) Consumer(group uint32, name []byte) (Consumer, bool) {
	c, found := r.findName(group, name)
	if !found {
		return Consumer{}, false
	}
	_, _, known := ownerAndName(c.Item())
	return parseConsumer(known), true
}

// CreateGroup makes a group; ok is false if there is one of that name.
func (s *Stream) CreateGroup(name []byte, last ID, entriesRead int64) (g Group, ok bool) {
	c, found := s.findName(0, name)
	if found {
		return Group{}, false
	}
	number, known := s.addName(&c, 0, name, groupSize)
	g = Group{number, last, entriesRead}
	g.put(known)
	return g, true
}

// SetGroup changes what is known of a group.
func (s *Stream) SetGroup(name []byte, g Group) {
	if known := s.known(0, name); known != nil {
		g.put(known)
	}
}

// SetSeen changes when a consumer was last seen.
func (s *Stream) SetSeen(group uint32, name []byte, seenMs int64) {
	if known := s.known(group, name); known != nil {
		binary.LittleEndian.PutUint64(known[4:], uint64(seenMs))
	}
}

// known returns what is known under a name, to be changed.
func (s *Stream) known(owner uint32, name []byte) []byte {
	c, found := s.findName(owner, name)
	if !found {
		return nil
	}
	t := s.tree(treeNames)
	item := t.Resize(&c, len(c.Item()))
	s.roots[treeNames] = t.Root
	_, _, known := ownerAndName(item)
	return known
}

// CreateConsumer makes a consumer; ok is false if the group has one of that
// name.
func (s *Stream) CreateConsumer(group uint32, name []byte, seenMs int64) (consumer Consumer, ok bool) {
	c, found := s.findName(group, name)
	if found {
		return Consumer{}, false
	}
	number, known := s.addName(&c, group, name, consumerSize)
	consumer = Consumer{number, seenMs}
	consumer.put(known)
	return consumer, true
}

// DeleteConsumer removes a consumer and what it had pending, and returns how
// many entries these were; ok is false if there is no such consumer.
func (s *Stream) DeleteConsumer(group uint32, name []byte) (pending int, ok bool) {
	c, found := s.findName(group, name)
	if !found {
		return 0, false
	}
	_, _, known := ownerAndName(c.Item())
	number := parseConsumer(known).Number
	// The tree of names stays what it is meanwhile, and c good.
	pending = s.dropOwned(group, number)
	s.dropName(&c, number)
	return pending, true
}

// DestroyGroup removes a group with its consumers and all that is pending.
func (s *Stream) DestroyGroup(name []byte) bool {
	c, found := s.findName(0, name)
	if !found {
		return false
	}
	_, _, known := ownerAndName(c.Item())
	number := parseGroup(known).Number
	s.dropName(&c, number)
	s.dropAllPending(number)
	for {
		names := s.Consumers(number)
		if !names.Next() {
			return true
		}
		s.dropAllPending(names.Consumer.Number)
		s.dropName(&names.cursor, names.Consumer.Number)
	}
}

// ownerRange returns the ranks of an owner's names.
func (r *Reader) ownerRange(owner uint32) (from, to int) {
	c, _ := r.findName(owner, nil)
	from = c.Rank()
	c, _ = r.findName(owner+1, nil)
	return from, c.Rank()
}

// GroupCount is the number of groups, ConsumerCount that of a group's consumers.
func (r *Reader) GroupCount() int { return r.nameCount(0) }

func (r *Reader) ConsumerCount(group uint32) int { return r.nameCount(group) }

func (r *Reader) nameCount(owner uint32) int {
	from, to := r.ownerRange(owner)
	return to - from
}

// Groups walks the groups in the order of their names, Consumers those of one
// group.
type Groups struct {
	Name   []byte
	Group  Group
	cursor tree.Cursor
	begun  bool
}

// Groups returns a walk over the groups.
func (r *Reader) Groups() Groups {
	c, _ := r.findName(0, nil)
	return Groups{cursor: c}
}

// Next goes to the next group. Name is a view of its name.
func (it *Groups) Next() bool {
	if it.begun {
		it.cursor.Next()
	}
	it.begun = true
	if !it.cursor.Valid() {
		return false
	}
	owner, name, known := ownerAndName(it.cursor.Item())
	if owner != 0 {
		return false
	}
	it.Name, it.Group = name, parseGroup(known)
	return true
}

// Consumers walks the consumers of a group.
type Consumers struct {
	Name     []byte
	Consumer Consumer
	group    uint32
	cursor   tree.Cursor
	begun    bool
}

// Consumers returns a walk over the consumers of a group.
func (r *Reader) Consumers(group uint32) Consumers {
	c, _ := r.findName(group, nil)
	return Consumers{cursor: c, group: group}
}

// Next goes to the next consumer. Name is a view of its name.
func (it *Consumers) Next() bool {
	if it.begun {
		it.cursor.Next()
	}
	it.begun = true
	if !it.cursor.Valid() {
		return false
	}
	owner, name, known := ownerAndName(it.cursor.Item())
	if owner != it.group {
		return false
	}
	it.Name, it.Consumer = name, parseConsumer(known)
	return true
}
