package command

import (
	"slotmesh/node/resp"
	"slotmesh/node/store"
	"slotmesh/node/store/hash"
	"slotmesh/node/store/value"
)

// This file is the commands that return a part of a hash: HSCAN and HRANDFIELD.

func runHScan(c *Call) error { return scanElements(c, (*Call).readHash, (*Call).scanHash) }

func (c *Call) scanHash(r hash.Reader, o elementScan) {
	var buf [20]byte
	w := c.Reply
	begin, n := len(w.Buf), 0
	next := r.Scan(o.cursor, o.count, func(item hash.Item) {
		if o.pattern != nil {
			field := item.Field.Bytes
			if item.Field.IsInt {
				field = item.Field.Append(buf[:0])
			}
			if !Match(o.pattern, field) {
				return
			}
		}
		bulkText(w, item.Field)
		bulkText(w, item.Value)
		n += 2
	})
	end := len(w.Buf)
	w.Array(2)
	bulkText(w, hash.Text{Int: int64(next), IsInt: true})
	w.Array(n)
	putFirst(w.Buf[begin:], end-begin)
}

// putFirst exchanges the first n bytes of b with the rest, which is short: the head
// of a reply that could not be written before its body.
func putFirst(b []byte, n int) {
	var buf [64]byte
	head := append(buf[:0], b[n:]...)
	copy(b[len(head):], b[:n])
	copy(b, head)
}

func runHRandField(c *Call) error {
	if len(c.Args) == 2 {
		return randomField(c)
	}
	return draw(c, "withvalues", (*Call).readHash, (*Call).replyRandomFields)
}

// randomFieldsAhead chooses the fields for an HRANDFIELD of many. Where fields may
// expire it is not known yet which are there.
func randomFieldsAhead(c *Call) {
	if len(c.Args) < 3 {
		return
	}
	count, withValues, err := c.parseRandom("withvalues")
	if err != nil {
		return
	}
	c.replyAhead(c.Args[1], func(ref store.Ref) bool {
		if ref.Kind() != value.KindHash || ref.HasFieldDeadline() {
			return false
		}
		r := hash.Read(ref.Value(), 0)
		return drawsMany(count, r.Size())
	}, func(v value.Value) {
		c.replyRandomFields(hash.Read(v, 0), count, withValues)
	})
}

// replyRandomFields answers with fields of r, which has some. count is not 0.
func (c *Call) replyRandomFields(r hash.Reader, count int64, withValues bool) {
	show := randomReply(c, withValues)
	switch n := int64(r.Len()); {
	case count < 0:
		show.open(-count)
		items := spreadFields(&r, -count)
		for range -count {
			if items != nil {
				show.item(items[c.below(len(items))])
			} else {
				show.item(c.pickField(&r))
			}
		}
	case count >= n:
		show.open(n)
		it := r.All()
		for it.Next() {
			show.item(it.Item)
		}
	default:
		show.open(count)
		places := c.distinctFields(&r, int(n), int(count))
		for place := range places {
			item, _ := r.At(place)
			show.item(item)
		}
		if places == nil {
			c.sampleFields(&r, int(n), int(count), show.item)
		}
	}
}

// spreadFields returns the fields that are there, if count of them are chosen sooner
// so: to reach one place of a packed hash, all before it are passed.
func spreadFields(r *hash.Reader, count int64) (items []hash.Item) {
	const few = 16
	n := r.Size()
	if r.Packed() == nil || n < few || count < few || count < int64(n/4) {
		return nil
	}
	items = make([]hash.Item, 0, n)
	it := r.All()
	for it.Next() {
		items = append(items, it.Item)
	}
	return items
}

func randomField(c *Call) error {
	r, ok, err := c.readHash(c.Args[1])
	if err != nil {
		return err
	}
	if !ok {
		c.Reply.Null()
		return nil
	}
	bulkText(c.Reply, c.pickField(&r).Field)
	return nil
}

// randomFields writes what HRANDFIELD chose: values, when asked for, stand in
// pairs in RESP3 and behind their fields in RESP2.
type randomFields struct {
	reply      *resp.Writer
	withValues bool
}

func randomReply(c *Call, withValues bool) randomFields { return randomFields{c.Reply, withValues} }

func (f randomFields) open(n int64) {
	if f.withValues && !f.reply.RESP3() {
		n *= 2
	}
	f.reply.Array(int(n))
}

func (f randomFields) item(item hash.Item) {
	if f.withValues && f.reply.RESP3() {
		f.reply.Array(2)
	}
	bulkText(f.reply, item.Field)
	if f.withValues {
		bulkText(f.reply, item.Value)
	}
}

// pickTries is how often pickField takes a field that has expired for a reason to
// try again.
const pickTries = 32

// pickField chooses one of the fields that are there, each as likely as the
// others. There is at least one.
func (c *Call) pickField(r *hash.Reader) (item hash.Item) {
	size := r.Size()
	for range pickTries {
		var ok bool
		if item, ok = r.At(c.below(size)); ok {
			return item
		}
	}
	c.sampleFields(r, r.Len(), 1, func(chosen hash.Item) { item = chosen })
	return item
}

// below returns a random number from 0 to n-1.
func (c *Call) below(n int) int { return int(c.engine.Random() % uint64(n)) }

// sampleFields chooses count of the n fields that are there and shows them in
// their order. Each is taken with the chance that is left for it (Knuth's
// selection sampling).
func (c *Call) sampleFields(r *hash.Reader, n, count int, show func(hash.Item)) {
	it := r.All()
	for ; count > 0 && it.Next(); n-- {
		if c.below(n) < count {
			show(it.Item)
			count--
		}
	}
}

// distinctFields returns the places of count different ones of the n fields that
// are there, each choice as likely as the others. It returns nil where looking at
// all of them is better: when most of them are wanted, or most have expired, or when
// the hash is packed.
func (c *Call) distinctFields(r *hash.Reader, n, count int) map[int]struct{} {
	if n < 3*count || count > 1 && r.Packed() != nil {
		return nil
	}
	places := make(map[int]struct{}, count)
	size := r.Size()
	for range pickTries * count {
		place := c.below(size)
		if _, ok := r.At(place); ok {
			if places[place] = struct{}{}; len(places) == count {
				return places
			}
		}
	}
	return nil
}
