package command

import (
	"math"

	"slotmesh/node/resp"
	"slotmesh/node/store"
	"slotmesh/node/store/hash"
	"slotmesh/node/store/value"
)

func objectRows() []Spec {
	key := []KeySpec{{Flags: KeyRO, Begin: 2, Step: 1}}
	sub := func(name, since, summary string, run func(*Call, store.Ref) error) Spec {
		return Spec{
			Name: name, Syntax: "key", Arity: 3, Flags: ReadOnly, Keys: key, Since: since, Complexity: "O(1)",
			Summary: summary, Tips: []string{"nondeterministic_output"},
			Run: func(c *Call) error {
				ref := c.Look(c.Args[2])
				if !ref.OK() {
					c.Reply.Null()
					return nil
				}
				return run(c, ref)
			},
		}
	}
	return inGroup("generic", []Spec{{
		Name: "object", Arity: -2, Since: "2.2.3", Complexity: "Depends on the subcommand.",
		Summary: "Tells how values are kept.",
		Sub: []Spec{
			sub("encoding", "2.2.3", "Returns how a value is kept.", func(c *Call, ref store.Ref) error {
				c.Reply.BulkString(ref.Value().Enc.String())
				return nil
			}),
			sub("freq", "4.0.0", "Returns how often a key was accessed, on a logarithmic scale.", objectFreq),
			{
				Name: "help", Arity: 2, Flags: Loading | Stale, Since: "6.2.0", Complexity: "O(1)",
				Summary: "Lists the subcommands.", Categories: []string{"keyspace"}, Run: objectHelp,
			},
			sub("idletime", "2.2.3", "Returns the seconds since a key was accessed.", objectIdleTime),
			sub("refcount", "2.2.3", "Returns how many references a value has.", func(c *Call, ref store.Ref) error {
				c.Reply.Int(refCount(ref.Value()))
				return nil
			}),
		},
	}})
}

// sharedInts is below which number the reference shares integer objects: their
// reference count is a constant that programs have come to expect.
const sharedInts = 10000

func refCount(v value.Value) int64 {
	if v.Kind == value.KindString && v.Enc == value.EncInt && 0 <= v.Int && v.Int < sharedInts {
		return math.MaxInt32
	}
	return 1
}

const policyNote = " Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust."

func objectFreq(c *Call, ref store.Ref) error {
	freq := ref.Freq(c.Now)
	if freq < 0 {
		return resp.Error("ERR An LFU maxmemory policy is not selected, access frequency not tracked." + policyNote)
	}
	c.Reply.Int(int64(freq))
	return nil
}

func objectIdleTime(c *Call, ref store.Ref) error {
	idle := ref.IdleSec(c.Now)
	if idle < 0 {
		return resp.Error("ERR An LFU maxmemory policy is selected, idle time not tracked." + policyNote)
	}
	c.Reply.Int(idle)
	return nil
}

func objectHelp(c *Call) error {
	Help(c.Reply, "OBJECT",
		"ENCODING <key>", "    How the value is kept.",
		"FREQ <key>", "    How often the key was accessed, on a logarithmic scale from 0 to 255.",
		"IDLETIME <key>", "    The seconds since the key was accessed.",
		"REFCOUNT <key>", "    How many references the value has.",
	)
	return nil
}

// TableLen returns how many elements v has, or -1 if the reference would not keep
// them in a hash table.
func TableLen(v value.Value, now int64) int {
	switch {
	case v.Enc != value.EncHashtable && v.Enc != value.EncSkiplist:
		return -1
	case v.Kind == value.KindHash:
		r := hash.Read(v, now)
		return r.Len()
	}
	return elementsOf(v)
}

// Help answers as HELP subcommands do: a heading, lines, and HELP itself.
func Help(w *resp.Writer, name string, lines ...string) {
	w.Array(len(lines) + 3)
	w.Simple(name + " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")
	for _, line := range lines {
		w.Simple(line)
	}
	w.Simple("HELP")
	w.Simple("    Prints this help.")
}
