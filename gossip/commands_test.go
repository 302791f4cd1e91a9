package gossip

import (
	"errors"
	"testing"
	"time"

	"slotmesh/slots"
)

// The texts were compared with redis-server 7.0.15 in cluster mode.
func TestCommandsRefuseInTheReferencesWords(t *testing.T) {
	w := newNet(t)
	w.cluster(2, 1)
	p, q, r := w.nodes[0], w.nodes[1], w.nodes[2]
	lone := w.start("lone")
	pid, qid, rid, nobody := p.m.Self(), q.m.Self(), r.m.Self(), someID(0x10)
	cases := []struct {
		on   *testNode
		ev   Event
		want string
	}{
		{p, AddSlots{[]slots.Slot{5}}, "ERR Slot 5 is already busy"},
		{lone, AddSlots{[]slots.Slot{7, 7}}, "ERR Slot 7 specified multiple times"},
		{lone, DelSlots{[]slots.Slot{9}}, "ERR Slot 9 is already unassigned"},
		{p, DelSlots{[]slots.Slot{5, 5}}, "ERR Slot 5 specified multiple times"},
		{p, SetConfigEpoch{9}, "ERR The user can assign a config epoch only when the node does not know any other node."},
		{p, Forget{pid}, "ERR I tried hard but I can't forget myself..."},
		{p, Forget{nobody}, "ERR Unknown node " + nobody.String()},
		{r, Forget{pid}, "ERR Can't forget my master!"},
		{p, Replicate{Primary: nobody}, "ERR Unknown node " + nobody.String()},
		{p, Replicate{Primary: pid}, "ERR Can't replicate myself"},
		{p, Replicate{Primary: rid}, "ERR I can only replicate a master, not a replica."},
		{p, Replicate{Primary: qid}, "ERR To set a master the node must be empty and without assigned slots."},
		{p, SetSlot{Slot: 16000, To: Migrating, Node: qid}, "ERR I'm not the owner of hash slot 16000"},
		{p, SetSlot{Slot: 5, To: Migrating, Node: nobody}, "ERR I don't know about node " + nobody.String()},
		{p, SetSlot{Slot: 5, To: Migrating, Node: rid}, "ERR Target node is not a master"},
		{p, SetSlot{Slot: 5, To: Importing, Node: qid}, "ERR I'm already the owner of hash slot 5"},
		{p, SetSlot{Slot: 16000, To: Importing, Node: nobody}, "ERR I don't know about node " + nobody.String()},
		{p, SetSlot{Slot: 5, To: OwnedBy, Node: nobody}, "ERR Unknown node " + nobody.String()},
		{p, SetSlot{Slot: 5, To: OwnedBy, Node: rid}, "ERR Target node is not a master"},
		{p, SetSlot{Slot: 5, To: OwnedBy, Node: qid, KeysInSlot: 1}, "ERR Can't assign hashslot 5 to a different node while I still hold keys for this hash slot."},
		{r, SetSlot{Slot: 5, To: Stable}, "ERR Please use SETSLOT only with masters."},
		{p, Failover{}, "ERR You should send CLUSTER FAILOVER to a replica"},
		{p, FlushSlots{HasKeys: true}, "ERR DB must be empty to perform CLUSTER FLUSHSLOTS."},
		{p, Reset{HasKeys: true}, "ERR CLUSTER RESET can't be called with master nodes containing keys"},
		{p, Meet{IP: "127.0.0.1", Port: 70000}, "ERR Invalid node address specified: 127.0.0.1:70000"},
	}
	for _, c := range cases {
		before := string(c.on.m.Save())
		err := c.on.do(c.ev)
		if err == nil || err.Error() != c.want {
			t.Errorf("%s: %+v: got %v, want %s", c.on.name, c.ev, err, c.want)
		}
		if string(c.on.m.Save()) != before {
			t.Errorf("%s: %+v was refused and changed something", c.on.name, c.ev)
		}
	}
	w.must(lone.do(SetConfigEpoch{3}))
	if err := lone.do(SetConfigEpoch{4}); err == nil || err.Error() != "ERR Node config epoch is already non-zero" {
		t.Errorf("got %v", err)
	}
}

func TestHardResetGivesANewName(t *testing.T) {
	w := newNet(t)
	w.cluster(3, 3)
	r := w.nodes[3]
	old, shard := r.m.Self(), r.view.Self.Shard
	w.must(r.do(Reset{Hard: true}))
	if r.m.Self() == old || len(r.view.Nodes) != 1 || r.view.Self.IsReplica || r.view.CurrentEpoch != 0 || r.view.Self.Shard == shard {
		t.Errorf("after a hard reset: %+v", r.view.Self)
	}
}

func TestTakeoverAsksNobody(t *testing.T) {
	w := newNet(t)
	w.cluster(3, 3)
	r := w.nodes[3]
	w.must(r.do(Failover{FailoverTakeover}))
	if !r.owns(0) {
		t.Fatal("the takeover is not at once")
	}
	w.run(2*time.Second, "a lease, and the old primary follows", func() bool { return r.leased() && w.nodes[0].view.Self.IsReplica })
	w.agree()
}

// SETSLOT NODE on the importing node takes the slot before it says OK: the source
// gives it up at that word, and a slot that nobody has taken would fall to an old
// claim, as of one that was replaced and is down.
func TestImportedSlotIsTakenOrRefused(t *testing.T) {
	w := newNet(t)
	w.cluster(3, 3)
	old, dst, src := w.nodes[0], w.nodes[1], w.nodes[3]
	slot := slotOf(old)
	old.kill()
	w.run(3*time.Second, "the replica took over", func() bool { return src.owns(slot) && src.leased() })
	w.run(time.Second, "", nil)
	w.must(dst.do(SetSlot{Slot: slot, To: Importing, Node: src.m.Self()}))
	w.must(src.do(SetSlot{Slot: slot, To: Migrating, Node: dst.m.Self()}))
	// An epoch that no majority has from this node yet.
	dst.m.raiseEpoch(50)
	dst.step(Tick{})
	err := dst.do(SetSlot{Slot: slot, To: OwnedBy, Node: dst.m.Self()})
	var notNow NotNowError
	if !errors.As(err, &notNow) || dst.owns(slot) {
		t.Fatalf("got %v, owns the slot: %v", err, dst.owns(slot))
	}
	w.run(time.Second, "it says OK", func() bool {
		return dst.do(SetSlot{Slot: slot, To: OwnedBy, Node: dst.m.Self()}) == nil
	})
	if !dst.owns(slot) {
		t.Fatal("it said OK and does not own the slot")
	}
	w.must(src.do(SetSlot{Slot: slot, To: OwnedBy, Node: dst.m.Self()}))
	w.run(time.Second, "", nil)
	old.boot(false)
	w.run(3*time.Second, "the old primary follows", func() bool { return old.view.Self.IsReplica })
	w.agree()
}

// The same without an import: the slot is taken when its owner gives it up, also
// when an older claim comes up from under that owner's.
func TestAwaitedSlotBeatsAnOldClaim(t *testing.T) {
	w := newNet(t)
	w.cluster(3, 3)
	old, dst, src := w.nodes[0], w.nodes[1], w.nodes[3]
	slot := slotOf(old)
	old.kill()
	w.run(3*time.Second, "the replica took over", func() bool { return src.owns(slot) && src.leased() })
	w.run(time.Second, "", nil)
	w.must(dst.do(SetSlot{Slot: slot, To: OwnedBy, Node: dst.m.Self()}))
	w.must(src.do(SetSlot{Slot: slot, To: OwnedBy, Node: dst.m.Self()}))
	w.run(assumeFor/2, "the slot moved", func() bool { return dst.owns(slot) && dst.leased() })
	old.boot(false)
	w.run(3*time.Second, "the old primary follows", func() bool { return old.view.Self.IsReplica })
	w.agree()
}

// A primary that voted for its replica takes no epoch above that vote by itself:
// in the seat that it gave away it would make a majority against the one there.
func TestNoEpochIsTakenAboveAVote(t *testing.T) {
	w := newNet(t)
	w.cluster(3, 3)
	p, r := w.nodes[0], w.nodes[3]
	for _, n := range w.nodes[1:3] {
		if n.m.self.rec.Epoch < p.m.self.rec.Epoch {
			p, r = n, w.nodes[n.port-7000+3]
		}
	}
	w.cut = func(from, to *testNode) bool { return (from == p || from == r) != (to == p || to == r) }
	w.must(r.do(Failover{FailoverForce}))
	w.run(time.Second, "the primary votes", func() bool { return p.m.votedAgainst(p.m.self) })
	before := p.m.self.rec.Epoch
	var notNow NotNowError
	if err := p.do(BumpEpoch{}); !errors.As(err, &notNow) || p.m.self.rec.Epoch != before {
		t.Fatalf("got %v, epoch %d after %d", err, p.m.self.rec.Epoch, before)
	}
	w.cut = nil
	w.run(3*time.Second, "somebody serves", func() bool { return p.leased() || r.leased() && r.owns(slotOf(r)) })
	if p.leased() {
		w.must(p.do(BumpEpoch{}))
	}
	w.agree()
}
