package zset

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"testing"

	"slotmesh/node/store/listpack"
)

// TestPackedOrNot damages listpacks of sorted sets, puts them out of order and repeats
// members, and asks whether they are judged as by somebody who takes one step after the
// other.
func TestPackedOrNot(t *testing.T) {
	seed := rand.Uint64()
	dice := rand.New(rand.NewPCG(seed, 1))
	exact, other, broken := 0, 0, 0
	for range 60_000 {
		lp := someSet(dice)
		limits := Limits{Entries: []int{5, 500, 128}[min(dice.IntN(20), 2)], Value: 64}
		ok, err := Packed(lp, limits)
		want, valid := packedByHand(lp, limits)
		if ok != want || (err == nil) != valid {
			t.Fatalf("seed %d: %x is %v, %v; should be exact %v, valid %v", seed, lp, ok, err, want, valid)
		}
		switch {
		case want:
			exact++
		case valid:
			other++
		default:
			broken++
		}
	}
	if min(exact, other, broken) < 5000 {
		t.Errorf("only %d are exact, %d others valid, %d broken", exact, other, broken)
	}
}

// someSet returns a listpack that is nearly a sorted set's.
func someSet(dice *rand.Rand) []byte {
	lp := listpack.Empty()
	score, kind, size := float64(dice.IntN(40)-20), dice.IntN(7), dice.IntN(20)
	if dice.IntN(8) == 0 {
		size = dice.IntN(140)
	}
	last := -1
	for i := range size {
		member := fmt.Appendf(nil, "%0*d-member", 1+dice.IntN(9), i)
		switch dice.IntN(12) {
		case 0:
			last = i * []int{1, 1000, 1_000_000, 10_000_000}[dice.IntN(4)]
			member = strconv.AppendInt(nil, int64(last), 10)
		case 1:
			member = bytes.Repeat([]byte{byte(i)}, dice.IntN(80))
		}
		if dice.IntN(40) == 0 {
			// The last number once more, but as others may write it: as a text.
			digits := strconv.Itoa(last)
			lp = append(append(append(lp[:listpack.End(lp)], 0x80|byte(len(digits))), digits...), byte(len(digits)+1), 0xff)
			listpack.Fix(lp, 1)
			lp = listpack.PushInt(lp, int64(score))
			continue
		}
		if dice.IntN(300) == 0 {
			member = []byte("1-member")
		}
		lp = listpack.Push(lp, member)
		switch kind {
		case 0:
			score += float64(1 + dice.IntN(3))
		case 1:
			score += float64(dice.IntN(1 << 20))
		case 2:
			score += float64(dice.IntN(3)) / 4
		case 3:
			score += dice.Float64()
		case 4:
			score += float64(dice.Uint64() >> (1 + dice.IntN(63)))
		case 5:
			score = math.Round((score+float64(dice.IntN(500))/100)*100) / 100
		}
		if dice.IntN(200) == 0 {
			score -= 5
		}
		if dice.IntN(100) == 0 {
			odd := []string{
				"-0", "inf", "-inf", "nan", "9007199254740993", "x", "1e3", "", "1.", ".5", ".", "1.5.", "1..5", "1.50", "0.0", "-0.0", "-1.5", "-.5", "-.", "--1.5",
				"12.5x", "+1.5", "1/5.5", "1:5.5", "123456.7", "1234567.8",
			}
			lp = listpack.Push(lp, []byte(odd[dice.IntN(len(odd))]))
			continue
		}
		at := listpack.End(lp)
		lp = append(lp, make([]byte, packedScoreSize(score))...)
		putPackedScore(lp[at:], score)
		listpack.Fix(lp, 1)
	}
	for range max(0, dice.IntN(6)-3) {
		lp[dice.IntN(len(lp))] ^= 1 << dice.IntN(8)
	}
	if dice.IntN(20) == 0 {
		lp = append(lp[:dice.IntN(len(lp))], 0xff)
		if len(lp) > 4 {
			binary.LittleEndian.PutUint32(lp, uint32(len(lp)))
		}
	}
	return lp
}

// packedByHand is Packed, slowly.
func packedByHand(lp []byte, limits Limits) (exact, valid bool) {
	if listpack.Validate(lp) != nil {
		return false, false
	}
	var texts [][]byte
	for pos := listpack.First(lp); pos >= 0; pos = listpack.Next(lp, pos) {
		texts = append(texts, listpack.AppendText([]byte{}, lp, pos))
	}
	n := len(texts) / 2
	if len(texts)%2 != 0 {
		return false, false
	}
	exact = 0 < n && n <= min(limits.Entries, packedLen) && len(lp) <= takenBytes
	seen := map[string]bool{}
	last := math.Inf(-1)
	for i := range n {
		member := texts[2*i]
		score, ok := ParseScore(texts[2*i+1])
		if whole, isInt := listpack.ParseInt(texts[2*i+1]); isInt {
			score, ok = float64(whole), true
		}
		if !ok {
			return false, false
		}
		behind := i == 0 || score > last || score == last && bytes.Compare(member, texts[2*i-2]) > 0
		exact = exact && behind && !isNegativeZero(score) && !seen[string(member)]
		seen[string(member)], last = true, score
	}
	return exact, true
}
