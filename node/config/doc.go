// Package config holds the directives of a node: the table of all of them with
// the reference's names, defaults and limits, the grammar of the configuration
// file and of the command line, and CONFIG GET, SET and REWRITE over them.
//
// Every directive of redis.conf 7.0 has a row (rows_*.go). A directive that has
// no meaning for this server is accepted, shown and written back like any
// other, and its row says why it does nothing; an unknown one is an error.
//
// The rest of the node asks for a typed handle once (Config.Int and its
// siblings) and reads it without locks; a part that must act on a change
// registers with Config.OnChange and may refuse the new value.
//
// The package is a leaf: it imports only the standard library. Read config.go
// first, then kinds.go, load.go and rewrite.go.
package config
