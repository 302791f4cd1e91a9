package command

import (
	"math"
	"strconv"

	"slotmesh/node/resp"
	"slotmesh/node/store"
	"slotmesh/node/store/value"
)

func walkRows() []Spec {
	return []Spec{
		{
			Name: "keys", Syntax: "pattern", Arity: 2, Flags: ReadOnly,
			Since: "1.0.0", Complexity: "O(N) where N is the number of keys of the database.",
			Summary: "Returns every key that matches a pattern.", Categories: []string{"dangerous"},
			Tips: []string{"request_policy:all_shards", "nondeterministic_output_order"}, Walks: true, Heavy: longPattern, Run: runKeys,
		},
		{
			Name: "randomkey", Syntax: "", Arity: 1, Flags: ReadOnly,
			Since: "1.0.0", Complexity: "O(1)", Summary: "Returns a key, each as likely as the others.",
			Tips: []string{"request_policy:all_shards", "nondeterministic_output"}, Walks: true, Run: runRandomKey,
		},
		{
			Name: "scan", Syntax: "cursor [MATCH pattern] [COUNT count] [TYPE type]", Arity: -2, Flags: ReadOnly,
			Since: "2.8.0", Complexity: "O(1) for each call, O(N) for the whole, where N is the number of keys.",
			Summary: "Returns the keys of a database step by step.",
			Tips:    []string{"nondeterministic_output", "request_policy:special"}, Walks: true, Heavy: longScan(2), Run: runScan,
		},
	}
}

// walkTurn is how many keys a walk looks at while it holds a slot.
const walkTurn = 256

// What a scan may look at on a loop: so many items, with a pattern so long.
const (
	loopScan    = 1000
	loopPattern = 64
)

// longScan is the Heavy of a scan whose options begin with the argument from.
func longScan(from int) func(*Call) bool {
	return func(c *Call) bool {
		for i := from; i+1 < len(c.Args); i += 2 {
			switch text := c.Args[i+1]; {
			case IsWord(c.Args[i], "count"):
				if n, ok := value.ParseInt(text); ok && n > loopScan {
					return true
				}
			case IsWord(c.Args[i], "match") && len(text) > loopPattern:
				return true
			}
		}
		return false
	}
}

// hidden reports whether a key has ended and is not to be seen.
func (c *Call) hidden(ref store.Ref) bool {
	return ref.Expires() && ref.ExpireAt() <= c.Now && !c.Applied
}

// randomTries bounds the search for a key that has not ended. Source: the
// reference's dbRandomKey.
const randomTries = 100

func runRandomKey(c *Call) error {
	for try := 0; ; try++ {
		slot, ok := c.engine.store.RandomSlot(c.DB, c.engine.Random())
		if !ok {
			c.Reply.Null()
			return nil
		}
		if try > 0 && c.OnLoop {
			return ErrLong
		}
		answered := false
		free := c.walkSlot(slot, func() {
			ref := c.engine.store.RandomInSlot(c.DB, slot, func() uint32 { return uint32(c.engine.Random()) })
			if ref.OK() && (!c.hidden(ref) || try == randomTries) {
				c.Reply.Bulk(ref.Key())
				answered = true
				return
			}
			if !c.InExec {
				c.engine.expireSlot(slot, c.Now, expiryTurn)
			}
		})
		if answered {
			return nil
		}
		if !free {
			return ErrLong
		}
		if try == randomTries {
			c.Reply.Null()
			return nil
		}
	}
}

// scanOptions are what SCAN was asked for.
type scanOptions struct {
	cursor  store.Cursor
	pattern []byte
	count   int
	// kind is the only kind to return if byKind is set; noKind is set for a
	// type that does not exist.
	byKind, noKind bool
	kind           value.Kind
}

func parseScan(c *Call) (o scanOptions, err error) {
	cursor, ok := parseCursor(c.Args[1])
	if !ok {
		return o, resp.ErrInvalidCursor
	}
	o.cursor, o.count = store.Cursor(cursor), 10
	for i := 2; i < len(c.Args); i += 2 {
		word := c.Args[i]
		if i+1 == len(c.Args) {
			return o, resp.ErrSyntax
		}
		text := c.Args[i+1]
		switch {
		case IsWord(word, "count"):
			n, ok := value.ParseInt(text)
			if !ok {
				return o, resp.ErrNotInteger
			}
			if n < 1 {
				return o, resp.ErrSyntax
			}
			o.count = int(min(n, 1<<31))
		case IsWord(word, "match"):
			o.pattern = text
			if string(text) == "*" {
				o.pattern = nil
			}
		case IsWord(word, "type"):
			o.byKind = true
			o.kind, ok = value.ParseKind(text)
			o.noKind = !ok
		default:
			return o, resp.ErrSyntax
		}
	}
	return o, nil
}

// parseCursor reads a cursor as strtoul does: nothing is zero, a sign is
// allowed and wraps.
func parseCursor(text []byte) (uint64, bool) {
	if len(text) == 0 {
		return 0, true
	}
	digits := text
	negative := text[0] == '-'
	if negative || text[0] == '+' {
		digits = text[1:]
	}
	n, err := strconv.ParseUint(string(digits), 10, 64)
	if err != nil {
		return 0, false
	}
	if negative {
		n = -n
	}
	return n, true
}

func runScan(c *Call) error {
	o, err := parseScan(c)
	if err != nil {
		return err
	}
	found := c.openSetReply()
	pattern := newGlob(o.pattern)
	next, ok := c.scan(o, func(ref store.Ref) {
		switch {
		case c.hidden(ref), o.noKind, o.byKind && ref.Kind() != o.kind:
		case o.pattern != nil && !pattern.match(ref.Key()):
		default:
			found.add(ref.Key())
		}
	})
	if !ok {
		found.drop()
		return ErrLong
	}
	found.closeScan(uint64(next))
	return nil
}

// scan visits keys from o.cursor on, at least o.count if there are so many, and
// returns where to go on. On a loop it gives up if it would have to wait.
func (c *Call) scan(o scanOptions, visit func(store.Ref)) (next store.Cursor, free bool) {
	slot, ok := o.cursor.Slot()
	if !ok {
		return 0, true
	}
	s := c.engine.store
	at := o.cursor
	for visited := 0; visited < o.count; {
		var n int
		var done bool
		if !c.walkSlot(slot, func() { at, n, done = s.Scan(c.DB, at, min(walkTurn, o.count-visited), visit) }) {
			return 0, false
		}
		visited += n
		if !done {
			continue
		}
		if slot, ok = s.NextUsed(c.DB, int(slot)+1); !ok {
			return 0, true
		}
		at = store.At(slot)
	}
	return at, true
}

func databaseRows() []Spec {
	flushTips := []string{"request_policy:all_shards", "response_policy:all_succeeded"}
	return []Spec{
		{
			Name: "dbsize", Syntax: "", Arity: 1, Flags: ReadOnly | Fast,
			Since: "1.0.0", Complexity: "O(1)", Summary: "Returns the number of keys of the database.",
			Categories: []string{"keyspace"},
			Tips:       []string{"request_policy:all_shards", "response_policy:agg_sum"},
			Run: func(c *Call) error {
				c.Reply.Int(int64(c.engine.store.Len(c.DB)))
				return nil
			},
		},
		{
			Name: "flushall", Syntax: "[ASYNC | SYNC]", Arity: -1, Flags: Write,
			Since: "1.0.0", Complexity: "O(1); memory is freed in the background.", Summary: "Deletes every key of every database.",
			Categories: []string{"keyspace", "dangerous"}, Tips: flushTips, Exclusive: true,
			Run: func(c *Call) error { return flush(c, -1) },
		},
		{
			Name: "flushdb", Syntax: "[ASYNC | SYNC]", Arity: -1, Flags: Write,
			Since: "1.0.0", Complexity: "O(1); memory is freed in the background.", Summary: "Deletes every key of the database.",
			Categories: []string{"keyspace", "dangerous"}, Tips: flushTips, Exclusive: true,
			Run: func(c *Call) error { return flush(c, c.DB) },
		},
		{
			Name: "swapdb", Syntax: "index1 index2", Arity: 3, Flags: Write | Fast,
			Since: "4.0.0", Complexity: "O(1)", Summary: "Exchanges two databases.",
			Categories: []string{"keyspace", "dangerous"}, Exclusive: true, Run: runSwapDB,
		},
	}
}

func flush(c *Call, db int) error {
	if len(c.Args) > 2 || len(c.Args) == 2 && !IsWord(c.Args[1], "sync") && !IsWord(c.Args[1], "async") {
		return resp.ErrSyntax
	}
	c.engine.touchDB(db)
	c.engine.store.Flush(db)
	c.noteAllReady(func(other int) bool { return db < 0 || other == db })
	// An empty database is flushed for replicas and files as well.
	c.dirty++
	c.Reply.OK()
	return nil
}

func runSwapDB(c *Call) error {
	if c.engine.Routing() != nil {
		return resp.Error("ERR SWAPDB is not allowed in cluster mode")
	}
	a, ok := value.ParseInt(c.Args[1])
	if !ok || a < math.MinInt32 || a > math.MaxInt32 {
		return resp.Error("ERR invalid first DB index")
	}
	b, ok := value.ParseInt(c.Args[2])
	if !ok || b < math.MinInt32 || b > math.MaxInt32 {
		return resp.Error("ERR invalid second DB index")
	}
	if n := int64(c.engine.store.Databases()); a < 0 || a >= n || b < 0 || b >= n {
		return resp.ErrDBIndex
	}
	c.engine.touchSwapped(int(a), int(b))
	c.engine.store.Swap(int(a), int(b))
	c.noteAllReady(func(db int) bool { return db == int(a) || db == int(b) })
	c.dirty++
	c.Reply.OK()
	return nil
}

// elementScan is what HSCAN, SSCAN and ZSCAN are asked for.
type elementScan struct {
	cursor uint64
	// pattern is nil if it would match everything.
	pattern []byte
	count   int
}

// scanElements answers a step through a collection: reply does so if it is there.
func scanElements[R any](c *Call, read func(*Call, []byte) (R, bool, error), reply func(*Call, R, elementScan)) error {
	cursor, ok := parseCursor(c.Args[2])
	if !ok {
		return resp.ErrInvalidCursor
	}
	r, ok, err := read(c, c.Args[1])
	if err != nil {
		return err
	}
	if !ok {
		// The reference does not read the options then.
		c.Reply.Array(2)
		c.Reply.BulkString("0")
		c.Reply.Array(0)
		return nil
	}
	o, err := parseElementScan(c.Args[3:])
	if err != nil {
		return err
	}
	o.cursor = cursor
	reply(c, r, o)
	return nil
}

func parseElementScan(words [][]byte) (o elementScan, err error) {
	o.count = 10
	for i := 0; i < len(words); i += 2 {
		if i+1 == len(words) {
			return o, resp.ErrSyntax
		}
		switch text := words[i+1]; {
		case IsWord(words[i], "count"):
			n, ok := value.ParseInt(text)
			if !ok {
				return o, resp.ErrNotInteger
			}
			if n < 1 {
				return o, resp.ErrSyntax
			}
			o.count = int(min(n, 1<<31))
		case IsWord(words[i], "match"):
			o.pattern = text
			if string(text) == "*" {
				o.pattern = nil
			}
		default:
			return o, resp.ErrSyntax
		}
	}
	return o, nil
}
