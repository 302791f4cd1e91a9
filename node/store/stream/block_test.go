package stream

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"slotmesh/node/store/listpack"
)

// blockKind is a way in which the entries of a stream look.
type blockKind struct {
	name  string
	entry func(i int) (ID, []string)
}

func blockKinds() []blockKind {
	return []blockKind{
		{"counted", func(i int) (ID, []string) { return ID{uint64(i) + 1, 1}, []string{"field", "value"} }},
		{"timed", func(i int) (ID, []string) {
			return ID{1700000000000 + uint64(i+1)/3*7, uint64(i+1) % 3},
				[]string{"sensor", fmt.Sprint(1000 + i), "temperature", fmt.Sprintf("%d.%d", i%40, i%10)}
		}},
		{"told", func(i int) (ID, []string) {
			return ID{1700000000000 + uint64(i)*137, 0},
				[]string{"user", fmt.Sprint("user", i), "action", "click on something", "page", fmt.Sprintf("/index/%d.html", i)}
		}},
		{"mixed", func(i int) (ID, []string) {
			return ID{1700000000000 + uint64(i)*137*137, 0}, []string{fmt.Sprint("field", i%3), "value", "n", fmt.Sprint(i * i)}
		}},
		{"many", func(i int) (ID, []string) { return ID{uint64(i), 1}, slices.Repeat([]string{"f", "1"}, 120+i%10) }},
	}
}

// block returns the first block of a hundred entries.
func (k *blockKind) block(t testing.TB) []byte {
	t.Helper()
	d := newDraft(t)
	s := Open(&d.Cell)
	for i := range 100 {
		id, text := k.entry(i)
		var args Args
		for _, arg := range text {
			args = append(args, []byte(arg))
		}
		if err := s.Add(id, args, DefaultLimits); err != nil {
			t.Fatal(err)
		}
		if i%7 == 3 {
			s.Delete(id)
		}
	}
	s.Save()
	r := Read(d.Cell.Value())
	it := r.EachBlock()
	it.Next()
	return slices.Clone(it.Listpack)
}

// naiveBlock is ValidateBlock, one element after the other.
func naiveBlock(lp []byte) (count int64, ok bool) {
	if listpack.Validate(lp) != nil {
		return 0, false
	}
	pos := listpack.First(lp)
	next := func() (n int64, isInt bool) {
		if pos < 0 {
			return 0, false
		}
		_, n, isInt, pos = listpack.Entry(lp, pos)
		return n, isInt
	}
	integer := func() int64 {
		n, isInt := next()
		ok = ok && isInt
		return n
	}
	skip := func(n int64) {
		ok = ok && n >= 0
		for ; ok && n > 0; n-- {
			ok = pos >= 0
			next()
		}
	}
	ok = true
	count, deleted, fields := integer(), integer(), int64(0)
	if pos != listpack.HeaderSize+listpack.IntSize(count)+listpack.IntSize(deleted) {
		return 0, false
	}
	fields = integer()
	skip(fields)
	if integer() != 0 || !ok {
		return 0, false
	}
	var live, gone int64
	for pos >= 0 {
		if lp[pos] > flagDeleted|flagSame {
			return 0, false
		}
		flags := integer()
		integer()
		integer()
		pieces, n := fields+3, fields
		if flags&flagSame == 0 {
			n = 2 * integer()
			pieces = n + 4
		}
		skip(n)
		if integer() != pieces || !ok {
			return 0, false
		}
		if flags&flagDeleted != 0 {
			gone++
		} else {
			live++
		}
	}
	return count, live == count && gone == deleted && live+gone > 0
}

// TestValidateBlockIsExact damages blocks and compares with what one sees who looks at
// one element after the other.
func TestValidateBlockIsExact(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, kind := range blockKinds() {
		whole := kind.block(t)
		good, damaged := 0, 0
		compare := func(what string, lp []byte) {
			t.Helper()
			want, ok := naiveBlock(lp)
			count, err := ValidateBlock(lp)
			if (err == nil) != ok || ok && count != want {
				t.Fatalf("%s, %s: %d %v, want %d %v", kind.name, what, count, err, want, ok)
			}
			if ok {
				good++
			} else {
				damaged++
			}
		}
		compare("whole", whole)
		b := make([]byte, len(whole))
		values := []byte{0, 1, 2, 3, 4, 0x7f, 0x80, 0x81, 0xc0, 0xdf, 0xe0, 0xf0, 0xf1, 0xf2, 0xf4, 0xf5, 0xff}
		for at := listpack.HeaderSize; at < min(len(b)-1, 500); at++ {
			for _, value := range values {
				copy(b, whole)
				b[at] = value
				compare(fmt.Sprintf("%#x at %d", value, at), b)
			}
		}
		for range 20_000 {
			copy(b, whole)
			for range 1 + random.IntN(3) {
				b[listpack.HeaderSize+random.IntN(len(b)-listpack.HeaderSize)] = values[random.IntN(len(values))]
			}
			compare("several bytes", b)
		}
		for n := range len(whole) {
			cut := append(slices.Clone(whole[:n]), 0xff)
			if n >= 4 {
				binary.LittleEndian.PutUint32(cut, uint32(len(cut)))
			}
			compare(fmt.Sprintf("cut at %d", n), cut)
		}
		if good < 2 || damaged < 1000 {
			t.Errorf("%s: %d blocks were good, %d damaged", kind.name, good, damaged)
		}
	}
}
