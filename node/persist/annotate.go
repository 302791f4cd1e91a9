package persist

import (
	"bytes"
	"fmt"

	"slotmesh/node/resp"
)

// Annotations are lines that begin with '#', between two entries of an AOF.
// Redis 7 writes #TS and skips the rest. Offsets are those of the journal.
const (
	// tsPrefix: what follows was written in that second, in Unix time.
	tsPrefix = "#TS:"
	// replPrefix: the next byte that is no annotation stands at this offset of
	// this history: "#REPL:<id>:<offset>". From there on the bytes of the file
	// are those of the stream, so that a reader who counts them knows the offset of
	// each. It stands wherever that would not be so: at the head of each file,
	// where a PING was left out, where the history's id changes, and at the end of a
	// file that another follows.
	replPrefix = "#REPL:"
	// skipLine: the next command is not of the stream: the SELECT that a file
	// begins with.
	skipLine = "#SKIP"
	// joinPrefix: the files before this one are on the disk. Before it is
	// written, the loss of power may have taken the end of the previous file
	// and left something of this one.
	joinPrefix = "#JOIN:"
	// diskPrefix: the file is on the disk up to this byte of it. It stands about once a
	// second, and at the end of a file that was closed in order. What no #DISK vouches
	// for may be missing after the loss of power, where an fsync has failed also with
	// something behind it.
	diskPrefix = "#DISK:"
	// maxAnnotation is the longest line that is taken for one. The reference
	// reads 128 bytes; ours are shorter than that.
	maxAnnotation = 1024

	idLength = 40
)

func appendTS(b []byte, sec int64) []byte { return fmt.Appendf(b, "%s%d\r\n", tsPrefix, sec) }

func appendRepl(b []byte, id string, offset int64) []byte {
	return fmt.Appendf(b, "%s%s:%d\r\n", replPrefix, id, offset)
}

func appendJoin(b []byte, offset int64) []byte { return fmt.Appendf(b, "%s%d\r\n", joinPrefix, offset) }

func appendDisk(b []byte, size int64) []byte { return fmt.Appendf(b, "%s%d\r\n", diskPrefix, size) }

// annotation is a line, read.
type annotation struct {
	// kind is tsPrefix, replPrefix, skipLine, joinPrefix, diskPrefix, or empty for
	// any other.
	kind string
	// sec is the time of #TS, id and offset the position of #REPL, size that of #DISK.
	sec, offset, size int64
	id                string
}

// parseAnnotation reads a line without its end. A line that is none of ours is
// of no kind, whatever it says.
func parseAnnotation(line []byte) annotation {
	line = bytes.TrimSuffix(line, []byte("\r"))
	if rest, ok := bytes.CutPrefix(line, []byte(tsPrefix)); ok {
		if sec, ok := resp.ParseInt(rest); ok {
			return annotation{kind: tsPrefix, sec: sec}
		}
	}
	if rest, ok := bytes.CutPrefix(line, []byte(replPrefix)); ok && len(rest) > idLength && rest[idLength] == ':' {
		if offset, ok := resp.ParseInt(rest[idLength+1:]); ok && offset >= 0 {
			return annotation{kind: replPrefix, id: string(rest[:idLength]), offset: offset}
		}
	}
	if rest, ok := bytes.CutPrefix(line, []byte(diskPrefix)); ok {
		if size, ok := resp.ParseInt(rest); ok {
			return annotation{kind: diskPrefix, size: size}
		}
	}
	if string(line) == skipLine {
		return annotation{kind: skipLine}
	}
	if bytes.HasPrefix(line, []byte(joinPrefix)) {
		return annotation{kind: joinPrefix}
	}
	return annotation{}
}
