package command

import (
	"math/bits"
	"slices"

	"slotmesh/node/resp"
	"slotmesh/node/store"
	"slotmesh/node/store/set"
	"slotmesh/node/store/value"
)

// This file is the commands that choose members at random: SPOP, whose effect
// names them, and SRANDMEMBER.

// fewPlaces is how many places choosePlaces keeps in memory of the caller's.
const fewPlaces = 64

// choosePlaces returns k of n places, each at most once; few is room for them
// while they are few.
func (c *Call) choosePlaces(n, k int, few []int) []int {
	places, _ := c.drawPlaces(n, k, few)
	return places
}

// drawPlaces is choosePlaces. If they are not few, seen has a bit for each. Source:
// Floyd's algorithm, which draws k numbers and never a second time.
func (c *Call) drawPlaces(n, k int, few []int) (places []int, seen []uint64) {
	places = few
	if k > cap(few) {
		places = make([]int, 0, k)
		seen = make([]uint64, n/64+1)
	}
	for last := n - k; last < n; last++ {
		place := c.below(last + 1)
		if seen == nil && slices.Contains(places, place) || seen != nil && seen[place/64]>>(place%64)&1 != 0 {
			place = last
		}
		places = append(places, place)
		if seen != nil {
			seen[place/64] |= 1 << (place % 64)
		}
	}
	return places, seen
}

// choosePlacesInOrder is choosePlaces with the places ascending.
func (c *Call) choosePlacesInOrder(n, k int, few []int) []int {
	places, seen := c.drawPlaces(n, k, few)
	if seen == nil {
		slices.Sort(places)
		return places
	}
	places = places[:0]
	for i, word := range seen {
		for ; word != 0; word &= word - 1 {
			places = append(places, 64*i+bits.TrailingZeros64(word))
		}
	}
	return places
}

var wordSRem = []byte("SREM")

func runSPop(c *Call) error {
	key := c.Args[1]
	if len(c.Args) > 3 {
		return resp.ErrSyntax
	}
	if len(c.Args) == 3 {
		return popMany(c)
	}
	ref, err := c.WriteKind(key, value.KindSet)
	if err != nil {
		return err
	}
	if !ref.OK() {
		c.Reply.Null()
		return nil
	}
	s := set.Open(&ref.Cell)
	r := s.Reader()
	n := r.Len()
	place := c.below(n)
	var scratch set.Scratch
	member := c.keep(r.Member(place, &scratch))
	s.RemoveAt(place)
	if n == 1 {
		c.Delete(key)
	}
	c.Changed(key)
	c.Effect(wordSRem, key, member)
	c.Reply.Bulk(member)
	return nil
}

// popTurn is how many members one effect of SPOP names at most.
const popTurn = 1024

// popMany is SPOP with a count.
func popMany(c *Call) error {
	key := c.Args[1]
	count, ok := value.ParseInt(c.Args[2])
	if !ok || count < 0 {
		return resp.ErrNotPositive
	}
	ref, err := c.WriteKind(key, value.KindSet)
	if err != nil {
		return err
	}
	if !ref.OK() || count == 0 {
		c.Reply.Set(0)
		return nil
	}
	s := set.Open(&ref.Cell)
	r := s.Reader()
	n := r.Len()
	if count >= int64(n) {
		replyMembers(c, &r)
		c.Delete(key)
		c.Changed(key)
		c.Effect(wordDel, key)
		return nil
	}
	if u := c.drawnAhead(key, count); u != nil {
		s.Replace(u.thinned.tree.Root)
		if !u.answered(c) {
			replyDrawn(c, u.thinned.drawn)
		}
		c.changedBy(key, int(count))
		for members := range slices.Chunk(u.thinned.drawn, popTurn) {
			c.Effect(append([][]byte{wordSRem, key}, members...)...)
		}
		return nil
	}
	var few [fewPlaces]int
	places := c.choosePlacesInOrder(n, int(count), few[:0])
	journaled := !c.Applied && c.engine.journal.Active()
	var args [][]byte
	if journaled {
		args = make([][]byte, 0, 2+min(len(places), popTurn))
		args = append(args, wordSRem, key)
	}
	c.Reply.Set(len(places))
	s.RemovePlaces(places, func(member []byte) {
		c.Reply.Bulk(member)
		if journaled {
			if len(args) == 2+popTurn {
				c.Effect(args...)
				args = args[:2]
			}
			args = append(args, c.keep(member))
		}
	})
	c.changedBy(key, len(places))
	c.Effect(args...)
	return nil
}

func runSRandMember(c *Call) error {
	if len(c.Args) > 3 {
		return resp.ErrSyntax
	}
	if len(c.Args) == 3 {
		return draw(c, "", (*Call).readSet, func(c *Call, r set.Reader, count int64, _ bool) { c.replyRandomMembers(r, count) })
	}
	r, ok, err := c.readSet(c.Args[1])
	if err != nil {
		return err
	}
	if !ok {
		c.Reply.Null()
		return nil
	}
	var scratch set.Scratch
	c.Reply.Bulk(r.Member(c.below(r.Len()), &scratch))
	return nil
}

// randomAhead chooses the members for an SRANDMEMBER of many.
func randomAhead(c *Call) {
	if len(c.Args) != 3 {
		return
	}
	count, _ := value.ParseInt(c.Args[2])
	c.replyAhead(c.Args[1], func(ref store.Ref) bool {
		return ref.Kind() == value.KindSet && drawsMany(count, elementsOf(ref.Value()))
	}, func(v value.Value) {
		c.replyRandomMembers(set.Read(v), count)
	})
}

// replyRandomMembers answers with members of r, which has some. count is not 0.
func (c *Call) replyRandomMembers(r set.Reader, count int64) {
	n := r.Len()
	var scratch set.Scratch
	switch {
	case count < 0:
		c.Reply.Array(int(-count))
		for range -count {
			c.Reply.Bulk(r.Member(c.below(n), &scratch))
		}
	case count >= int64(n):
		c.Reply.Array(n)
		it := r.All()
		for it.Next() {
			c.Reply.Bulk(it.Member())
		}
	default:
		var few [fewPlaces]int
		places := c.choosePlaces(n, int(count), few[:0])
		c.Reply.Array(len(places))
		for _, place := range places {
			c.Reply.Bulk(r.Member(place, &scratch))
		}
	}
}
