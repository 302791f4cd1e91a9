package rdb

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"

	"slotmesh/node/store"
	"slotmesh/slots"
)

// Reader reads a file, entry by entry. It is not safe for concurrent use.
type Reader struct {
	d       decoder
	version int
	db      int
	started bool
	err     error

	// Aux holds what the file says about itself, as far as it was read.
	Aux map[string]string
	// Functions holds the sources of libraries, as far as the file was read. This node
	// cannot run them, and does not keep them.
	Functions [][]byte
	// Empty counts the collections without elements, which are left out.
	Empty int
	// Notice, when set, is told of what is skipped.
	Notice func(text string)
	// AnyChecksum has a checksum that does not fit be a notice and no error.
	AnyChecksum bool
	target      func(slots.Slot) Target
	// OnResize, when set, is told how many keys of a database follow, and how
	// many of them have an expiry. The numbers are claims, nothing more.
	OnResize func(db int, keys, expires uint64)
}

const (
	// maxAuxFields and maxAuxBytes bound what a file may say about itself.
	maxAuxFields = 1000
	maxAuxBytes  = 64 << 10
	maxDatabase  = 1<<31 - 1
	// emptyNotices is how many empty collections are named.
	emptyNotices = 10
)

// NewReader reads a file from r. It takes more from r than the file when r has
// more at hand; see ReadAhead.
// target says where collections come to lie.
func NewReader(r io.Reader, target func(slots.Slot) Target) *Reader {
	return &Reader{d: decoder{src: r, summing: true}, Aux: make(map[string]string), target: target}
}

// Version returns the file's version once the first entry, or the end, was read.
func (r *Reader) Version() int { return r.version }

// Offset returns how much of the file was read.
func (r *Reader) Offset() int64 { return r.d.offset() }

// ReadAhead returns the bytes that were taken from the io.Reader and lie beyond
// the file's end. It is meaningful after Next has returned io.EOF.
func (r *Reader) ReadAhead() []byte { return r.d.buf[r.d.pos:] }

// Position returns where in a replication history the file's state stands, if
// the file says so.
func (r *Reader) Position() (Position, bool) {
	id, known := r.Aux["repl-id"]
	offset, err := strconv.ParseInt(r.Aux["repl-offset"], 10, 64)
	if !known || err != nil || len(id) != 40 || offset < 0 {
		return Position{}, false
	}
	db, err := strconv.Atoi(r.Aux["repl-stream-db"])
	if err != nil || db < 0 || db > maxDatabase {
		db = -1
	}
	return Position{ID: id, Offset: offset, StreamDB: db}, true
}

// Next returns the next entry, which shares no memory with the reader, or
// io.EOF when the file is complete and its checksum fits. Other errors say
// where in the file they stand; a *TypeError names a type that is not supported.
func (r *Reader) Next() (store.Entry, error) {
	if r.err != nil {
		return store.Entry{}, r.err
	}
	e, err := r.next()
	if err != nil {
		r.err = err
		if err != io.EOF {
			r.err = fmt.Errorf("rdb: at byte %d: %w", r.d.offset(), err)
		}
	}
	return e, r.err
}

func (r *Reader) next() (store.Entry, error) {
	if !r.started {
		if err := r.header(); err != nil {
			return store.Entry{}, err
		}
		r.started = true
	}
	e := store.Entry{IdleSec: -1, Freq: -1}
	for {
		op, err := r.d.byte()
		if err != nil {
			return store.Entry{}, err
		}
		if mark, err := r.d.mark(op, &e); err != nil {
			return store.Entry{}, err
		} else if mark {
			continue
		}
		switch op {
		case opEOF:
			return store.Entry{}, r.end()
		case opSelectDB, opResizeDB, opAux, opSlotInfo, opSlotImport, opFunction, opFunctionPre, opModuleAux:
			if err := r.meta(op); err != nil {
				return store.Entry{}, err
			}
		default:
			found, err := r.entry(Type(op), e)
			if errors.Is(err, errEmpty) {
				r.leftOut(found.Key, Type(op))
				e.ExpireAtMs, e.IdleSec, e.Freq = 0, -1, -1
				continue
			}
			return found, err
		}
	}
}

// mark reads what stands before a key and belongs to it, if op is that.
func (d *decoder) mark(op byte, e *store.Entry) (bool, error) {
	switch op {
	case opExpire:
		b, err := d.fixed(4)
		if err != nil {
			return true, err
		}
		e.ExpireAtMs = int64(int32(binary.LittleEndian.Uint32(b))) * 1000
	case opExpireMs:
		b, err := d.fixed(8)
		if err != nil {
			return true, err
		}
		e.ExpireAtMs = int64(binary.LittleEndian.Uint64(b))
	case opFreq:
		freq, err := d.byte()
		if err != nil {
			return true, err
		}
		e.Freq = int(freq)
	case opIdle:
		idle, err := d.plainLength()
		if err != nil {
			return true, err
		}
		e.IdleSec = int64(min(idle, maxDatabase))
	default:
		return false, nil
	}
	return true, nil
}

// entry reads the key and value that follow type t.
func (r *Reader) entry(t Type, e store.Entry) (store.Entry, error) {
	key, err := r.d.text()
	if err != nil {
		return store.Entry{}, err
	}
	e.DB, e.Key = r.db, r.d.contentOf(key)
	e.Slot = slots.Of(e.Key)
	if err := r.d.value(t, &e, r.target); err != nil {
		return store.Entry{Key: e.Key}, err
	}
	return e, nil
}

// value reads the value of e, which has its key and slot.
func (d *decoder) value(t Type, e *store.Entry, target func(slots.Slot) Target) (err error) {
	if t == TypeString {
		e.Value, err = d.readString()
	} else {
		e.Value, e.Draft, err = d.readValue(t, e.Key, target(e.Slot))
	}
	var refused *TypeError
	if err != nil && !errors.As(err, &refused) {
		err = fmt.Errorf("key %q, %s: %w", clip(e.Key), t, err)
	}
	return err
}

func (r *Reader) header() error {
	b, err := r.d.fixed(headerSize)
	if err != nil {
		return err
	}
	if digits, found := bytes.CutPrefix(b, []byte(valkeyMagic)); found {
		if string(digits) != valkeyDigits {
			return fmt.Errorf("format version %q of Valkey is not %s", digits, valkeyDigits)
		}
		r.version, r.d.valkey = valkeyVersion, true
		return nil
	}
	digits, found := bytes.CutPrefix(b, []byte(magic))
	if !found {
		return fmt.Errorf("wrong signature %q", b)
	}
	version, err := strconv.ParseUint(string(digits), 10, 16)
	if err != nil || version < 1 || version > MaxVersion {
		return fmt.Errorf("format version %q is not one from 1 to %d", digits, MaxVersion)
	}
	r.version = int(version)
	return nil
}

// meta reads what stands between entries.
func (r *Reader) meta(op byte) error {
	switch op {
	case opSelectDB:
		db, err := r.d.plainLength()
		if err != nil {
			return err
		}
		if db > maxDatabase {
			return fmt.Errorf("database number %d", db)
		}
		r.db = int(db)
	case opResizeDB:
		keys, err := r.d.plainLength()
		if err != nil {
			return err
		}
		expires, err := r.d.plainLength()
		if err != nil {
			return err
		}
		if r.OnResize != nil {
			r.OnResize(r.db, keys, expires)
		}
	case opAux:
		name, err := r.d.text()
		if err != nil {
			return err
		}
		value, err := r.d.text()
		if err != nil {
			return err
		}
		if len(r.Aux) >= maxAuxFields || len(name.bytes) > maxAuxBytes || len(value.bytes) > maxAuxBytes {
			// Redis before 7.0 kept the sources of scripts here.
			r.notice(fmt.Sprintf("the AUX field %q is too long, or one too many, and is left out", clip(r.d.contentOf(name))))
			return nil
		}
		r.Aux[string(r.d.contentOf(name))] = string(r.d.contentOf(value))
	case opSlotInfo:
		for range 3 { // slot, keys, keys with an expiry: hints
			if _, err := r.d.plainLength(); err != nil {
				return err
			}
		}
	case opSlotImport:
		// A slot that was on its way to a Valkey node when the file was written:
		// the name of that transfer and the ranges of slots.
		if _, err := r.d.text(); err != nil {
			return err
		}
		return r.d.times(func() error {
			if _, err := r.d.plainLength(); err != nil {
				return err
			}
			_, err := r.d.plainLength()
			return err
		})
	case opFunction:
		code, err := r.d.text()
		if err != nil {
			return err
		}
		r.Functions = append(r.Functions, r.d.contentOf(code))
		r.notice("a function library is left out: functions cannot be run")
	case opFunctionPre:
		return errors.New("functions in the format of a pre-release of Redis 7.0")
	case opModuleAux:
		id, err := r.d.plainLength()
		if err != nil {
			return err
		}
		return &TypeError{Type: typeModule, Module: moduleName(id)}
	}
	return nil
}

// leftOut counts a collection without elements.
func (r *Reader) leftOut(key []byte, t Type) {
	if r.Empty++; r.Empty <= emptyNotices {
		r.notice(fmt.Sprintf("key %q holds a %s without elements and is left out", clip(key), t))
	}
}

func (r *Reader) notice(text string) {
	if r.Notice != nil {
		r.Notice(text)
	}
}

// end checks the checksum. A zero one was not computed.
func (r *Reader) end() error {
	if r.version < firstChecksum {
		return io.EOF
	}
	sum := r.d.sum()
	b, err := r.d.fixed(checksumSize)
	if err != nil {
		return err
	}
	if stated := binary.LittleEndian.Uint64(b); stated != 0 && stated != sum {
		wrong := fmt.Errorf("checksum is %016x, the file says %016x", sum, stated)
		if !r.AnyChecksum {
			return wrong
		}
		r.notice(wrong.Error())
	}
	return io.EOF
}
