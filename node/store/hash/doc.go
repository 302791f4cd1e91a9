// Package hash is the value of a key that maps fields to texts, some of them
// with a deadline of their own.
//
// # What it promises
//
// Reader shows a hash that nobody changes: under the slot's lock, or in a
// snapshot without any. Hash changes one, in a record or in a draft. Neither
// allocates Go memory for what it finds or changes. What they show are views,
// good until the slot changes next.
//
// Fields that have passed their deadline stay until somebody deletes them
// (ExpireFields, Purge): a Reader is told the time and hides them, so that a
// replica, which deletes nothing by itself, does not show them either.
//
// # How it lies in memory
//
// A small hash is packed in the record's payload: a listpack of field, value,
// field, value, in the order of their first setting, which is what a file holds
// for it. With the first deadline the listpack gets a third entry per field, the
// deadline or 0, and eight bytes behind it that hold the next deadline of all.
// A listpack that comes from a file or a payload stays one as long as the reference
// would keep it, up to 64 KiB, and nobody sets a field: taking it over costs next to
// nothing.
//
// A larger one is a tree of items ordered by the hash of the field; once a field
// has had a deadline, a second tree orders the deadlines:
//
//	fields     prefix: hash of the field
//	           item:   length of field << 1 | has deadline (varint), deadline
//	                   (8 bytes, if it has one), field, value
//	deadlines  prefix: Unix milliseconds, 46 bits, and 18 of the hash of the field
//	           item:   hash of the field, 8 bytes, big-endian
//
// The encoding that OBJECT ENCODING names follows the reference's thresholds
// (Limits) and says nothing of this.
//
// # How to read it
//
// reader.go (looking things up), iter.go (walking, HSCAN), write.go (setting and
// deleting), load.go (whole hashes), deadline.go (deadlines), form.go (the bytes).
package hash
