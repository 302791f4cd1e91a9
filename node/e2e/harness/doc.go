// Package harness starts and observes the processes that end-to-end tests and
// the programs under scripts need: nodes of ours or of the reference
// implementation, alone or as a cluster.
//
// # What it promises
//
// A Rig owns everything it started. Its processes listen on loopback ports that
// were free, work in directories of their own, and end when the Rig ends, when
// the test ends, and when the test's process is killed (a parent-death signal).
// When a test fails, the tail of every log is printed with it.
//
// # What it may import
//
// The standard library and slots. It must be able to observe a node that
// disagrees with our own code, so it reads the protocol with a reader of its
// own (Conn) and believes only what a server answers.
//
// # How to read it
//
// reporter.go says what a Rig needs of a test; server.go which binary runs;
// process.go one process; cluster.go several; wire.go the protocol; cli.go
// redis-cli.
package harness
