package command

import (
	"strconv"

	"slotmesh/node/resp"
	"slotmesh/node/store/stream"
	"slotmesh/node/store/value"
)

// This file is XINFO.

func formatInt(n int) string { return strconv.Itoa(n) }

// infoStream returns the stream that XINFO names, which must be there.
func infoStream(c *Call) (r stream.Reader, err error) {
	ok, err := c.readStream(c.Args[2], &r)
	if err == nil && !ok {
		err = resp.ErrNoSuchKey
	}
	return r, err
}

func xInfoConsumers(c *Call) error {
	r, err := infoStream(c)
	if err != nil {
		return err
	}
	g, err := needGroup(c, &r)
	if err != nil {
		return err
	}
	w := c.Reply
	w.Array(r.ConsumerCount(g.Number))
	it := r.Consumers(g.Number)
	for it.Next() {
		w.Map(3)
		w.BulkString("name")
		w.Bulk(it.Name)
		w.BulkString("pending")
		w.Int(int64(r.PendingCount(it.Consumer.Number)))
		w.BulkString("idle")
		w.Int(max(c.Now-it.Consumer.SeenMs, 0))
	}
	return nil
}

func xInfoGroups(c *Call) error {
	r, err := infoStream(c)
	if err != nil {
		return err
	}
	w := c.Reply
	w.Array(r.GroupCount())
	it := r.Groups()
	for it.Next() {
		w.Map(6)
		w.BulkString("name")
		w.Bulk(it.Name)
		w.BulkString("consumers")
		w.Int(int64(r.ConsumerCount(it.Group.Number)))
		w.BulkString("pending")
		w.Int(int64(r.PendingCount(it.Group.Number)))
		w.BulkString("last-delivered-id")
		replyID(w, it.Group.LastID)
		replyProgress(w, &r, it.Group)
	}
	return nil
}

// replyProgress answers with how far a group has come, in two fields.
func replyProgress(w *resp.Writer, r *stream.Reader, g stream.Group) {
	w.BulkString("entries-read")
	if g.EntriesRead == stream.NotKnown {
		w.Null()
	} else {
		w.Int(g.EntriesRead)
	}
	w.BulkString("lag")
	if lag, ok := r.Lag(g); ok {
		w.Int(lag)
	} else {
		w.Null()
	}
}

func xInfoHelp(c *Call) error {
	Help(c.Reply, "XINFO",
		"CONSUMERS <key> <groupname>", "    The consumers of a group.",
		"GROUPS <key>", "    The groups of a stream.",
		"STREAM <key> [FULL [COUNT <count>]", "    What is known of a stream.",
	)
	return nil
}

func xInfoStream(c *Call) error {
	r, err := infoStream(c)
	if err != nil {
		return err
	}
	full, count, err := infoOptions(c)
	if err != nil {
		return err
	}
	if full && (count == 0 || count > heavyEntries) && c.tooLong(int(r.Len())+r.Pendings(), heavyEntries) {
		return ErrLong
	}
	w := c.Reply
	w.Map(map[bool]int{false: 10, true: 9}[full])
	number := func(name string, n uint64) {
		w.BulkString(name)
		w.Int(int64(n))
	}
	id := func(name string, id stream.ID) {
		w.BulkString(name)
		replyID(w, id)
	}
	number("length", r.Len())
	number("radix-tree-keys", uint64(r.Blocks()))
	number("radix-tree-nodes", r.RadixNodes())
	id("last-generated-id", r.LastID())
	id("max-deleted-entry-id", r.MaxDeletedID())
	number("entries-added", r.EntriesAdded())
	id("recorded-first-entry-id", r.FirstID())
	if full {
		w.BulkString("entries")
		it := r.Range(stream.ID{}, stream.MaxID, false)
		replyRange(w, &it, uint64(count))
		w.BulkString("groups")
		replyFullGroups(w, &r, count)
		return nil
	}
	number("groups", uint64(r.GroupCount()))
	for _, edge := range []struct {
		name    string
		reverse bool
	}{{"first-entry", false}, {"last-entry", true}} {
		w.BulkString(edge.name)
		it := r.Range(stream.ID{}, stream.MaxID, edge.reverse)
		if it.Next() {
			replyEntry(w, &it.Entry)
		} else {
			w.Null()
		}
	}
	return nil
}

// infoOptions reads [FULL [COUNT count]].
func infoOptions(c *Call) (full bool, count int64, err error) {
	switch n := len(c.Args); {
	case n == 3:
		return false, 0, nil
	case n != 4 && n != 6, !IsWord(c.Args[3], "full"):
		return false, 0, subcommandSyntax(c)
	case n == 4:
		return true, 10, nil
	case !IsWord(c.Args[4], "count"):
		return false, 0, subcommandSyntax(c)
	}
	count, ok := value.ParseInt(c.Args[5])
	if !ok {
		return false, 0, resp.ErrNotInteger
	}
	if count < 0 {
		count = 10
	}
	return true, count, nil
}

// replyFullGroups answers with the groups, and what is pending in each, count
// entries at most unless that is 0.
func replyFullGroups(w *resp.Writer, r *stream.Reader, count int64) {
	w.Array(r.GroupCount())
	groups := r.Groups()
	for groups.Next() {
		g := groups.Group
		w.Map(7)
		w.BulkString("name")
		w.Bulk(groups.Name)
		w.BulkString("last-delivered-id")
		replyID(w, g.LastID)
		replyProgress(w, r, g)
		w.BulkString("pel-count")
		w.Int(int64(r.PendingCount(g.Number)))
		w.BulkString("pending")
		out := openArray(w)
		for it := r.Pending(g.Number, stream.ID{}); it.Next(); {
			w.Array(4)
			replyID(w, it.Delivery.ID)
			w.Bulk(r.ConsumerName(it.Consumer))
			w.Int(it.TimeMs)
			w.Int(int64(it.Count))
			if out.n++; int64(out.n) == count {
				break
			}
		}
		out.close(w)
		w.BulkString("consumers")
		w.Array(r.ConsumerCount(g.Number))
		names := r.Consumers(g.Number)
		for names.Next() {
			replyFullConsumer(w, r, g, &names, count)
		}
	}
}

func replyFullConsumer(w *resp.Writer, r *stream.Reader, g stream.Group, names *stream.Consumers, count int64) {
	w.Map(4)
	w.BulkString("name")
	w.Bulk(names.Name)
	w.BulkString("seen-time")
	w.Int(names.Consumer.SeenMs)
	w.BulkString("pel-count")
	w.Int(int64(r.PendingCount(names.Consumer.Number)))
	w.BulkString("pending")
	out := openArray(w)
	for it := r.Owned(names.Consumer.Number, stream.ID{}); it.Next(); {
		d, _ := r.Delivery(g.Number, it.ID)
		w.Array(3)
		replyID(w, it.ID)
		w.Int(d.TimeMs)
		w.Int(int64(d.Count))
		if out.n++; int64(out.n) == count {
			break
		}
	}
	out.close(w)
}
