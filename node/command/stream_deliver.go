package command

import (
	"slotmesh/node/resp"
	"slotmesh/node/store/stream"
)

// This file gives entries to consumers, and says in the journal what that did:
// not who read what when, but which entries are pending with whom since when.
// The words are those of the reference, so that its replicas understand them
// too. Where it leaves something out that DUMP shows (when a consumer was seen,
// how many entries a group has read), there is an effect more.

// journals reports whether effects go anywhere.
func (c *Call) journals() bool { return !c.Applied && c.engine.journal.Active() }

var (
	wordXClaim         = []byte("XCLAIM")
	wordXAck           = []byte("XACK")
	wordXGroup         = []byte("XGROUP")
	wordSetID          = []byte("SETID")
	wordCreateConsumer = []byte("CREATECONSUMER")
	wordEntriesRead    = []byte("ENTRIESREAD")
	wordTime           = []byte("TIME")
	wordRetryCount     = []byte("RETRYCOUNT")
	wordForce          = []byte("FORCE")
	wordJustID         = []byte("JUSTID")
	wordLastID         = []byte("LASTID")
	wordZero           = []byte("0")
	wordNoEntry        = []byte("0-0")
)

// groupReader is one consumer of a group at work on a stream.
type groupReader struct {
	c              *Call
	s              *stream.Stream
	key, groupName []byte
	group          stream.Group
	// name is the consumer's; number is 0 until it is known.
	name   []byte
	number uint32
	// moved is true when the group has to be written.
	moved bool
	// claimed are entries that are pending with the consumer now, as yet without
	// an effect: all with the same time and count of delivery. seen is true when
	// an effect will tell that the consumer was seen now.
	claimed []stream.ID
	timeMs  int64
	count   uint64
	// created is true while no effect makes the consumer, which is new.
	created, seen bool
}

// findConsumer finds the consumer, or makes it, and marks it as seen.
func (r *groupReader) findConsumer() {
	consumer, ok := r.s.Consumer(&r.group, r.name)
	if !ok {
		consumer, _ = r.s.CreateConsumer(&r.group, r.name, r.c.Now)
		r.created = true
	} else if consumer.SeenMs != r.c.Now {
		r.s.SetSeen(&r.group, r.name, r.c.Now)
	}
	r.number = consumer.Number
}

// fresh answers with the entries that the group has not had, and makes them
// pending with the consumer unless noAck.
func (r *groupReader) fresh(count uint64, noAck bool) {
	w := r.c.Reply
	out := openArray(w)
	first, ok := r.group.LastID.Next()
	if !ok {
		first = stream.ID{}
	}
	it := r.s.Range(first, stream.MaxID, false)
	for it.Next() {
		id := it.Entry.ID
		r.s.Advance(&r.group, id)
		r.moved = true
		replyEntry(w, &it.Entry)
		if !noAck {
			r.deliver(stream.Delivery{ID: id, TimeMs: r.c.Now, Count: 1})
		}
		if out.n++; uint64(out.n) == count {
			break
		}
	}
	out.close(w)
	r.end()
}

// history answers with what the consumer has pending behind an id.
func (r *groupReader) history(after stream.ID, count uint64) {
	w := r.c.Reply
	out := openArray(w)
	first, ok := after.Next()
	if !ok {
		first = stream.ID{}
	}
	it := r.s.Owned(r.number, first)
	for it.Next() {
		if e, ok := r.s.Get(it.ID); ok {
			replyEntry(w, &e)
			d, _ := r.s.Delivery(r.group.Number, it.ID)
			d.TimeMs = r.c.Now
			d.Count++
			r.deliver(d)
			it.At(&r.s.Reader, it.ID)
		} else {
			// It was deleted from the stream meanwhile.
			w.Array(2)
			replyID(w, it.ID)
			w.NullArray()
		}
		if out.n++; uint64(out.n) == count {
			break
		}
	}
	out.close(w)
	r.end()
}

// deliver makes an entry pending with the consumer.
func (r *groupReader) deliver(d stream.Delivery) {
	d.Consumer = r.number
	r.s.Deliver(r.group.Number, d)
	if !r.c.journals() {
		return
	}
	if len(r.claimed) > 0 && (r.timeMs != d.TimeMs || r.count != d.Count) {
		r.tellClaimed()
	}
	r.timeMs, r.count = d.TimeMs, d.Count
	r.claimed = append(r.claimed, d.ID)
}

// tellClaimed writes the effect of deliveries.
func (r *groupReader) tellClaimed() {
	if len(r.claimed) == 0 {
		return
	}
	c := r.c
	args := make([][]byte, 0, len(r.claimed)+13)
	args = append(args, wordXClaim, r.key, r.groupName, r.name, wordZero)
	for _, id := range r.claimed {
		args = append(args, c.keepID(id))
	}
	c.Effect(append(args, wordTime, c.Number(r.timeMs), wordRetryCount, c.Number(int64(r.count)), wordForce, wordJustID,
		wordLastID, c.keepID(r.group.LastID))...)
	r.claimed, r.created = r.claimed[:0], false
	r.seen = r.seen || r.timeMs == c.Now
}

// end writes the group and the remaining effects.
func (r *groupReader) end() {
	r.tellClaimed()
	if r.created {
		r.c.Effect(wordXGroup, wordCreateConsumer, r.key, r.groupName, r.name)
	}
	if r.moved {
		r.s.SetGroup(r.groupName, &r.group)
		r.c.tellGroup(r.key, r.groupName, r.group)
	}
	if r.number != 0 && !r.seen {
		r.c.tellSeen(r.key, r.groupName, r.name)
	}
}

// tellGroup writes the effect of a group that moved on.
func (c *Call) tellGroup(key, name []byte, g stream.Group) {
	if c.journals() {
		c.Effect(wordXGroup, wordSetID, key, name, c.keepID(g.LastID), wordEntriesRead, c.Number(g.EntriesRead))
	}
}

// tellSeen writes when a consumer was seen, in a command that does nothing
// else, here or in the reference: no entry has the id 0-0. XCLAIM without FORCE
// does not make the consumer.
func (c *Call) tellSeen(key, group, consumer []byte) {
	if c.journals() {
		c.Effect(wordXClaim, key, group, consumer, wordZero, wordNoEntry, wordTime, c.Number(c.Now), wordJustID)
	}
}

// cText is text as C prints it with %s: up to a NUL.
func cText(text []byte) string { return string(clip(text, len(text))) }

// textErr is an error with parts that a client chose: it stays on its line.
func textErr(parts ...string) error {
	return resp.Error(oneLine([]byte(resp.Errf(parts...))))
}
