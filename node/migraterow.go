package node

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"slotmesh/migrate"
	"slotmesh/node/command"
	"slotmesh/node/rdb"
	"slotmesh/node/resp"
	"slotmesh/node/store"
	"slotmesh/node/store/value"
	"slotmesh/slots"
)

// defaultMigrateTimeout is what a timeout of 0 means.
const defaultMigrateTimeout = time.Second

const errMigrateInExec resp.Error = "ERR MIGRATE waits for another node and cannot be part of a transaction"

// migrateRow declares MIGRATE. The keys are dumped and marked in transit under
// their slots' locks, large collections right after; then no lock is held while they are on the wire, and
// whoever asks for one of them waits. Those that the target confirmed are
// deleted before anybody is let in again, so that a write is applied either
// before the key was dumped or where the key is then.
func migrateRow(sender *migrate.Sender, clusterMode bool) command.Spec {
	return command.Spec{
		Name:   "migrate",
		Syntax: `host port <key | ""> destination-db timeout [COPY] [REPLACE] [<AUTH password | AUTH2 username password>] [KEYS key [key ...]]`,
		Arity:  -6,
		Flags:  command.Write | command.MovableKeys,
		Keys: []command.KeySpec{
			{Flags: command.KeyRW | command.KeyAccess | command.KeyDelete, Begin: 3, Step: 1},
			{Flags: command.KeyRW | command.KeyAccess | command.KeyDelete | command.KeyIncomplete, Keyword: "KEYS", Begin: -2, Last: -1, Step: 1},
		},
		KeysOf:     migrateKeys,
		Group:      "generic",
		Since:      "2.6.0",
		Complexity: "DUMP and DEL here, RESTORE in the target, and O(N) for the bytes that are sent.",
		Summary:    "Moves keys to another server.",
		Tips:       []string{"nondeterministic_output"},
		Categories: []string{"dangerous"},
		Run: func(c *command.Call) error {
			return runMigrate(c, sender, clusterMode)
		},
	}
}

// migrateKeys returns where the keys of MIGRATE stand: argument 3, or all that
// follow KEYS when that is empty.
func migrateKeys(args [][]byte, at []int) ([]int, error) {
	if len(args) < 6 {
		return at, nil
	}
	if len(args[3]) > 0 {
		return append(at, 3), nil
	}
	for i := 6; i < len(args); i++ {
		if !strings.EqualFold(string(args[i]), "keys") {
			continue
		}
		for i++; i < len(args); i++ {
			at = append(at, i)
		}
		return at, nil
	}
	return append(at, 3), nil
}

// migration is one MIGRATE on its way.
type migration struct {
	engine *command.Engine
	target migrate.Target
	opts   migrate.Options
	copies bool
	items  []migrate.Item
	slots  []slots.Slot // of items
	db     int
	// large is true if items without a payload are among them: their slot is not
	// held while they are dumped.
	large bool
	// release ends the transit of every item.
	release []func()
}

func parseMigrate(c *command.Call) (*migration, error) {
	m := &migration{engine: c.Engine(), db: c.DB}
	for i := 6; i < len(c.Args); i++ {
		rest := len(c.Args) - i - 1
		switch strings.ToLower(string(c.Args[i])) {
		case "copy":
			m.copies = true
		case "replace":
			m.opts.Replace = true
		case "auth":
			if rest < 1 {
				return nil, resp.ErrSyntax
			}
			m.target.Password = string(c.Args[i+1])
			i++
		case "auth2":
			if rest < 2 {
				return nil, resp.ErrSyntax
			}
			m.target.Username, m.target.Password = string(c.Args[i+1]), string(c.Args[i+2])
			i += 2
		case "keys":
			if len(c.Args[3]) != 0 {
				return nil, resp.Error("ERR When using MIGRATE KEYS option, the key argument must be set to the empty string")
			}
			i = len(c.Args)
		default:
			return nil, resp.ErrSyntax
		}
	}
	timeout, err := strconv.ParseInt(string(c.Args[5]), 10, 64)
	if err != nil {
		return nil, resp.ErrNotInteger
	}
	db, err := strconv.ParseInt(string(c.Args[4]), 10, 32)
	if err != nil || db < 0 {
		return nil, resp.ErrNotInteger
	}
	m.opts.Timeout = defaultMigrateTimeout
	if timeout > 0 {
		m.opts.Timeout = time.Duration(min(timeout, 1<<40)) * time.Millisecond
	}
	m.target.DB = int(db)
	m.target.Host = string(c.Args[1])
	return m, nil
}

func ioError(err error) resp.Error { return resp.Error("IOERR " + err.Error()) }

func runMigrate(c *command.Call, sender *migrate.Sender, clusterMode bool) error {
	m, err := parseMigrate(c)
	if err != nil {
		return err
	}
	if c.InExec || c.Conn == nil {
		return errMigrateInExec
	}
	m.opts.Asking = clusterMode
	bySlot := map[slots.Slot][][]byte{}
	for _, key := range c.Keys() {
		ref := c.Peek(key)
		if !ref.OK() {
			continue
		}
		item := migrate.Item{Key: append([]byte(nil), key...)}
		if v := ref.Value(); v.Roots == 0 {
			item.Payload = rdb.AppendDump(nil, v)
		} else {
			m.large = true
		}
		if ref.Expires() {
			item.TTLMs = max(ref.ExpireAt()-c.Now, 1)
		}
		slot := slots.Of(key)
		m.items = append(m.items, item)
		m.slots = append(m.slots, slot)
		bySlot[slot] = append(bySlot[slot], item.Key)
	}
	if len(m.items) == 0 {
		c.Reply.Simple("NOKEY")
		return nil
	}
	// A port that is none is found out as the reference does: by dialling.
	m.target.Port, err = strconv.Atoi(string(c.Args[2]))
	if err != nil || m.target.Port < 1 || m.target.Port > 65535 {
		return ioError(migrate.ErrConnect)
	}
	for slot, keys := range bySlot {
		m.release = append(m.release, m.engine.Transit(slot, m.db, keys))
	}
	c.Conn.Park(func(wake func(func(*resp.Writer))) func() {
		go func() {
			err := m.run(sender)
			wake(func(w *resp.Writer) {
				if err != nil {
					w.Error(err.Error())
					return
				}
				w.OK()
			})
		}()
		// A client that leaves does not stop the move half-way.
		return nil
	})
	return nil
}

// run sends the items and deletes those that arrived.
func (m *migration) run(sender *migrate.Sender) error {
	defer func() {
		for _, release := range m.release {
			release()
		}
	}()
	if m.large {
		m.dumpLarge()
	}
	arrived, sendErr := sender.Send(m.target, m.items, m.opts)
	if !m.copies {
		for i, item := range m.items {
			if arrived[i] && !m.engine.DeleteMoved(m.db, m.slots[i], item.Key) {
				return resp.Error("IOERR this node lost its role while the keys were on their way; what arrived stays on both sides")
			}
		}
	}
	switch err := sendErr.(type) {
	case nil:
		return nil
	case migrate.RefusedError:
		return resp.Error("ERR Target instance replied with error: " + err.Error())
	default:
		return ioError(sendErr)
	}
}

// dumpLarge dumps the items that are trees, from a snapshot: nobody changes them
// while they are in transit, but one that flushes or expires must not do so
// under the reader's feet. An item that has gone is not sent.
func (m *migration) dumpLarge() {
	var only slots.Set
	for _, slot := range m.slots {
		only.Add(slot)
	}
	s := m.engine.Store()
	var snapshot *store.Snapshot
	m.engine.Exclusive(func() { snapshot = s.Cut(&only) })
	defer snapshot.Close()
	kept := 0
	for i, item := range m.items {
		if item.Payload == nil {
			var v value.Value
			found := false
			m.engine.WithSlot(m.slots[i], func() {
				ref := s.Find(m.db, m.slots[i], item.Key)
				if found = ref.OK(); found {
					v = ref.Value()
					v.Bytes = bytes.Clone(v.Bytes)
				}
			})
			if !found {
				continue
			}
			item.Payload = rdb.AppendDump(nil, v)
		}
		m.items[kept], m.slots[kept] = item, m.slots[i]
		kept++
	}
	m.items, m.slots = m.items[:kept], m.slots[:kept]
}
