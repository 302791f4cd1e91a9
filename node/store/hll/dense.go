package hll

import "encoding/binary"

// Register returns a register of a string in the dense form.
func Register(b []byte, register int) uint8 {
	at, shift := headerSize+register*6>>3, uint(register*6&7)
	v := b[at] >> shift
	if shift > 2 {
		v |= b[at+1] << (8 - shift)
	}
	return v & 63
}

// Raise makes a register of a string in the dense form count, if it is less, and
// reports whether it was.
func Raise(b []byte, register int, count uint8) bool {
	if Register(b, register) >= count {
		return false
	}
	at, shift := headerSize+register*6>>3, uint(register*6&7)
	b[at] = b[at]&^byte(63<<shift) | count<<shift
	if shift > 2 {
		b[at+1] = b[at+1]&^(63>>(8-shift)) | count>>(8-shift)
	}
	return true
}

// group is how many registers six bytes hold.
const group = 8

func (h *histogram) addDense(b []byte) {
	// Two tables, so that equal neighbours do not wait for each other.
	var odd histogram
	for b = b[headerSize:]; len(b) >= 6; b = b[6:] {
		w := sixBytes(b)
		h[w&63]++
		odd[w>>6&63]++
		h[w>>12&63]++
		odd[w>>18&63]++
		h[w>>24&63]++
		odd[w>>30&63]++
		h[w>>36&63]++
		odd[w>>42&63]++
	}
	for i, n := range odd {
		h[i] += n
	}
}

func sixBytes(b []byte) uint64 {
	return uint64(binary.LittleEndian.Uint32(b)) | uint64(binary.LittleEndian.Uint16(b[4:]))<<32
}

func (v *Values) mergeDense(b []byte) {
	b = b[headerSize:]
	for i := 0; i < Registers; i += group {
		w := sixBytes(b)
		b = b[6:]
		out := v[i : i+group : i+group]
		for j := range out {
			out[j] = max(out[j], uint8(w&63))
			w >>= 6
		}
	}
}

// AppendDense appends a string in the dense form to dst, with the header of b, a
// valid string, and the registers of v.
func (v *Values) AppendDense(dst, b []byte) []byte {
	from := len(dst)
	dst = append(dst, b[:headerSize]...)
	dst[from+formAt] = formDense
	for i := 0; i < Registers; i += group {
		w := uint64(0)
		for j, count := range v[i : i+group] {
			w |= uint64(count) << (6 * j)
		}
		dst = append(dst, byte(w), byte(w>>8), byte(w>>16), byte(w>>24), byte(w>>32), byte(w>>40))
	}
	return dst
}
