package command

import (
	"math"
	"slices"

	"slotmesh/node/resp"
	"slotmesh/node/store"
	"slotmesh/node/store/stream"
	"slotmesh/node/store/value"
)

// This file is XCLAIM, XAUTOCLAIM and XPENDING.

const (
	errClaimIdle     resp.Error = "ERR Invalid min-idle-time argument for XCLAIM"
	errClaimIdleOpt  resp.Error = "ERR Invalid IDLE option argument for XCLAIM"
	errClaimTime     resp.Error = "ERR Invalid TIME option argument for XCLAIM"
	errClaimRetry    resp.Error = "ERR Invalid RETRYCOUNT option argument for XCLAIM"
	errAutoClaimIdle resp.Error = "ERR Invalid min-idle-time argument for XAUTOCLAIM"
	errCountPositive resp.Error = "ERR COUNT must be > 0"
	errCountMemory   resp.Error = "ERR Insufficient memory, failed allocating transient memory, COUNT too high."
)

func errNoGroup(key, group []byte) error {
	return textErr("NOGROUP No such key '", cText(key), "' or consumer group '", cText(group), "'")
}

// claimGroup reads the stream of XCLAIM and XAUTOCLAIM into s, which is zero, and
// returns the group.
func claimGroup(c *Call, s *stream.Reader) (ref store.Ref, g stream.Group, err error) {
	if ref, err = c.ReadKind(c.Args[1], value.KindStream); err != nil {
		return ref, g, err
	}
	ok := ref.OK()
	if ok {
		*s = stream.Read(ref.Value())
		g, ok = s.Group(c.Args[2])
	}
	if !ok {
		return ref, g, errNoGroup(c.Args[1], c.Args[2])
	}
	return ref, g, nil
}

// claimOptions are the options of XCLAIM.
type claimOptions struct {
	force, justID bool
	// at is when the entries shall count as delivered, told whether TIME said so;
	// retries is their count of deliveries, -1 to count on.
	at      int64
	told    bool
	retries int64
	last    stream.ID
}

func parseClaim(c *Call, words [][]byte) (o claimOptions, err error) {
	o.at, o.retries = -1, -1
	for i := 0; i < len(words); i++ {
		word := words[i]
		number := func(to *int64, bad error) error {
			i++
			n, ok := value.ParseInt(words[i])
			if !ok {
				return bad
			}
			*to = n
			return nil
		}
		more := i+1 < len(words)
		switch {
		case IsWord(word, "force"):
			o.force = true
		case IsWord(word, "justid"):
			o.justID = true
		case more && IsWord(word, "idle"):
			if err := number(&o.at, errClaimIdleOpt); err != nil {
				return o, err
			}
			o.at = c.Now - o.at
		case more && IsWord(word, "time"):
			if err := number(&o.at, errClaimTime); err != nil {
				return o, err
			}
			o.told = true
		case more && IsWord(word, "retrycount"):
			if err := number(&o.retries, errClaimRetry); err != nil {
				return o, err
			}
		case more && IsWord(word, "lastid"):
			i++
			if o.last, err = parseStreamID(words[i]); err != nil {
				return o, err
			}
		default:
			return o, textErr("ERR Unrecognized XCLAIM option '", cText(word), "'")
		}
	}
	if o.at < 0 || o.at > c.Now && !c.Applied {
		// Not an error: clients may work it out from clocks of their own. What is
		// applied was right when and where it happened.
		o.at = c.Now
	}
	return o, nil
}

func runXClaim(c *Call) error {
	var s stream.Reader
	ref, g, err := claimGroup(c, &s)
	if err != nil {
		return err
	}
	minIdle, ok := value.ParseInt(c.Args[4])
	if !ok {
		return errClaimIdle
	}
	var room [8]stream.ID
	ids := room[:0]
	i := 5
	for ; i < len(c.Args); i++ {
		id, ok := stream.ParseID(c.Args[i], 0)
		if !ok {
			break
		}
		ids = append(ids, id)
	}
	o, err := parseClaim(c, c.Args[i:])
	if err != nil {
		return err
	}
	isPending := func(id stream.ID) bool {
		_, pending := s.Delivery(g.Number, id)
		return pending
	}
	if !o.force && !o.told && !g.LastID.Less(o.last) && !slices.ContainsFunc(ids, isPending) {
		// There is nothing to claim.
		c.Reply.Array(0)
		c.NoEffect()
		return nil
	}
	claimAll(c, ref, g, ids, minIdle, o)
	return nil
}

// claimAll gives those of ids that are pending to XCLAIM's consumer, and others
// if it is forced to.
func claimAll(c *Call, ref store.Ref, g stream.Group, ids []stream.ID, minIdle int64, o claimOptions) {
	s := stream.Open(&ref.Cell)
	r := groupReader{c: c, s: &s, key: c.Args[1], groupName: c.Args[2], group: g, name: c.Args[3]}
	if g.LastID.Less(o.last) {
		r.group.LastID, r.moved = o.last, true
	}
	cl := claimer{groupReader: &r, justID: o.justID, at: o.at, retries: o.retries}
	out := openArray(c.Reply)
	for _, id := range ids {
		d, pending := s.Delivery(g.Number, id)
		e, exists := s.Get(id)
		switch {
		case !exists:
			if pending {
				cl.drop(id)
			}
			continue
		case !pending && !o.force:
			continue
		case !pending:
			d = stream.Delivery{ID: id, TimeMs: c.Now, Count: 1}
		case minIdle > 0 && c.Now-d.TimeMs < minIdle:
			continue
		}
		cl.claim(d, &e)
		out.n++
	}
	out.close(c.Reply)
	if c.Applied && o.told {
		// The effect of a command that saw the consumer then.
		if _, ok := s.Consumer(&r.group, r.name); ok {
			s.SetSeen(&r.group, r.name, o.at)
			cl.changed++
		}
	}
	cl.finish()
}

// claimer gives pending entries to a consumer.
type claimer struct {
	*groupReader
	justID bool
	// at is when they shall count as delivered, retries how often, -1 to count on.
	at, retries int64
	// dropped are entries that were pending but are no longer in the stream.
	dropped []stream.ID
	changed int64
}

// claim gives the entry e, which is pending as d, to the consumer.
func (cl *claimer) claim(d stream.Delivery, e *stream.Entry) {
	if cl.number == 0 {
		cl.findConsumer()
	}
	d.TimeMs = cl.at
	switch {
	case cl.retries >= 0:
		d.Count = uint64(cl.retries)
	case !cl.justID:
		d.Count++
	}
	if cl.justID {
		replyID(cl.c.Reply, d.ID)
	} else {
		replyEntry(cl.c.Reply, e)
	}
	cl.deliver(d)
	cl.changed++
}

// drop ends that an entry is pending which the stream does not have.
func (cl *claimer) drop(id stream.ID) {
	cl.s.Acknowledge(cl.group.Number, id)
	cl.dropped = append(cl.dropped, id)
	cl.changed++
}

// finish saves the stream if it changed, and writes the effects.
func (cl *claimer) finish() {
	c := cl.c
	c.NoEffect()
	if cl.moved {
		cl.changed++
	}
	if cl.changed == 0 {
		return
	}
	cl.end()
	cl.s.Save()
	c.dirty += cl.changed
	if len(cl.dropped) > 0 && c.journals() {
		args := make([][]byte, 0, 3+len(cl.dropped))
		args = append(args, wordXAck, cl.key, cl.groupName)
		for _, id := range cl.dropped {
			args = append(args, c.keepID(id))
		}
		c.Effect(args...)
	}
}

// maxClaimCount is the greatest COUNT of XAUTOCLAIM.
const maxClaimCount = math.MaxInt64 / 16

// autoClaim is what XAUTOCLAIM asks for, and how far it has come.
type autoClaim struct {
	start          stream.ID
	minIdle, count int64
	justID         bool
	// attempts is how many more entries it may look at.
	attempts int64
}

func parseAutoClaim(args [][]byte) (o autoClaim, err error) {
	var ok bool
	if o.minIdle, ok = value.ParseInt(args[4]); !ok {
		return o, errAutoClaimIdle
	}
	if o.start, err = parseFrom(args[5]); err != nil {
		return o, err
	}
	o.count = 100
	for i := 6; i < len(args); i++ {
		switch {
		case i+1 < len(args) && IsWord(args[i], "count"):
			i++
			if o.count, ok = value.ParseInt(args[i]); !ok || o.count < 1 || o.count > maxClaimCount {
				return o, errCountPositive
			}
		case IsWord(args[i], "justid"):
			o.justID = true
		default:
			return o, resp.ErrSyntax
		}
	}
	// It looks at ten times as many as it claims.
	o.attempts = 10 * o.count
	return o, nil
}

// due reports whether d has been pending for long enough.
func (o *autoClaim) due(c *Call, d *stream.Delivery) bool {
	return o.minIdle <= 0 || c.Now-d.TimeMs >= o.minIdle
}

// pass goes to the first entry that is to be claimed or dropped, and reports whether
// there is one. Else next is where a later call goes on.
func (o *autoClaim) pass(c *Call, r *stream.Reader, g *stream.Group) (next stream.ID, found bool) {
	it := r.Pending(g.Number, o.start)
	for ; it.Next(); o.attempts-- {
		d := &it.Delivery
		if o.attempts == 0 {
			return d.ID, false
		}
		if o.start = d.ID; o.due(c, d) {
			return next, true
		}
		if _, exists := r.Get(d.ID); !exists {
			return next, true
		}
	}
	return next, false
}

func runXAutoClaim(c *Call) error {
	o, err := parseAutoClaim(c.Args)
	if err != nil {
		// The key is looked up all the same: an expired one goes.
		c.Read(c.Args[1])
		return err
	}
	var s stream.Reader
	ref, g, err := claimGroup(c, &s)
	if err != nil {
		return err
	}
	if o.count > heavyEntries/5 && c.manyPending(&s) {
		return ErrLong
	}
	if o.count > 1<<40 {
		// The reference makes room for as many ids.
		return errCountMemory
	}
	next, found := o.pass(c, &s, &g)
	if !found {
		// Those who ask again and again mostly find nothing.
		w := c.Reply
		w.Array(3)
		replyID(w, next)
		w.Array(0)
		w.Array(0)
		c.NoEffect()
		return nil
	}
	o.run(c, ref, g)
	return nil
}

// run claims and drops, from the first entry on for which there is that to do.
func (o *autoClaim) run(c *Call, ref store.Ref, g stream.Group) {
	s := stream.Open(&ref.Cell)
	r := groupReader{c: c, s: &s, key: c.Args[1], groupName: c.Args[2], group: g, name: c.Args[3]}
	cl := claimer{groupReader: &r, justID: o.justID, at: c.Now, retries: -1}
	w := c.Reply
	w.Array(3)
	head := len(w.Buf)
	out := openArray(w)
	it := s.Pending(g.Number, o.start)
	more := it.Next()
	for count := o.count; o.attempts > 0 && count > 0 && more; o.attempts-- {
		d := it.Delivery
		e, exists := s.Get(d.ID)
		switch {
		case !exists:
			cl.drop(d.ID)
			count--
			it.At(&s.Reader, d.ID)
		case o.due(c, &d):
			cl.claim(d, &e)
			out.n++
			count--
			it.At(&s.Reader, d.ID)
		}
		more = it.Next()
	}
	out.close(w)
	next := stream.ID{}
	if more {
		next = it.Delivery.ID
	}
	insertID(w, head, next)
	w.Array(len(cl.dropped))
	for _, id := range cl.dropped {
		replyID(w, id)
	}
	cl.finish()
}

// insertID writes an id in front of what was written from at on.
func insertID(w *resp.Writer, at int, id stream.ID) {
	end := len(w.Buf)
	replyID(w, id)
	var room [64]byte
	n := copy(room[:], w.Buf[end:])
	copy(w.Buf[at+n:], w.Buf[at:end])
	copy(w.Buf[at:], room[:n])
}

// pendingOptions are those of XPENDING's long form.
type pendingOptions struct {
	minIdle, count int64
	first, last    stream.ID
	consumer       []byte
}

func parsePending(c *Call) (o pendingOptions, err error) {
	args := c.Args[3:]
	number := func(to *int64, text []byte) error {
		n, ok := value.ParseInt(text)
		if !ok {
			return resp.ErrNotInteger
		}
		*to = n
		return nil
	}
	if IsWord(args[0], "idle") {
		if err := number(&o.minIdle, args[1]); err != nil {
			return o, err
		}
		if len(args) < 5 {
			return o, resp.ErrSyntax
		}
		args = args[2:]
	}
	if err := number(&o.count, args[2]); err != nil {
		return o, err
	}
	if o.first, err = parseFrom(args[0]); err != nil {
		return o, err
	}
	if o.last, err = parseTo(args[1]); err != nil {
		return o, err
	}
	if len(args) > 3 {
		o.consumer = args[3]
	}
	return o, nil
}

func runXPending(c *Call) error {
	var o pendingOptions
	switch n := len(c.Args); {
	case n == 3:
	case n < 6 || n > 9:
		return resp.ErrSyntax
	default:
		var err error
		if o, err = parsePending(c); err != nil {
			return err
		}
	}
	var r stream.Reader
	ok, err := c.readStream(c.Args[1], &r)
	if err != nil {
		return err
	}
	var g stream.Group
	if ok {
		g, ok = r.Group(c.Args[2])
	}
	if !ok {
		return errNoGroup(c.Args[1], c.Args[2])
	}
	if len(c.Args) == 3 {
		replyPendingSummary(c.Reply, &r, g)
		return nil
	}
	if (o.minIdle > 0 || o.count > 2*heavyEntries) && c.manyPending(&r) {
		return ErrLong
	}
	if o.consumer == nil {
		replyPending(c, &r, g, &o)
		return nil
	}
	consumer, ok := r.Consumer(&g, o.consumer)
	if !ok {
		c.Reply.Array(0)
		return nil
	}
	replyOwned(c, &r, g, consumer, &o)
	return nil
}

func replyPendingSummary(w *resp.Writer, r *stream.Reader, g stream.Group) {
	w.Array(4)
	n := r.PendingCount(g.Number)
	w.Int(int64(n))
	if n == 0 {
		w.Null()
		w.Null()
		w.NullArray()
		return
	}
	it := r.Pending(g.Number, stream.ID{})
	it.Next()
	replyID(w, it.Delivery.ID)
	last, _ := r.LastPending(g.Number)
	replyID(w, last)
	out := openArray(w)
	names := r.Consumers(g.Number)
	for names.Next() {
		if n := r.PendingCount(names.Consumer.Number); n > 0 {
			w.Array(2)
			w.Bulk(names.Name)
			w.BulkString(formatInt(n))
			out.n++
		}
	}
	out.close(w)
}

// replyPending answers with what is pending in a group.
func replyPending(c *Call, r *stream.Reader, g stream.Group, o *pendingOptions) {
	out := openArray(c.Reply)
	if o.count > 0 {
		it := r.Pending(g.Number, o.first)
		for it.Next() && !o.last.Less(it.Delivery.ID) {
			if replyDelivery(c, r, &it.Delivery, nil, o); o.idle(c, &it.Delivery) {
				if out.n++; int64(out.n) == o.count {
					break
				}
			}
		}
	}
	out.close(c.Reply)
}

// replyOwned answers with what is pending with a consumer.
func replyOwned(c *Call, r *stream.Reader, g stream.Group, consumer stream.Consumer, o *pendingOptions) {
	out := openArray(c.Reply)
	if o.count > 0 {
		it := r.Owned(consumer.Number, o.first)
		for it.Next() && !o.last.Less(it.ID) {
			d, _ := r.Delivery(g.Number, it.ID)
			if replyDelivery(c, r, &d, o.consumer, o); o.idle(c, &d) {
				if out.n++; int64(out.n) == o.count {
					break
				}
			}
		}
	}
	out.close(c.Reply)
}

// idle reports whether d has been pending for long enough.
func (o *pendingOptions) idle(c *Call, d *stream.Delivery) bool {
	return o.minIdle == 0 || c.Now-d.TimeMs >= o.minIdle
}

func replyDelivery(c *Call, r *stream.Reader, d *stream.Delivery, consumer []byte, o *pendingOptions) {
	if !o.idle(c, d) {
		return
	}
	if consumer == nil {
		consumer = r.ConsumerName(d.Consumer)
	}
	w := c.Reply
	w.Array(4)
	replyID(w, d.ID)
	w.Bulk(consumer)
	w.Int(max(c.Now-d.TimeMs, 0))
	w.Int(int64(d.Count))
}
