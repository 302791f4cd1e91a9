// Package backup tests slotctl's backup and restore as an operator runs them,
// with real clusters.
//
// # What it promises
//
// Backups are taken while clients write: each file is one state of its primary.
// They are restored into clusters of other sizes, one of which moves slots
// meanwhile, and compared key by key with where they came from. What must be
// refused is, before anything is written, and a backup that was killed at any
// moment is never taken for a whole one.
//
// # What it may import
//
// The standard library, slots and the harness.
//
// # How to read it
//
// backup_test.go is the story of one backup; refusal_test.go what is refused
// and interrupted; keys_test.go the keys and how they are compared; rig_test.go
// runs slotctl.
package backup
