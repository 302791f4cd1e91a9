// Package tree keeps ordered items in blocks of an arena: a B+tree that counts
// its items and that is copied on write while a snapshot is open. The large
// forms of hashes, sets, sorted sets, lists and streams are made of it.
//
// An item is bytes. It is ordered by a prefix of 64 bits (the hash of a field,
// the bits of a score in an order-preserving form, a time) and, among items of
// one prefix, by a compare function of the type. A plain tree has no prefixes
// and orders its items by their position only. What is looked up by content must
// be looked up in the order that it was inserted in; the tree does not check.
//
// # What it promises
//
// Find, At, Insert, Resize and Delete touch the nodes of one path; a node has
// at most 4 KiB. DeleteRange touches two paths and gives back what lies between
// them without looking at the items; DeleteIf looks at every item once. Next and Prev stay in the leaf but for one
// time in a hundred. A cursor's Rank is exact and costs a walk up the path only
// when it is asked for. None of them takes memory of Go's heap.
//
// A node or block whose version is not after Space.Floor is never changed or
// freed while Space.Frozen is set. So whoever keeps an old Root reads it through
// a View, without a lock, while the tree goes on changing, until the blocks that
// the Retirer was given are freed. Root.Count and Root.Bytes are exact after
// every call, Bytes as long as no TreeRetirer has taken parts of the tree.
//
// A Tree has one writer at a time and no locks. Items and cursors are good until
// the tree changes; the cursor that a change was made with stays good.
//
// # How it lies in memory
//
// An inner node is a header of 16 bytes and up to 127 children, each of 24
// bytes: the prefix of the first item below, the node, the number of items
// below. The prefix is exact, so that the descent compares numbers; only among
// children that begin with the very prefix looked for it reads first items.
//
// A leaf is the header, the prefixes one after the other, the 2-byte offsets of
// the cells, a gap, and the cells from the end of the block towards the gap. A
// cell is the item's length in one or two bytes and the item. A deleted cell
// stays behind as dead bytes until the leaf is packed. An item of more than 512
// bytes lies in a block of its own with its own version, and the cell holds the
// reference.
//
// Blocks have the sizes of the arena's classes, eight in each doubling, and a
// leaf has the smallest that its items fit in with a little to spare: it moves to
// a greater one as it fills and to a smaller one when an eighth is unused: a quarter
// if items are deleted one by one, and then to one with nothing to spare; half of it at
// an end of the tree from which items are taken. That keeps leaves nine tenths full
// whatever the order of insertion is, without redistribution among neighbours. Items
// that come at an end of the tree begin a new leaf when the one there is full; others
// divide it in the middle.
//
// # Reading it
//
// tree.go has the types; node.go the layout of nodes; cursor.go finding and
// walking; items.go walking over all, part.go over a range of ranks; together.go looking
// several items up at once; walker.go walking along with another tree; insert.go growing,
// and changing an item's size; build.go making a tree of ordered items, or of another
// tree; hashed.go putting items into the order of their hashes; prefix.go changing an
// item's prefix; delete.go shrinking; thin.go shrinking all over; free.go giving everything
// back, and moving blocks out of sparse pages. The package imports the arena only.
package tree
