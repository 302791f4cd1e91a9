// Package list is the content of a list: texts in an order that is theirs.
//
// # What it promises
//
// Reading needs a Value and no lock if that is a snapshot's. Pushing to and
// popping from both ends takes the same time for any length, finding an element
// by its index the logarithm of it, and inserting or deleting in the middle the
// logarithm and a pass over the blocks (not the elements) of the nearer side.
// Nothing allocates on Go's heap for an element.
//
// # The two forms
//
// A short list is one listpack, the payload of its record. A list beyond
// packedMax bytes is a tree of blocks, and it becomes a listpack again when next
// to nothing is left of it.
//
// A block is a listpack with room in front of it and behind it, so that a push
// at either end moves nothing; the first two bytes of the block say where the
// listpack begins. Blocks at the ends of a list grow by quarters up to blockMax
// and are full, or made tight, when they come to lie inside. An element that does
// not fit has a block to itself.
//
// Every element has a position, a number of 64 bits; those of neighbours differ
// by one. The prefix of a block in the tree is the position of its first element,
// so element i is in the last block whose prefix is not above first+i. Pushing to
// the front lowers first. Of the first block alone the prefix may be another
// number, as long as it is below that of the second one: it need not follow each
// push and pop. Inserting and deleting in the middle renumber the nearer side.
//
// # Payload of the large form
//
//	root of the tree, position of the first element u64, number of elements u64
//
// # Reading it
//
// block.go (the layout of a block), reader.go (reading), ends.go (push and pop),
// middle.go (everything else that changes a list), bundle.go (elements gathered for
// a new one). The package imports listpack, tree and value.
package list
