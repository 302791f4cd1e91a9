package gossip

import (
	"testing"
	"time"

	"slotmesh/slots"
)

// A replica that the operator gave to another shard has nothing of it until it
// has synced there: it says so, after a restart too, and is not promoted.
func TestReplicaOfAnotherShardIsNotPromotedBeforeItSynced(t *testing.T) {
	w := newNet(t)
	w.cluster(3, 3)
	p, q, r := w.nodes[0], w.nodes[1], w.nodes[4]
	w.nodes[3].kill() // p's own replica
	w.must(r.do(Replicate{Primary: p.m.Self()}))
	w.run(time.Second, "the others know", func() bool {
		n := q.m.members[r.m.Self()]
		return n.rec.Primary == p.m.Self() && n.rec.Empty
	})
	r.kill()
	r.bootWith(Options{}, Replication{Offset: 100})
	if !r.m.self.rec.Empty {
		t.Fatal("it has forgotten that its data are another shard's")
	}
	w.run(time.Second, "", nil)
	p.kill()
	w.run(3*time.Second, "", nil)
	if r.owns(0) {
		t.Fatal("it took over with another shard's data")
	}
	p.boot(false)
	w.run(3*time.Second, "the primary serves on", p.leased)
	r.repl.LinkUp = true
	r.step(r.repl)
	w.run(time.Second, "it has synced", func() bool { return !q.m.members[r.m.Self()].rec.Empty })
	p.kill()
	w.run(3*time.Second, "it takes over", func() bool { return r.owns(0) && r.leased() })
}

// A primary that dies as soon as its new replica has synced is replaced by it: the
// link need not be up when somebody looks.
func TestReplicaThatJustSyncedIsPromoted(t *testing.T) {
	w := newNet(t)
	w.cluster(3, 3)
	p, q, r := w.nodes[0], w.nodes[1], w.nodes[4]
	w.nodes[3].kill() // p's own replica
	w.must(r.do(Replicate{Primary: p.m.Self()}))
	w.run(time.Second, "the others know", func() bool { return q.m.members[r.m.Self()].rec.Primary == p.m.Self() })
	p.kill()
	r.repl.LinkUp, r.repl.Synced = false, true
	r.step(r.repl)
	w.run(3*time.Second, "it takes over", func() bool { return r.owns(0) && r.leased() })
}

// A primary that is started with older files than its replica has data lets it
// take over, and one whose replica has no more serves as soon as it knows.
func TestPrimaryWithOldFilesIsReplaced(t *testing.T) {
	for _, c := range []struct {
		name      string
		recovered Recovery
		replica   Replication
		replaced  bool
	}{
		{"behind", Recovery{7, 90}, Replication{History: 7, Offset: 100}, true},
		{"not behind", Recovery{7, 100}, Replication{History: 7, Offset: 100}, false},
		{"behind in what was shared", Recovery{7, 90}, Replication{History: 8, Past: 7, Shared: 95, Offset: 100}, true},
		{"files of another time", Recovery{6, 200}, Replication{History: 8, Past: 7, Shared: 95, Offset: 100}, true},
		{"no files, as before", Recovery{}, Replication{History: 7, Offset: 100}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newNet(t)
			w.cluster(3, 3)
			p, r := w.nodes[0], w.nodes[3]
			r.repl = c.replica
			r.repl.LinkUp = true
			r.step(r.repl)
			p.kill()
			r.repl.LinkUp = false
			r.step(r.repl)
			opts := Options{Recovered: &c.recovered}
			if c.recovered == (Recovery{}) {
				opts.Recovered = nil
			}
			p.bootWith(opts, Replication{History: 9, Past: c.recovered.History, Shared: c.recovered.Offset, Offset: c.recovered.Offset})
			if p.view.MayServe != (opts.Recovered == nil) {
				t.Fatalf("may serve: %v", p.view.MayServe)
			}
			if c.replaced {
				w.run(2*time.Second, "the replica takes over", func() bool {
					if p.leased() && p.owns(0) {
						t.Fatal("the primary serves without what its replica has")
					}
					return r.owns(0) && r.leased()
				})
				w.run(2*time.Second, "the old primary follows", func() bool { return p.view.Self.IsReplica && p.view.MayServe })
			} else {
				took := w.run(2*time.Second, "the primary serves", func() bool { return p.leased() && p.view.MayServe })
				t.Logf("took %v", took)
				if r.owns(0) || p.m.self.rec.Recovered != nil {
					t.Fatal("it was replaced")
				}
			}
			w.agree()
		})
	}
}

// A replica that took over and died before it heard of its former primary again
// does not serve without what that has: it may have become its replica meanwhile.
func TestHeirWithOldFilesIsReplacedByWhomItReplaced(t *testing.T) {
	w := newNet(t)
	w.cluster(3, 3)
	p, r := w.nodes[0], w.nodes[3]
	p.kill()
	w.run(3*time.Second, "the replica took over", func() bool { return r.owns(0) })
	r.kill()
	p.bootWith(Options{}, Replication{History: 7, Offset: 100})
	w.run(3*time.Second, "the former primary follows", func() bool { return p.view.Self.IsReplica })
	r.bootWith(Options{Recovered: &Recovery{7, 90}}, Replication{History: 9, Past: 7, Shared: 90, Offset: 90})
	w.run(3*time.Second, "the former primary takes over", func() bool {
		if r.leased() && r.owns(0) {
			t.Fatal("it serves without what its former primary has")
		}
		return p.owns(0) && p.leased()
	})
	w.agree()
}

// A replica that is down, or may not take over, is not waited for when all others
// have been asked.
func TestPrimaryWithFilesDoesNotWaitForTheDead(t *testing.T) {
	for _, forbidden := range []bool{false, true} {
		w := newNet(t)
		w.cluster(3, 3)
		p, r := w.nodes[0], w.nodes[3]
		p.kill()
		if forbidden {
			r.cfg.ReplicaNoFailover = true
			r.step(Reconfigure{r.cfg})
			r.repl = Replication{History: 7, Offset: 100}
			r.step(r.repl)
		} else {
			r.kill()
		}
		p.bootWith(Options{Recovered: &Recovery{7, 90}}, Replication{Offset: 90})
		took := w.run(2*time.Second, "the primary serves", func() bool { return p.leased() && p.view.MayServe })
		t.Logf("took %v", took)
	}
}

// The identity record of a primary that recovered fits where it travels, and what
// another node recovered is in the cluster config file.
func TestRecoveredTravels(t *testing.T) {
	r := someRecord()
	r.Replica, r.Primary = false, slots.NodeID{}
	r.Recovered = &Recovery{1 << 63, 1 << 62}
	got, err := parseMeta(putMeta(r))
	if err != nil || got.Recovered == nil || *got.Recovered != *r.Recovered {
		t.Fatalf("got %+v, %v", got, err)
	}
	w := newNet(t)
	w.cluster(3, 3)
	p, q := w.nodes[0], w.nodes[1]
	q.m.members[p.m.Self()].rec.Recovered = r.Recovered
	q.saved = q.m.encodeConfig()
	q.boot(false)
	if got := q.m.members[p.m.Self()].rec.Recovered; got == nil || *got != *r.Recovered {
		t.Errorf("after a restart: %+v", got)
	}
}
