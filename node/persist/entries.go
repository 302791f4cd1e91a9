package persist

import (
	"bytes"
	"fmt"
	"io"
	"slices"
)

// entryReader cuts a RESP file into entries: commands and annotations. It
// believes no length before the bytes are there.
type entryReader struct {
	src io.Reader
	// buf[start:] was read and not handed out; base is the offset in the file of
	// buf[0].
	buf   []byte
	start int
	base  int64
	ended bool
	args  [][]byte
	spans []argSpan
	// turn, if set, gives another buffer that holds rest, the end of buf, when there
	// is no room in this one: what was handed out then stays good.
	turn func(buf, rest []byte) []byte
}

type argSpan struct{ from, to int }

// entry is one command or annotation. Its slices are good until the next one is
// read.
type entry struct {
	// at is where it begins in the file, size how long it is.
	at   int64
	size int
	// args is a command; note, if args is nil, an annotation without its end.
	// spans are where the arguments stand in it.
	args  [][]byte
	spans []argSpan
	note  []byte
}

const (
	entryWindow = 64 << 10
	// keepWindow is the largest window that is kept after a large entry.
	keepWindow = 4 << 20
	// maxFileArgs and maxFileBulk bound what is taken for an entry.
	maxFileArgs = 1 << 26
	maxFileBulk = 4 << 30
)

// newEntryReader reads src, whose first byte stands at offset base; ahead was
// read of it already.
func newEntryReader(src io.Reader, base int64, ahead []byte) *entryReader {
	return &entryReader{src: src, base: base, buf: append(make([]byte, 0, max(entryWindow, len(ahead))), ahead...)}
}

// offset is where the next entry begins.
func (r *entryReader) offset() int64 { return r.base + int64(r.start) }

// damage is why an entry could not be read. at is where it begins, found where
// what does not belong there stands; short means that the file ends in it.
type damage struct {
	at, found int64
	short     bool
	why       string
}

func (d *damage) Error() string { return fmt.Sprintf("at byte %d: %s", d.found, d.why) }

// next returns the entry that follows, io.EOF at the file's end, a *damage, or an
// error of the disk.
func (r *entryReader) next() (entry, error) {
	for {
		b := r.buf[r.start:]
		if len(b) > 0 {
			e, n, bad := r.parse(b)
			if bad != nil {
				bad.at = r.offset()
				bad.found += bad.at
				return entry{}, bad
			}
			if n > 0 {
				e.at, e.size = r.offset(), n
				r.start += n
				return e, nil
			}
		}
		if r.ended {
			if len(b) == 0 {
				return entry{}, io.EOF
			}
			at := r.offset()
			return entry{}, &damage{at: at, found: at + int64(len(b)), short: true, why: "the file ends within an entry"}
		}
		if err := r.fill(); err != nil {
			return entry{}, err
		}
	}
}

// fill reads more, behind what is there.
func (r *entryReader) fill() error {
	switch {
	case r.turn != nil:
		if cap(r.buf)-len(r.buf) < cap(r.buf)/8 {
			r.base += int64(r.start)
			r.buf, r.start = r.turn(r.buf, r.buf[r.start:]), 0
		}
	case r.start > 0:
		rest := r.buf[r.start:]
		r.base += int64(r.start)
		if cap(r.buf) > keepWindow && len(rest) < entryWindow {
			r.buf = append(make([]byte, 0, entryWindow), rest...)
		} else {
			r.buf = r.buf[:copy(r.buf, rest)]
		}
		r.start = 0
	}
	if len(r.buf) == cap(r.buf) {
		r.buf = slices.Grow(r.buf, len(r.buf))
	}
	for range 100 {
		n, err := r.src.Read(r.buf[len(r.buf):cap(r.buf)])
		r.buf = r.buf[:len(r.buf)+n]
		switch {
		case err == io.EOF:
			r.ended = true
			return nil
		case err != nil:
			return err
		case n > 0:
			return nil
		}
	}
	return io.ErrNoProgress
}

// parse reads the entry at the head of b, whose length it returns, 0 when more
// bytes are needed. Positions in a damage are relative to b.
func (r *entryReader) parse(b []byte) (entry, int, *damage) {
	switch b[0] {
	case '#':
		end := bytes.IndexByte(b[:min(len(b), maxAnnotation)], '\n')
		if end < 0 {
			if len(b) >= maxAnnotation {
				zero := max(bytes.IndexByte(b, 0), 0)
				return entry{}, 0, &damage{found: int64(zero), why: "an annotation does not end"}
			}
			return entry{}, 0, nil
		}
		return entry{note: b[:end]}, end + 1, nil
	case '*':
	default:
		return entry{}, 0, &damage{why: fmt.Sprintf("%q stands where an entry begins", b[0])}
	}
	count, pos, bad := number(b, 0, maxFileArgs)
	if bad != nil || pos == 0 {
		return entry{}, 0, bad
	}
	if count == 0 {
		return entry{}, 0, &damage{why: "an entry without arguments"}
	}
	spans := r.spans[:0]
	for range count {
		if pos >= len(b) {
			return entry{}, 0, nil
		}
		if b[pos] != '$' {
			return entry{}, 0, &damage{found: int64(pos), why: fmt.Sprintf("%q stands where '$' belongs", b[pos])}
		}
		size, from, bad := number(b, pos, maxFileBulk)
		if bad != nil || from == 0 {
			return entry{}, 0, bad
		}
		if len(b)-from-2 < size {
			if len(b)-from-1 == size && b[from+size] != '\r' {
				return entry{}, 0, &damage{found: int64(from + size), why: "an argument does not end where it should"}
			}
			return entry{}, 0, nil
		}
		end := from + size
		if b[end] != '\r' || b[end+1] != '\n' {
			if b[end] == '\r' {
				end++
			}
			return entry{}, 0, &damage{found: int64(end), why: "an argument does not end where it should"}
		}
		spans = append(spans, argSpan{from, end})
		pos = end + 2
	}
	r.spans = spans
	args := r.args[:0]
	for _, s := range spans {
		args = append(args, b[s.from:s.to:s.to])
	}
	r.args = args
	return entry{args: args, spans: spans}, pos, nil
}

// number reads the digits after the byte at pos, up to CRLF; after is 0 when more
// bytes are needed.
func number(b []byte, pos, limit int) (n, after int, bad *damage) {
	i := pos + 1
	for ; i < len(b); i++ {
		d := b[i] - '0'
		if d > 9 {
			break
		}
		if n = n*10 + int(d); n > limit {
			return 0, 0, &damage{found: int64(pos), why: "a length that is too large"}
		}
	}
	switch {
	case i == len(b):
		return 0, 0, nil
	case b[i] != '\r' || i == pos+1:
		return 0, 0, &damage{found: int64(i), why: fmt.Sprintf("%q stands where a length belongs", b[i])}
	case i+1 == len(b):
		return 0, 0, nil
	case b[i+1] != '\n':
		return 0, 0, &damage{found: int64(i + 1), why: fmt.Sprintf("%q stands where a line ends", b[i+1])}
	}
	return n, i + 2, nil
}

// named reports whether word is name, which is lower case, in any case.
func named(word []byte, name string) bool {
	if len(word) != len(name) {
		return false
	}
	for i := range len(name) {
		if word[i]|0x20 != name[i] {
			return false
		}
	}
	return true
}
