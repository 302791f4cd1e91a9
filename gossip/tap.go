package gossip

import "slotmesh/slots"

// This file is what package sim needs of the inside: a tap on the wire for the
// checkers of votes and handovers, and switches for the bugs that the checkers must catch.

// Faults are bugs that can be put into a machine, one for each promise that a
// checker of package sim watches. A node has none.
type Faults struct {
	// VoteTwice forgets, when asked for a vote, what was voted before.
	VoteTwice bool
	// IgnoreEpoch decides between two claims by the nodes' ids alone.
	IgnoreEpoch bool
	// KeepTie leaves two primaries at one config epoch.
	KeepTie bool
	// StaleReports lets a failure report count for ever, withdrawn or not.
	StaleReports bool
	// LoseWindow takes the last window of a claim for known without looking.
	LoseWindow bool
	// ServeOldFiles lets a primary that was started with files serve at once,
	// whatever its replicas have.
	ServeOldFiles bool
}

// Ballot is a vote that was cast.
type Ballot struct {
	Voter, Candidate slots.NodeID
	Epoch            uint64
	Shard            slots.ShardID
}

// BallotIn returns the vote that a message to node to gives, if it gives one:
// an answer that grants it, or a candidate's request that says with it that it
// has voted for itself.
func BallotIn(message []byte, to slots.NodeID) (Ballot, bool) {
	if len(message) < 4 || message[3] != kindVote && message[3] != kindVoteRequest {
		return Ballot{}, false
	}
	sender, b, err := decode(message)
	if err != nil {
		return Ballot{}, false
	}
	switch b := b.(type) {
	case voteMsg:
		return Ballot{sender, to, b.Epoch, b.Shard}, b.Verdict == granted
	case voteRequestMsg:
		return Ballot{sender, sender, b.Epoch, b.Shard}, b.Owner == sender
	}
	return Ballot{}, false
}

// ConsentIn returns the epoch at which the sender of message stands with its
// primary's consent, if the message asks for a vote on that ground.
func ConsentIn(message []byte) (epoch uint64, ok bool) {
	if len(message) < 4 || message[3] != kindVoteRequest {
		return 0, false
	}
	_, b, err := decode(message)
	if request, is := b.(voteRequestMsg); err == nil && is && request.Why == becauseConsent {
		return request.Epoch, true
	}
	return 0, false
}
