package command

import (
	"time"

	"slotmesh/node/resp"
	"slotmesh/node/store"
	"slotmesh/node/store/stream"
	"slotmesh/node/store/value"
)

// This file is XREAD and XREADGROUP.

func streamReadRows() []Spec {
	keys := func(from int) []KeySpec {
		return []KeySpec{{Flags: KeyRO | KeyAccess, Keyword: "STREAMS", Begin: from, Last: -1, Step: 1, Limit: 2}}
	}
	return []Spec{
		{
			Name: "xread", Syntax: "[COUNT count] [BLOCK milliseconds] STREAMS key [key ...] id [id ...]",
			Arity: -4, Flags: ReadOnly | Blocking | MovableKeys, Keys: keys(1), KeysOf: readKeys,
			Since: "5.0.0", Complexity: "O(log N + M) for each stream, where M is the number of entries returned.",
			Summary: "Returns the entries of streams behind given ids, or waits for some.", Run: runXRead, Sized: true,
		},
		{
			Name:   "xreadgroup",
			Syntax: "<GROUP group consumer> [COUNT count] [BLOCK milliseconds] [NOACK] <STREAMS key [key ...] id [id ...]>",
			Arity:  -7, Flags: Write | Blocking | MovableKeys, Keys: keys(4), KeysOf: readKeys,
			Since: "5.0.0", Complexity: "O(log N) for each entry returned.",
			Summary: "Returns new entries of streams to a consumer of a group, or what it has pending, or waits.", Run: runXRead, Sized: true,
		},
	}
}

const (
	errReadGroup      resp.Error = "ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead."
	errReadNoAck      resp.Error = "ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead."
	errUnbalancedRead resp.Error = "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified."
	errGroupless      resp.Error = "ERR Missing GROUP option for XREADGROUP"
	errDollarGroup    resp.Error = "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of " +
		"this consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set."
	errNewIDs      resp.Error = "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option."
	errGroupGone   resp.Error = "NOGROUP the consumer group this client was blocked on no longer exists"
	errStreamGone  resp.Error = "UNBLOCKED the stream key no longer exists"
	blockedDefault            = 1000
)

// readOptions are the options of XREAD and XREADGROUP. Names are kept as places
// in Args, so that they are good for a call that has Args of its own.
type readOptions struct {
	isGroup, noAck bool
	// groupAt is where the group stands; its consumer follows.
	groupAt int
	// blocks is true with BLOCK, timeout its argument; count is 0 for any number.
	blocks  bool
	timeout time.Duration
	count   uint64
	// The n keys begin at keysAt, their ids at keysAt+n.
	keysAt, n int
}

func (o *readOptions) group(c *Call) []byte { return c.Args[o.groupAt] }

func (o *readOptions) consumer(c *Call) []byte { return c.Args[o.groupAt+1] }

// parseRead reads the options; its errors come in the order of the reference's.
func parseRead(args [][]byte) (o readOptions, err error) {
	o.isGroup = len(args[0]) == len("xreadgroup")
	for i := 1; i < len(args); i++ {
		arg, more := args[i], len(args)-i-1
		switch {
		case more > 0 && IsWord(arg, "block"):
			i++
			o.blocks = true
			if o.timeout, err = parseBlock(args[i]); err != nil {
				return o, err
			}
		case more > 0 && IsWord(arg, "count"):
			i++
			n, ok := value.ParseInt(args[i])
			if !ok {
				return o, resp.ErrNotInteger
			}
			o.count = uint64(max(n, 0))
		case more > 0 && IsWord(arg, "streams"):
			o.keysAt, o.n = i+1, more/2
			if more%2 != 0 {
				return o, errUnbalancedRead
			}
			i = len(args)
		case more > 1 && IsWord(arg, "group"):
			if !o.isGroup {
				return o, errReadGroup
			}
			o.groupAt = i + 1
			i += 2
		case IsWord(arg, "noack"):
			if !o.isGroup {
				return o, errReadNoAck
			}
			o.noAck = true
		default:
			return o, resp.ErrSyntax
		}
	}
	switch {
	case o.keysAt == 0:
		return o, resp.ErrSyntax
	case o.isGroup && o.groupAt == 0:
		return o, errGroupless
	}
	return o, nil
}

// parseBlock reads the argument of BLOCK.
func parseBlock(text []byte) (time.Duration, error) {
	ms, ok := value.ParseInt(text)
	if !ok {
		return 0, resp.ErrTimeoutInteger
	}
	return TimeoutMs(ms)
}

// readKeys is the KeysOf of both: a group or a consumer may be called "streams".
func readKeys(args [][]byte, at []int) ([]int, error) {
	o, err := parseRead(args)
	if err != nil {
		return at, err
	}
	for i := range o.n {
		at = append(at, o.keysAt+i)
	}
	return at, nil
}

// readFrom is where one stream is to be read from.
type readFrom struct {
	id stream.ID
	// fresh is true for ">", what no consumer of the group has had.
	fresh bool
	// nothing is true when the stream has no entries from there on.
	nothing bool
}

// readPlaces checks keys, groups and ids, all of them before anything is done.
func readPlaces(c *Call, o *readOptions, room []readFrom) ([]readFrom, error) {
	total := 0
	for i := range o.n {
		key, arg := c.Args[o.keysAt+i], c.Args[o.keysAt+o.n+i]
		var r stream.Reader
		ok, err := c.readStream(key, &r)
		if err != nil {
			return nil, err
		}
		var g stream.Group
		if o.isGroup {
			found := false
			if ok {
				g, found = r.Group(o.group(c))
			}
			if !found {
				return nil, textErr("NOGROUP No such key '", cText(key), "' or consumer group '", cText(o.group(c)),
					"' in XREADGROUP with GROUP option")
			}
		}
		from := readFrom{}
		switch {
		case len(arg) == 1 && arg[0] == '$':
			if o.isGroup {
				return nil, errDollarGroup
			}
			if ok {
				from.id = r.LastID()
			}
		case len(arg) == 1 && arg[0] == '>':
			if !o.isGroup {
				return nil, errNewIDs
			}
			from.id, from.fresh = stream.MaxID, true
		default:
			if from.id, err = parseStreamID(arg); err != nil {
				return nil, err
			}
			// The reference knows ">" by this id.
			from.fresh = o.isGroup && from.id == stream.MaxID
		}
		after := from.id
		if from.fresh {
			after = g.LastID
		}
		if !o.isGroup || from.fresh {
			from.nothing = !ok || isBehind(&r, after)
		}
		room = append(room, from)
		if c.OnLoop && ok && (o.count == 0 || o.count > heavyEntries) {
			switch {
			case from.nothing:
			case !o.isGroup || from.fresh:
				total += r.Estimate(after, stream.MaxID)
			default:
				total += r.PendingCount(g.Number)
			}
		}
	}
	if c.tooLong(total, heavyEntries) {
		return nil, ErrLong
	}
	return room, nil
}

// isBehind reports whether no entry of a stream comes after id.
func isBehind(r *stream.Reader, id stream.ID) bool {
	return r.Len() == 0 || !id.Less(r.LastID()) || !id.Less(r.LastValidID())
}

func runXRead(c *Call) error {
	o, err := parseRead(c.Args)
	if err != nil {
		return err
	}
	var room [8]readFrom
	places, err := readPlaces(c, &o, room[:0])
	if err != nil {
		return err
	}
	answer := openArray(c.Reply)
	for i, from := range places {
		if from.nothing {
			continue
		}
		key := c.Args[o.keysAt+i]
		if o.isGroup {
			if readGroupAt(c, &o, c.Peek(key), key, from, false) {
				answer.n++
			}
			continue
		}
		ref := c.Peek(key)
		r := stream.Read(ref.Value())
		openStreamReply(c.Reply, key)
		replyAfter(c.Reply, &r, from.id, o.count)
		answer.n++
	}
	if o.isGroup {
		// What happened stands in effects of its own.
		c.NoEffect()
	}
	if answer.n > 0 {
		closeStreams(c.Reply, &answer)
		return nil
	}
	c.Reply.Buf = c.Reply.Buf[:answer.at]
	if !o.blocks {
		c.Reply.NullArray()
		return nil
	}
	return waitForStreams(c, o, places)
}

// openStreamReply begins the part of one stream in the reply.
func openStreamReply(w *resp.Writer, key []byte) {
	if !w.RESP3() {
		w.Array(2)
	}
	w.Bulk(key)
}

// closeStreams ends the reply: a map of keys, or pairs of them.
func closeStreams(w *resp.Writer, l *lateArray) {
	if w.RESP3() {
		l.closeAs(w, '%')
	} else {
		l.close(w)
	}
}

// replyAfter answers with the entries behind id.
func replyAfter(w *resp.Writer, r *stream.Reader, id stream.ID, count uint64) {
	first, ok := id.Next()
	if !ok {
		first = stream.ID{}
	}
	it := r.Range(first, stream.MaxID, false)
	replyRange(w, &it, count)
}

// waitForStreams is the end of a call that found nothing.
func waitForStreams(c *Call, o readOptions, places []readFrom) error {
	if o.count == 0 {
		o.count = blockedDefault
	}
	wanted := append([]readFrom(nil), places...)
	return c.Wait(Wait{
		Keys: c.Args[o.keysAt : o.keysAt+o.n], Kind: value.KindStream, Timeout: o.timeout,
		Serve: func(c *Call, key []byte) (bool, error) { return serveRead(c, &o, wanted, key) },
	})
}

// serveRead looks at a key for a call that waits.
func serveRead(c *Call, o *readOptions, places []readFrom, key []byte) (bool, error) {
	ref := c.Peek(key)
	if !ref.OK() || ref.Kind() != value.KindStream {
		if o.isGroup {
			c.NoEffect()
			return true, errStreamGone
		}
		return false, nil
	}
	from := readFrom{}
	for i := range places {
		if string(c.Args[o.keysAt+i]) == string(key) {
			from = places[i]
			break
		}
	}
	answer := openArray(c.Reply)
	answer.n = 1
	if o.isGroup {
		c.NoEffect()
		r := stream.Read(ref.Value())
		if _, ok := r.Group(o.group(c)); !ok {
			c.Reply.Buf = c.Reply.Buf[:answer.at]
			return true, errGroupGone
		}
		if !readGroupAt(c, o, ref, key, from, true) {
			c.Reply.Buf = c.Reply.Buf[:answer.at]
			return false, nil
		}
		closeStreams(c.Reply, &answer)
		return true, nil
	}
	r := stream.Read(ref.Value())
	if !from.id.Less(r.LastID()) {
		c.Reply.Buf = c.Reply.Buf[:answer.at]
		return false, nil
	}
	openStreamReply(c.Reply, key)
	replyAfter(c.Reply, &r, from.id, o.count)
	closeStreams(c.Reply, &answer)
	return true, nil
}

// readGroupAt reads one stream for a consumer: what is new to the group, or what
// the consumer has pending. It reports whether there was a reason to answer.
func readGroupAt(c *Call, o *readOptions, ref store.Ref, key []byte, from readFrom, waited bool) bool {
	s := stream.Open(&ref.Cell)
	name := o.group(c)
	g, ok := s.Group(name)
	if !ok {
		return false
	}
	if from.fresh {
		// Who has waited is woken by every new id, even if its entry is gone.
		if waited && !g.LastID.Less(s.LastID()) || !waited && isBehind(&s.Reader, g.LastID) {
			return false
		}
	}
	reader := groupReader{c: c, s: &s, key: key, groupName: name, group: g, name: o.consumer(c)}
	openStreamReply(c.Reply, key)
	reader.findConsumer()
	if from.fresh {
		reader.fresh(o.count, o.noAck)
	} else {
		reader.history(from.id, o.count)
	}
	s.Save()
	c.dirty++
	return true
}
