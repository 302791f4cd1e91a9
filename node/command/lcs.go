package command

import (
	"math"
	"math/bits"
	"slices"

	"slotmesh/node/resp"
	"slotmesh/node/store/value"
)

var (
	errLCSType   = resp.Error("ERR The specified keys must contain string values")
	errLCSBoth   = resp.Error("ERR If you want both the length and indexes, please just use IDX.")
	errLCSLong   = resp.Error("ERR String too long for LCS")
	errLCSMemory = resp.Error("ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len")
)

type lcsOptions struct {
	length, indexes, withLength bool
	atLeast                     int64
}

func parseLCSOptions(words [][]byte) (o lcsOptions, err error) {
	for i := 0; i < len(words); i++ {
		switch {
		case IsWord(words[i], "idx"):
			o.indexes = true
		case IsWord(words[i], "len"):
			o.length = true
		case IsWord(words[i], "withmatchlen"):
			o.withLength = true
		case IsWord(words[i], "minmatchlen") && i+1 < len(words):
			n, ok := value.ParseInt(words[i+1])
			if !ok {
				return o, resp.ErrNotInteger
			}
			o.atLeast = max(n, 0)
			i++
		default:
			return o, resp.ErrSyntax
		}
	}
	if o.length && o.indexes {
		return o, errLCSBoth
	}
	return o, nil
}

func runLCS(c *Call) error {
	a, b := c.Read(c.Args[1]), c.Read(c.Args[2])
	if isKind(a, value.KindString) != nil || isKind(b, value.KindString) != nil {
		return errLCSType
	}
	o, err := parseLCSOptions(c.Args[3:])
	if err != nil {
		return err
	}
	var left, right []byte
	if a.OK() {
		left = c.text(a.Value())
	}
	if b.OK() {
		right = c.text(b.Value())
	}
	if len(left) >= math.MaxUint32-1 || len(right) >= math.MaxUint32-1 {
		return errLCSLong
	}
	// The reference keeps a table of 32-bit numbers and refuses where that would
	// be too large; what is kept here is smaller, the limit is the same.
	if uint64(len(left)+1)*uint64(len(right)+1) > uint64(c.engine.maxBulk.Load())/4 {
		return errLCSMemory
	}
	if c.tooLong(len(left)*len(right), loopCells) {
		return ErrLong
	}
	table := newLCSTable(left, right, !o.length)
	if o.length {
		c.Reply.Int(int64(table.length))
		return nil
	}
	common, matches := table.walk(left, right)
	if !o.indexes {
		c.Reply.Bulk(common)
		return nil
	}
	matches = slices.DeleteFunc(matches, func(m lcsMatch) bool { return int64(m.length) < o.atLeast })
	c.Reply.Map(2)
	c.Reply.BulkString("matches")
	c.Reply.Array(len(matches))
	for _, m := range matches {
		elements := 2
		if o.withLength {
			elements = 3
		}
		c.Reply.Array(elements)
		for _, start := range []int{m.left, m.right} {
			c.Reply.Array(2)
			c.Reply.Int(int64(start))
			c.Reply.Int(int64(start + m.length - 1))
		}
		if o.withLength {
			c.Reply.Int(int64(m.length))
		}
	}
	c.Reply.BulkString("len")
	c.Reply.Int(int64(table.length))
	return nil
}

// lcsTable is what is left of the dynamic program: the length of the result
// and, for the way back, one bit a cell.
//
// Beside each other in a row, lengths differ by 0 or 1, so that a row is a
// number with a bit for each byte of right, and the next row follows from it by
// a few operations on 64 bits at a time: the addition carries what was found
// across all the bytes that do not match. Source: Crochemore, Iliopoulos,
// Pinzon, Reid, "A fast and practical bit-vector algorithm for the longest
// common subsequence problem".
type lcsTable struct {
	length int
	// width is the number of words in a row.
	width int
	// same has a bit for each cell: with the byte of right the best result is no
	// longer than without it. It is empty if nobody goes the way back.
	same []uint64
}

func newLCSTable(left, right []byte, keep bool) *lcsTable {
	width := (len(right) + 63) / 64
	t := &lcsTable{width: width}
	// classes numbers the bytes that right has, from 1; matches has the row of
	// each, with a bit where it stands in right. Class 0 stands nowhere.
	var classes [256]uint16
	n := 1
	for _, b := range right {
		if classes[b] == 0 {
			classes[b] = uint16(n)
			n++
		}
	}
	rows := 0
	if keep {
		rows = len(left)
	}
	words := make([]uint64, (n+1+rows)*width)
	matches, first := words[:n*width], words[n*width:(n+1)*width]
	t.same = words[(n+1)*width:]
	for j, b := range right {
		matches[int(classes[b])*width+j/64] |= 1 << (j % 64)
	}
	for i := range first {
		first[i] = math.MaxUint64
	}
	above := first
	for i, b := range left {
		row := above
		if keep {
			row = t.same[i*width : (i+1)*width]
		}
		class := int(classes[b])
		match := matches[class*width : (class+1)*width]
		carry := uint64(0)
		for w, before := range above {
			found := before & match[w]
			var sum uint64
			sum, carry = bits.Add64(before, found, carry)
			row[w] = sum | before&^found
		}
		above = row
	}
	// The bits behind the end of right match nothing and stay set.
	for _, w := range above {
		t.length += bits.OnesCount64(^w)
	}
	return t
}

// lcsMatch is a run of equal bytes: where it begins in both, and its length.
type lcsMatch struct{ left, right, length int }

// walk goes the way back and returns the common subsequence and its runs, the
// last one first.
func (t *lcsTable) walk(left, right []byte) (common []byte, matches []lcsMatch) {
	common = make([]byte, t.length)
	at := t.length
	for i, j := len(left)-1, len(right)-1; i >= 0 && j >= 0; {
		if left[i] == right[j] {
			at--
			common[at] = left[i]
			last := len(matches) - 1
			if last >= 0 && matches[last].left == i+1 && matches[last].right == j+1 {
				matches[last] = lcsMatch{i, j, matches[last].length + 1}
			} else {
				matches = append(matches, lcsMatch{i, j, 1})
			}
			i, j = i-1, j-1
			continue
		}
		// Where the byte of right makes it longer, and does so without the one of
		// left, that one is not in the result.
		if t.same[i*t.width+j/64]&(1<<(j%64)) == 0 {
			i--
		} else {
			j--
		}
	}
	return common, matches
}
