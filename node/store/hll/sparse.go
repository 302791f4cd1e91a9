package hll

import (
	"errors"
	"slices"
	"strconv"
)

// ErrCorrupt is what functions answer with that meet runs which make no sense.
var ErrCorrupt = errors.New("hll: the runs make no sense")

// What runs can say.
const (
	shortZeros = 64
	longZeros  = 16384
	sparseMax  = 32
	valueRun   = 4
)

// run is one element of the sparse form.
type run struct {
	// count is what the registers have.
	count  uint8
	length int
	// size is the number of bytes.
	size int
}

// parseRun reads the run at the beginning of b. If it is cut off, what is
// missing counts as zero, as the zero behind a string does in the reference, and
// size is greater than the length of b.
func parseRun(b []byte) run {
	c := b[0]
	if c&0x80 != 0 {
		return run{c>>2&31 + 1, int(c&3) + 1, 1}
	}
	if c&0x40 == 0 {
		return run{0, int(c&63) + 1, 1}
	}
	length := int(c&63)<<8 + 1
	if len(b) > 1 {
		length += int(b[1])
	}
	return run{0, length, 2}
}

// skip returns b behind the run that it begins with.
func (r *run) skip(b []byte) []byte { return b[min(r.size, len(b)):] }

func appendZeros(dst []byte, n int) []byte {
	n--
	if n < shortZeros {
		return append(dst, byte(n))
	}
	return append(dst, 0x40|byte(n>>8), byte(n))
}

func valueByte(count uint8, length int) byte { return 0x80 | (count-1)<<2 | byte(length-1) }

func (h *histogram) addSparse(b []byte) bool {
	registers := 0
	for b = b[headerSize:]; len(b) > 0; {
		r := parseRun(b)
		registers += r.length
		if registers > Registers {
			return false
		}
		h[r.count] += uint32(r.length)
		b = r.skip(b)
	}
	return registers == Registers
}

func (v *Values) mergeSparse(b []byte) bool {
	at := 0
	for b = b[headerSize:]; len(b) > 0; {
		r := parseRun(b)
		if at+r.length > Registers {
			return false
		}
		if r.count > 0 {
			for i := range r.length {
				v[at+i] = max(v[at+i], r.count)
			}
		}
		at += r.length
		b = r.skip(b)
	}
	return at == Registers
}

// ToDense appends the dense form of b, a sparse string, to dst.
func ToDense(dst, b []byte) ([]byte, error) {
	var v Values
	if !v.mergeSparse(b) {
		return dst, ErrCorrupt
	}
	return v.AppendDense(dst, b), nil
}

// Lookup returns a register of b, of either form.
func Lookup(b []byte, register int) (uint8, error) {
	if IsDense(b) {
		return Register(b, register), nil
	}
	// As parseRun reads them, in a loop that is most of what PFADD does.
	for i := headerSize; i < len(b); i++ {
		c := b[i]
		switch {
		case c&0x80 != 0:
			if register -= int(c&3) + 1; register < 0 {
				return c>>2&31 + 1, nil
			}
			continue
		case c&0x40 == 0:
			register -= int(c) + 1
		default:
			register -= int(c&63)<<8 + 1
			if i++; i < len(b) {
				register -= int(b[i])
			}
		}
		if register < 0 {
			return 0, nil
		}
	}
	return 0, ErrCorrupt
}

// AppendRuns appends what the runs of b, a sparse string, are, in the words of
// PFDEBUG DECODE.
func AppendRuns(dst, b []byte) []byte {
	begin := len(dst)
	for b = b[headerSize:]; len(b) > 0; {
		r := parseRun(b)
		if len(dst) > begin {
			dst = append(dst, ' ')
		}
		switch {
		case r.count > 0:
			dst = append(dst, 'v', ':')
			dst = strconv.AppendInt(dst, int64(r.count), 10)
			dst = append(dst, ',')
		case r.size == 1:
			dst = append(dst, 'z', ':')
		default:
			dst = append(dst, 'Z', ':')
		}
		dst = strconv.AppendInt(dst, int64(r.length), 10)
		b = r.skip(b)
	}
	return dst
}

// Editor changes a string of either form in memory of its own: Bytes grows as
// append does.
type Editor struct {
	Bytes []byte
	// Limit is hll-sparse-max-bytes: a sparse string that would grow beyond it
	// becomes dense.
	Limit int

	// When registers are raised in ascending order the search goes on at the run
	// before the one before the last that was changed, which the change could
	// not reach: its offset, and the first register it is for.
	from, first int
}

// Raise makes a register count, if it is less, and reports whether it was.
// After an error Bytes are as they were. Source: the reference's hllSparseSet,
// whose bytes these are.
func (e *Editor) Raise(register int, count uint8) (bool, error) {
	if IsDense(e.Bytes) {
		return Raise(e.Bytes, register, count), nil
	}
	if count > sparseMax {
		return e.promote(register, count)
	}
	at, before := e.find(register)
	if at.r.size == 0 || at.offset+at.r.size > len(e.Bytes) {
		return false, ErrCorrupt
	}
	if at.r.count >= count {
		return false, nil
	}
	if at.r.length == 1 && at.r.size == 1 {
		e.Bytes[at.offset] = valueByte(count, 1)
	} else {
		var room [5]byte
		runs := at.split(room[:0], register, count)
		more := len(runs) - at.r.size
		if more > 0 && len(e.Bytes)+more > e.Limit {
			return e.promote(register, count)
		}
		e.Bytes = slices.Replace(e.Bytes, at.offset, at.offset+at.r.size, runs...)
	}
	e.join(before)
	Invalidate(e.Bytes)
	return true, nil
}

// place is a run with where it is.
type place struct {
	r      run
	offset int
	// first is the first of its registers.
	first int
}

// find returns the run that register belongs to, of size 0 if there is none, and
// the offset of the run before it, or of itself if it is the first one.
func (e *Editor) find(register int) (at place, before int) {
	start := place{offset: headerSize}
	if e.from > 0 && e.first <= register {
		start.offset, start.first = e.from, e.first
	}
	b := e.Bytes
	for {
		offset, left := start.offset, register-start.first
		last, lastButOne := offset, offset
		found := false
		// As parseRun reads them, in a loop that is most of what PFADD does: what it
		// keeps fits into a processor's registers.
		for offset < len(b) {
			c, next := b[offset], offset+1
			length := int(c) + 1
			switch {
			case c&0x80 != 0:
				length = int(c&3) + 1
			case c&0x40 != 0:
				length = int(c&63)<<8 + 1
				if next < len(b) {
					length += int(b[next])
				}
				next++
			}
			if left < length {
				found = true
				break
			}
			left -= length
			lastButOne, last, offset = last, offset, next
		}
		if offset == start.offset && start.offset > headerSize {
			// What is before it is not known.
			start = place{offset: headerSize}
			continue
		}
		at = place{offset: offset, first: register - left}
		if found {
			at.r = parseRun(b[offset:])
		}
		e.from, e.first = lastButOne, at.first
		if last < offset {
			e.first -= parseRun(b[last:]).length
		}
		if lastButOne < last {
			e.first -= parseRun(b[lastButOne:]).length
		}
		return at, last
	}
}

// split appends the runs that say the same but that register is count.
func (p *place) split(dst []byte, register int, count uint8) []byte {
	left, right := register-p.first, p.first+p.r.length-1-register
	same := func(n int) {
		switch {
		case n == 0:
		case p.r.count == 0:
			dst = appendZeros(dst, n)
		default:
			dst = append(dst, valueByte(p.r.count, n))
		}
	}
	same(left)
	dst = append(dst, valueByte(count, 1))
	same(right)
	return dst
}

// joinRuns is how many runs are looked at for equal neighbours after a change.
const joinRuns = 5

// join makes one run of equal neighbours from offset on.
func (e *Editor) join(offset int) {
	b := e.Bytes
	for looked := 0; looked < joinRuns && offset < len(b); looked++ {
		r := parseRun(b[offset:])
		if r.count == 0 {
			offset += r.size
			continue
		}
		if offset+1 < len(b) && b[offset+1]&0x80 != 0 {
			next := parseRun(b[offset+1:])
			if next.count == r.count && next.length+r.length <= valueRun {
				b[offset+1] = valueByte(r.count, next.length+r.length)
				b = slices.Delete(b, offset, offset+1)
				continue
			}
		}
		offset++
	}
	e.Bytes = b
}

// promote makes the string dense and raises a register.
func (e *Editor) promote(register int, count uint8) (bool, error) {
	dense, err := ToDense(nil, e.Bytes)
	if err != nil {
		return false, err
	}
	e.Bytes = dense
	return Raise(e.Bytes, register, count), nil
}
