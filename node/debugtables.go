package node

import (
	"fmt"
	"strings"

	"slotmesh/node/command"
	"slotmesh/node/resp"
	"slotmesh/node/store"
	"slotmesh/node/store/value"
	"slotmesh/slots"
)

// debugTables is DEBUG HTSTATS: how the keys of a database lie in the indexes of
// all slots, added up. What the reference calls a chain are here the entries of
// one home. Deadlines stand in the records and in a queue of each slot: there is
// no hash table of them, only their number.
func debugTables(n *Node, c *command.Call, args [][]byte) error {
	if err := wantFull(c, args); err != nil {
		return err
	}
	db, ok := value.ParseInt(args[0])
	switch {
	case !ok:
		return resp.ErrNotInteger
	case db < 0 || db >= n.cfg.Int("databases").Load():
		return resp.Error("ERR Out of range database")
	}
	var stats store.IndexStats
	expires := 0
	// In cluster mode there is one database, and the others are empty.
	if s := n.engine.Store(); db < int64(s.Databases()) {
		expires = s.Expires(int(db))
		for slot := range slots.Slot(slots.Count) {
			if s.CountInSlot(int(db), slot) > 0 {
				c.WithSlot(slot, func() { n.engine.Store().AddIndexStats(&stats, int(db), slot) })
			}
		}
	}
	var b strings.Builder
	b.WriteString("[Dictionary HT]\n")
	writeTable(&b, 0, "main hash table", &stats.Main)
	if stats.Target.Homes > 0 {
		writeTable(&b, 1, "rehashing target", &stats.Target)
	}
	b.WriteString("[Expires HT]\n")
	if expires == 0 {
		writeTable(&b, 0, "main hash table", &store.TableStats{})
	} else {
		fmt.Fprintf(&b, "Hash table 0 stats (no table, but a queue for each slot):\n number of elements: %d\n", expires)
	}
	c.Reply.Verbatim("txt", b.String())
	return nil
}

// wantFull checks the word that later versions take after the first argument. What
// it asks for is always told.
func wantFull(c *command.Call, args [][]byte) error {
	if len(args) > 1 && !strings.EqualFold(string(args[1]), "full") {
		return wrongDebug(c)
	}
	return nil
}

func writeTable(b *strings.Builder, number int, name string, t *store.TableStats) {
	fmt.Fprintf(b, "Hash table %d stats (%s):\n", number, name)
	if t.Elements == 0 {
		b.WriteString("No stats available for empty dictionaries\n")
		return
	}
	mean := float64(t.Elements) / float64(t.Taken())
	fmt.Fprintf(b, " table size: %d\n number of elements: %d\n different slots: %d\n max chain length: %d\n"+
		" avg chain length (counted): %.2f\n avg chain length (computed): %.2f\n Chain length distribution:\n",
		t.Homes, t.Elements, t.Taken(), t.Most, mean, mean)
	for length, homes := range t.Sharing {
		if homes > 0 {
			fmt.Fprintf(b, "   %d: %d (%.2f%%)\n", length, homes, 100*float64(homes)/float64(t.Homes))
		}
	}
}

// debugKeyTable is DEBUG HTSTATS-KEY. The reference tells of the hash table of a
// large set, hash or sorted set. Here elements lie in the order of their hashes,
// which has no chains: their number is all there is to tell.
func debugKeyTable(n *Node, c *command.Call, args [][]byte) error {
	if err := wantFull(c, args); err != nil {
		return err
	}
	slot, found, elements := slots.Of(args[0]), false, -1
	c.WithSlot(slot, func() {
		var ref store.Ref
		if ref, found = n.find(c, slot, args[0]); found {
			elements = command.TableLen(ref.Value(), c.Now)
		}
	})
	switch {
	case !found:
		return resp.ErrNoSuchKey
	case elements < 0:
		return resp.Error("ERR The value stored at the specified key is not represented using an hash table")
	}
	c.Reply.Verbatim("txt", fmt.Sprintf("Hash table 0 stats (no table, but elements in order):\n number of elements: %d\n", elements))
	return nil
}

// debugReplicate is DEBUG REPLICATE: replicas get a command that was not carried
// out here, nor written to files.
func debugReplicate(n *Node, c *command.Call, args [][]byte) error {
	words := make([]string, len(args))
	for i, arg := range args {
		words[i] = string(arg)
	}
	n.replication.primary.Inject(words...)
	c.Reply.OK()
	return nil
}
