// Package resp is the wire: a bounded, resumable scanner for what clients
// send, a writer for RESP2 and RESP3 replies, and the exact texts of the
// errors that clients and tools match on.
//
// The scanner is ours because redcon's request parser trusts its input; redcon
// still encodes the RESP2 replies and reads values that peers send. It imports
// nothing of this module.
package resp
