package store

import (
	"hash/maphash"
	"sync"
	"sync/atomic"

	"slotmesh/slots"
)

// Options of a Store.
type Options struct {
	// Databases is the number of databases; 0 means 16.
	Databases int
}

// Store is the keyspace. See the package's promise for who must hold what.
type Store struct {
	seed maphash.Seed
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

	// turn is turnRecords, but for tests.
	turn  int
	clock clock
}

// New returns an empty store.
func New(o Options) *Store {
	if o.Databases == 0 {
		o.Databases = 16
	}
	s := &Store{seed: maphash.MakeSeed(), dbs: make([]atomic.Pointer[database], o.Databases), turn: turnRecords}
	s.clock.init()
	return s
}

// Databases is how many databases there are.
func (s *Store) Databases() int { return len(s.dbs) }

// Len is the number of keys of db, expired ones that are not yet deleted
// included. It needs no lock.
func (s *Store) Len(db int) int {
	if d := s.dbs[db].Load(); d != nil {
		return int(d.keys.Load())
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
		return int(d.perSlot[slot].Load())
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
	keys := make([][]byte, 0, min(sp.n, limit))
	for pos := 0; pos < sp.n && len(keys) < limit; pos++ {
		keys = append(keys, append([]byte(nil), sp.at(uint32(pos)).key()...))
	}
	return keys
}

func (s *Store) hash(key []byte) uint32 { return uint32(maphash.Bytes(s.seed, key)) }

// Find looks key up. It leaves no mark on it, and it does not look at expiry.
func (s *Store) Find(db int, slot slots.Slot, key []byte) Ref {
	sp := s.space(db, slot)
	if sp == nil {
		return Ref{}
	}
	pos, found := sp.find(s.hash(key), key)
	if !found {
		return Ref{}
	}
	return Ref{s, sp, pos}
}

// Set makes value the value of key, which is created if need be. The expiry of
// an old value goes, unless keepTTL. key and value are copied; value may be a
// view of the store.
func (s *Store) Set(db int, slot slots.Slot, key []byte, value Value, keepTTL bool, now int64) Ref {
	sp := s.makeSpace(db, slot)
	hash := s.hash(key)
	pos, found := sp.find(hash, key)
	if !found {
		pos = sp.insert(record{hash: hash, keyLen: uint32(len(key)), version: s.version, clock: s.clock.fresh(now)})
		rec := sp.at(pos)
		rec.write(key, value)
		sp.home.keys.Add(1)
		sp.home.perSlot[slot].Add(1)
		return Ref{s, sp, pos}
	}
	rec := sp.at(pos)
	s.preserve(sp, rec)
	if !keepTTL && rec.ttl != 0 {
		sp.setDeadline(pos, 0)
	}
	rec.write(rec.key(), value)
	rec.clock = s.clock.overwritten(rec.clock, now)
	return Ref{s, sp, pos}
}

// Insert puts e into the store, over an older value if there is one. It is the
// way in for files and full syncs: the caller holds e.Slot, or has the store
// for itself.
func (s *Store) Insert(e Entry, now int64) Ref {
	ref := s.Set(e.DB, e.Slot, e.Key, e.Value, false, now)
	if e.ExpireAtMs > 0 {
		ref.SetExpire(e.ExpireAtMs)
	}
	if e.IdleSec >= 0 || e.Freq >= 0 {
		ref.SetAccess(e.IdleSec, e.Freq, now)
	}
	return ref
}

// Delete removes key and reports whether it was there.
func (s *Store) Delete(db int, slot slots.Slot, key []byte) bool {
	sp := s.space(db, slot)
	if sp == nil {
		return false
	}
	pos, found := sp.find(s.hash(key), key)
	if !found {
		return false
	}
	s.deleteAt(sp, pos)
	return true
}

// deleteAt removes the record at pos. The last record takes its place.
func (s *Store) deleteAt(sp *space, pos uint32) {
	s.preserve(sp, sp.at(pos))
	sp.setDeadline(pos, 0)
	sp.remove(pos)
	sp.home.keys.Add(-1)
	sp.home.perSlot[sp.slot].Add(-1)
}

// Ref is a key that was found: good until the next change of its slot by
// another way than this Ref, and only while the slot is locked. The zero Ref is
// no key.
type Ref struct {
	store *Store
	space *space
	pos   uint32
}

// OK reports whether there is a key.
func (r Ref) OK() bool { return r.space != nil }

func (r Ref) record() *record { return r.space.at(r.pos) }

// Key returns a view of the key.
func (r Ref) Key() []byte { return r.record().key() }

// Value returns a view of the value.
func (r Ref) Value() Value { return r.record().value() }

// Kind returns the type of the value.
func (r Ref) Kind() Kind { return r.record().kind }

// Entry returns the key with everything that belongs to it. Key and Value are
// views.
func (r Ref) Entry(now int64) Entry {
	return r.store.entry(r.space, r.record(), now)
}

func (s *Store) entry(sp *space, rec *record, now int64) Entry {
	e := Entry{DB: sp.home.number, Slot: sp.slot, Key: rec.key(), Value: rec.value(), ExpireAtMs: sp.deadlineOf(rec)}
	e.IdleSec, e.Freq = s.clock.access(rec.clock, now)
	return e
}

// Expires reports whether the key has an expiry.
func (r Ref) Expires() bool { return r.record().ttl != 0 }

// ExpireAt returns the expiry in Unix milliseconds, 0 for none.
func (r Ref) ExpireAt() int64 { return r.space.deadlineOf(r.record()) }

// SetExpire sets the expiry, 0 for none.
func (r Ref) SetExpire(atMs int64) {
	r.store.preserve(r.space, r.record())
	r.space.setDeadline(r.pos, atMs)
}

// SetInt makes n the value of a string.
func (r Ref) SetInt(n int64) {
	rec := r.record()
	r.store.preserve(r.space, rec)
	rec.write(rec.key(), IntValue(n))
}

// SetValue replaces the value and leaves the rest. value may be a view.
func (r Ref) SetValue(value Value) {
	rec := r.record()
	r.store.preserve(r.space, rec)
	rec.write(rec.key(), value)
}

// Append adds tail to a string, which becomes raw, and returns its new length.
// tail must not be a view of this key's value.
func (r Ref) Append(tail []byte) int {
	rec := r.record()
	size := rec.value().TextLen()
	copy(r.Edit(size + len(tail))[size:], tail)
	return size + len(tail)
}

// Edit makes a string raw and at least size bytes long, filled up with zeros,
// and returns its content to be changed in place.
func (r Ref) Edit(size int) []byte {
	rec := r.record()
	r.store.preserve(r.space, rec)
	return rec.edit(size)
}

// Copy makes key of db in slot a copy of from: value, expiry and marks of
// access. An old value of key goes. Both slots are locked; from is good until
// this call only.
func (s *Store) Copy(from Ref, db int, slot slots.Slot, key []byte, now int64) Ref {
	rec := from.record()
	value, mark, at := rec.value(), rec.clock, from.ExpireAt()
	ref := s.Set(db, slot, key, value, false, now)
	if at != 0 {
		ref.SetExpire(at)
	}
	ref.record().clock = mark
	return ref
}
