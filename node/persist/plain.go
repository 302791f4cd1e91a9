package persist

import (
	"io"
	"strconv"

	"slotmesh/node/crew"
	"slotmesh/node/rdb"
	"slotmesh/node/resp"
	"slotmesh/node/store/hash"
	"slotmesh/node/store/list"
	"slotmesh/node/store/set"
	"slotmesh/node/store/stream"
	"slotmesh/node/store/value"
	"slotmesh/node/store/zset"
)

// chunkItems is how many items of a collection one command adds: as the
// reference's.
const chunkItems = 64

// writePlain writes a base of commands that any client might have sent, so that
// every tool can read it. They are not those of the stream: where in the stream
// the data stand comes last.
func writePlain(out io.Writer, sn rdb.Snapshot, at rdb.Position, each func(keys int) error) error {
	w := &plainWriter{out: out, db: -1}
	var err error
	crew.Aside(func() {
		err = sn.Walk(func(entries []rdb.Entry) error {
			for _, e := range entries {
				if w.entry(e); w.err != nil {
					return w.err
				}
			}
			return each(len(entries))
		})
	})
	if err != nil {
		return err
	}
	w.buf = appendRepl(w.buf, at.ID, at.Offset)
	w.flush()
	return w.err
}

// plainWriter turns entries into commands. The first error ends all writing.
type plainWriter struct {
	out io.Writer
	buf []byte
	err error
	db  int
	key []byte
	// items are the arguments of the next emit, args how many they are.
	items []byte
	args  int
	text  []byte
}

func (w *plainWriter) entry(e rdb.Entry) {
	if e.DB != w.db {
		w.buf = appendSelectCommand(w.buf, e.DB)
		w.db = e.DB
	}
	w.key = e.Key
	switch e.Value.Kind {
	case value.KindString:
		w.text = e.Value.AppendText(w.text[:0])
		w.command("SET", string(w.text))
	case value.KindList:
		w.list(list.Read(e.Value))
	case value.KindSet:
		w.set(set.Read(e.Value))
	case value.KindZSet:
		w.zset(zset.Read(e.Value))
	case value.KindHash:
		w.hash(hash.Read(e.Value, 0))
	case value.KindStream:
		if r := stream.Read(e.Value); claimable(&r) {
			w.stream(r)
			break
		}
		w.text = rdb.AppendDump(w.text[:0], e.Value)
		w.command("RESTORE", "0", string(w.text))
	}
	if e.ExpireAtMs != 0 {
		w.command("PEXPIREAT", strconv.FormatInt(e.ExpireAtMs, 10))
	}
}

// command writes a command on the key.
func (w *plainWriter) command(name string, args ...string) {
	w.head(name, 2+len(args))
	for _, arg := range args {
		w.buf = appendBulk(w.buf, arg)
	}
	w.flushIfFull()
}

// head writes the beginning of a command of n words: its name and the key.
func (w *plainWriter) head(name string, n int) {
	w.buf = resp.AppendHeader(w.buf, '*', n)
	w.buf = appendBulk(w.buf, name)
	w.buf = appendBulk(w.buf, w.key)
}

// gather writes commands on the key, each with as many items as one may have:
// next adds one with arg, or returns false.
func (w *plainWriter) gather(name string, next func() bool) {
	for more := true; more && w.err == nil; {
		for n := 0; n < chunkItems && more; n++ {
			more = next()
		}
		w.emit(name)
	}
}

// emit writes a command with the items there are, if any, behind prefix.
func (w *plainWriter) emit(name string, prefix ...string) {
	if w.args == 0 {
		return
	}
	w.head(name, 2+len(prefix)+w.args)
	for _, word := range prefix {
		w.buf = appendBulk(w.buf, word)
	}
	w.buf = append(w.buf, w.items...)
	w.items, w.args = w.items[:0], 0
	w.flushIfFull()
}

// arg adds an argument of an item.
func (w *plainWriter) arg(b []byte) {
	w.items = appendBulk(w.items, b)
	w.args++
}

func (w *plainWriter) list(r list.Reader) {
	it := r.At(0)
	w.gather("RPUSH", func() bool {
		if !it.Valid() {
			return false
		}
		w.text = it.Take().Append(w.text[:0])
		w.arg(w.text)
		return true
	})
}

func (w *plainWriter) set(r set.Reader) {
	it := r.All()
	w.gather("SADD", func() bool {
		if !it.Next() {
			return false
		}
		w.arg(it.Member())
		return true
	})
}

func (w *plainWriter) zset(r zset.Reader) {
	c := r.At(0)
	w.gather("ZADD", func() bool {
		if !c.Valid() {
			return false
		}
		w.text = zset.AppendScore(w.text[:0], c.Score())
		w.arg(w.text)
		w.arg(c.Member())
		c.Next()
		return true
	})
}

// hash writes the fields, and then the deadlines of those that have one.
func (w *plainWriter) hash(r hash.Reader) {
	it := r.All()
	w.gather("HMSET", func() bool {
		if !it.Next() {
			return false
		}
		w.text = it.Field.Append(w.text[:0])
		w.arg(w.text)
		w.text = it.Value.Append(w.text[:0])
		w.arg(w.text)
		return true
	})
	if r.NextDeadline() == 0 {
		return
	}
	// Fields that follow each other share a command if they share a deadline.
	deadline := int64(0)
	expire := func() {
		w.emit("HPEXPIREAT", strconv.FormatInt(deadline, 10), "FIELDS", strconv.Itoa(w.args))
	}
	for it = r.All(); it.Next() && w.err == nil; {
		if it.Deadline == 0 {
			continue
		}
		if it.Deadline != deadline || w.args == chunkItems {
			expire()
			deadline = it.Deadline
		}
		w.text = it.Field.Append(w.text[:0])
		w.arg(w.text)
	}
	expire()
}

// claimable reports whether XCLAIM can say everything that is pending: it cannot
// for entries that are no longer in the stream.
func claimable(r *stream.Reader) bool {
	for groups := r.Groups(); groups.Next(); {
		for p := r.Pending(groups.Group.Number, stream.ID{}); p.Next(); {
			if !r.Exists(p.ID) {
				return false
			}
		}
	}
	return true
}

// stream writes the entries, what the stream knows besides, and its groups.
func (w *plainWriter) stream(r stream.Reader) {
	for it := r.Range(stream.ID{}, stream.MaxID, false); it.Next() && w.err == nil; {
		pairs := it.Entry.Pairs()
		for field, val, ok := pairs.Next(); ok; field, val, ok = pairs.Next() {
			w.arg(field)
			w.arg(val)
		}
		w.emit("XADD", it.Entry.ID.String())
	}
	if r.Len() == 0 {
		// An entry that is dropped at once makes an empty stream.
		w.command("XADD", "MAXLEN", "0", "0-1", "x", "y")
	}
	w.command("XSETID", r.LastID().String(),
		"ENTRIESADDED", strconv.FormatUint(r.EntriesAdded(), 10), "MAXDELETEDID", r.MaxDeletedID().String())
	for groups := r.Groups(); groups.Next(); {
		group := groups.Group
		name := string(groups.Name)
		w.buf = resp.AppendCommand(w.buf, "XGROUP", "CREATE", string(w.key), name, group.LastID.String(),
			"ENTRIESREAD", strconv.FormatInt(group.EntriesRead, 10))
		for consumers := r.Consumers(group.Number); consumers.Next(); {
			w.buf = resp.AppendCommand(w.buf, "XGROUP", "CREATECONSUMER", string(w.key), name, string(consumers.Name))
		}
		for p := r.Pending(group.Number, stream.ID{}); p.Next(); {
			w.command("XCLAIM", name, string(r.ConsumerName(p.Consumer)), "0", p.ID.String(),
				"TIME", strconv.FormatInt(p.TimeMs, 10), "RETRYCOUNT", strconv.FormatUint(p.Count, 10), "JUSTID", "FORCE")
		}
	}
}

func (w *plainWriter) flushIfFull() {
	if len(w.buf) >= yieldBytes {
		w.flush()
	}
}

func (w *plainWriter) flush() {
	if w.err == nil {
		_, w.err = w.out.Write(w.buf)
	}
	w.buf = w.buf[:0]
}

func appendBulk[T []byte | string](b []byte, word T) []byte {
	b = resp.AppendHeader(b, '$', len(word))
	b = append(b, word...)
	return append(b, "\r\n"...)
}
