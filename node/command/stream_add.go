package command

import (
	"slotmesh/node/resp"
	"slotmesh/node/store"
	"slotmesh/node/store/stream"
	"slotmesh/node/store/value"
)

// This file is XADD and XTRIM.

// addOptions are the options of XADD and XTRIM.
type addOptions struct {
	noCreate bool
	// trims is true with MAXLEN or MINID, which stands at word; its argument is
	// trim, and at threshold.
	trims           bool
	trim            stream.Trim
	word, threshold int
	// id is what XADD's id at idAt says, unless it is "*"; with seqAuto the
	// sequence is to be chosen.
	idGiven, seqAuto bool
	id               stream.ID
	idAt             int
}

// parseAddOptions reads the options in the order, and with the errors, of the
// reference's streamParseAddOrTrimArgsOrReply.
func parseAddOptions(c *Call, isAdd bool) (o addOptions, err error) {
	limited := false
	i := 2
options:
	for ; i < len(c.Args); i++ {
		arg := c.Args[i]
		more := len(c.Args) - 1 - i
		switch {
		case isAdd && len(arg) == 1 && arg[0] == '*':
			break options
		case more > 0 && (IsWord(arg, "maxlen") || IsWord(arg, "minid")):
			if o.trims {
				return o, errTwoTrims
			}
			o.trims, o.word = true, i
			o.trim.ByID = IsWord(arg, "minid")
			if next := c.Args[i+1]; more > 1 && len(next) == 1 && (next[0] == '~' || next[0] == '=') {
				o.trim.Whole = next[0] == '~'
				i++
			}
			i++
			o.threshold = i
			if err := o.parseThreshold(c.Args[i]); err != nil {
				return o, err
			}
		case more > 0 && IsWord(arg, "limit"):
			i++
			n, ok := value.ParseInt(c.Args[i])
			if !ok {
				return o, resp.ErrNotInteger
			} else if n < 0 {
				return o, errTrimLimit
			}
			o.trim.Limit, limited = n, true
		case isAdd && IsWord(arg, "nomkstream"):
			o.noCreate = true
		case isAdd:
			var ok bool
			if o.id, o.seqAuto, ok = stream.ParseNewID(arg); !ok {
				return o, errStreamID
			}
			o.idGiven = true
			break options
		default:
			return o, resp.ErrSyntax
		}
	}
	o.idAt = i
	switch {
	case o.trim.Limit > 0 && !o.trims:
		return o, errLimitAlone
	case !isAdd && !o.trims:
		return o, errNoTrim
	case c.Applied:
		// The primary has made the threshold exact.
		o.trim.Limit = 0
	case limited && !o.trim.Whole:
		return o, errLimitExact
	case !limited && o.trim.Whole:
		o.trim.Limit = defaultTrimLimit(c.Limits().Stream.MaxEntries)
	}
	return o, nil
}

func (o *addOptions) parseThreshold(arg []byte) (err error) {
	if o.trim.ByID {
		o.trim.MinID, err = parseStreamID(arg)
		return err
	}
	n, ok := value.ParseInt(arg)
	switch {
	case !ok:
		return resp.ErrNotInteger
	case n < 0:
		return errMaxLen
	}
	o.trim.MaxLen = uint64(n)
	return nil
}

// defaultTrimLimit is how many entries an approximate trim may remove: a hundred
// blocks full.
func defaultTrimLimit(maxEntries int64) int64 {
	switch {
	case maxEntries <= 0:
		return 10000
	case maxEntries > 10000:
		return 1000000
	}
	return 100 * maxEntries
}

var (
	wordXAdd       = []byte("XADD")
	wordXTrim      = []byte("XTRIM")
	wordNoMkStream = []byte("NOMKSTREAM")
	wordMaxLen     = []byte("MAXLEN")
	wordMinID      = []byte("MINID")
	wordEquals     = []byte("=")
)

// exactTrim appends the trim that does again what was done to the stream of ref,
// whatever that was to be.
func (c *Call) exactTrim(args [][]byte, ref *store.Ref, o *addOptions, done stream.Trimmed) [][]byte {
	if !o.trim.Whole {
		return append(args, c.Args[o.word:o.threshold+1]...)
	}
	r := stream.Read(ref.Value())
	if o.trim.ByID || done.LastEmpty {
		// Where a block without entries went, the length does not tell how many did.
		id, _ := r.Edge(false, false)
		return append(args, wordMinID, wordEquals, c.keepID(id))
	}
	return append(args, wordMaxLen, wordEquals, c.Number(int64(r.Len())))
}

// newID returns the id of the entry that is added.
func (o *addOptions) newID(last stream.ID, now int64) (stream.ID, error) {
	switch {
	case last == stream.MaxID:
		return last, errNoMoreIDs
	case !o.idGiven:
		return stream.NextID(last, now), nil
	case o.seqAuto:
		id, free := stream.NextIDIn(last, o.id.Ms)
		if !free {
			return id, errEntryTooLarge // what the reference says then
		}
		return id, nil
	}
	return o.id, nil
}

// cutsMany reports whether the trim of the stream v is too long for a loop. Whole
// blocks go at once; so only a great number of them is. One that is repeated with
// every entry has little to do.
func (o *addOptions) cutsMany(v value.Value) bool {
	const most = 100 * heavyEntries
	n := stream.Len(v)
	switch {
	case n <= most || o.trim.Limit > 0 && o.trim.Limit <= most:
		return false
	case o.trim.ByID:
		r := stream.Read(v)
		return r.Estimate(stream.ID{}, o.trim.MinID) > most
	}
	return n > o.trim.MaxLen+most
}

func runXAdd(c *Call) error {
	o, err := parseAddOptions(c, true)
	if err != nil {
		return err
	}
	if fields := len(c.Args) - o.idAt - 1; fields < 2 || fields%2 == 1 {
		return resp.WrongArity(c.Spec.FullName())
	}
	if o.idGiven && !o.seqAuto && o.id.IsZero() {
		return errZeroID
	}
	key, fields := c.Args[1], stream.Args(c.Args[o.idAt+1:])
	ref, err := c.WriteKind(key, value.KindStream)
	switch {
	case err != nil:
		return err
	case !ref.OK() && o.noCreate:
		c.Reply.Null()
		return nil
	case o.trims && ref.OK() && c.OnLoop && o.cutsMany(ref.Value()):
		return ErrLong
	}
	var id stream.ID
	var done stream.Trimmed
	if u := c.ahead; ref.OK() && u != nil && u.stillOf(ref) {
		id, done, err = addToCut(c, &ref, &o, fields)
	} else {
		id, done, err = addEntry(c, &ref, &o, fields)
	}
	if err != nil {
		return err
	}
	c.Changed(key)
	replyID(c.Reply, id)
	if o.idGiven && !o.seqAuto && !(o.trims && o.trim.Whole) || !c.journals() {
		return nil
	}
	var room [32][]byte
	args := append(room[:0], wordXAdd, key)
	if o.noCreate {
		args = append(args, wordNoMkStream)
	}
	if o.trims {
		args = c.exactTrim(args, &ref, &o, done)
	}
	args = append(args, c.keepID(id))
	c.Effect(append(args, fields...)...)
	return nil
}

// addEntry adds an entry to the stream of ref, which is made if it is not there,
// and trims it.
func addEntry(c *Call, ref *store.Ref, o *addOptions, fields stream.Args) (id stream.ID, done stream.Trimmed, err error) {
	limits := c.Limits().Stream
	if ref.OK() {
		if a, ok := stream.OpenAppender(&ref.Cell); ok {
			if id, err = o.newID(a.LastID(), c.Now); err != nil {
				return id, done, err
			}
			if a.Add(id, fields, limits) {
				if !o.trims || !o.trim.ByID && a.Len() <= o.trim.MaxLen {
					return id, done, nil
				}
				s := stream.Open(&ref.Cell)
				done = s.Trim(o.trim)
				s.Save()
				return id, done, nil
			}
		}
	} else {
		if fields.TooLarge() {
			return id, done, errEntryTooLarge
		}
		// Every id that has come so far is greater than those of a stream of nothing.
		*ref = c.Create(c.Args[1], value.KindStream, value.EncStream)
	}
	s := stream.Open(&ref.Cell)
	if id, err = o.newID(s.LastID(), c.Now); err != nil {
		return id, done, err
	}
	switch s.Add(id, fields, limits) {
	case nil:
	case stream.ErrSmallID:
		return id, done, errSmallID
	default:
		return id, done, errEntryTooLarge
	}
	if o.trims {
		done = s.Trim(o.trim)
	}
	s.Save()
	return id, done, nil
}

// beforeAdd is the trim that does to a stream that an entry is then added to what o
// has done to it afterwards, as long as a block stays.
func (o *addOptions) beforeAdd() stream.Trim {
	trim := o.trim
	if !trim.ByID && trim.MaxLen > 0 {
		trim.MaxLen--
	}
	return trim
}

// addToCut is addEntry for a stream that is parted where cutAhead has found: where that
// is depends on the blocks as they were before the entry, which so comes last.
func addToCut(c *Call, ref *store.Ref, o *addOptions, fields stream.Args) (id stream.ID, done stream.Trimmed, err error) {
	s := stream.Open(&ref.Cell)
	switch id, err = o.newID(s.LastID(), c.Now); {
	case err != nil:
		return id, done, err
	case !s.LastID().Less(id):
		return id, done, errSmallID
	case fields.TooLarge():
		return id, done, errEntryTooLarge
	}
	done = s.TrimAt(o.beforeAdd(), *c.ahead.cut)
	if s.Add(id, fields, c.Limits().Stream) != nil {
		panic("xadd: an entry that may be added is not")
	}
	s.Save()
	return id, done, nil
}

// cutAhead looks for the place where a trim of many entries parts a stream while the
// slot is free.
func cutAhead(c *Call) {
	if o, err := parseAddOptions(c, false); err == nil {
		c.findCut(&o, o.trim, 0)
	}
}

// addAhead does so for an XADD, unless all blocks would go.
func addAhead(c *Call) {
	if o, err := parseAddOptions(c, true); err == nil && o.trims {
		c.findCut(&o, o.beforeAdd(), 1)
	}
}

// findCut looks for the place where trim parts a stream if o cuts many entries off it
// and at least so many blocks stay.
func (c *Call) findCut(o *addOptions, trim stream.Trim, stay int) {
	v, sn := c.keepAhead(c.Args[1], func(ref store.Ref) bool {
		return ref.Kind() == value.KindStream && o.cutsMany(ref.Value())
	})
	if sn == nil {
		return
	}
	defer sn.Close()
	r := stream.Read(v)
	if cut := r.FindCut(trim); cut.Blocks()+stay <= r.Blocks() {
		c.ahead = &unpacked{v: v, since: sn, cut: &cut}
	}
}

func runXTrim(c *Call) error {
	o, err := parseAddOptions(c, false)
	if err != nil {
		return err
	}
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
	if c.OnLoop && o.cutsMany(ref.Value()) {
		return ErrLong
	}
	var done stream.Trimmed
	if u := c.ahead; u != nil && u.cut != nil && u.stillOf(ref) {
		done = s.TrimAt(o.trim, *u.cut)
	} else {
		done = s.Trim(o.trim)
	}
	if done.Entries > 0 || done.Blocks {
		s.Save()
		c.Changed(key)
		c.dirty += max(done.Entries-1, 0)
		if o.trim.Whole {
			c.Effect(c.exactTrim([][]byte{wordXTrim, key}, &ref, &o, done)...)
		}
	}
	c.Reply.Int(done.Entries)
	return nil
}
