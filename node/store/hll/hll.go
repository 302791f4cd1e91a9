package hll

import (
	"encoding/binary"
	"math"
	"math/bits"
)

const (
	// Registers is the number of registers.
	Registers = 1 << indexBits

	indexBits   = 14
	valueBits   = 64 - indexBits
	registerMax = valueBits + 1

	headerSize = 16
	cardAt     = 8
	formAt     = 4

	// DenseSize is the length of a string in the dense form.
	DenseSize = headerSize + Registers*6/8

	formDense  = 0
	formSparse = 1

	magic = "HYLL"
)

// Values are the registers, one byte each.
type Values [Registers]uint8

// AppendNew appends a string that has counted nothing to dst.
func AppendNew(dst []byte) []byte {
	dst = append(dst, magic...)
	dst = append(dst, formSparse, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	return appendZeros(dst, Registers)
}

// Valid reports whether b looks like a string of this package. The runs of the
// sparse form are looked at when they are used.
func Valid(b []byte) bool {
	if len(b) < headerSize || string(b[:len(magic)]) != magic {
		return false
	}
	return b[formAt] == formSparse || b[formAt] == formDense && len(b) == DenseSize
}

// IsDense reports which form b has.
func IsDense(b []byte) bool { return b[formAt] == formDense }

// Cached returns the count that b keeps; ok is false if it is not right.
func Cached(b []byte) (n uint64, ok bool) {
	n = binary.LittleEndian.Uint64(b[cardAt:])
	return n, n>>63 == 0
}

// SetCached keeps a count.
func SetCached(b []byte, n uint64) { binary.LittleEndian.PutUint64(b[cardAt:], n) }

// Invalidate marks the count that b keeps as not right.
func Invalidate(b []byte) { b[cardAt+7] |= 1 << 7 }

// Hash returns which register an element goes to, and what it brings there.
func Hash(element []byte) (register int, count uint8) {
	h := murmur(element)
	register = int(h & (Registers - 1))
	h = h>>indexBits | 1<<valueBits
	return register, uint8(bits.TrailingZeros64(h)) + 1
}

// murmur is MurmurHash64A with the seed that the reference has.
func murmur(b []byte) uint64 {
	const (
		mul   = 0xc6a4a7935bd1e995
		shift = 47
	)
	h := 0xadc83b19 ^ uint64(len(b))*mul
	for ; len(b) >= 8; b = b[8:] {
		k := binary.LittleEndian.Uint64(b) * mul
		k ^= k >> shift
		h = (h ^ k*mul) * mul
	}
	if len(b) > 0 {
		var tail [8]byte
		copy(tail[:], b)
		h = (h ^ binary.LittleEndian.Uint64(tail[:])) * mul
	}
	h ^= h >> shift
	h *= mul
	return h ^ h>>shift
}

// Count estimates how many elements b has counted; ok is false if its runs make
// no sense.
func Count(b []byte) (n uint64, ok bool) {
	var h histogram
	if IsDense(b) {
		h.addDense(b)
	} else if !h.addSparse(b) {
		return 0, false
	}
	return h.estimate(), true
}

// Count estimates how many elements the registers have counted.
func (v *Values) Count() uint64 {
	// Most registers may be zero. Of the others neighbours go to different tables,
	// so that equal ones do not wait for each other.
	var h, odd histogram
	for b := v[:]; len(b) >= 64; b = b[64:] {
		if zeros((*[64]byte)(b)) {
			h[0] += 64
			continue
		}
		for part := b[:64]; len(part) >= 8; part = part[8:] {
			w := binary.LittleEndian.Uint64(part)
			if w == 0 {
				h[0] += 8
				continue
			}
			for range 4 {
				h[w&63]++
				odd[w>>8&63]++
				w >>= 16
			}
		}
	}
	for i, n := range odd {
		h[i] += n
	}
	return h.estimate()
}

// Next returns the first register from from on that is not zero, or Registers.
func (v *Values) Next(from int) int {
	for ; from < Registers; from++ {
		for from%64 == 0 && zeros((*[64]byte)(v[from:])) {
			if from += 64; from == Registers {
				return from
			}
		}
		if v[from] != 0 {
			break
		}
	}
	return from
}

// zeros reports whether all bytes are zero.
func zeros(b *[64]byte) bool {
	w := binary.LittleEndian.Uint64(b[:]) | binary.LittleEndian.Uint64(b[8:]) | binary.LittleEndian.Uint64(b[16:]) | binary.LittleEndian.Uint64(b[24:]) |
		binary.LittleEndian.Uint64(b[32:]) | binary.LittleEndian.Uint64(b[40:]) | binary.LittleEndian.Uint64(b[48:]) | binary.LittleEndian.Uint64(b[56:])
	return w == 0
}

// Merge raises the registers to those of b where they are greater. It returns
// false if the runs of b make no sense.
func (v *Values) Merge(b []byte) bool {
	if IsDense(b) {
		v.mergeDense(b)
		return true
	}
	return v.mergeSparse(b)
}

// histogram says how many registers have each value.
type histogram [64]uint32

// estimate is the improved estimator of Otmar Ertl, "New cardinality estimation
// algorithms for HyperLogLog sketches" (arXiv:1702.01284), algorithm 6.
func (h *histogram) estimate() uint64 {
	const (
		alpha = 0.721347520444481703680 // 1 / (2 ln 2)
		m     = float64(Registers)
	)
	z := m * tau((m-float64(h[registerMax]))/m)
	for j := valueBits; j >= 1; j-- {
		z += float64(h[j])
		z *= 0.5
	}
	z += m * sigma(float64(h[0])/m)
	return uint64(math.Round(alpha * m * m / z))
}

// sigma and tau are those of the paper.
func sigma(x float64) float64 {
	if x == 1 {
		return math.Inf(1)
	}
	y, z := 1.0, x
	for {
		x *= x
		before := z
		z += x * y
		y += y
		if z == before {
			return z
		}
	}
}

func tau(x float64) float64 {
	if x == 0 || x == 1 {
		return 0
	}
	y, z := 1.0, 1-x
	for {
		x = math.Sqrt(x)
		before := z
		y *= 0.5
		z -= (1 - x) * (1 - x) * y
		if z == before {
			return z / 3
		}
	}
}
