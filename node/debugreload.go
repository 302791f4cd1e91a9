package node

import (
	"errors"
	"fmt"
	"strings"

	"slotmesh/node/command"
	"slotmesh/node/rdb"
	"slotmesh/node/resp"
	"slotmesh/node/server"
	"slotmesh/node/store"
	"slotmesh/node/store/value"
	"slotmesh/slots"
)

// reloadOptions are those of DEBUG RELOAD.
type reloadOptions struct{ nosave, noflush, merge bool }

func parseReload(words [][]byte) (o reloadOptions, err error) {
	for _, word := range words {
		switch strings.ToLower(string(word)) {
		case "nosave":
			o.nosave = true
		case "noflush":
			o.noflush = true
		case "merge":
			o.merge, o.noflush = true, true
		default:
			return o, resp.Error("ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.")
		}
	}
	return o, nil
}

// pauseToLoad has writes wait until resume is called, for DEBUG what.
func (n *Node) pauseToLoad(c *command.Call, what string) (resume func(), err error) {
	switch {
	case c.InExec:
		return nil, resp.Error("ERR DEBUG " + what + " is not allowed in transactions")
	case n.replication.IsReplica():
		return nil, resp.Error("ERR DEBUG " + what + " on a replica would lose what its primary sends meanwhile")
	}
	n.server.PauseClients(server.PauseForReload, server.PauseWrites, shutdownPause)
	// What was running when the pause began is over after this.
	n.engine.Exclusive(func() {})
	return func() { n.server.UnpauseClients(server.PauseForReload) }, nil
}

// debugLoadAOF loads the append only file again, while writes wait. While it is
// off, what is in its directory is loaded: nothing, if there is nothing.
func debugLoadAOF(n *Node, c *command.Call, _ [][]byte) error {
	resume, err := n.pauseToLoad(c, "LOADAOF")
	if err != nil {
		return err
	}
	defer resume()
	if aof := n.appendOnly.aof.Load(); aof != nil {
		_, err = n.persistence.loadAOF(aof.Reload)
	} else if aof, err = n.appendOnly.open(); err == nil {
		_, err = n.persistence.loadAOF(aof.Load)
	}
	if err != nil {
		n.log.Warn("DEBUG LOADAOF: " + err.Error())
		return resp.Error("ERR Error trying to load the AOF files, check server logs")
	}
	n.log.Warn("Append Only File loaded by DEBUG LOADAOF")
	c.Reply.OK()
	return nil
}

// debugReload saves the data and loads them again, while writes wait.
func debugReload(n *Node, c *command.Call, args [][]byte) error {
	o, err := parseReload(args)
	if err != nil {
		return err
	}
	resume, err := n.pauseToLoad(c, "RELOAD")
	if err != nil {
		return err
	}
	defer resume()
	if !o.nosave {
		if err := n.persistence.saveNow(); errors.Is(err, errSaving) {
			return errSaveUnderWay
		} else if err != nil {
			return resp.Error("ERR Error trying to save the DB, check server logs")
		}
	}
	var merged error
	_, err = n.persistence.load(func(loaded *store.Store) {
		if !o.noflush {
			n.engine.Replace(loaded, func() {})
			return
		}
		merged = n.persistence.merge(loaded, o.merge)
	})
	if err == nil {
		err = merged
	}
	if err != nil {
		n.log.Warn("DEBUG RELOAD: " + err.Error())
		return resp.Error("ERR Error trying to load the RDB dump, check server logs")
	}
	n.log.Warn("DB reloaded by DEBUG RELOAD")
	c.Reply.OK()
	return nil
}

// merge puts the keys of loaded, a Sibling, into the keyspace. Without over, a
// key that is there already is an error.
func (p *persistence) merge(loaded *store.Store, over bool) error {
	n := p.n
	defer n.engine.Discard(loaded)
	sn := loaded.Cut(nil)
	defer sn.Close()
	limits := &n.engine.Limits().Limits
	return sn.Walk(func(_ slots.Slot, fn func()) { fn() }, func(entries []store.Entry) error {
		for _, e := range entries {
			// The value goes through its dump: the trees stay the sibling's.
			payload := rdb.AppendDump(nil, e.Value)
			var failed error
			n.engine.WithSlot(e.Slot, func() {
				if !over && n.store.Find(e.DB, e.Slot, e.Key).OK() {
					failed = fmt.Errorf("key %.128q is there already", e.Key)
					return
				}
				e.Value, e.Draft, failed = rdb.ParseDump(payload, rdb.Target{Space: n.store.DraftSpace(e.Slot), Limits: limits})
				if failed == nil {
					n.store.Insert(e, unixMs())
				}
			})
			if failed != nil {
				return failed
			}
		}
		return nil
	})
}

// debugPackedThreshold takes a size and does nothing with it: an element of a
// list lies where it fits.
func debugPackedThreshold(_ *Node, c *command.Call, args [][]byte) error {
	if size, ok := parseSize(string(args[0])); !ok || size < 1 || size >= 4<<30 {
		return resp.Error("ERR argument must be a memory value bigger than 1 and smaller than 4gb")
	}
	c.Reply.OK()
	return nil
}

// parseSize reads a number of bytes with a unit, as directives have them.
func parseSize(text string) (int64, bool) {
	digits := strings.TrimRight(strings.ToLower(text), "kmgb")
	unit, known := map[string]int64{"": 1, "b": 1, "k": 1000, "kb": 1 << 10, "m": 1e6, "mb": 1 << 20, "g": 1e9, "gb": 1 << 30}[strings.ToLower(text[len(digits):])]
	n, ok := value.ParseInt([]byte(digits))
	return n * unit, known && ok && n >= 0 && n < 1<<40
}
