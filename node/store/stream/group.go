package stream

import (
	"encoding/binary"

	"slotmesh/node/store/tree"
)

// Groups and their consumers have numbers, from 1, each its own in the stream;
// those that are given up are given again. What is known of a group are the last id
// delivered, the number of entries read and how its consumers' names begin, of a
// consumer the time it was last seen: all but that beginning fixed numbers, changed in
// place.

// NotKnown is the number of entries that a group has read when nobody can tell.
const NotKnown = -1

// Group is what is known of a consumer group.
type Group struct {
	Number uint32
	LastID ID
	// EntriesRead counts the entries up to LastID, or is NotKnown.
	EntriesRead int64
	// begin is what the names of its consumers mostly begin with. It is the record's,
	// for what looks consumers up.
	begin beginning
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

// ConsumerName returns a view of the name of the consumer with this number.
func (r *Reader) ConsumerName(number uint32) []byte { return r.nameOf(number) }

// put writes what is known of the group but the beginning of names.
func (g *Group) put(b []byte) {
	binary.LittleEndian.PutUint32(b, g.Number)
	binary.LittleEndian.PutUint64(b[4:], g.LastID.Ms)
	binary.LittleEndian.PutUint64(b[12:], g.LastID.Seq)
	binary.LittleEndian.PutUint64(b[20:], uint64(g.EntriesRead))
}

func parseGroup(b []byte) (g Group) {
	word := func(at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) }
	g.Number, g.LastID, g.EntriesRead = binary.LittleEndian.Uint32(b), ID{word(4), word(12)}, int64(word(20))
	g.begin.size = uint8(copy(g.begin.text[:], b[groupSize:]))
	return g
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
	known, found := r.lookup(namePrefix(0, name), 0, name)
	if !found {
		return Group{}, false
	}
	return parseGroup(known), true
}

// Consumer returns the consumer of this name in a group.
func (r *Reader) Consumer(g *Group, name []byte) (Consumer, bool) {
	known, found := r.lookup(g.consumerPrefix(name), g.Number, name)
	if !found {
		return Consumer{}, false
	}
	return parseConsumer(known), true
}

// CreateGroup makes a group; ok is false if there is one of that name.
func (s *Stream) CreateGroup(name []byte, last ID, entriesRead int64) (g Group, ok bool) {
	prefix := namePrefix(0, name)
	c, found := s.findName(prefix, 0, name)
	if found {
		return Group{}, false
	}
	number, known := s.addName(&c, prefix, 0, name, groupSize)
	g = Group{Number: number, LastID: last, EntriesRead: entriesRead}
	g.put(known)
	return g, true
}

// SetGroup changes what is known of a group.
func (s *Stream) SetGroup(name []byte, g *Group) {
	if known, found := s.editName(namePrefix(0, name), 0, name); found {
		g.put(known)
	}
}

// SetSeen changes when a consumer was last seen.
func (s *Stream) SetSeen(g *Group, name []byte, seenMs int64) {
	if known, found := s.editName(g.consumerPrefix(name), g.Number, name); found {
		binary.LittleEndian.PutUint64(known[4:], uint64(seenMs))
	}
}

// CreateConsumer makes a consumer; ok is false if the group has one of that
// name. How the group's names begin may change, and then this g knows it: consumers
// are not to be looked up with another one that was read before.
func (s *Stream) CreateConsumer(g *Group, name []byte, seenMs int64) (consumer Consumer, ok bool) {
	prefix := g.consumerPrefix(name)
	c, found := s.findName(prefix, g.Number, name)
	if found {
		return Consumer{}, false
	}
	many := crowded(c, prefix)
	number, known := s.addName(&c, prefix, g.Number, name, consumerSize)
	consumer = Consumer{number, seenMs}
	consumer.put(known)
	if many {
		s.refit(g)
	}
	return consumer, true
}

// DeleteConsumer removes a consumer and what it had pending, and returns how
// many entries these were; ok is false if there is no such consumer.
func (s *Stream) DeleteConsumer(g *Group, name []byte) (pending int, ok bool) {
	c, found := s.findConsumer(g, name)
	if !found {
		return 0, false
	}
	_, _, known := ownerAndName(c.Item())
	number := parseConsumer(known).Number
	// The tree of names stays what it is meanwhile, and c good.
	pending = s.dropOwned(g.Number, number)
	s.dropName(&c, number)
	return pending, true
}

// DestroyGroup removes a group with its consumers and all that is pending.
func (s *Stream) DestroyGroup(name []byte) bool {
	c, found := s.findGroup(name)
	if !found {
		return false
	}
	_, _, known := ownerAndName(c.Item())
	number := parseGroup(known).Number
	s.dropName(&c, number)
	s.dropAllPending(number)
	for s.roots[treeNames].Count > 0 {
		names := s.Consumers(number)
		if !names.Next() {
			break
		}
		s.dropAllPending(names.Consumer.Number)
		s.dropName(&names.cursor, names.Consumer.Number)
	}
	return true
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
	return Groups{cursor: r.firstName(0)}
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
	return Consumers{cursor: r.firstName(group), group: group}
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
