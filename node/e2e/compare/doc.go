// Package compare has a node and the reference answer the same commands over
// the wire and compares every reply, in RESP2 and in RESP3.
//
// # Scripts
//
// testdata/*.script hold one command a line, in words or quoted as in Go.
// A line may start with words that say how to compare or send it:
//
//	@name      on the connection of that name instead of the first one
//	shape      only the kinds of the values, not their content
//	prefix     of an error only its first word, of anything else all
//	unordered  elements in any order
//	raw        the rest is one quoted string that is sent as it is
//
// A line "mode cluster" at the top runs the script in cluster mode on a node
// that owns all slots. "#" starts a comment.
//
// # Malformed input
//
// testdata/malformed holds quoted strings that are no requests, or only parts
// of one. Both servers must answer the same bytes and agree on whether the
// connection stays open; our node must also still serve others.
package compare
