// Package memfs is a file system for tests of package persist. It keeps apart
// what was written, what was fsynced and what was renamed, so that at any call it
// can tell what a crash there could leave behind, and it fails when told to.
//
// FS implements persist.FS. Its Hook is called before every operation; from there,
// or from anywhere, Image makes a file system as it is found after a crash.
package memfs
