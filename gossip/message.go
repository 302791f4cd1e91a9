package gossip

import (
	"fmt"

	"slotmesh/slots"
)

// Kinds of message. Sender is in every one, because broadcasts and repairs
// come through others and a forgotten sender must be known by its name.
const (
	kindRecord byte = iota + 1
	kindState
	kindWant
	kindPing
	kindPong
	kindProgress
	kindReport
	kindFail
	kindRenew
	kindRenewed
	kindVoteRequest
	kindVote
	kindHandover
	kindTombstone
	kindMeet
	kindCompared
)

// body is the content of one kind of message.
type body interface {
	kind() byte
	put(*encoder)
}

// maxState bounds the number of records and tombstones in one message.
const maxState = 1 << 16

type (
	// recordMsg carries one record with some of its windows.
	recordMsg struct{ Record *record }

	// stateMsg carries everything that its sender knows: push/pull.
	stateMsg struct {
		CurrentEpoch uint64
		Tombstones   []tombstone
		Records      []*record
	}

	// wantMsg asks for the records named, as far as they are newer than the
	// numbers given; no name means all.
	wantMsg struct{ Known []knownSeq }

	// pingMsg asks for a pongMsg. Both tell how far the sender's data reach.
	pingMsg struct {
		Nonce        uint64
		Seq          uint64
		CurrentEpoch uint64
		Offset       int64
	}
	pongMsg struct {
		pingMsg
		// YourIP is the address under which the asker is known.
		YourIP string
	}

	// progressMsg tells a replica's offset without a question.
	progressMsg struct{ Offset int64 }

	// reportMsg is a slot-owning primary's evidence against nodes, or its
	// withdrawal. Stamp grows with every statement of the reporter.
	reportMsg struct {
		Stamp   uint64
		Entries []reportEntry
	}

	// failMsg says that a majority reported Node, whose record had Seq.
	failMsg struct {
		Node slots.NodeID
		Seq  uint64
	}

	// renewMsg asks to be granted a lease of Duration for the claim with Seq,
	// among the electors with Electors as digest. Asked is the asker's clock,
	// which comes back.
	renewMsg struct {
		Asked    Instant
		Duration Instant
		Seq      uint64
		Current  uint64 // the asker's current epoch: see mayBump
		Electors uint64
	}
	renewedMsg struct {
		Asked    Instant
		Verdict  verdict
		Seq      uint64 // the claim that was granted
		Electors uint64 // the voter's digest
		// Epoch is the asker's current epoch, or with refusedVoted the epoch of
		// the vote.
		Epoch uint64
		// Excluded are primaries that the voter voted against: their grants
		// must not be counted together with this one.
		Excluded []slots.NodeID
	}

	// voteRequestMsg asks to be made the owner of Owner's slots under Epoch.
	voteRequestMsg struct {
		Epoch    uint64
		Shard    slots.ShardID
		Owner    slots.NodeID
		OwnerSeq uint64 // the owner's record that the candidate knows
		Claim    uint64 // digest of the slots asked for
		Electors uint64
		Why      reason
		Offset   int64
	}
	voteMsg struct {
		Epoch   uint64
		Shard   slots.ShardID
		Verdict verdict
		Current uint64 // the voter's current epoch
		// Excluded are primaries of other shards that the voter voted against:
		// their votes do not count beside its own.
		Excluded []slots.NodeID
	}

	// handoverMsg carries the steps of a manual failover between a replica and
	// its primary.
	handoverMsg struct {
		Step   handoverStep
		Token  uint64
		Offset int64
		Seq    uint64 // the consenting primary's record
	}

	// tombstoneMsg spreads what was forgotten or let in again.
	tombstoneMsg struct{ Tombstones []tombstone }

	// comparedMsg answers a primary's record that names what it Recovered: whether
	// the sender, a replica of it, has more. Seq is the record's.
	comparedMsg struct {
		Seq   uint64
		Ahead bool
	}

	// meetMsg is the first word to a node that an operator named with MEET.
	meetMsg struct{ Record *record }
)

type knownSeq struct {
	ID  slots.NodeID
	Seq uint64
}

type reportEntry struct {
	Node    slots.NodeID
	Failing bool
}

// tombstone tells whether a node is forgotten. The greater Stamp counts, and
// of equal ones the forgetting.
type tombstone struct {
	ID        slots.NodeID
	Stamp     uint64
	Forgotten bool
}

// verdict is a voter's answer.
type verdict uint8

const (
	granted         verdict = iota + 1
	refusedElectors         // the electorates differ
	refusedClaim            // the claims known differ
	refusedVoted            // a vote of a greater epoch stands against it
	refusedPromise          // a lease is running
	refusedState            // not failing, not known, not mine to decide
)

// reason is why a candidate stands.
type reason uint8

const (
	becauseFail    reason = iota + 1
	becauseForced         // CLUSTER FAILOVER FORCE
	becauseConsent        // the primary handed over
	becauseLacking        // the primary came back without its data, or with less
	becauseReclaim        // the owner itself, after votes against it came to nothing
)

type handoverStep uint8

const (
	handoverAsk handoverStep = iota + 1
	handoverConsent
	handoverRefuse
	handoverCancel
)

func (recordMsg) kind() byte      { return kindRecord }
func (stateMsg) kind() byte       { return kindState }
func (wantMsg) kind() byte        { return kindWant }
func (comparedMsg) kind() byte    { return kindCompared }
func (pingMsg) kind() byte        { return kindPing }
func (pongMsg) kind() byte        { return kindPong }
func (progressMsg) kind() byte    { return kindProgress }
func (reportMsg) kind() byte      { return kindReport }
func (failMsg) kind() byte        { return kindFail }
func (renewMsg) kind() byte       { return kindRenew }
func (renewedMsg) kind() byte     { return kindRenewed }
func (voteRequestMsg) kind() byte { return kindVoteRequest }
func (voteMsg) kind() byte        { return kindVote }
func (handoverMsg) kind() byte    { return kindHandover }
func (tombstoneMsg) kind() byte   { return kindTombstone }
func (meetMsg) kind() byte        { return kindMeet }

func (b recordMsg) put(e *encoder) { b.Record.put(e) }
func (b meetMsg) put(e *encoder)   { b.Record.put(e) }

func (b stateMsg) put(e *encoder) {
	e.uint(b.CurrentEpoch)
	tombstoneMsg{b.Tombstones}.put(e)
	e.uint(uint64(len(b.Records)))
	for _, r := range b.Records {
		r.put(e)
	}
}

func (b wantMsg) put(e *encoder) {
	e.uint(uint64(len(b.Known)))
	for _, k := range b.Known {
		e.id(k.ID)
		e.uint(k.Seq)
	}
}

func (b pingMsg) put(e *encoder) {
	e.uint(b.Nonce)
	e.uint(b.Seq)
	e.uint(b.CurrentEpoch)
	e.int(b.Offset)
}

func (b pongMsg) put(e *encoder) {
	b.pingMsg.put(e)
	e.text(clip(b.YourIP, maxIPText))
}

func (b progressMsg) put(e *encoder) { e.int(b.Offset) }

func (b reportMsg) put(e *encoder) {
	e.uint(b.Stamp)
	e.uint(uint64(len(b.Entries)))
	for _, r := range b.Entries {
		e.id(r.Node)
		e.bool(r.Failing)
	}
}

func (b failMsg) put(e *encoder) {
	e.id(b.Node)
	e.uint(b.Seq)
}

func (b renewMsg) put(e *encoder) {
	e.instant(b.Asked)
	e.instant(b.Duration)
	e.uint(b.Seq)
	e.uint(b.Current)
	e.fixed64(b.Electors)
}

func (b renewedMsg) put(e *encoder) {
	e.instant(b.Asked)
	e.byte(byte(b.Verdict))
	e.uint(b.Seq)
	e.fixed64(b.Electors)
	e.uint(b.Epoch)
	putIDs(e, b.Excluded)
}

func putIDs(e *encoder, ids []slots.NodeID) {
	e.uint(uint64(len(ids)))
	for _, id := range ids {
		e.id(id)
	}
}

func getIDs(d *decoder) []slots.NodeID {
	var ids []slots.NodeID
	for range d.count(maxState, 20, "names") {
		ids = append(ids, d.id())
	}
	return ids
}

func (b voteRequestMsg) put(e *encoder) {
	e.uint(b.Epoch)
	e.shard(b.Shard)
	e.id(b.Owner)
	e.uint(b.OwnerSeq)
	e.fixed64(b.Claim)
	e.fixed64(b.Electors)
	e.byte(byte(b.Why))
	e.int(b.Offset)
}

func (b voteMsg) put(e *encoder) {
	e.uint(b.Epoch)
	e.shard(b.Shard)
	e.byte(byte(b.Verdict))
	e.uint(b.Current)
	putIDs(e, b.Excluded)
}

func (b comparedMsg) put(e *encoder) {
	e.uint(b.Seq)
	e.bool(b.Ahead)
}

func (b handoverMsg) put(e *encoder) {
	e.byte(byte(b.Step))
	e.fixed64(b.Token)
	e.int(b.Offset)
	e.uint(b.Seq)
}

func (b tombstoneMsg) put(e *encoder) {
	e.uint(uint64(len(b.Tombstones)))
	for _, t := range b.Tombstones {
		e.id(t.ID)
		e.uint(t.Stamp)
		e.bool(t.Forgotten)
	}
}

// encode returns the message of sender with content b.
func encode(sender slots.NodeID, b body) []byte {
	e := encoder{b: make([]byte, 0, 128)}
	e.head(b.kind())
	e.id(sender)
	b.put(&e)
	return e.b
}

// decode reads a message. Every error wraps ErrVersion or errMessage.
func decode(message []byte) (slots.NodeID, body, error) {
	d := decoder{b: message}
	kind := d.head()
	sender := d.id()
	if d.err == nil && sender.IsZero() {
		d.fail("no sender")
	}
	b := getBody(&d, kind)
	if err := d.end(); err != nil {
		return slots.NodeID{}, nil, fmt.Errorf("bus message: %w", err)
	}
	return sender, b, nil
}

func getBody(d *decoder, kind byte) body {
	switch kind {
	case kindRecord:
		return recordMsg{getRecord(d)}
	case kindMeet:
		return meetMsg{getRecord(d)}
	case kindState:
		b := stateMsg{CurrentEpoch: getEpoch(d), Tombstones: getTombstones(d)}
		for range d.count(maxState, 60, "records") {
			b.Records = append(b.Records, getRecord(d))
		}
		return b
	case kindWant:
		b := wantMsg{}
		for range d.count(maxState, 21, "names") {
			b.Known = append(b.Known, knownSeq{d.id(), d.uint()})
		}
		return b
	case kindPing:
		return getPing(d)
	case kindPong:
		b := pongMsg{getPing(d), d.text(maxIPText)}
		if !plainText(b.YourIP) {
			d.fail("address with control characters")
		}
		return b
	case kindProgress:
		return progressMsg{d.int()}
	case kindReport:
		b := reportMsg{Stamp: d.uint()}
		for range d.count(maxState, 21, "reports") {
			b.Entries = append(b.Entries, reportEntry{d.id(), d.bool()})
		}
		return b
	case kindFail:
		return failMsg{d.id(), d.uint()}
	case kindRenew:
		return renewMsg{d.instant(), d.instant(), d.uint(), getEpoch(d), d.fixed64()}
	case kindRenewed:
		return renewedMsg{Asked: d.instant(), Verdict: getVerdict(d), Seq: d.uint(), Electors: d.fixed64(), Epoch: getEpoch(d), Excluded: getIDs(d)}
	case kindVoteRequest:
		b := voteRequestMsg{getEpoch(d), d.shard(), d.id(), d.uint(), d.fixed64(), d.fixed64(), reason(d.byte()), d.int()}
		if b.Why < becauseFail || b.Why > becauseReclaim {
			d.fail("unknown reason")
		}
		return b
	case kindVote:
		return voteMsg{getEpoch(d), d.shard(), getVerdict(d), getEpoch(d), getIDs(d)}
	case kindHandover:
		b := handoverMsg{handoverStep(d.byte()), d.fixed64(), d.int(), d.uint()}
		if b.Step < handoverAsk || b.Step > handoverCancel {
			d.fail("unknown step")
		}
		return b
	case kindCompared:
		return comparedMsg{d.uint(), d.bool()}
	case kindTombstone:
		return tombstoneMsg{getTombstones(d)}
	}
	d.fail("message of unknown kind")
	return nil
}

func getPing(d *decoder) pingMsg { return pingMsg{d.uint(), d.uint(), getEpoch(d), d.int()} }

func getEpoch(d *decoder) uint64 {
	v := d.uint()
	if v > maxEpoch {
		d.fail("epoch out of range")
		return 0
	}
	return v
}

func getVerdict(d *decoder) verdict {
	v := verdict(d.byte())
	if v < granted || v > refusedState {
		d.fail("unknown verdict")
	}
	return v
}

func getTombstones(d *decoder) []tombstone {
	var out []tombstone
	for range d.count(maxState, 22, "tombstones") {
		out = append(out, tombstone{d.id(), getEpoch(d), d.bool()})
	}
	return out
}
