package command

import (
	"math"

	"slotmesh/node/resp"
	"slotmesh/node/store/value"
)

// This file is what SRANDMEMBER, HRANDFIELD and ZRANDMEMBER with a count have in common.

// maxRandom is how many elements are returned at most when they may be returned again
// and again. The reference knows no bound and runs out of memory.
const maxRandom = 1 << 28

// draw answers with elements that are chosen at random from a collection: reply does so
// if it has some and some are wanted.
func draw[R any](c *Call, option string, read func(*Call, []byte) (R, bool, error), reply func(c *Call, r R, count int64, whole bool)) error {
	count, whole, err := c.parseRandom(option)
	if err != nil {
		return err
	}
	r, ok, err := read(c, c.Args[1])
	if err != nil {
		return err
	}
	if !ok || count == 0 {
		c.Reply.Array(0)
		return nil
	}
	if count < -maxRandom {
		return resp.ErrOutOfRange
	}
	if !c.ahead.answered(c) {
		reply(c, r, count, whole)
	}
	return nil
}

// parseRandom reads how many members are to be chosen, negative for members that may
// come again and again, and whether option follows, with which each is shown with
// what belongs to it.
func (c *Call) parseRandom(option string) (count int64, whole bool, err error) {
	count, ok := value.ParseInt(c.Args[2])
	if !ok {
		return 0, false, resp.ErrNotInteger
	}
	if count == math.MinInt64 {
		return 0, false, resp.Error("ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807")
	}
	if len(c.Args) > 3 {
		if len(c.Args) > 4 || !IsWord(c.Args[3], option) {
			return 0, false, resp.ErrSyntax
		}
		if count < -math.MaxInt64/2 || count > math.MaxInt64/2 {
			return 0, false, resp.ErrOutOfRange
		}
		whole = true
	}
	return count, whole, nil
}
