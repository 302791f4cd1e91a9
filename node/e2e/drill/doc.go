// Package drill breaks clusters on purpose and measures what their clients
// notice.
//
// # What it promises
//
// A Writer writes keys of one slot without end and records each write that was
// acknowledged, by whom and when; it follows redirections and falls back on any
// node it knows, so that what it measures is the servers' behaviour and no
// client library's. Lost compares the record with what the cluster holds. Kills
// and the other drills put a fault and the record together.
//
// # What it may import
//
// harness and the standard library. Tests call it and so does the program in
// scripts/failover.
package drill
