// Package arena hands out blocks of bytes that lie outside the heap of the
// garbage collector.
//
// # What it promises
//
// A Memory is one contiguous range of addresses, reserved when it is made and
// used bit by bit. A block in it is named by a Ref, a number of 36 bits, so
// that millions of blocks can refer to each other and to nothing that the
// collector would have to read. Blocks come from Heaps, which share the range
// but (up to 4 KiB) not their mutex; any of them frees a block of any other.
//
// A block has the bytes of its size class: steps of 8 bytes up to 128, 16
// classes per doubling up to 1 KiB, 8 per doubling up to 128 KiB, and whole
// frames of 16 KiB above. ClassSize tells what a size takes. Blocks are aligned
// to 8 bytes; those of whole frames to 16 KiB.
//
// Nothing is cleared: a new block shows whatever was there. Reading a block
// that was freed is a mistake, but no fault: addresses stay readable for as
// long as the Memory is reachable. They are given up some collections after it
// no longer is, so that a Memory needs no closing; whoever reads a view of its
// bytes keeps the Memory (or a Heap of it) reachable meanwhile.
//
// Space that is free goes back to the system when there is more of it than a
// small share of what is in use, 2 MiB with a Free and the rest with Settle, which
// the owner calls now and then: Mapped counts what has not gone back. What
// hinders that is a page with few blocks left in it. Excess says how much
// that is, and Heap.Sparse points the blocks out, so that their owner can move them
// (Refile once, then Alloc, copy, Free). What has gone back stays away: Settle keeps the
// system from making whole again the huge pages that lost a part.
//
// Memory that was never used is found and cleared by the system when it is touched
// first, which takes long for a huge page. Prepare does so ahead, for an owner that
// listens to Low.
//
// Alloc panics with ErrExhausted when the range is used up. Free panics when it
// is given what is no block, or a block that was freed already and not handed out
// since.
//
// The build tag "poison" is for finding stale references: freed blocks are
// filled with a pattern and new ones with another, and a freed block that was
// written to is found when it is handed out again.
//
// # How to read it
//
// arena.go (Memory: the range and its sums), class.go (sizes), heap.go (Alloc
// and Free: pages of equal blocks), frame.go (the side table that describes
// every 16 KiB), runs.go (who has which frames; best fit), freeset.go (the
// ordered set of free runs, which lives in the side table), pages.go (huge pages or
// small ones), holes.go (huge pages of which a part was given back), hash.go (the keyed
// hash of all that lies in a Memory), reserve_*.go (the system), poison*.go (the debug
// build).
//
// # What it may use
//
// golang.org/x/sys/unix, and nothing of this module. No clock, no goroutines.
package arena
