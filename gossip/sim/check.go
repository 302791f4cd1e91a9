package sim

import (
	"fmt"
	"slices"
	"time"

	"slotmesh/gossip"
	"slotmesh/slots"
)

// claim orders who may serve a slot: a slot belongs to the greatest.
type claim struct {
	epoch uint64
	id    slots.NodeID
}

func (c claim) less(other claim) bool {
	if c.epoch != other.epoch {
		return c.epoch < other.epoch
	}
	return c.id.Compare(other.id) < 0
}

// claim is what h stands on.
func (h *host) claim() claim { return claim{h.view.Self.ConfigEpoch, h.id} }

// ballot is what a voter may give one vote for.
type ballot struct {
	voter slots.NodeID
	epoch uint64
	shard slots.ShardID
}

type election struct {
	epoch uint64
	shard slots.ShardID
}

// checker is what the judges remember. None of it is known to any node.
type checker struct {
	// latest is, for each watched slot, the greatest claim under which a write
	// was acknowledged, and when last.
	latest [watchedSlots]struct {
		claim claim
		host  int
		at    time.Duration
		// left is the source of the migration that made host the owner, and
		// leftAt when the first acknowledgement after it was: the source may
		// acknowledge again only when it has gained the slot again.
		left   *host
		leftAt time.Duration
	}
	// moves are the ownerships that the operator has just given by SETSLOT.
	moves [watchedSlots]move
	// repaired is when the operator last closed a slot that was migrating, while
	// the last command of the migration may have been on its way.
	repaired [watchedSlots]time.Duration
	votes    map[ballot]slots.NodeID
	// elections are those in which a vote was given.
	elections map[election]bool
	// lostAt is when a crash took the last owner of each watched slot, or 0.
	lostAt [watchedSlots]time.Duration
}

// move is one SETSLOT NODE on the target of a migration.
type move struct {
	source, target *host
	claim          claim // the source's, which stood at that time
	at             time.Duration
}

// Violation is a broken promise.
type Violation struct {
	Checker string
	At      time.Duration
	Text    string
}

func (v Violation) String() string {
	return fmt.Sprintf("%s at %.6fs: %s", v.Checker, v.At.Seconds(), v.Text)
}

// maxViolations bounds what one run reports: the first one matters.
const maxViolations = 8

func (w *world) violate(checker, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if len(w.violations) < maxViolations {
		w.tracef("VIOLATION %s: %s", checker, text)
	}
	if len(w.violations) < maxViolations {
		w.violations = append(w.violations, Violation{checker, w.now, text})
	}
}

// acknowledge is a reply that left: the write is the client's. For every slot
// the claims of the acknowledgements never go back.
func (w *world) acknowledge(h *host, r reply) {
	mask := r.mask & h.own &^ h.drained
	if mask == 0 {
		return
	}
	w.stats.Acknowledged++
	if history := h.data.history; r.position > history.acked {
		history.acked = r.position
	}
	mine := h.claim()
	for bit := 0; mask != 0; bit, mask = bit+1, mask>>1 {
		if mask&1 == 0 {
			continue
		}
		latest := &w.check.latest[bit]
		switch m := w.check.moves[bit]; {
		case m.target == h && !m.claim.less(latest.claim):
			// The source had agreed, so the target's claim need not be the
			// greater one.
			latest.left, latest.leftAt = m.source, w.now
			w.check.moves[bit] = move{}
		case latest.left == h && h.gainedAt[bit] < latest.leftAt:
			if at := w.check.repaired[bit]; at != 0 && w.now-at < repairRace {
				w.stats.OperatorRaces++
				continue
			}
			w.violate("order", "%s acknowledges a write of slot %d that it gave to %s %v ago", h.name(), w.slots[bit], w.hosts[latest.host].name(), w.now-latest.leftAt)
			continue
		case mine.less(latest.claim):
			w.acknowledgedLate(h, bit, mine)
			continue
		case h.index != latest.host:
			latest.left = nil
		}
		if at := w.check.lostAt[bit]; at != 0 {
			w.check.lostAt[bit] = 0
			w.recovered(w.now - at)
		}
		latest.claim, latest.host, latest.at = mine, h.index, w.now
	}
}

// repairRace is for how long after a repair the command of a migration that it
// contradicts can have an effect.
const repairRace = time.Second

// acknowledgedLate judges an acknowledgement under a claim older than one that
// was acknowledged before. One case is the operator's: SETSLOT NODE asks
// nobody, so a slot that was given to the target of a migration while the
// source's shard was failing over has two owners until they hear of each
// other; and a slot that the source has given up is free for an older claim
// until the target's is heard: here as in the reference.
func (w *world) acknowledgedLate(h *host, bit int, mine claim) {
	latest := w.check.latest[bit]
	if m := w.check.moves[bit]; m.target != nil && m.source != h && w.now-m.at < 10*time.Second {
		w.stats.OperatorRaces++
		return
	}
	w.violate("order", "%s acknowledges a write of slot %d under epoch %d, %v after %s did under epoch %d",
		h.name(), w.slots[bit], mine.epoch, w.now-latest.at, w.hosts[latest.host].name(), latest.claim.epoch)
}

// checkPromotion judges an agreed handover: what the old primary acknowledged,
// the new one has. It is one if the votes were asked for with the primary's
// consent, whatever the operator ordered and whatever happened since.
func (w *world) checkPromotion(h *host, previous *gossip.View) {
	from := w.hostOf(previous.Self.Primary)
	if from < 0 || h.consentEpoch == 0 || h.view.Self.ConfigEpoch != h.consentEpoch {
		return
	}
	old := w.hosts[from]
	w.stats.Handovers++
	if _, position, missing := old.data.missingIn(h.data); missing {
		w.violate("handover", "%s took over from %s by agreement at %d without the acknowledged write %d", h.name(), old.name(), h.data.length, position)
	}
}

// checkWipe judges a full sync: the data of a replica that could have taken
// over is not replaced by that of a primary that came back without, or with less.
// What a replica has of another shard is not the primary's: the operator who ordered
// it here gave it up.
func (w *world) checkWipe(h, p *host) {
	if h.moved || p.view.Self.Slots.Empty() {
		return // a primary whose slots have all moved on has nothing to lose
	}
	lost, position, missing := h.data.missingIn(p.data)
	if !missing {
		return
	}
	promoted := false // since: a replica with less, which an operator may force
	for born := p.data.history; born != nil; born = born.parent {
		if born == lost {
			return
		}
		truncated := born.born == bornTruncated && !promoted && born.before.holds(lost, position)
		promoted = promoted || born.born == bornPromoted
		if born.born != bornEmpty && !truncated {
			continue
		}
		if w.undisturbedSince(h, p, born.at) {
			w.violate("wipe", "%s loses acknowledged write %d of its %d to %s, which came back with %d at %.3fs",
				h.name(), position, h.data.length, p.name(), born.forkAt, born.at.Seconds())
		} else {
			w.stats.ExcusedWipes++
		}
		return
	}
}

// undisturbedSince reports whether h and a majority of the primaries have been
// free of faults since at, and h a member to them and to its primary p, which
// started knowing it: then h had its chance.
func (w *world) undisturbedSince(h, p *host, at time.Duration) bool {
	if h.disturbed(at) || p.machine.Forgotten(h.id) || !p.knew[h.id] {
		return false
	}
	calm, primaries := 0, 0
	for _, other := range w.hosts {
		if other.view == nil || other.view.Self.IsReplica || other.own == 0 {
			continue
		}
		primaries++
		// A MEET after a FORGET may take long, or come to nothing.
		if !other.disturbed(at) && !other.machine.Forgotten(h.id) {
			calm++
		}
	}
	return calm > primaries/2
}

// disturbed reports whether a fault touched h since at.
func (h *host) disturbed(at time.Duration) bool {
	return h.faults > 0 || h.faultEnded > at || h.w.forgotten[h.index]
}

// epochChanged counts collisions: two primaries of equal epochs.
func (w *world) epochChanged(h *host) {
	if h.view.Self.IsReplica || h.view.Self.ConfigEpoch == 0 {
		return
	}
	for _, other := range w.hosts {
		if other != h && other.view != nil && !other.view.Self.IsReplica && other.view.Self.ConfigEpoch == h.view.Self.ConfigEpoch {
			w.stats.Collisions++
			w.tracef("%s and %s both have epoch %d", h.name(), other.name(), h.view.Self.ConfigEpoch)
		}
	}
}

// suspicion reports whether a node suspects another that nobody has marked as failed.
func (w *world) suspicion() bool {
	for _, h := range w.hosts {
		if h.view != nil && slices.ContainsFunc(h.view.Nodes, func(n *gossip.Node) bool { return n.PFail }) {
			return true
		}
	}
	return false
}

// checkPeace judges the end: after faults have stopped for a while everybody
// sees one healthy cluster.
func (w *world) checkPeace() {
	first := w.hosts[0]
	epochs := map[uint64]*host{}
	for _, h := range w.hosts {
		if !h.alive() || h.view == nil {
			w.violate("peace", "%s does not run at the end", h.name())
			return
		}
		v := h.view
		if !v.OK {
			w.violate("liveness", "%s sees the cluster as down: %s", h.name(), v.Reason)
		}
		if !v.MayServe {
			w.violate("liveness", "%s still waits for a replica to take over", h.name())
		}
		if v.HoldWrites {
			w.violate("liveness", "%s still holds writes for a handover", h.name())
		}
		if !v.Self.IsReplica && !v.Self.Slots.Empty() {
			if other := epochs[v.Self.ConfigEpoch]; other != nil {
				w.violate("epochs", "%s and %s both have config epoch %d", h.name(), other.name(), v.Self.ConfigEpoch)
			}
			epochs[v.Self.ConfigEpoch] = h
			w.checkLeases(h)
		}
		if len(v.Nodes) != len(w.hosts) {
			w.violate("members", "%s knows %d of %d nodes%s", h.name(), len(v.Nodes), len(w.hosts), w.absent(h))
		}
		for _, n := range v.Nodes {
			w.checkPicture(h, n)
		}
		w.checkTable(first, h)
	}
}

// absent names those whom h does not know.
func (w *world) absent(h *host) string {
	text := ""
	for _, other := range w.hosts {
		if h.view.Node(other.id) == nil {
			text += fmt.Sprintf(", not %s (forgotten=%v)", other.name(), h.machine.Forgotten(other.id))
		}
	}
	return text
}

// checkPicture compares what h believes of another node with the truth.
func (w *world) checkPicture(h *host, n *gossip.Node) {
	index := w.hostOf(n.ID)
	if index < 0 {
		w.violate("members", "%s knows a node %.8s that does not exist", h.name(), n.ID)
		return
	}
	truth := w.hosts[index]
	if n.PFail || n.Fail {
		w.violate("failed", "%s believes %s failed (fail=%v), which lives", h.name(), truth.name(), n.Fail)
	}
	if truth.view == nil {
		return
	}
	self := truth.view.Self
	switch {
	case n.IsReplica != self.IsReplica:
		w.violate("table", "%s is wrong about the role of %s: replica=%v", h.name(), truth.name(), n.IsReplica)
	case n.IsReplica && n.Primary != self.Primary:
		w.violate("table", "%s is wrong about the primary of %s", h.name(), truth.name())
	case !n.IsReplica && n.Slots != self.Slots:
		w.violate("table", "%s is wrong about the slots of %s: %v, not %v", h.name(), truth.name(), brief(n.Slots), brief(self.Slots))
	case !n.IsReplica && n.ConfigEpoch != self.ConfigEpoch:
		w.violate("table", "%s knows epoch %d of %s, which has %d", h.name(), n.ConfigEpoch, truth.name(), self.ConfigEpoch)
	}
	if n.IsReplica {
		p := w.hostOf(n.Primary)
		if p < 0 || w.hosts[p].view == nil || w.hosts[p].view.Self.IsReplica {
			w.violate("table", "%s believes %s to be a replica of no primary", h.name(), truth.name())
		}
	}
}

// checkTable compares the slot tables of two nodes on the watched slots, of the
// others checkPicture has compared the owners' sets, and that every slot is
// owned.
func (w *world) checkTable(a, b *host) {
	var all slots.Set
	count := 0
	for _, n := range b.view.Nodes {
		if !n.IsReplica {
			all = all.Union(n.Slots)
			count += n.Slots.Len()
		}
	}
	if owned := all.Len(); owned != slots.Count || count != slots.Count {
		everything := slots.SetOf(slots.Range{First: 0, Last: slots.Count - 1})
		w.violate("coverage", "%s knows no owner of %s, and %d ownerships", b.name(), brief(everything.Minus(all)), count)
		return
	}
	for _, slot := range w.slots {
		x, y := a.view.Table.Owner[slot], b.view.Table.Owner[slot]
		if y == slots.None || x == slots.None {
			w.violate("coverage", "%s or %s routes slot %d to nobody", a.name(), b.name(), slot)
		} else if a.view.Table.Nodes[x].ID != b.view.Table.Nodes[y].ID {
			w.violate("table", "%s and %s route slot %d differently", a.name(), b.name(), slot)
		}
	}
}

func brief(set slots.Set) string {
	text := set.String()
	if len(text) > 60 {
		text = text[:60] + "…"
	}
	return text
}

// tap looks at what h sends, as a listener on its cable would: a promise
// counts when it leaves, whether or not it arrives.
func (w *world) tap(h *host, message []byte, to slots.NodeID) {
	if epoch, ok := gossip.ConsentIn(message); ok {
		h.consentEpoch = epoch
	}
	vote, ok := gossip.BallotIn(message, to)
	if !ok {
		return
	}
	b := ballot{vote.Voter, vote.Epoch, vote.Shard}
	first, again := w.check.votes[b]
	switch {
	case !again:
		w.check.votes[b] = vote.Candidate
		w.stats.Votes++
		w.check.elections[election{vote.Epoch, vote.Shard}] = true
	case first != vote.Candidate:
		w.violate("votes", "%s votes in epoch %d for %s, after it voted for %s of the same shard",
			w.nameOf(vote.Voter), vote.Epoch, w.nameOf(vote.Candidate), w.nameOf(first))
	}
}

func (w *world) nameOf(id slots.NodeID) string {
	if i := w.hostOf(id); i >= 0 {
		return w.hosts[i].name()
	}
	return id.String()
}

// A renewal that is late holds replies for a moment: a packet that is lost, and
// some always are, delays what follows it on its link. So in the last seconds a
// primary may be without a lease for leaseLapse at a time, and leaseLapses of
// the time.
const (
	leaseLapse  = 300 * time.Millisecond
	leaseLapses = 0.05
	leasesSince = 5 * time.Second
)

func (w *world) checkLeases(h *host) {
	now := max(0, w.now-h.worldTime(h.lease))
	if now > leaseLapse {
		w.violate("liveness", "%s has no lease", h.name())
	}
	if share := float64(h.lapsed+now) / float64(leasesSince); share > leaseLapses {
		w.violate("liveness", "%s was without a lease for %.0f %% of the last seconds", h.name(), 100*share)
	}
}
