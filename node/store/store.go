package store

import (
	"sync"
	"sync/atomic"

	"slotmesh/node/store/arena"
	"slotmesh/node/store/tree"
	"slotmesh/node/store/value"
	"slotmesh/slots"
)

// Entry is one key with everything that belongs to it, outside the store.
type Entry struct {
	DB    int
	Slot  slots.Slot
	Key   []byte
	Value value.Value
	// Draft, if not nil, is what Value is to be: Insert takes it over, and who
	// does not insert the entry discards it.
	Draft *value.Draft
	// ExpireAtMs is the Unix time of the key's end in milliseconds, 0 for none.
	ExpireAtMs int64
	// IdleSec is the time since the last access, -1 when the policy does not
	// keep it; Freq the access counter, -1 when the policy does not keep it.
	IdleSec int64
	Freq    int
}

// Options of a Store.
type Options struct {
	// Databases is the number of databases; 0 means 16.
	Databases int
	// Memory is where everything lies; nil means a small one of its own, which
	// is enough for tests.
	Memory *arena.Memory
}

// Store is the keyspace. See the package's promise for who must hold what.
type Store struct {
	memory *arena.Memory
	// dbs are the databases, nil where nothing was stored. A database is made by
	// the first write to it, and replaced or moved under Exclusive.
	dbs []atomic.Pointer[database]

	// version is what a record that changes now is marked with. It changes
	// under Exclusive only.
	version uint32
	// aged is the version at which old marks were last brought forward.
	aged uint32
	// open are the snapshots that writers must serve, oldest first; nil if there
	// are none. mu guards its replacement.
	mu   sync.Mutex
	open atomic.Pointer[[]*Snapshot]

	// unsettled is true for a Sibling that is being filled: see Settle.
	unsettled bool
	// hurried ends that Sibling's hurry for memory.
	hurried func()

	reaper reaper
	// turn is turnRecords, but for tests.
	turn  int
	clock clock
}

// Heaps is how many heaps the Memory of a Store should have: so many writers
// can need memory at once without waiting for each other.
const Heaps = 16

// ownMemory is what a store without a Memory sets aside: addresses, not memory.
const ownMemory = 4 << 30

// New returns an empty store.
func New(o Options) *Store {
	if o.Databases == 0 {
		o.Databases = 16
	}
	if o.Memory == nil {
		var err error
		if o.Memory, err = arena.New(arena.Options{Reserve: ownMemory, Heaps: Heaps}); err != nil {
			panic(err)
		}
	}
	s := &Store{memory: o.Memory, dbs: make([]atomic.Pointer[database], o.Databases), turn: turnRecords}
	s.reaper.wake = make(chan struct{}, 1)
	s.clock.init()
	return s
}

// Memory is where everything lies.
func (s *Store) Memory() *arena.Memory { return s.memory }

// Databases is how many databases there are.
func (s *Store) Databases() int { return len(s.dbs) }

// Len is the number of keys of db, expired ones that are not yet deleted
// included. It needs no lock.
func (s *Store) Len(db int) int {
	if d := s.dbs[db].Load(); d != nil {
		return int(d.keys.all())
	}
	return 0
}

// Expires is how many keys of db have an expiry. It needs no lock.
func (s *Store) Expires(db int) int {
	if d := s.dbs[db].Load(); d != nil {
		return int(d.expires.Load())
	}
	return 0
}

// FieldsExpire reports whether hashes of db have fields that expire. It needs no
// lock.
func (s *Store) FieldsExpire(db int) bool {
	d := s.dbs[db].Load()
	return d != nil && d.fielded.Load() > 0
}

// AverageTTL is the mean time left of those keys in milliseconds, 0 if there
// are none. It needs no lock.
func (s *Store) AverageTTL(db int, now int64) int64 {
	d := s.dbs[db].Load()
	if d == nil {
		return 0
	}
	n := d.expires.Load()
	if n == 0 {
		return 0
	}
	return max(d.deadlines.Load()/n-now, 0)
}

// CountInSlot is the number of keys of db in slot. It needs no lock.
func (s *Store) CountInSlot(db int, slot slots.Slot) int {
	if d := s.dbs[db].Load(); d != nil {
		return d.keys.of(slot)
	}
	return 0
}

// Empty reports whether there is no key in any database. It needs no lock.
func (s *Store) Empty() bool {
	for db := range s.dbs {
		if s.Len(db) != 0 {
			return false
		}
	}
	return true
}

// KeysInSlot returns up to limit keys of db in slot, detached, in no order.
func (s *Store) KeysInSlot(db int, slot slots.Slot, limit int) [][]byte {
	sp := s.space(db, slot)
	if sp == nil {
		return nil
	}
	keys := make([][]byte, 0, min(sp.index.n, limit))
	sp.index.each(0, limit, func(at arena.Ref) {
		if len(keys) < limit {
			keys = append(keys, append([]byte(nil), value.Key(s.memory, at)...))
		}
	})
	return keys
}

func (s *Store) hash(key []byte) uint32 { return uint32(s.memory.Hash(key)) >> (32 - hashBits) }

// Place is where a key lies in every database: its slot and its hash. Who looks
// a key up more than once finds out once. The zero Place is not known.
type Place struct {
	Slot  slots.Slot
	known bool
	hash  uint32
}

// Known is false for the zero Place.
func (p Place) Known() bool { return p.known }

// Place returns where key lies.
func (s *Store) Place(key []byte) Place { return s.PlaceIn(slots.Of(key), key) }

// PlaceIn is Place for a key whose slot is known.
func (s *Store) PlaceIn(slot slots.Slot, key []byte) Place { return Place{slot, true, s.hash(key)} }

// Find looks key up. It leaves no mark on it, and it does not look at expiry.
func (s *Store) Find(db int, slot slots.Slot, key []byte) Ref {
	return s.FindAt(db, s.PlaceIn(slot, key), key)
}

// FindAt is Find for a key whose place is known.
func (s *Store) FindAt(db int, p Place, key []byte) Ref {
	sp := s.space(db, p.Slot)
	if sp == nil {
		return Ref{}
	}
	at := sp.find(p.hash, key)
	if at == 0 {
		return Ref{}
	}
	return sp.ref(at)
}

// VisitAt is FindAt and Touch at once, for a key that does not expire: of one that
// does, which may be over, it says so and leaves no mark.
func (s *Store) VisitAt(db int, p Place, key []byte, now int64) (ref Ref, expires bool) {
	sp := s.space(db, p.Slot)
	if sp == nil {
		return Ref{}, false
	}
	at := sp.index.find(s.memory, p.hash, key)
	if at == 0 {
		return Ref{}, false
	}
	if value.Expires(s.memory, at) {
		return sp.ref(at), true
	}
	if s.clock.lfu.Load() {
		sp.ref(at).Touch(now)
	} else {
		value.SetClock(s.memory, at, seconds(now))
	}
	return sp.ref(at), false
}

// Set makes v the value of key, which is created if need be. The expiry of an
// old value goes, unless keepTTL. key and v are copied; v may be a view of the
// store, but of this key only if it is a string. The trees of a collection go
// over with it: they must be nobody else's any more.
func (s *Store) Set(db int, slot slots.Slot, key []byte, v value.Value, keepTTL bool, now int64) Ref {
	return s.SetAt(db, s.PlaceIn(slot, key), key, &v, keepTTL, now)
}

// SetAt is Set for a key whose place is known.
func (s *Store) SetAt(db int, p Place, key []byte, v *value.Value, keepTTL bool, now int64) Ref {
	deadline := int64(0)
	if keepTTL {
		deadline = keepDeadline
	}
	sp := s.makeSpace(db, p.Slot)
	return sp.ref(sp.set(p.hash, key, v, deadline, now))
}

// SetUntilAt is SetAt for a key that expires at deadline, Unix milliseconds.
func (s *Store) SetUntilAt(db int, p Place, key []byte, v *value.Value, deadline, now int64) Ref {
	sp := s.makeSpace(db, p.Slot)
	return sp.ref(sp.set(p.hash, key, v, deadline, now))
}

// RenewAt is SetAt for a key that is to be as if it had just been made, were it there
// or not: its mark of access is that of a new one.
func (s *Store) RenewAt(db int, p Place, key []byte, v *value.Value, now int64) Ref {
	ref := s.SetAt(db, p, key, v, false, now)
	value.SetClock(s.memory, ref.At(), s.clock.fresh(now))
	return ref
}

// keepDeadline is the deadline of a key that keeps the one it has, or has none.
const keepDeadline = -1

// set gives key the value v and a deadline, 0 for none, and returns where the
// record is: a Ref is put together in memory, and who reads that at once waits
// until the new record has been written.
func (sp *space) set(hash uint32, key []byte, v *value.Value, deadline, now int64) arena.Ref {
	s := sp.store
	at := sp.find(hash, key)
	if at == 0 {
		return sp.createUntil(hash, key, v, s.clock.fresh(now), max(deadline, 0))
	}
	clock := sp.touched(at, now)
	if deadline <= 0 && value.Overwrite(s.memory, at, v, s.version, clock) {
		return at
	}
	c := sp.cell(at)
	sp.Preserve(at)
	h := c.Header()
	if h.Roots != 0 {
		sp.discardTrees(&c)
	}
	if deadline != keepDeadline {
		at = sp.setDeadline(&sp.keys, at, deadline)
	}
	if h.FieldDeadline != 0 {
		at = sp.setDeadline(&sp.fields, at, 0)
	}
	c = sp.cell(at)
	c.Replace(*v)
	if v.FieldsExpireAt != 0 {
		c.FieldsExpire(v.FieldsExpireAt)
	}
	value.SetClock(s.memory, c.At(), clock)
	return c.At()
}

// createUntil makes a new key, which expires unless deadline is 0: its record has
// room for that at once.
func (sp *space) createUntil(hash uint32, key []byte, v *value.Value, clock uint32, deadline int64) arena.Ref {
	s := sp.store
	place, due := 0, int64(0)
	if deadline != 0 {
		due = sp.dueBefore()
		sp.keys.grow()
		place = sp.keys.n
	}
	at := value.NewExpiring(sp.heap, key, v, s.version, clock, uint32(place))
	sp.index.insert(hash, at)
	if !s.unsettled {
		sp.home.keys.add(sp.slot, 1)
	}
	if deadline != 0 {
		sp.enter(&sp.keys, at, deadline)
		sp.dueAfter(due)
	}
	if v.FieldsExpireAt != 0 {
		at = sp.FieldsExpire(at, v.FieldsExpireAt)
	}
	return at
}

// DraftSpace is where the trees of a draft come from that will be the value of
// a key of slot. The slot is locked, or the store is the caller's alone.
func (s *Store) DraftSpace(slot slots.Slot) tree.Space {
	return tree.Space{Heap: s.memory.Heap(int(slot)), Version: s.version}
}

// Delete removes key and reports whether it was there.
func (s *Store) Delete(db int, slot slots.Slot, key []byte) bool {
	return s.DeleteAt(db, s.PlaceIn(slot, key), key)
}

// DeleteAt is Delete for a key whose place is known.
func (s *Store) DeleteAt(db int, p Place, key []byte) bool {
	sp := s.space(db, p.Slot)
	if sp == nil {
		return false
	}
	at := sp.find(p.hash, key)
	if at == 0 {
		return false
	}
	sp.delete(p.hash, at, true)
	return true
}

// delete removes the record at at, with its trees unless they live on.
func (sp *space) delete(hash uint32, at arena.Ref, trees bool) {
	sp.Preserve(at)
	c := sp.cell(at)
	h := c.Header()
	if trees && h.Roots != 0 {
		sp.discardTrees(&c)
	}
	if h.Deadline != 0 {
		at = sp.setDeadline(&sp.keys, at, 0)
	}
	if h.FieldDeadline != 0 {
		at = sp.setDeadline(&sp.fields, at, 0)
	}
	sp.index.remove(hash, at)
	if !sp.store.unsettled {
		sp.home.keys.add(sp.slot, -1)
	}
	c = sp.cell(at)
	if c.Header().Lent {
		sp.Retire(at)
		return
	}
	sp.heap.Free(at)
}

// Ref is a key that was found: good until the next change of its slot by
// another way than this Ref, and only while the slot is locked. The zero Ref is
// no key. Its Cell is the value, open for change.
//
// It is four words long, which the compiler keeps in registers: one more and each
// of the copies that a command makes would go through memory.
type Ref struct{ value.Cell }

func (sp *space) ref(at arena.Ref) Ref { return Ref{sp.cell(at)} }

// space is where the key is; nil for no key.
func (r Ref) space() *space {
	sp, _ := r.Home().(*space)
	return sp
}

// OK reports whether there is a key.
func (r Ref) OK() bool { return r.At() != 0 }

// Entry returns the key with everything that belongs to it. Key and Value are
// views.
func (r Ref) Entry(now int64) Entry {
	e := r.space().entry(r.At())
	e.IdleSec, e.Freq = r.space().store.clock.access(r.mark(), now)
	return e
}

// DB returns the database that the key is in, Slot its slot.
func (r Ref) DB() int          { return r.space().home.number }
func (r Ref) Slot() slots.Slot { return r.space().slot }

// Expires reports whether the key has an expiry.
func (r Ref) Expires() bool { return r.HasDeadline() }

// ExpireAt returns the expiry in Unix milliseconds, 0 for none.
func (r Ref) ExpireAt() int64 { return r.space().keys.of(r.Header().Deadline) }

// SetExpire sets the expiry, 0 for none.
func (r *Ref) SetExpire(atMs int64) {
	r.space().Preserve(r.At())
	r.Cell = r.space().cell(r.space().setDeadline(&r.space().keys, r.At(), atMs))
}

// SetValue replaces a string by another one and leaves the rest. v may be a
// view.
func (r *Ref) SetValue(v value.Value) { r.Replace(v) }

// Append adds tail to a string, which becomes raw, and returns its new length.
// tail must not be a view of this key's value.
func (r *Ref) Append(tail []byte) int {
	size := r.Value().TextLen()
	copy(r.Extend(size + len(tail))[size:], tail)
	return size + len(tail)
}

// greedyBytes bounds what a growing string gets beyond its need.
const greedyBytes = 1 << 20

// Extend makes a string raw and at least size bytes long, filled up with zeros,
// and returns its content to be changed in place.
func (r *Ref) Extend(size int) []byte {
	v := r.Value()
	if v.Enc == value.EncInt {
		r.Replace(value.RawValue(v.AppendText(nil)))
	}
	old := v.TextLen()
	size = max(size, old)
	room := 0
	if size > old && v.Enc == value.EncRaw {
		room = min(size, greedyBytes)
	}
	b := r.SpliceRoom(old, 0, size-old, room)
	clear(b[old:])
	r.SetEncoding(value.EncRaw)
	return b
}

// Resize makes a string raw and size bytes long, and returns its content, which is
// to be written anew: nothing of the old one is kept.
func (r *Ref) Resize(size int) []byte {
	b := r.Splice(0, len(r.Payload()), size)
	r.SetEncoding(value.EncRaw)
	return b
}

// Copy makes key of db at p a copy of from, which is another key: value and expiry. An
// old value of key goes. Both slots are locked; from is good until this call only.
func (s *Store) Copy(from Ref, db int, p Place, key []byte, now int64) Ref {
	v := from.Value()
	// The value is a view of from, which stays where it is while key is written, and
	// its trees are for a moment those of both.
	ref := s.copyAs(from, &v, db, p, key, now)
	if v.Roots != 0 {
		c := ref.space().cell(ref.At())
		c.CloneTrees()
		ref = ref.space().ref(c.At())
	}
	return ref
}

// CopyMade is Copy with a clone of the value that was made before, which it takes
// over: see Ref.UnchangedSince.
func (s *Store) CopyMade(from Ref, made *value.Draft, db int, p Place, key []byte, now int64) Ref {
	defer made.Close()
	v := made.Value()
	return s.copyAs(from, &v, db, p, key, now)
}

// copyAs makes v the value of key, with the deadlines of from.
func (s *Store) copyAs(from Ref, v *value.Value, db int, p Place, key []byte, now int64) Ref {
	at := from.ExpireAt()
	v.FieldsExpireAt = from.FieldsExpireAt()
	ref := s.RenewAt(db, p, key, v, now)
	if at != 0 {
		ref.SetExpire(at)
	}
	return ref
}

// Move makes key of db at p what from is, which is another key and lies at was, and
// removes from: value, expiry and marks of access. An old value of key goes. Both slots
// are locked; from is good until this call only.
func (s *Store) Move(from Ref, was Place, db int, p Place, key []byte, now int64) Ref {
	to := s.makeSpace(db, p.Slot)
	if to.find(p.hash, key) == 0 {
		return to.adopt(from, was.hash, p.hash, key)
	}
	v, mark := from.Value(), from.mark()
	v.FieldsExpireAt = from.FieldsExpireAt()
	// The value is a view of from, which stays where it is while key is written, and
	// its trees are for a moment those of both.
	ref := to.ref(to.set(p.hash, key, &v, from.ExpireAt(), now))
	value.SetClock(s.memory, ref.At(), mark)
	from.space().delete(was.hash, from.At(), false)
	return ref
}

// adopt makes the record of from, which is another key and has the hash was, that of
// key, which sp has not.
func (sp *space) adopt(from Ref, was, hash uint32, key []byte) Ref {
	old, at := from.space(), from.At()
	old.Preserve(at)
	h := from.Header()
	keyDue := old.giveUpDeadline(&old.keys, h.Deadline)
	fieldDue := old.giveUpDeadline(&old.fields, h.FieldDeadline)
	old.index.remove(was, at)
	from.Adopt(sp, sp.heap, key)
	sp.index.insert(hash, from.At())
	if sp != old && !sp.store.unsettled {
		sp.home.keys.add(sp.slot, 1)
		old.home.keys.add(old.slot, -1)
	}
	if keyDue != 0 {
		sp.addDeadline(&sp.keys, from.At(), keyDue)
	}
	if fieldDue != 0 {
		sp.addDeadline(&sp.fields, from.At(), fieldDue)
	}
	return from
}

// Remove deletes the key of ref, whose place is p.
func (s *Store) Remove(ref Ref, p Place) { ref.space().delete(p.hash, ref.At(), true) }

// FieldsExpireAt is when the first field of the value expires, Unix
// milliseconds, 0 for never.
func (r Ref) FieldsExpireAt() int64 { return r.space().fields.of(r.Header().FieldDeadline) }

// Size is how much memory the key takes, trees and its part of the index
// included, in bytes.
func (r Ref) Size() int64 {
	size := int64(r.space().heap.Size(r.At())) + int64(r.space().index.bytes()/max(r.space().index.n, 1))
	// Neither a value nor a tree is put together for that.
	if n := r.Roots(); n > 0 {
		payload := r.Payload()
		for i := range n {
			size += int64(tree.ParseRoot(payload[i*tree.RootSize:]).Bytes)
		}
	}
	return size
}
