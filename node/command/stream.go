package command

import (
	"slotmesh/node/resp"
	"slotmesh/node/store"
	"slotmesh/node/store/stream"
	"slotmesh/node/store/value"
)

// Streams are the rows of streams.
func Streams() []Spec {
	return inGroup("stream", append(append(streamRows(), streamReadRows()...), streamGroupRows()...))
}

func streamRows() []Spec {
	deletes := []KeySpec{{Flags: KeyRW | KeyDelete, Begin: 1, Step: 1}}
	nondeterministic := []string{"nondeterministic_output"}
	const trimming = "<MAXLEN | MINID> [= | ~] threshold [LIMIT count]"
	return []Spec{
		{
			Name:   "xadd",
			Syntax: "key [NOMKSTREAM] [" + trimming + "] <* | id> field value [field value ...]",
			Arity:  -5, Flags: Write | DenyOOM | Fast,
			Keys:  []KeySpec{{Flags: KeyRW | KeyUpdate, Notes: "adds, and may trim", Begin: 1, Step: 1}},
			Since: "5.0.0", Complexity: "O(1) to add, O(N) to trim where N is the number of entries that go.",
			Summary: "Adds an entry to the end of a stream.", Tips: nondeterministic, Run: runXAdd, Heavy: manyFields, Sized: true, Ahead: addAhead,
		},
		{
			Name: "xdel", Syntax: "key id [id ...]", Arity: -3, Flags: Write | Fast, Keys: deletes,
			Since: "5.0.0", Complexity: "O(log N) for each entry, where N is the number of all.",
			Summary: "Deletes entries of a stream.", Run: runXDel, Heavy: manyArgs,
		},
		{
			Name: "xlen", Syntax: "key", Arity: 2, Flags: ReadOnly | Fast, Keys: []KeySpec{{Flags: KeyRO, Begin: 1, Step: 1}},
			Since: "5.0.0", Complexity: "O(1)", Summary: "Returns the number of entries of a stream.", Run: runXLen,
		},
		{
			Name: "xrange", Syntax: "key start:string end:string [COUNT count]", Arity: -4, Flags: ReadOnly, Keys: readsKey,
			Since: "5.0.0", Complexity: "O(log N + M) where M is the number of entries returned.",
			Summary: "Returns the entries between two ids.",
			Run:     func(c *Call) error { return xRange(c, false) }, Sized: true,
		},
		{
			Name: "xrevrange", Syntax: "key end:string start:string [COUNT count]", Arity: -4, Flags: ReadOnly, Keys: readsKey,
			Since: "5.0.0", Complexity: "O(log N + M) where M is the number of entries returned.",
			Summary: "Returns the entries between two ids, the last one first.",
			Run:     func(c *Call) error { return xRange(c, true) }, Sized: true,
		},
		{
			Name: "xsetid", Syntax: "key last-id [ENTRIESADDED entries_added:integer] [MAXDELETEDID max_deleted_entry_id]",
			Arity: -3, Flags: Write | DenyOOM | Fast, Keys: updatesKey,
			Since: "5.0.0", Complexity: "O(1)", Summary: "Sets the last id of a stream, as replication needs it.", Run: runXSetID,
		},
		{
			Name: "xtrim", Syntax: "key <" + trimming + ">", Arity: -4, Flags: Write, Keys: deletes,
			Since: "5.0.0", Complexity: "O(N) where N is the number of entries that go.",
			Summary: "Cuts off the beginning of a stream.", Tips: nondeterministic, Run: runXTrim, Sized: true, Ahead: cutAhead,
		},
	}
}

// Errors of streams.
const (
	errStreamID      resp.Error = "ERR Invalid stream ID specified as stream command argument"
	errStreamStart   resp.Error = "ERR invalid start ID for the interval"
	errStreamEnd     resp.Error = "ERR invalid end ID for the interval"
	errZeroID        resp.Error = "ERR The ID specified in XADD must be greater than 0-0"
	errNoMoreIDs     resp.Error = "ERR The stream has exhausted the last possible ID, unable to add more items"
	errSmallID       resp.Error = "ERR The ID specified in XADD is equal or smaller than the target stream top item"
	errEntryTooLarge resp.Error = "ERR Elements are too large to be stored"
	errTwoTrims      resp.Error = "ERR syntax error, MAXLEN and MINID options at the same time are not compatible"
	errMaxLen        resp.Error = "ERR The MAXLEN argument must be >= 0."
	errTrimLimit     resp.Error = "ERR The LIMIT argument must be >= 0."
	errLimitAlone    resp.Error = "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy"
	errLimitExact    resp.Error = "ERR syntax error, LIMIT cannot be used without the special ~ option"
	errNoTrim        resp.Error = "ERR syntax error, XTRIM must be called with a trimming strategy"
	errEntriesAdded  resp.Error = "ERR entries_added must be positive"
	errSetIDDeleted  resp.Error = "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id"
	errSetIDTop      resp.Error = "ERR The ID specified in XSETID is smaller than the target stream top item"
	errSetIDAdded    resp.Error = "ERR The entries_added specified in XSETID is smaller than the target stream length"
)

// heavyEntries is how many entries are too many for a loop.
const heavyEntries = 500

// manyFields is the Heavy of XADD.
func manyFields(c *Call) bool { return len(c.Args) > 512 }

// readStream makes r, which is zero, the reader of the stream of key for a command
// that reads it; ok is false if there is none.
func (c *Call) readStream(key []byte, r *stream.Reader) (ok bool, err error) {
	ref, err := c.ReadKind(key, value.KindStream)
	if err != nil || !ref.OK() {
		return false, err
	}
	*r = stream.Read(ref.Value())
	return true, nil
}

// writeStream looks up the stream of key for a command that changes it, which opens
// it itself.
func (c *Call) writeStream(key []byte) (ref store.Ref, err error) {
	return c.WriteKind(key, value.KindStream)
}

// newStream makes key an empty stream.
func (c *Call) newStream(key []byte) store.Ref {
	return c.Create(key, value.KindStream, value.EncStream)
}

// parseStreamID reads an id; one without a sequence has the sequence 0.
func parseStreamID(text []byte) (stream.ID, error) {
	id, ok := stream.ParseID(text, 0)
	if !ok {
		return id, errStreamID
	}
	return id, nil
}

// appendStreamIDs appends the ids that args are to ids.
func appendStreamIDs(ids []stream.ID, args [][]byte) ([]stream.ID, error) {
	for _, arg := range args {
		id, err := parseStreamID(arg)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// parseFrom reads the beginning of a range of ids, which "(" excludes.
func parseFrom(text []byte) (id stream.ID, err error) {
	id, exclusive, err := parseEnd(text, 0)
	if err == nil && exclusive {
		var ok bool
		if id, ok = id.Next(); !ok {
			err = errStreamStart
		}
	}
	return id, err
}

// parseTo reads the end of a range.
func parseTo(text []byte) (id stream.ID, err error) {
	id, exclusive, err := parseEnd(text, stream.MaxID.Seq)
	if err == nil && exclusive {
		var ok bool
		if id, ok = id.Prev(); !ok {
			err = errStreamEnd
		}
	}
	return id, err
}

func parseEnd(text []byte, missing uint64) (id stream.ID, exclusive bool, err error) {
	parse := stream.ParseBound
	if exclusive = len(text) > 1 && text[0] == '('; exclusive {
		text, parse = text[1:], stream.ParseID
	}
	id, ok := parse(text, missing)
	if !ok {
		return id, exclusive, errStreamID
	}
	return id, exclusive, nil
}

// keepID returns the text of id in memory that lasts until the effects are
// written.
func (c *Call) keepID(id stream.ID) []byte {
	from := len(c.arena)
	c.arena = id.Append(c.arena)
	return c.arena[from:len(c.arena):len(c.arena)]
}

func replyID(w *resp.Writer, id stream.ID) {
	n := id.TextLen()
	w.Buf = append(w.Buf, '$')
	if n >= 10 {
		w.Buf = append(w.Buf, byte('0'+n/10))
	}
	w.Buf = append(w.Buf, byte('0'+n%10), '\r', '\n')
	w.Buf = append(id.Append(w.Buf), '\r', '\n')
}

// replyEntry answers with an entry: its id, and its fields and values.
func replyEntry(w *resp.Writer, e *stream.Entry) {
	w.Array(2)
	replyID(w, e.ID)
	w.Array(2 * e.Fields)
	pairs := e.Pairs()
	for {
		field, value, ok := pairs.Next()
		if !ok {
			return
		}
		w.Bulk(field)
		w.Bulk(value)
	}
}

// manyEntries is tooLong for count of the entries from first to last, or all of
// them if that is 0.
func (c *Call) manyEntries(r *stream.Reader, first, last stream.ID, count uint64) bool {
	return c.OnLoop && r.Len() > heavyEntries && (count == 0 || count > heavyEntries) &&
		c.tooLong(r.Estimate(first, last), heavyEntries)
}

// replyRange answers with the entries of a range, count at most unless that is
// 0.
func replyRange(w *resp.Writer, it *stream.Range, count uint64) {
	list := openArray(w)
	for it.Next() {
		replyEntry(w, &it.Entry)
		if list.n++; uint64(list.n) == count {
			break
		}
	}
	list.close(w)
}

// lateArray is an array whose length is not known before its elements.
type lateArray struct{ at, n int }

const arrayHead = "*0\r\n"

func openArray(w *resp.Writer) lateArray {
	at := len(w.Buf)
	w.Buf = append(w.Buf, arrayHead...)
	return lateArray{at: at}
}

// close writes the length n in front of the elements.
func (l *lateArray) close(w *resp.Writer) { l.closeAs(w, '*') }

func (l *lateArray) closeAs(w *resp.Writer, kind byte) {
	w.Buf[l.at] = kind
	if l.n < 10 {
		w.Buf[l.at+1] = '0' + byte(l.n)
		return
	}
	end := len(w.Buf)
	w.Array(l.n)
	head := len(w.Buf) - end
	shift := head - len(arrayHead)
	var room [24]byte
	copy(room[:], w.Buf[end:])
	w.Buf = w.Buf[:end+shift]
	copy(w.Buf[l.at+head:], w.Buf[l.at+len(arrayHead):end])
	copy(w.Buf[l.at+1:], room[1:head])
}

func runXLen(c *Call) error {
	ref, err := c.ReadKind(c.Args[1], value.KindStream)
	if err != nil {
		return err
	}
	n := uint64(0)
	if ref.OK() {
		n = stream.Len(ref.Value())
	}
	c.Reply.Int(int64(n))
	return nil
}

func xRange(c *Call, reverse bool) error {
	from, to := c.Args[2], c.Args[3]
	if reverse {
		from, to = to, from
	}
	first, err := parseFrom(from)
	if err != nil {
		return err
	}
	last, err := parseTo(to)
	if err != nil {
		return err
	}
	count := int64(-1)
	for i := 4; i < len(c.Args); i += 2 {
		if !IsWord(c.Args[i], "count") || i+1 == len(c.Args) {
			return resp.ErrSyntax
		}
		n, ok := value.ParseInt(c.Args[i+1])
		if !ok {
			return resp.ErrNotInteger
		}
		count = max(n, 0)
	}
	var r stream.Reader
	ok, err := c.readStream(c.Args[1], &r)
	switch {
	case err != nil:
		return err
	case !ok:
		c.Reply.Array(0)
	case count == 0:
		c.Reply.NullArray()
	default:
		wanted := uint64(max(count, 0))
		if c.manyEntries(&r, first, last, wanted) {
			return ErrLong
		}
		it := r.Range(first, last, reverse)
		replyRange(c.Reply, &it, wanted)
	}
	return nil
}

func runXDel(c *Call) error {
	key := c.Args[1]
	ref, err := c.writeStream(key)
	if err != nil {
		return err
	}
	if !ref.OK() {
		c.Reply.Int(0)
		return nil
	}
	s := stream.Open(&ref.Cell)
	var room [8]stream.ID
	ids, err := appendStreamIDs(room[:0], c.Args[2:])
	if err != nil {
		return err
	}
	deleted := s.DeleteAll(ids)
	if deleted > 0 {
		s.Save()
		c.Changed(key)
		c.dirty += int64(deleted) - 1
	}
	c.Reply.Int(int64(deleted))
	return nil
}

// lastValidID is the id of the last entry that is there. To look for it makes a stream
// that is open for change leave the stack, hence a reader of its own.
func lastValidID(r stream.Reader) stream.ID { return r.LastValidID() }

func runXSetID(c *Call) error {
	key := c.Args[1]
	last, err := parseStreamID(c.Args[2])
	if err != nil {
		return err
	}
	added, maxDeleted := int64(-1), stream.ID{}
	for i := 3; i < len(c.Args); i += 2 {
		switch {
		case i+1 < len(c.Args) && IsWord(c.Args[i], "entriesadded"):
			var ok bool
			if added, ok = value.ParseInt(c.Args[i+1]); !ok {
				return resp.ErrNotInteger
			} else if added < 0 {
				return errEntriesAdded
			}
		case i+1 < len(c.Args) && IsWord(c.Args[i], "maxdeletedid"):
			if maxDeleted, err = parseStreamID(c.Args[i+1]); err != nil {
				return err
			} else if last.Less(maxDeleted) {
				return errSetIDDeleted
			}
		default:
			return resp.ErrSyntax
		}
	}
	ref, err := c.writeStream(key)
	if err != nil {
		return err
	}
	if !ref.OK() {
		return resp.ErrNoSuchKey
	}
	s := stream.Open(&ref.Cell)
	switch {
	case s.Len() > 0 && last.Less(s.LastID()) && last.Less(lastValidID(s.View())):
		return errSetIDTop
	case s.Len() > 0 && added != -1 && s.Len() > uint64(added):
		return errSetIDAdded
	}
	s.SetID(last)
	if added != -1 {
		s.SetAdded(uint64(added))
	}
	if !maxDeleted.IsZero() {
		s.SetMaxDeleted(maxDeleted)
	}
	s.Save()
	c.Changed(key)
	c.Reply.OK()
	return nil
}
