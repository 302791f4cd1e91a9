package command

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestLCSTable compares the rows of bits with the table of numbers that they
// stand for: the length, and the way back, which prefers to leave out a byte of
// right where both ways are as good.
func TestLCSTable(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	text := func(letters int) []byte {
		b := make([]byte, random.IntN(300))
		for i := range b {
			b[i] = byte(random.IntN(letters))
		}
		return b
	}
	for range 300 {
		letters := 1 + random.IntN(1<<random.IntN(9))
		left, right := text(letters), text(letters)
		length, common, matches := plainLCS(left, right)
		if got := newLCSTable(left, right, false).length; got != length {
			t.Fatalf("seed %d: length %d of %v and %v, want %d", seed, got, left, right, length)
		}
		table := newLCSTable(left, right, true)
		gotCommon, gotMatches := table.walk(left, right)
		if table.length != length || !slices.Equal(gotCommon, common) || !slices.Equal(gotMatches, matches) {
			t.Fatalf("seed %d: %d %v %v of %v and %v, want %d %v %v", seed,
				table.length, gotCommon, gotMatches, left, right, length, common, matches)
		}
	}
}

// plainLCS is the textbook's way.
func plainLCS(left, right []byte) (length int, common []byte, matches []lcsMatch) {
	table := make([][]int, len(left)+1)
	table[0] = make([]int, len(right)+1)
	for i := range left {
		table[i+1] = make([]int, len(right)+1)
		for j := range right {
			if left[i] == right[j] {
				table[i+1][j+1] = table[i][j] + 1
			} else {
				table[i+1][j+1] = max(table[i][j+1], table[i+1][j])
			}
		}
	}
	for i, j := len(left), len(right); i > 0 && j > 0; {
		switch {
		case left[i-1] == right[j-1]:
			i, j = i-1, j-1
			common = append(common, left[i])
			if last := len(matches) - 1; last >= 0 && matches[last].left == i+1 && matches[last].right == j+1 {
				matches[last] = lcsMatch{i, j, matches[last].length + 1}
			} else {
				matches = append(matches, lcsMatch{i, j, 1})
			}
		case table[i-1][j] > table[i][j-1]:
			i--
		default:
			j--
		}
	}
	slices.Reverse(common)
	return table[len(left)][len(right)], common, matches
}
