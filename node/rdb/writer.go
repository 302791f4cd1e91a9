package rdb

import (
	"encoding/binary"
	"fmt"
	"io"
	"strconv"

	"slotmesh/node/store"
)

// What may stand where a value's type stands.
const (
	opSlotImport   = 243 // Valkey's
	opSlotInfo     = 244
	opFunction     = 245
	opFunctionPre  = 246
	opModuleAux    = 247
	opIdle         = 248
	opFreq         = 249
	opAux          = 250
	opResizeDB     = 251
	opExpireMs     = 252
	opExpire       = 253
	opSelectDB     = 254
	opEOF          = 255
	magic          = "REDIS"
	valkeyMagic    = "VALKEY"
	valkeyDigits   = "080"
	headerSize     = len(magic) + 4
	checksumSize   = 8
	firstChecksum  = 5 // the version since which a checksum stands at the end
	flushThreshold = 16 << 10
)

// Header is what a file says about itself.
type Header struct {
	// RedisVersion is the version that the file claims to be written by.
	RedisVersion string
	// CreatedSec is the Unix time of the file, UsedMemory what the data took.
	CreatedSec, UsedMemory int64
	// Repl is set when the file is a state of a replication history.
	Repl *Position
	// AOFBase is set for the base of an AOF.
	AOFBase bool
	// Compress is rdbcompression, Checksum rdbchecksum.
	Compress, Checksum bool
}

// Position is where in a history a file's state stands.
type Position struct {
	ID     string
	Offset int64
	// StreamDB is the database that the stream has selected there, -1 when the
	// next effect says it.
	StreamDB int
}

// Writer writes a file. It is not safe for concurrent use.
type Writer struct {
	w     io.Writer
	buf   []byte
	crc   uint64
	check bool
	db    int
	tmp   *scratch // nil if nothing is compressed
	err   error
	// Written counts the bytes handed to the io.Writer.
	Written int64
}

// NewWriter begins a file on w. Errors of w are returned by Flush and Close,
// and by whatever call meets them first.
func NewWriter(w io.Writer, h Header) *Writer {
	out := &Writer{w: w, check: h.Checksum, db: -1}
	if h.Compress {
		out.tmp = new(scratch)
	}
	out.buf = fmt.Appendf(out.buf, "%s%04d", magic, Version)
	out.aux("redis-ver", h.RedisVersion)
	out.aux("redis-bits", strconv.Itoa(strconv.IntSize))
	out.aux("ctime", strconv.FormatInt(h.CreatedSec, 10))
	out.aux("used-mem", strconv.FormatInt(h.UsedMemory, 10))
	if h.Repl != nil {
		// The reference writes no "unknown" database but 0, and lets the stream
		// begin with SELECT.
		out.aux("repl-stream-db", strconv.Itoa(max(h.Repl.StreamDB, 0)))
		out.aux("repl-id", h.Repl.ID)
		out.aux("repl-offset", strconv.FormatInt(h.Repl.Offset, 10))
	}
	base := "0"
	if h.AOFBase {
		base = "1"
	}
	out.aux("aof-base", base)
	return out
}

func (w *Writer) aux(name, value string) {
	w.buf = append(w.buf, opAux)
	w.buf = appendString(w.buf, []byte(name), nil)
	w.buf = appendString(w.buf, []byte(value), nil)
}

// Function adds the source of a library.
func (w *Writer) Function(code []byte) error {
	w.buf = append(w.buf, opFunction)
	w.buf = appendString(w.buf, code, w.tmp)
	return w.flushIfFull()
}

// SelectDB says that the entries of db follow, keys of them with expires among
// them: a hint to whoever loads it.
func (w *Writer) SelectDB(db int, keys, expires int64) error {
	w.selectDB(db)
	w.buf = append(w.buf, opResizeDB)
	w.buf = appendLen(w.buf, uint64(keys))
	w.buf = appendLen(w.buf, uint64(expires))
	return w.flushIfFull()
}

func (w *Writer) selectDB(db int) {
	w.buf = append(w.buf, opSelectDB)
	w.buf = appendLen(w.buf, uint64(db))
	w.db = db
}

// Entry adds one key.
func (w *Writer) Entry(e store.Entry) error {
	if e.DB != w.db {
		w.selectDB(e.DB)
	}
	if e.ExpireAtMs != 0 {
		w.buf = append(w.buf, opExpireMs)
		w.buf = binary.LittleEndian.AppendUint64(w.buf, uint64(e.ExpireAtMs))
	}
	switch {
	case e.Freq >= 0:
		w.buf = append(w.buf, opFreq, byte(e.Freq))
	case e.IdleSec >= 0:
		w.buf = append(w.buf, opIdle)
		w.buf = appendLen(w.buf, uint64(e.IdleSec))
	}
	key := e.Key
	if key == nil {
		key = []byte{}
	}
	w.buf = appendValue(w.buf, key, e.Value, w.tmp, w)
	return w.flushIfFull()
}

// Close ends the file. It does not close the io.Writer.
func (w *Writer) Close() error {
	w.buf = append(w.buf, opEOF)
	if err := w.Flush(); err != nil {
		return err
	}
	w.buf = binary.LittleEndian.AppendUint64(w.buf, w.crc)
	return w.Flush()
}

func (w *Writer) flushIfFull() error {
	if len(w.buf) >= flushThreshold {
		return w.Flush()
	}
	return w.err
}

// Flush hands everything so far to the io.Writer.
func (w *Writer) Flush() error {
	if w.err != nil {
		w.buf = w.buf[:0]
		return w.err
	}
	if w.check {
		w.crc = updateCRC(w.crc, w.buf)
	}
	n, err := w.w.Write(w.buf)
	w.Written += int64(n)
	if err != nil {
		w.err = fmt.Errorf("rdb: write: %w", err)
	}
	const keep = 1 << 20
	if cap(w.buf) > keep { // a large value went through
		w.buf = nil
	}
	w.buf = w.buf[:0]
	return w.err
}
