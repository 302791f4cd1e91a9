package command

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"slotmesh/node/store"
	"slotmesh/node/store/value"
)

// TestEverythingReplays runs random commands of all families while time passes,
// keys expire and are evicted, and replays the journal on empty engines with
// other seeds and other clocks: far behind, far ahead. The keyspaces must be
// equal, deadlines and encodings included.
func TestEverythingReplays(t *testing.T) {
	seeds, commands := uint64(4), 10_000
	if *driverSeed != 0 {
		seeds = 1
	}
	for seed := range seeds {
		seed += *driverSeed
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { replayEverything(t, seed, commands) })
	}
}

func replayEverything(t *testing.T, seed uint64, commands int) {
	kept := &keeper{}
	n := newNode(t)
	n.engine = NewEngine(EngineOptions{Table: testTable(t), Store: store.New(store.Options{}), Journal: kept, Lanes: 2, Seed: seed, Now: n.now.Load})
	others := []*node{newNode(t), newNode(t)}
	for i, shift := range []int64{-1_000_000_000, 1_000_000_000} {
		o := others[i]
		o.now.Add(shift)
		o.engine = NewEngine(EngineOptions{Table: testTable(t), Store: store.New(store.Options{}), Journal: o.journal, Lanes: 2, Seed: seed*31 + uint64(i) + 9, Now: o.now.Load})
		o.engine.SetReplica(true)
	}
	d := &driver{Rand: rand.New(rand.NewPCG(seed, 91))}
	replayed := 0
	var args []string
	for i := range commands {
		switch d.IntN(11) {
		case 0:
			args = d.expiringHash()
		case 1:
			args = d.stream()
		case 2:
			args = d.expiringKey()
		default:
			args = d.command()
		}
		if d.IntN(12) == 0 && len(args) > 2 {
			// A key of another type.
			args = append([]string(nil), args...)
			args[1] = d.pick("k", "h", "s") + strconv.Itoa(d.IntN(5))
		}
		if strings.HasPrefix(args[0], "SORT") && n.do("TYPE", args[1]) == "+zset\r\n" {
			// It unpacks the sorted set that it reads, which no journal tells, and
			// only what is packed makes 0 of -0: as with the reference.
			continue
		}
		n.do(args...)
		if d.IntN(3) == 0 {
			n.now.Add(int64(d.IntN(30)))
		}
		if d.IntN(50) == 0 {
			n.engine.ExpireCycle(d.IntN(100))
		}
		if d.IntN(100) == 0 {
			evictOneOf(n.engine, EvictionPolicy(1+d.IntN(7)))
		}
		for _, group := range kept.groups[replayed:] {
			for _, other := range others {
				if err := other.engine.Apply(group, nil); err != nil {
					t.Fatalf("command %d, %q: %s: %v", i, args, joinArgs(group[0].Args), err)
				}
			}
		}
		replayed = len(kept.groups)
		if i%50 > 0 && i != commands-1 {
			continue
		}
		want := states(n.engine.store)
		for _, other := range others {
			got := states(other.engine.store)
			for key, state := range want {
				if got[key] != state {
					t.Fatalf("command %d, after %q: %q is %s, replayed %s", i, args, key, state, got[key])
				}
			}
			if len(got) != len(want) {
				t.Fatalf("command %d, after %q: %d keys, %d replayed", i, args, len(want), len(got))
			}
		}
	}
	if replayed < commands/10 {
		t.Errorf("only %d of %d commands were journaled", replayed, commands)
	}
	if s := n.engine.Stats(); s.Expired < 100 || s.ExpiredFields < 10 || s.Evicted < 10 {
		t.Errorf("%d keys and %d fields expired, %d keys were evicted", s.Expired, s.ExpiredFields, s.Evicted)
	}
}

// expiringKey draws a command that makes a key expire soon, if it succeeds.
func (d *driver) expiringKey() []string {
	k, soon := d.pick("k", "k", "h", "s", "z")+strconv.Itoa(d.IntN(12)), strconv.Itoa(d.IntN(300))
	switch d.IntN(8) {
	case 0:
		return []string{"PSETEX", k, soon, d.value()}
	case 1:
		return []string{"SET", k, d.value(), "PX", soon}
	case 2:
		return []string{"GETEX", k, "PX", soon}
	case 3:
		return []string{"PEXPIRE", k, soon, d.pick("NX", "XX", "GT", "LT")}
	default:
		return []string{"PEXPIRE", k, soon}
	}
}

// evictOneOf evicts one key if there is one that may go.
func evictOneOf(e *Engine, policy EvictionPolicy) {
	before := e.eviction.evicted.Load()
	e.SetMemoryLimit(MemoryLimit{Max: 1, Policy: policy, Samples: 5, Used: func() int64 { return 2 + before - e.eviction.evicted.Load() }})
	e.MakeRoom()
	e.SetMemoryLimit(MemoryLimit{})
}

// states says type, encoding, deadlines and digest of every key.
func states(s *store.Store) map[string]string {
	all := make(map[string]string)
	for db := range s.Databases() {
		for slot := range slotsWith(s, db, 0) {
			s.Scan(db, store.At(slot), s.CountInSlot(db, slot), func(ref store.Ref) {
				encoding := ref.Encoding()
				if ref.Kind() == value.KindString {
					// Effects of strings are SETs of the whole, which pack anew: as with the
					// reference.
					encoding = 0
				}
				all[fmt.Sprint(db, " ", string(ref.Key()))] = fmt.Sprintf("%v %v %d %d %x", ref.Kind(), encoding, ref.ExpireAt(), ref.FieldsExpireAt(), DigestOf(ref))
			})
		}
	}
	return all
}
