package gossip

import (
	"maps"
	"math/bits"
	"slices"
	"strconv"
	"time"

	"slotmesh/slots"
)

// claimState is who owns what.
//
// The owner of a slot is the greatest claim, (window epoch, node id), among
// the members' windows. Two exceptions, both by an operator and both until
// gossip settles the matter:
//   - masked: CLUSTER DELSLOTS of another node's slot hides that node's claim
//     until it says something new.
//   - assumed: CLUSTER SETSLOT NODE on a node that has not heard the new
//     owner's claim believes the operator until the claim comes, or a while.
type claimState struct {
	owner   [slots.Count]*member
	masked  map[slots.Slot]mask
	assumed map[slots.Slot]assumption

	// Of self, since the last publication.
	selfDirty bool
	openDirty bool // only which slots are open
	selfWin   [windows]bool
	gained    bool // slots were gained: the lease must be granted anew
	// successor is the member that took this node's last slot.
	successor *member

	open map[slots.Slot]openSlot // of self

	electors       []*member // slot-owning primaries whose word counts
	electorsDigest uint64
	electorsDirty  bool

	tie bool // somebody stands at this node's config epoch
	// awaited are slots that an operator gave to this node although it was not
	// importing them: it takes them when their owner has given them up, as the
	// operator is about to order. See takeImported.
	awaited    map[slots.Slot]awaiting
	torn       bool // another primary of this shard owns slots too
	tableDirty bool
}

type mask struct {
	node  slots.NodeID
	seq   uint64
	until Instant
}

type assumption struct {
	node  *member
	until Instant
}

// awaiting is the claim that is to be given up, and until when it is waited for.
type awaiting struct {
	owner *member
	epoch uint64
	until Instant
}

func (c *claimState) init() {
	c.masked = map[slots.Slot]mask{}
	c.assumed = map[slots.Slot]assumption{}
	c.open = map[slots.Slot]openSlot{}
	c.awaited = map[slots.Slot]awaiting{}
	c.electorsDirty, c.tableDirty = true, true
}

// greater reports whether the claim of n on slot beats that of o.
func greater(n, o *member, slot slots.Slot) bool {
	w := int(slot) / windowSlots
	if n.win[w].epoch != o.win[w].epoch {
		return n.win[w].epoch > o.win[w].epoch
	}
	return n.rec.ID.Compare(o.rec.ID) > 0
}

func (m *Machine) claiming(n *member, slot slots.Slot) bool {
	if n.rec.Replica || !n.win[int(slot)/windowSlots].bits.has(slot) {
		return false
	}
	k, masked := m.claims.masked[slot]
	return !masked || k.node != n.rec.ID || k.seq < n.rec.Seq
}

// decide sets the owner of slot to the greatest claim.
func (m *Machine) decide(slot slots.Slot) {
	if a, ok := m.claims.assumed[slot]; ok {
		m.setOwner(slot, a.node)
		return
	}
	var best *member
	for _, n := range m.order {
		if m.claiming(n, slot) && (best == nil || m.beats(n, best, slot)) {
			best = n
		}
	}
	m.setOwner(slot, best)
}

func (m *Machine) setOwner(slot slots.Slot, n *member) {
	c := &m.claims
	old := c.owner[slot]
	if old == n {
		return
	}
	c.owner[slot] = n
	m.occupy(slot)
	c.tableDirty, m.view.dirty = true, true
	if old == m.self || n == m.self {
		m.save = true
	} else {
		m.saveBeforeGrant()
	}
	if old != nil {
		old.owned.Remove(slot)
		old.nOwned--
		old.touch()
		if old.nOwned == 0 {
			c.electorsDirty = true
		}
	}
	if n != nil && n.seizing && old != nil {
		n.holdUntil = max(n.holdUntil, m.promiseUntil(old))
	}
	if n != nil {
		n.owned.Add(slot)
		n.nOwned++
		n.touch()
		if n.nOwned == 1 {
			c.electorsDirty = true
		}
	}
	switch {
	case old == m.self:
		m.unclaim(slot)
		if o, open := c.open[slot]; open && !o.Importing {
			delete(c.open, slot)
		}
		if m.self.nOwned == 0 && n != nil {
			c.successor = n
		}
	case n == m.self:
		c.gained = true
		if o, open := c.open[slot]; open && o.Importing {
			delete(c.open, slot)
		}
	}
}

// setWindow replaces what n claims in window w, and the epoch at which it does.
func (m *Machine) setWindow(n *member, w int, to windowBits, epoch uint64) {
	from, raised := n.win[w].bits, epoch > n.win[w].epoch
	if !raised && from == to {
		n.win[w].epoch = epoch
		return
	}
	n.win[w].bits, n.win[w].epoch = to, epoch
	for i := range to {
		contest := to[i] &^ from[i]
		if raised {
			contest = to[i]
		}
		for word := contest; word != 0; word &= word - 1 {
			m.contest(n, slots.Slot(w*windowSlots+i*64+bits.TrailingZeros64(word)))
		}
		for word := from[i] &^ to[i]; word != 0; word &= word - 1 {
			slot := slots.Slot(w*windowSlots + i*64 + bits.TrailingZeros64(word))
			if m.claims.owner[slot] == n {
				m.decide(slot)
				m.vacate(slot, n)
			}
		}
	}
}

// beats is greater, or what is left of it when epochs are ignored.
func (m *Machine) beats(n, o *member, slot slots.Slot) bool {
	if m.faults.IgnoreEpoch {
		return n.rec.ID.Compare(o.rec.ID) > 0
	}
	return greater(n, o, slot)
}

// contest gives slot to n when its claim is the greatest.
func (m *Machine) contest(n *member, slot slots.Slot) {
	if !m.claiming(n, slot) {
		return
	}
	if a, ok := m.claims.assumed[slot]; ok {
		if a.node != n {
			return
		}
		delete(m.claims.assumed, slot)
		m.decide(slot)
		return
	}
	if old := m.claims.owner[slot]; old == nil || old != n && m.beats(n, old, slot) {
		m.setOwner(slot, n)
	}
}

// claim puts slot into this node's own claim, unclaim takes it out. Neither
// decides who owns it.
func (m *Machine) claim(slot slots.Slot) {
	w := int(slot) / windowSlots
	m.self.win[w].bits.set(slot, true)
	m.claims.selfWin[w], m.claims.selfDirty = true, true
}

func (m *Machine) unclaim(slot slots.Slot) {
	w := int(slot) / windowSlots
	if m.self.win[w].bits.has(slot) {
		m.self.win[w].bits.set(slot, false)
		m.claims.selfWin[w], m.claims.selfDirty = true, true
	}
}

// take claims slot for this node whatever others claim; the caller has given
// it the epoch for that.
func (m *Machine) take(slot slots.Slot) {
	delete(m.claims.assumed, slot)
	m.claim(slot)
	if m.decide(slot); m.claims.owner[slot] != m.self {
		m.unclaim(slot)
	}
}

// setSelfEpoch moves this node to another config epoch.
func (m *Machine) setSelfEpoch(epoch uint64) {
	m.raiseEpoch(epoch)
	m.self.rec.Epoch = epoch
	m.claims.selfDirty = true
	for w := range windows {
		m.setWindow(m.self, w, m.self.win[w].bits, epoch)
	}
}

// settleEpoch gives this node a config epoch of its own when another primary
// stands at the same one and has the greater id. Source: the reference's
// clusterHandleConfigEpochCollision.
func (m *Machine) settleEpoch() {
	if m.faults.KeepTie || !m.claims.tie || !m.mayBump() {
		return
	}
	m.claims.tie = false
	if m.self.rec.Replica {
		return
	}
	for _, n := range m.order {
		if n != m.self && n.rec.Seq > 0 && !n.rec.Replica && n.rec.Epoch == m.self.rec.Epoch && n.rec.ID.Compare(m.self.rec.ID) > 0 {
			m.setSelfEpoch(m.currentEpoch + 1)
			m.log("WARNING: configEpoch collision with node %s. configEpoch set to %d", n.rec.ID, m.self.rec.Epoch)
			return
		}
	}
}

// describeSelf brings the parts of the own record that configuration and data
// decide up to date.
func (m *Machine) describeSelf() {
	r := &m.self.rec
	if m.cfg.Address != r.Address || m.cfg.ReplicaNoFailover != r.NoFailover || m.announcedEmpty() != r.Empty || m.dataKept.recovered != r.Recovered {
		r.Address, r.NoFailover, r.Empty, r.Recovered = m.cfg.Address, m.cfg.ReplicaNoFailover, m.announcedEmpty(), m.dataKept.recovered
		m.claims.selfDirty = true
	}
}

// publishSelf numbers and spreads the own record when it changed. The save
// goes out with it: what is told has been kept.
func (m *Machine) publishSelf() {
	c := &m.claims
	switch {
	case c.selfDirty:
		m.save = true
	case c.openDirty:
		m.saveSoftly()
	default:
		return
	}
	r := &m.self.rec
	r.Seq++
	mask := 0
	for w := range windows {
		if c.selfWin[w] {
			r.WinSeq[w] = r.Seq
			mask |= 1 << w
		}
		m.self.win[w].seq = r.WinSeq[w]
		m.self.win[w].epoch = r.Epoch
	}
	r.Open = r.Open[:0:0]
	for _, slot := range slices.Sorted(maps.Keys(c.open)) {
		r.Open = append(r.Open, c.open[slot])
	}
	c.selfDirty, c.openDirty, c.selfWin = false, false, [windows]bool{}
	c.electorsDirty = true
	m.out.MetaChanged = true
	m.self.touch()
	m.view.dirty = true
	m.tellSelf(mask)
}

// tellSelf spreads the own record with the windows of mask, in as many
// messages as they need.
func (m *Machine) tellSelf(mask int) {
	for part, r := range split(m.self.copyRecord(mask)) {
		// The own address is for each receiver to see, unless announced.
		r.Address.IP = m.cfg.Address.IP
		m.spread("record/"+m.self.rec.ID.String()+"/"+strconv.Itoa(part), recordMsg{r})
	}
}

// split cuts a record into records whose messages fit a broadcast.
func split(r *record) []*record {
	const room = MaxBroadcast - 64
	var parts []*record
	rest := r.Windows
	for {
		part := *r
		part.Windows = nil
		var e encoder
		part.put(&e)
		size := len(e.b)
		for len(rest) > 0 {
			var we encoder
			putWindow(&we, &rest[0])
			if size+len(we.b) > room && len(part.Windows) > 0 {
				break
			}
			size += len(we.b)
			part.Windows = append(part.Windows, rest[0])
			rest = rest[1:]
		}
		parts = append(parts, &part)
		if len(rest) == 0 {
			return parts
		}
	}
}

// applyRecord takes in what a node says of itself, carried by via (nil when it
// came with membership).
func (m *Machine) applyRecord(r *record, via *member, way Way) {
	m.raiseEpoch(r.Epoch)
	if r.ID == m.self.rec.ID {
		m.applyOwnRecord(r)
		return
	}
	if m.tombstones[r.ID].Forgotten {
		return
	}
	n := m.members[r.ID]
	if n == nil {
		if m.aloof {
			return
		}
		n = m.addMember(r.ID)
	}
	if r.Seq > n.rec.Seq {
		m.applyHeader(n, r)
	}
	changed := false
	for i := range r.Windows {
		w := &r.Windows[i]
		if m.faults.LoseWindow && i == len(r.Windows)-1 && r.WinSeq[w.Index] == n.rec.WinSeq[w.Index] {
			n.win[w.Index].seq = r.WinSeq[w.Index]
			continue
		}
		if at := r.WinSeq[w.Index]; at == n.rec.WinSeq[w.Index] && n.win[w.Index].seq < at {
			n.win[w.Index].seq = at
			if !n.rec.Replica {
				m.setWindow(n, w.Index, w.Bits, n.rec.Epoch)
			}
			changed = true
		}
	}
	if changed {
		m.saveSoon()
	}
	if changed || n.heirless {
		m.claims.electorsDirty = true // somebody may have waited for just this claim
	}
	if n.complete() {
		n.seizing = false
	} else {
		m.want(n, via)
	}
	if way == ByLink && via == n {
		m.correct(n)
	}
	if !n.rec.Replica && n.rec.Epoch == m.self.rec.Epoch {
		m.claims.tie = true
	}
	if !m.self.rec.Replica && !n.rec.Replica && n.nOwned > 0 && n.complete() && n.rec.Shard == m.self.rec.Shard && n.rec.Epoch > m.self.rec.Epoch {
		m.claims.torn = true
	}
}

// applyOwnRecord meets the own name in another's mouth. A greater Seq than the
// own means that this node was set back (an old config file): it must speak
// above it to be heard.
func (m *Machine) applyOwnRecord(r *record) {
	if r.Seq > m.self.rec.Seq {
		m.self.rec.Seq = r.Seq
		m.claims.selfDirty = true
		for w := range windows {
			m.claims.selfWin[w] = true
		}
	}
}

func (m *Machine) applyHeader(n *member, r *record) {
	old := n.rec
	seen := n.rec.Seq > 0
	n.rec = *r
	n.rec.Windows = nil
	if r.SeizedEpoch > old.SeizedEpoch {
		n.seizing = true
	}
	switch {
	case !r.Replica:
		n.heirless, n.left = false, nil
	case seen && !old.Replica && old.Elector && n.nOwned > 0:
		left := n.owned
		n.heirless, n.left = true, &left
	}
	if n.rec.Address.IP == "" && old.Address.IP != "" && n.ip == "" {
		n.ip = old.Address.IP
	}
	if !seen {
		m.log("Node %s (%s:%d) is known now", r.ID, n.IP(), r.Address.Port)
	}
	for w := range windows {
		switch {
		case r.Replica:
			// A replica claims nothing, whatever windows are on their way.
			n.win[w].seq = r.WinSeq[w]
			m.setWindow(n, w, windowBits{}, r.Epoch)
		case n.win[w].seq == r.WinSeq[w]:
			m.setWindow(n, w, n.win[w].bits, r.Epoch)
		}
	}
	if old.Replica != r.Replica || old.Elector != r.Elector || old.Primary != r.Primary {
		m.claims.electorsDirty = true
		m.claims.tableDirty = true
		// Who has which replicas decides whether an empty primary may serve.
		m.save = true
	}
	if r.Address != old.Address {
		m.claims.tableDirty = true
	}
	n.touch()
	m.view.dirty = true
	m.saveSoon()
}

// correct tells a node that claims what a greater claim holds: whoever knows
// better says so. Source: the reference's UPDATE message.
func (m *Machine) correct(n *member) {
	if n.rec.Replica || n.updated != 0 && m.now-n.updated < 50*time.Millisecond {
		return
	}
	told := map[*member]bool{}
	for w := range windows {
		for i, word := range n.win[w].bits {
			for ; word != 0; word &= word - 1 {
				o := m.claims.owner[w*windowSlots+i*64+bits.TrailingZeros64(word)]
				if o != nil && o != n && !told[o] {
					told[o] = true
					n.updated = m.now
					m.send(n.rec.ID, recordMsg{o.copyRecord(allWindows)})
				}
			}
		}
	}
}

// dropOpenWith closes the slots that were being moved to or from a node that
// is forgotten.
func (m *Machine) dropOpenWith(id slots.NodeID) {
	for slot, o := range m.claims.open {
		if o.Peer == id {
			m.closeSlot(slot)
		}
	}
}

// tickClaims ends assumptions whose claim never came, and masks whose node
// insists.
func (m *Machine) tickClaims() {
	m.askForHeirs()
	for _, slot := range slices.Sorted(maps.Keys(m.claims.masked)) {
		k := m.claims.masked[slot]
		if n := m.members[k.node]; n == nil || n.rec.Seq > k.seq || m.now >= k.until {
			delete(m.claims.masked, slot)
			m.decide(slot)
		}
	}
	for _, slot := range slices.Sorted(maps.Keys(m.claims.assumed)) {
		if a := m.claims.assumed[slot]; m.now >= a.until || m.members[a.node.rec.ID] != a.node {
			delete(m.claims.assumed, slot)
			m.decide(slot)
		}
	}
}

// settleElectors computes the electorate: the primaries that own slots and
// have been admitted (see lease.go), and its digest.
//
// Whoever says that it is a replica now has been replaced, mostly, and the word
// of its heir may come later than its own. Until then it keeps its place, in
// which nobody grants anything: without it two nodes that have heard the same
// half of the news, after a partition in which several seats were replaced, would
// take a few old primaries for all there are, and be their majority.
func (m *Machine) settleElectors() {
	c := &m.claims
	if !c.electorsDirty {
		return
	}
	c.electorsDirty = false
	c.electors = c.electors[:0:0]
	c.electorsDigest = 0
	for _, n := range m.order {
		if n.heirless && (m.heirKnown(n) || m.inherited(n)) {
			n.heirless, n.left = false, nil
		}
		if m.elector(n) || n.heirless {
			c.electors = append(c.electors, n)
			c.electorsDigest ^= hashID(n.rec.ID)
		}
	}
}

// heirKnown reports whether the claim of the primary that n follows is known, or
// of the one that this one follows by now. One that is forgotten has none.
func (m *Machine) heirKnown(n *member) bool {
	id := n.rec.Primary
	for range len(m.order) {
		heir := m.members[id]
		switch {
		case heir == nil:
			return m.tombstones[id].Forgotten
		case !heir.rec.Replica:
			return heir.nOwned > 0 && heir.complete()
		case heir.rec.Shard != n.rec.Shard:
			return false // what it said in another shard, before it came to this one
		}
		id = heir.rec.Primary
	}
	return false // they name each other: one has not been heard for long
}

// inherited reports whether electors own what n had: its slots were moved to them
// one by one, say, before it became a replica of somebody who has none.
func (m *Machine) inherited(n *member) bool {
	for slot := range slots.Slot(slots.Count) {
		if n.left != nil && !n.left.Has(slot) {
			continue
		}
		if o := m.claims.owner[slot]; o == nil || !m.elector(o) {
			return false
		}
	}
	return true
}

// askForHeirs asks for the claims that heirKnown waits for.
func (m *Machine) askForHeirs() {
	for _, n := range m.order {
		if heir := m.members[n.rec.Primary]; n.heirless && heir != nil && heir != m.self {
			m.want(heir, n)
		}
	}
}

// elector reports whether n's vote and reports count.
func (m *Machine) elector(n *member) bool {
	return n.nOwned > 0 && !n.rec.Replica && n.rec.Elector
}

// majority is how many of the electors decide.
func (m *Machine) majority() int { return len(m.claims.electors)/2 + 1 }

// hashID mixes an id into a word, FNV-1a.
func hashID(id slots.NodeID) uint64 {
	h := uint64(14695981039346656037)
	for _, b := range id {
		h = (h ^ uint64(b)) * 1099511628211
	}
	return h
}

// hashSet mixes a set of slots into a word.
func hashSet(s *slots.Set) uint64 {
	h := uint64(14695981039346656037)
	for _, word := range s {
		h = (h ^ word) * 1099511628211
		h ^= h >> 29
	}
	return h
}
