package gossip

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"slotmesh/slots"
)

func someID(b byte) slots.NodeID {
	var id slots.NodeID
	for i := range id {
		id[i] = b + byte(i)
	}
	return id
}

func someRecord() *record {
	r := &record{
		ID: someID(1), Shard: slots.ShardID(someID(2)), Seq: 9, Epoch: 4, Replica: true, Primary: someID(3), NoFailover: true,
		Elector: true, SeizedEpoch: 2, Address: Address{IP: "10.0.0.1", Port: 7000, TLSPort: 7001, BusPort: 17000, Host: "a.example"},
		WinSeq: [windows]uint64{1, 2, 3, 4, 5, 6, 7, 9},
		Open:   []openSlot{{5, true, someID(4)}, {6, false, someID(5)}},
	}
	alternating, runs := window{Index: 1}, window{Index: 7}
	for i := range slots.Slot(windowSlots) {
		alternating.Bits.set(i, i%2 == 0)
		runs.Bits.set(i, i/100%2 == 0)
	}
	r.Windows = []window{{Index: 0}, alternating, runs}
	return r
}

// someBodies has one of every kind.
func someBodies() []body {
	id, shard := someID(7), slots.ShardID(someID(8))
	return []body{
		recordMsg{someRecord()},
		meetMsg{someRecord()},
		stateMsg{3, []tombstone{{id, 2, true}}, []*record{someRecord()}},
		wantMsg{[]knownSeq{{id, 4}}},
		pingMsg{1, 2, 3, -4},
		pongMsg{pingMsg{1, 2, 3, 4}, "10.1.2.3"},
		progressMsg{77},
		reportMsg{5, []reportEntry{{id, true}, {someID(9), false}}},
		failMsg{id, 3},
		renewMsg{time.Second, time.Minute, 3, 4, 5},
		renewedMsg{time.Second, refusedVoted, 3, 4, 5, []slots.NodeID{id}},
		voteRequestMsg{9, shard, id, 8, 7, 6, becauseReclaim, 5},
		voteMsg{9, shard, granted, 10, []slots.NodeID{id}},
		handoverMsg{handoverConsent, 1, 2, 3},
		tombstoneMsg{[]tombstone{{id, 2, false}}},
		comparedMsg{6, true},
	}
}

func TestMessagesRoundTrip(t *testing.T) {
	seen := map[byte]bool{}
	for _, want := range someBodies() {
		message := encode(someID(1), want)
		sender, got, err := decode(message)
		if err != nil || sender != someID(1) || !reflect.DeepEqual(got, want) {
			t.Errorf("%T: got %+v, %v", want, got, err)
		}
		for cut := range message {
			if _, _, err := decode(message[:cut]); err == nil {
				t.Errorf("%T cut to %d of %d bytes is accepted", want, cut, len(message))
			}
		}
		if _, _, err := decode(append(bytes.Clone(message), 0)); err == nil {
			t.Errorf("%T with a byte too many is accepted", want)
		}
		seen[want.kind()] = true
	}
	if len(seen) != int(kindCompared) {
		t.Errorf("%d of %d kinds tested", len(seen), kindCompared)
	}
}

func TestOtherVersionIsRefusedByName(t *testing.T) {
	message := encode(someID(1), progressMsg{1})
	message[2] = 9
	_, _, err := decode(message)
	if !errors.Is(err, ErrVersion) || !strings.Contains(err.Error(), "version 9") || !strings.Contains(err.Error(), "1") {
		t.Errorf("got %v", err)
	}
}

// The worst claim there is still travels in packets.
func TestAlternatingClaimFitsPackets(t *testing.T) {
	r := someRecord()
	r.Address.Host = strings.Repeat("h", maxHostText)
	r.Windows = nil
	r.Open = nil
	for i := range 200 {
		r.Open = append(r.Open, openSlot{slots.Slot(i), false, someID(byte(i % 6))})
	}
	for w := range windows {
		win := window{Index: w}
		for i := range slots.Slot(windowSlots) {
			win.Bits.set(i, i%2 == 1)
		}
		r.Windows = append(r.Windows, win)
	}
	got := map[int]bool{}
	for _, part := range split(r) {
		message := encode(someID(1), recordMsg{part})
		if len(message) > MaxBroadcast {
			t.Errorf("a part has %d bytes", len(message))
		}
		_, b, err := decode(message)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range b.(recordMsg).Record.Windows {
			got[w.Index] = true
			if w.Bits != r.Windows[w.Index].Bits {
				t.Errorf("window %d changed on its way", w.Index)
			}
		}
	}
	if len(got) != windows {
		t.Errorf("%d windows arrived", len(got))
	}
	if meta := putMeta(r); len(meta) > 512 {
		t.Errorf("the identity record has %d bytes", len(meta))
	}
}

func TestMetaRoundTrip(t *testing.T) {
	id, err := ParseMeta(putMeta(someRecord()))
	if err != nil || id.ID != someID(1) || !id.IsReplica || id.Primary != someID(3) || id.Address.Host != "a.example" || id.Seq != 9 {
		t.Errorf("got %+v, %v", id, err)
	}
	if _, err := ParseMeta(encode(someID(1), progressMsg{1})); err == nil {
		t.Error("a message is no identity record")
	}
}

// busyConfig is the config file of a node that has seen something of everything.
func busyConfig(t *testing.T) []byte {
	t.Helper()
	w := newNet(t)
	w.cluster(3, 3)
	p := w.nodes[0]
	w.must(p.do(SetSlot{Slot: 3, To: Migrating, Node: w.nodes[1].m.Self()}))
	w.must(p.do(SetSlot{Slot: 9000, To: Importing, Node: w.nodes[1].m.Self()}))
	w.nodes[4].kill()
	w.must(p.do(Forget{w.nodes[4].m.Self()}))
	w.nodes[2].kill()
	w.run(2*time.Second, "a vote", func() bool { return len(p.m.election.votes) > 0 })
	return p.m.Save()
}

func reload(saved []byte) (*Machine, error) {
	return New(Options{Config: Config{NodeTimeout: time.Second}, Saved: saved, Rand: rand.New(rand.NewPCG(1, 1))})
}

func TestConfigFileRoundTrips(t *testing.T) {
	saved := busyConfig(t)
	m := &Machine{members: map[slots.NodeID]*member{}, tombstones: map[slots.NodeID]tombstone{}}
	m.claims.init()
	m.election.init()
	if err := m.restore(saved); err != nil {
		t.Fatalf("%v\n%s", err, saved)
	}
	if again := m.encodeConfig(); !bytes.Equal(again, saved) {
		t.Errorf("read and written again:\n%s\nwas\n%s", again, saved)
	}
	for _, word := range []string{"vote ", "tombstone ", "migrating 3", "importing 9000", "claim "} {
		if !bytes.Contains(saved, []byte(word)) {
			t.Errorf("no %q in\n%s", word, saved)
		}
	}
}

func TestDamagedConfigFileIsNeverGuessedAt(t *testing.T) {
	saved := busyConfig(t)
	for at := range saved {
		for _, flip := range []byte{1, 0x20, 0x80} {
			damaged := bytes.Clone(saved)
			damaged[at] ^= flip
			if _, err := reload(damaged); err == nil || !strings.Contains(err.Error(), "byte") {
				t.Fatalf("byte %d xor %#x: %v", at, flip, err)
			}
		}
		if _, err := reload(saved[:at]); err == nil || !strings.Contains(err.Error(), "byte") {
			t.Fatalf("cut to %d bytes: %v", at, err)
		}
	}
	other := bytes.Replace(saved, []byte("slotmesh-cluster-config 1\n"), []byte("slotmesh-cluster-config 2\n"), 1)
	if _, err := reload(other); !errors.Is(err, ErrVersion) {
		t.Errorf("another version: %v", err)
	}
	foreign := []byte("07c37dfeb235213a872192d90877d0cd55635b91 127.0.0.1:30004@31004 myself,master - 0 0 1 connected\nvars currentEpoch 6 lastVoteEpoch 6\n")
	if _, err := reload(foreign); !errors.Is(err, ErrDamaged) {
		t.Errorf("the reference's file: %v", err)
	}
}

func FuzzMessage(f *testing.F) {
	for _, b := range someBodies() {
		f.Add(encode(someID(1), b))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		sender, b, err := decode(message)
		if err != nil {
			return
		}
		again := encode(sender, b)
		if _, _, err := decode(again); err != nil {
			t.Fatalf("%T does not survive: %v", b, err)
		}
		m, err := New(Options{Config: Config{NodeTimeout: time.Second}, Rand: rand.New(rand.NewPCG(1, 1))})
		if err != nil {
			t.Fatal(err)
		}
		_ = m.Step(Member{Meta: putMeta(&record{ID: sender, Seq: 1}), IP: "127.0.0.1", Met: true}, 1)
		for _, way := range []Way{ByLink, ByBroadcast, ByRepair} {
			if err := m.Step(Received{From: sender, Way: way, Message: message}, 2); err != nil {
				t.Fatalf("decoded and then refused: %v", err)
			}
			m.Ready(2)
		}
		_ = m.Step(Tick{}, time.Minute)
		m.Ready(time.Minute)
	})
}

func FuzzConfigFile(f *testing.F) {
	f.Add([]byte("slotmesh-cluster-config 1\nself 0102030405060708090a0b0c0d0e0f1011121314\nepoch 3\n"))
	m, err := New(Options{Rand: rand.New(rand.NewPCG(1, 1))})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(m.Save())
	f.Fuzz(func(t *testing.T, saved []byte) {
		m, err := reload(saved)
		if err != nil {
			return
		}
		if _, err := reload(m.Save()); err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
	})
}
