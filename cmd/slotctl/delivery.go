package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"slotmesh/node/rdb"
	"slotmesh/node/resp"
	"slotmesh/slots"
)

// item is one key on its way.
type item struct {
	slot     slots.Slot
	key      []byte
	payload  []byte
	expireAt int64 // Unix time in ms, 0 for never
	idleSec  int64 // -1 for not known
	freq     int   // -1 for not known

	// ask is the node that the slot's owner named with ASK, for one attempt.
	ask string
	// doubtful is set when a connection broke before its answer: it may have
	// arrived, and is no stranger's key then.
	doubtful bool
}

// newItem makes an item of e, whose draft is given back.
func newItem(e rdb.Entry) *item {
	it := &item{slot: e.Slot, key: e.Key, expireAt: e.ExpireAtMs, idleSec: e.IdleSec, freq: e.Freq}
	if e.Draft == nil {
		it.payload = rdb.AppendDump(nil, e.Value)
		return it
	}
	it.payload = rdb.AppendDump(nil, e.Draft.Value())
	e.Draft.Discard()
	return it
}

// appendTo appends the command, with ASKING in front where it is due.
func (it *item) appendTo(encoded []byte, replace bool) []byte {
	if it.ask != "" {
		encoded = resp.AppendCommand(encoded, "ASKING")
	}
	args := make([][]byte, 0, 8)
	args = append(args, []byte("RESTORE"), it.key, strconv.AppendInt(nil, it.expireAt, 10), it.payload)
	if it.expireAt != 0 {
		args = append(args, []byte("ABSTTL"))
	}
	if replace || it.doubtful {
		args = append(args, []byte("REPLACE"))
	}
	switch {
	case it.freq >= 0:
		args = append(args, []byte("FREQ"), strconv.AppendInt(nil, int64(it.freq), 10))
	case it.idleSec >= 0:
		args = append(args, []byte("IDLETIME"), strconv.AppendInt(nil, it.idleSec, 10))
	}
	return resp.AppendCommand(encoded, args...)
}

// router knows where each slot is served. It is safe for concurrent use.
type router struct {
	o options

	mu     sync.Mutex // guards the rest, and lets one at a time ask
	owners [slots.Count]string
	asked  time.Time
}

func newRouter(t topology, o options) *router {
	return &router{o: o, owners: *t.owners()}
}

func (r *router) owner(slot slots.Slot) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.owners[slot]
}

func (r *router) learn(slot slots.Slot, addr string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.owners[slot] = addr
}

const (
	// refreshEvery keeps connections that all fail from asking all the time.
	refreshEvery = 250 * time.Millisecond
	// refreshPatience is how long one node is asked: everybody waits meanwhile.
	refreshPatience = 2 * time.Second
)

// refresh asks any node that answers who serves what. Without an answer
// everything stays as it is: the caller tries again.
func (r *router) refresh(ctx context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.asked) < refreshEvery {
		return
	}
	o := r.o
	o.timeout = min(o.timeout, refreshPatience)
	tried := make(map[string]bool)
	for _, addr := range append([]string{r.o.addr}, r.owners[:]...) {
		if tried[addr] || ctx.Err() != nil {
			continue
		}
		tried[addr] = true
		if t, err := readTopology(ctx, addr, o); err == nil {
			r.owners = *t.owners()
			break
		}
	}
	r.asked = time.Now()
}

// courier delivers items over connections of its own. It is for one goroutine.
type courier struct {
	route *router
	o     options
	links map[string]*link
}

func (c *courier) close() {
	for _, l := range c.links {
		l.close()
	}
}

// retryPause lies between attempts that got nowhere.
const retryPause = 50 * time.Millisecond

// errCircle is what holds items up that were redirected twice in a row.
var errCircle = errors.New("nodes name each other as owners of a slot")

// deliver sends items until each has arrived, wherever its slot goes meanwhile.
// left is how many have not when it gives up: an item is refused, or nothing
// arrives for the timeout.
func (c *courier) deliver(ctx context.Context, items []*item) (left int, err error) {
	moved, stuck := time.Now(), 0
	for len(items) > 0 {
		groups := make(map[string][]*item)
		for _, it := range items {
			addr := it.ask
			if addr == "" {
				addr = c.route.owner(it.slot)
			}
			groups[addr] = append(groups[addr], it)
		}
		var again []*item
		var obstacle error
		left = len(items)
		for addr, group := range groups {
			kept, passing, err := c.exchange(ctx, addr, group)
			left -= len(group) - len(kept)
			if err != nil {
				return left, err
			}
			again = append(again, kept...)
			if passing != nil {
				obstacle = passing
			}
		}
		if len(again) < len(items) {
			moved, stuck = time.Now(), 0
		} else if stuck++; stuck > 1 && obstacle == nil {
			obstacle = errCircle
		}
		if obstacle != nil && time.Since(moved) > c.o.timeout {
			return left, fmt.Errorf("nothing was accepted for %v: %w", c.o.timeout, obstacle)
		}
		if items = again; len(items) > 0 && obstacle != nil {
			select {
			case <-ctx.Done():
				return left, context.Cause(ctx)
			case <-time.After(retryPause):
			}
			c.route.refresh(ctx)
		}
	}
	return 0, nil
}

// exchange sends items to the node at addr in one go. kept are those to be tried
// again; obstacle is what should be given time first; err is final.
func (c *courier) exchange(ctx context.Context, addr string, items []*item) (kept []*item, obstacle, err error) {
	l := c.links[addr]
	if l == nil {
		if l, err = dial(ctx, addr, c.o); err != nil {
			if errors.As(err, new(resp.Error)) {
				return items, nil, err // the login is wrong
			}
			forget(items)
			return items, err, nil
		}
		c.links[addr] = l
	}
	var encoded []byte
	for _, it := range items {
		encoded = it.appendTo(encoded, c.o.replace)
	}
	broken := l.send(encoded)
	for i, it := range items {
		var reply resp.Reply
		if it.ask != "" && broken == nil {
			_, broken = l.replies.Read()
		}
		if broken == nil {
			reply, broken = l.replies.Read()
		}
		if broken != nil {
			l.close()
			delete(c.links, addr)
			for _, lost := range items[i:] {
				lost.doubtful = true
			}
			forget(items[i:])
			return append(kept, items[i:]...), fmt.Errorf("connection to %s: %w", addr, broken), nil
		}
		it.ask = ""
		refused := reply.Err()
		if refused == nil {
			continue
		}
		passing, err := c.redirected(it, addr, refused)
		if err != nil {
			// The answers that follow are not read: the connection is of no use.
			l.close()
			delete(c.links, addr)
			return append(kept, items[i:]...), nil, err
		}
		if passing != nil {
			obstacle = passing
		}
		kept = append(kept, it)
	}
	return kept, obstacle, nil
}

// forget lets items go to the owners of their slots again.
func forget(items []*item) {
	for _, it := range items {
		it.ask = ""
	}
}

// redirected does what a node's error asks for. obstacle is an error that will
// pass, err one that will not.
func (c *courier) redirected(it *item, addr string, refused error) (obstacle, err error) {
	words := strings.Fields(refused.Error())
	first := ""
	if len(words) > 0 {
		first = words[0]
	}
	switch first {
	case "MOVED", "ASK":
		if len(words) != 3 {
			return nil, fmt.Errorf("%s answers %q", addr, refused)
		}
		there := words[2]
		if strings.HasPrefix(there, ":") { // the host that was asked
			host, _, err := net.SplitHostPort(addr)
			if err != nil {
				return nil, err
			}
			there = host + there
		}
		if first == "ASK" {
			it.ask = there
			return nil, nil
		}
		if there == addr {
			return refused, nil
		}
		c.route.learn(it.slot, there)
		return nil, nil
	case "TRYAGAIN", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "READONLY", "UNBLOCKED":
		return refused, nil
	case "BUSYKEY":
		return nil, fmt.Errorf("key %.100q is at %s already: somebody else writes to the cluster", it.key, addr)
	}
	return nil, fmt.Errorf("%s refuses key %.100q: %w", addr, it.key, refused)
}
