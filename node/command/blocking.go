package command

import (
	"math"
	"math/big"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"slotmesh/node/resp"
	"slotmesh/node/store/value"
	"slotmesh/slots"
)

// This file is what lets a command wait for keys. A handler that finds nothing
// to do calls Call.Wait; whatever write makes one of the keys worth another look
// then serves the client at its own end, while it still holds the slot.
//
// Order of locks: slots, then a Blocked, then a shard. Nothing is waited for
// under the last two.

// Wait is what a call waits for.
type Wait struct {
	// Keys are those of the call's keys that it waits for, in the order in which
	// it looks at them. Kind is what they must become.
	Keys [][]byte
	Kind value.Kind
	// To are keys that Serve changes besides; their slots are locked too.
	To [][]byte
	// Timeout ends the waiting; 0 means that nothing does.
	Timeout time.Duration
	// Serve is called under the lock of key's slot whenever key may have become
	// worth a look: for lists and sorted sets when there is one, for streams after
	// every change, even when the key is gone or of another type. It does the
	// command's work on key alone and writes its reply, or reports false and has
	// done nothing: then the client goes on waiting. An error is the reply.
	//
	// c is not the call that waits, which is over; it has the same Args, in memory
	// of its own, and everything else of the moment. The effects are to be those of
	// the command that does not wait (LPOP for BLPOP), unless the command as sent
	// would do the same when it is run on another node. What Serve refers to must
	// not alias the call that waits.
	Serve func(c *Call, key []byte) (served bool, err error)
	// TimedOut writes the reply for one who waited in vain; nil means the null
	// array.
	TimedOut func(w *resp.Writer)
}

// Wait parks the call until a write serves it, and is the last thing that its
// handler does: the handler returns what it returns. Where nothing can be
// waited for, in EXEC, in scripts and in a stream that is applied, it answers as
// if the time were up.
func (c *Call) Wait(w Wait) error {
	if w.TimedOut == nil {
		w.TimedOut = (*resp.Writer).NullArray
	}
	if c.InExec || c.Conn == nil {
		w.TimedOut(c.Reply)
		return nil
	}
	e := c.engine
	wasReplica := e.replica.Load()
	b := newBlocked(c, w)
	b.sleeper = c.Conn.Sleep(b, w.Timeout)
	b.join()
	// The table and the role may have changed since the call was let in, and those
	// who wait may have been told already.
	err := b.redirection(e.routing.Load())
	if err == nil && !wasReplica && e.replica.Load() {
		err = resp.ErrRoleChanged
	}
	if err != nil && b.Withdraw() {
		b.answer(err, err == resp.ErrRoleChanged)
	}
	return nil
}

// ParseTimeout reads the timeout of a blocking command: seconds with a fraction,
// 0 for ever. Source: the reference's getTimeoutFromObjectOrReply.
func ParseTimeout(text []byte) (time.Duration, error) {
	if n, ok := value.ParseInt(text); ok {
		if n < 0 || n > math.MaxInt64/1000 {
			return 0, resp.ErrTimeoutNeg
		}
		return TimeoutMs(n * 1000)
	}
	seconds, ok := parseExtended(text)
	if !ok {
		return 0, resp.ErrTimeoutFloat
	}
	if seconds.IsInf() {
		return 0, resp.ErrTimeoutNeg
	}
	ms, accuracy := seconds.Mul(seconds, big.NewFloat(1000)).Int64()
	if accuracy == big.Below && seconds.Sign() > 0 && ms != math.MaxInt64 {
		ms++ // up to the next millisecond
	} else if accuracy == big.Below && seconds.Sign() > 0 {
		return 0, resp.ErrTimeoutNeg
	}
	return TimeoutMs(ms)
}

// TimeoutMs is a timeout of that many milliseconds. What no clock can measure
// is for ever.
func TimeoutMs(ms int64) (time.Duration, error) {
	if ms < 0 {
		return 0, resp.ErrTimeoutNeg
	}
	if ms > math.MaxInt64/int64(time.Millisecond) {
		return 0, nil
	}
	return time.Duration(ms) * time.Millisecond, nil
}

// Blocked is a client that waits for keys. It is its connection's as well, which
// ends the waiting when the time is up or the client leaves.
type Blocked struct {
	engine *Engine
	// sleeper is the connection; it is set before anybody else can find b.
	sleeper Sleeper
	wait    Wait
	// reads is true for a command that does not write.
	reads bool

	// mu makes one of those who would end the waiting the one who does. It is held
	// while somebody serves, so that nobody passes by for no reason.
	mu           sync.Mutex
	joined, done bool
	// call and out are what Serve works with.
	call Call
	out  resp.Writer

	// places are b's places in the queues of its keys.
	places []place
}

// Sleeper is the other end of Conn.Sleep.
type Sleeper interface {
	// Serving is called before the client may be served. Its reply must not leave
	// if the node loses its role after that.
	Serving()
	// Wake gives the client its reply, which is written on the connection's own
	// loop, where reply may also call methods of Conn. It is called at most once.
	Wake(reply func(*resp.Writer))
	// Refuse is Wake with a reply that tells nothing of the data, and may leave in
	// any case.
	Refuse(reply func(*resp.Writer))
}

// newBlocked copies of c what is needed after it.
func newBlocked(c *Call, w Wait) *Blocked {
	b := &Blocked{engine: c.engine, wait: w, reads: c.Spec.Flags&Write == 0}
	size := 0
	for _, arg := range c.Args {
		size += len(arg)
	}
	for _, key := range w.Keys {
		size += len(key)
	}
	for _, key := range w.To {
		size += len(key)
	}
	memory := make([]byte, 0, size)
	keep := func(text []byte) []byte {
		from := len(memory)
		memory = append(memory, text...)
		return memory[from:len(memory):len(memory)]
	}
	keepAll := func(texts [][]byte) [][]byte {
		kept := make([][]byte, len(texts))
		for i, text := range texts {
			kept[i] = keep(text)
		}
		return kept
	}
	b.wait.Keys, b.wait.To = keepAll(w.Keys), keepAll(w.To)
	b.out.Proto = c.Reply.Proto
	b.call = Call{
		Spec: c.Spec, Args: keepAll(c.Args), DB: c.DB, Conn: c.Conn, Reply: &b.out, InExec: true,
		engine: c.engine, asking: c.asking, readOnlyConn: c.readOnlyConn,
		keySet: keySet{slots: slices.Clone(c.slots)},
	}
	b.places = make([]place, 0, len(b.wait.Keys))
	for i, key := range b.wait.Keys {
		twice := slices.ContainsFunc(b.wait.Keys[:i], func(before []byte) bool { return string(before) == string(key) })
		if !twice {
			b.places = append(b.places, place{blocked: b, key: key})
		}
	}
	return b
}

// join puts b in the queues of its keys, unless the time is up already.
func (b *Blocked) join() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.done {
		b.engine.blocking.add(b)
		b.joined = true
	}
}

// finish ends the waiting. The caller has mu.
func (b *Blocked) finish() {
	b.done = true
	if b.joined {
		b.engine.blocking.remove(b)
	}
}

// Withdraw ends the waiting and reports true, or false if it has ended: then
// the reply is on its way. Any goroutine may call it.
func (b *Blocked) Withdraw() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.done {
		return false
	}
	b.finish()
	return true
}

// TimedOut writes the reply for one whose time is up.
func (b *Blocked) TimedOut(w *resp.Writer) { b.wait.TimedOut(w) }

// answer wakes the client, whose waiting has ended, with an error. With closing
// it is the last thing that the client hears.
func (b *Blocked) answer(err error, closing bool) {
	text, conn := err.Error(), b.call.Conn
	b.sleeper.Refuse(func(w *resp.Writer) {
		w.Error(text)
		if closing {
			conn.CloseAfterReply()
		}
	})
}

// redirection returns where t sends one who waits here, or nil to stay.
func (b *Blocked) redirection(t *slots.Table) error {
	if t == nil || len(b.call.slots) == 0 {
		return nil
	}
	return Route(t, slots.Request{
		Slot:         b.call.slots[0],
		ReadOnly:     b.reads,
		Asking:       b.call.asking,
		ReadOnlyConn: b.call.readOnlyConn,
		Keys:         len(b.wait.Keys),
		Missing:      func() int { return 0 },
	})
}

// serve lets b have a look at key, for a call of the engine that holds the
// key's slot. It reports whether b is done with waiting.
func (b *Blocked) serve(by *Call, key []byte) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.done {
		return true
	}
	b.sleeper.Serving()
	c := &b.call
	c.forget()
	b.out.Buf = b.out.Buf[:0]
	c.Lane, c.Now, c.exclusive = by.Lane, by.Now, by.exclusive
	served, err := b.wait.Serve(c, key)
	if err != nil {
		c.fail(err)
		served = true
	}
	// Even one who is not served may have found an expired key.
	by.readied = append(by.readied, c.readied...)
	c.readied = c.readied[:0]
	c.counted.dirty += c.dirty
	b.engine.gate.lanes[c.Lane].book(&c.counted)
	if !by.onReplica && b.engine.journal.Active() {
		if c.dirty > 0 && !c.replaced {
			c.note(c.DB, c.Args...)
		}
		b.engine.append(c.effects)
	}
	if !served {
		return false
	}
	b.finish()
	reply := b.out.Buf
	b.sleeper.Wake(func(w *resp.Writer) { w.Buf = append(w.Buf, reply...) })
	return true
}

// blocking is the registry of clients that wait for keys. It has locks of its
// own, so that a client can leave it without the locks of its slots; but only
// who holds the slot of a key joins its queue or serves it.
type blocking struct {
	// clients counts those who wait, so that a write looks further only when there
	// are any, and moving those who need the slots of other keys.
	clients, moving atomic.Int64
	shards          [64]blockShard
}

type blockShard struct {
	sync.Mutex
	keys map[watchedKey]*blockedKey
}

// blockedKey is a key that somebody waits for. It leaves the registry with the
// last of them.
type blockedKey struct {
	watchedKey
	slot slots.Slot
	// queues are those who wait, by kind.
	queues [3]blockQueue
	// readied is true while the key is on a call's list. It belongs to who holds
	// the slot.
	readied bool
}

const (
	listQueue = iota
	zsetQueue
	streamQueue
)

func queueOf(kind value.Kind) int {
	switch kind {
	case value.KindList:
		return listQueue
	case value.KindZSet:
		return zsetQueue
	case value.KindStream:
		return streamQueue
	}
	return -1
}

// blockQueue is who waits for a key, first come, first served.
type blockQueue struct{ head, tail *place }

// place is where a client stands in the queue of one key. at is nil before it
// joins and after it left.
type place struct {
	blocked    *Blocked
	key        []byte
	at         *blockedKey
	prev, next *place
}

func (bs *blocking) shard(slot slots.Slot) *blockShard { return &bs.shards[int(slot)%len(bs.shards)] }

// add puts b at the end of the queues of its keys, whose slots are locked.
func (bs *blocking) add(b *Blocked) {
	queue := queueOf(b.wait.Kind)
	for i := range b.places {
		p := &b.places[i]
		slot := slots.Of(p.key)
		shard := bs.shard(slot)
		shard.Lock()
		at := watchedKey{b.call.DB, string(p.key)}
		key := shard.keys[at]
		if key == nil {
			if shard.keys == nil {
				shard.keys = make(map[watchedKey]*blockedKey)
			}
			key = &blockedKey{watchedKey: at, slot: slot}
			shard.keys[at] = key
		}
		p.at = key
		q := &key.queues[queue]
		if p.prev = q.tail; p.prev == nil {
			q.head = p
		} else {
			p.prev.next = p
		}
		q.tail = p
		shard.Unlock()
	}
	bs.clients.Add(1)
	if len(b.wait.To) > 0 {
		bs.moving.Add(1)
	}
}

// remove takes b, whose waiting is over, out of all queues.
func (bs *blocking) remove(b *Blocked) {
	queue := queueOf(b.wait.Kind)
	for i := range b.places {
		p := &b.places[i]
		shard := bs.shard(slots.Of(p.key))
		shard.Lock()
		key := p.at
		q := &key.queues[queue]
		if p.prev == nil {
			q.head = p.next
		} else {
			p.prev.next = p.next
		}
		if p.next == nil {
			q.tail = p.prev
		} else {
			p.next.prev = p.prev
		}
		p.at, p.prev, p.next = nil, nil, nil
		if key.queues == [3]blockQueue{} {
			delete(shard.keys, key.watchedKey)
		}
		shard.Unlock()
	}
	bs.clients.Add(-1)
	if len(b.wait.To) > 0 {
		bs.moving.Add(-1)
	}
}

// find returns the key if somebody waits for it.
func (bs *blocking) find(db int, slot slots.Slot, key []byte) *blockedKey {
	shard := bs.shard(slot)
	shard.Lock()
	defer shard.Unlock()
	return shard.keys[watchedKey{db, string(key)}]
}

// first returns who has waited longest in a queue of k.
func (bs *blocking) first(k *blockedKey, queue int) *place {
	shard := bs.shard(k.slot)
	shard.Lock()
	defer shard.Unlock()
	return k.queues[queue].head
}

// everybody returns those who wait in a queue of k, up to limit, in order.
func (bs *blocking) everybody(k *blockedKey, queue, limit int) (places []*place) {
	shard := bs.shard(k.slot)
	shard.Lock()
	defer shard.Unlock()
	for p := k.queues[queue].head; p != nil && len(places) < limit; p = p.next {
		places = append(places, p)
	}
	return places
}

// all returns every client that choose accepts.
func (bs *blocking) all(choose func(*Blocked) bool) []*Blocked {
	var chosen []*Blocked
	if bs.clients.Load() == 0 {
		return nil
	}
	for i := range bs.shards {
		shard := &bs.shards[i]
		shard.Lock()
		for _, key := range shard.keys {
			for _, q := range key.queues {
				for p := q.head; p != nil; p = p.next {
					// A client with several keys is met as often; the first key counts.
					if p == &p.blocked.places[0] && choose(p.blocked) {
						chosen = append(chosen, p.blocked)
					}
				}
			}
		}
		shard.Unlock()
	}
	return chosen
}

// Blocked is the number of clients that wait for keys.
func (e *Engine) Blocked() int { return int(e.blocking.clients.Load()) }

// redirectBlocked answers those who wait for keys that t sends elsewhere.
func (e *Engine) redirectBlocked(t *slots.Table) {
	for _, b := range e.blocking.all(func(b *Blocked) bool { return b.redirection(t) != nil }) {
		if err := b.redirection(t); b.Withdraw() {
			b.answer(err, false)
		}
	}
}

// unblockAll sends everybody who waits away, because the role has changed.
func (e *Engine) unblockAll() {
	for _, b := range e.blocking.all(func(*Blocked) bool { return true }) {
		if b.Withdraw() {
			b.answer(resp.ErrRoleChanged, true)
		}
	}
}
