package server

// FenceState says whether requests may run and replies may leave.
type FenceState uint8

const (
	// FenceOpen: everything passes.
	FenceOpen FenceState = iota
	// FenceWritesHeld: a handover is under way. New writes wait, and so do the
	// replies of writes that ran and were not answered before, for nobody can
	// say on which side of the handover's cut they lie. Reads pass.
	FenceWritesHeld
	// FenceHeld: the lease is stale. Commands with keys wait, and so do the
	// replies of those that ran.
	FenceHeld
	// FenceDown: the lease has been stale for too long. Commands with keys are
	// answered CLUSTERDOWN; replies of those that ran still wait.
	FenceDown
)

// Fence is the condition under which a node may answer for its slots. In
// cluster mode every reply of a command with keys passes it on its way out.
type Fence interface {
	// State reads the clock afresh. term changes when this node has lost its
	// role or was deposed: replies of calls that ran under an older term never
	// leave; their connection is closed.
	State() (state FenceState, term uint64)
	// Notify calls fn once, from any goroutine, when the state or the term may
	// have changed.
	Notify(fn func())
}
