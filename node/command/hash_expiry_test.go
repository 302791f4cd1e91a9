package command

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"slotmesh/node/journal"
	"slotmesh/node/store"
	"slotmesh/node/store/hash"
	"slotmesh/node/store/value"
	"slotmesh/slots"
)

// TestReplicaHidesFields shows that a replica neither shows nor deletes a field
// whose time is over, and that a stream still finds it.
func TestReplicaHidesFields(t *testing.T) {
	n := newNode(t)
	n.do("HSET", "h", "a", "1", "b", "2")
	n.do("HPEXPIRE", "h", "10", "FIELDS", "1", "a")
	n.do("HSET", "gone", "a", "1")
	n.do("HPEXPIRE", "gone", "10", "FIELDS", "1", "a")
	n.entries()
	n.engine.SetReplica(true)
	n.now.Add(20)
	for command, want := range map[string]string{
		"HGET h a": "nil", "HLEN h": "1", "HGETALL h": "[b 2]", "HTTL h FIELDS 1 a": "[-2]", "HLEN gone": "0",
		"HRANDFIELD gone": "nil", "HRANDFIELD h 5": "[b]", "HSCAN h 0": "[0 [b 2]]", "HGET gone a": "nil",
	} {
		if got := short(decoded(n.do(strings.Fields(command)...))); got != want {
			t.Errorf("%s: %s, want %s", command, got, want)
		}
	}
	if entries := n.entries(); entries != "" {
		t.Errorf("the replica journaled %s", entries)
	}
	apply := func(command string) {
		t.Helper()
		var args [][]byte
		for _, word := range strings.Fields(command) {
			args = append(args, []byte(word))
		}
		if err := n.engine.Apply([]Applied{{Args: args}}, nil); err != nil {
			t.Fatal(err)
		}
	}
	apply("HINCRBY h a 5")
	apply(fmt.Sprint("HPEXPIREAT h ", n.now.Load()+100, " FIELDS 1 a"))
	if got := short(decoded(n.do("HGET", "h", "a"))); got != "6" {
		t.Errorf("the stream found %s", got)
	}
	apply("HDEL gone a")
	if n.engine.store.Len(0) != 1 {
		t.Error("the key stayed without fields")
	}
}

// keeper is a Journal that keeps commands to be applied elsewhere.
type keeper struct{ groups [][]Applied }

func (k *keeper) Active() bool { return true }

func (k *keeper) Append(db int, slot slots.Slot, args [][]byte) int64 {
	return k.AppendGroup([]journal.Effect{{DB: db, Slot: slot, Args: args}})
}

func (k *keeper) AppendGroup(effects []journal.Effect) int64 {
	var group []Applied
	for _, e := range effects {
		a := Applied{DB: e.DB}
		for _, arg := range e.Args {
			a.Args = append(a.Args, append([]byte(nil), arg...))
		}
		group = append(group, a)
	}
	k.groups = append(k.groups, group)
	return 0
}

// TestHashReplay lets time pass between random commands on hashes whose fields
// expire, and replays the journal on an engine whose clock is far ahead and on
// one whose clock is far behind.
func TestHashReplay(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			kept := &keeper{}
			n := newNode(t)
			n.engine = NewEngine(EngineOptions{Table: testTable(t), Store: store.New(store.Options{}), Journal: kept, Lanes: 2, Seed: 1, Now: n.now.Load})
			d := &driver{Rand: rand.New(rand.NewPCG(seed, 5))}
			for range 4000 {
				n.do(d.expiringHash()...)
				if d.IntN(3) == 0 {
					n.now.Add(int64(d.IntN(20)))
				}
				if d.IntN(50) == 0 {
					n.engine.ExpireCycle(d.IntN(100))
				}
			}
			digest := digestAll(n.engine.store)
			for _, shift := range []int64{-1_000_000_000, 1_000_000_000} {
				other := newNode(t)
				other.now.Add(shift)
				for _, group := range kept.groups {
					if err := other.engine.Apply(group, nil); err != nil {
						t.Fatalf("%s: %v", joinArgs(group[0].Args), err)
					}
				}
				if got := digestAll(other.engine.store); got != digest {
					t.Fatalf("a clock %d ms off: %x, want %x", shift, got, digest)
				}
			}
			checkFieldDeadlines(t, n.engine.store)
		})
	}
}

// checkFieldDeadlines compares what the keyspace knows with what the hashes say.
func checkFieldDeadlines(t *testing.T, s *store.Store) {
	for slot := range slotsWith(s, 0, 0) {
		s.Scan(0, store.At(slot), s.CountInSlot(0, slot), func(ref store.Ref) {
			if ref.Kind() != value.KindHash {
				return
			}
			r := hash.Read(ref.Value(), 0)
			if r.NextDeadline() != ref.FieldsExpireAt() {
				t.Errorf("%s: next deadline %d, the keyspace knows %d", ref.Key(), r.NextDeadline(), ref.FieldsExpireAt())
			}
			if r.Size() == 0 {
				t.Errorf("%s has no fields", ref.Key())
			}
		})
	}
}

// expiringHash draws a command on a hash whose fields expire soon.
func (d *driver) expiringHash() []string {
	k := fmt.Sprint("h", d.IntN(4))
	fields := func(values bool) []string {
		n := 1 + d.IntN(3)
		if d.IntN(20) == 0 {
			n = 40
		}
		args := []string{"FIELDS", strconv.Itoa(n)}
		for range n {
			args = append(args, fmt.Sprint("f", d.IntN(120)))
			if values {
				args = append(args, d.hashValue())
			}
		}
		return args
	}
	field := fmt.Sprint("f", d.IntN(120))
	switch d.IntN(14) {
	case 0, 1:
		return []string{"HSET", k, field, d.hashValue()}
	case 2:
		return []string{"HSETNX", k, field, d.hashValue()}
	case 3:
		return []string{"HINCRBY", k, field, d.number()}
	case 4:
		return []string{"HINCRBYFLOAT", k, field, d.float()}
	case 5, 6:
		args := []string{"HPEXPIRE", k, strconv.Itoa(d.IntN(300))}
		if d.IntN(2) == 0 {
			args = append(args, d.pick("NX", "XX", "GT", "LT"))
		}
		return append(args, fields(false)...)
	case 7, 8:
		args := []string{"HSETEX", k}
		if d.IntN(3) == 0 {
			args = append(args, d.pick("FNX", "FXX"))
		}
		if d.IntN(3) > 0 {
			args = append(args, "PX", strconv.Itoa(d.IntN(300)))
		} else {
			args = append(args, "KEEPTTL")
		}
		return append(args, fields(true)...)
	case 9:
		args := []string{"HGETEX", k}
		if d.IntN(4) == 0 {
			args = append(args, "PERSIST")
		} else {
			args = append(args, "PX", strconv.Itoa(d.IntN(300)))
		}
		return append(args, fields(false)...)
	case 10:
		return append([]string{d.pick("HPERSIST", "HGETDEL"), k}, fields(false)...)
	case 11:
		return []string{d.pick("HGETALL", "HLEN", "HRANDFIELD"), k}
	case 12:
		return []string{"COPY", k, fmt.Sprint("h", d.IntN(4)), "REPLACE"}
	}
	return []string{d.pick("HDEL", "HGET"), k, field}
}
