package zset

import (
	"bytes"
	"strconv"

	"slotmesh/node/store/listpack"
)

// The packed form is looked through from its beginning. What this file calls a
// place is that of a member; its score is the next entry.

// packedScore returns the score at pos and the place of the next member.
func packedScore(lp []byte, pos int) (score float64, next int) {
	text, n, isInt, next := listpack.Entry(lp, pos)
	if isInt {
		return float64(n), next
	}
	// What was packed here is a number; what came from elsewhere was looked at.
	score, _, _ = parseFloat(text)
	return score, next
}

// packedSize is the length of the entries of a member and a score.
func packedSize(member []byte, score float64) int {
	return listpack.EntrySize(member) + packedScoreSize(score)
}

func packedScoreSize(score float64) int {
	if n, ok := packedInt(score); ok {
		return listpack.IntSize(n)
	}
	var room [maxScoreText]byte
	return listpack.EntrySize(AppendScore(room[:0], score))
}

// packedInt is integral but for the zero with a sign, which is kept as text.
func packedInt(score float64) (int64, bool) {
	if isNegativeZero(score) {
		return 0, false
	}
	return integral(score)
}

// putPacked writes the entries of a member and a score.
func putPacked(dst, member []byte, score float64) {
	putPackedScore(dst[listpack.Put(dst, member):], score)
}

func putPackedScore(dst []byte, score float64) {
	if n, ok := packedInt(score); ok {
		listpack.PutInt(dst, n)
		return
	}
	var room [maxScoreText]byte
	listpack.Put(dst, AppendScore(room[:0], score))
}

// compareEntry compares the text of the entry at pos with b.
func compareEntry(lp []byte, pos int, b []byte) int {
	text, n, isInt, _ := listpack.Entry(lp, pos)
	if !isInt {
		return bytes.Compare(text, b)
	}
	var room [20]byte
	return bytes.Compare(strconv.AppendInt(room[:0], n, 10), b)
}

// findPacked returns the place of a member, or -1.
func findPacked(lp, member []byte) int {
	if len(lp) == 0 {
		return -1
	}
	return listpack.Find(lp, listpack.First(lp), 1, member)
}

// placePacked returns the place where a member with a score belongs, looked for
// from pos on, which may be -1: that of the first one behind it, or the end.
func placePacked(lp []byte, pos int, member []byte, score float64) int {
	for pos >= 0 {
		other, next := packedScore(lp, listpack.Next(lp, pos))
		if other > score || other == score && compareEntry(lp, pos, member) > 0 {
			return pos
		}
		pos = next
	}
	return listpack.End(lp)
}
