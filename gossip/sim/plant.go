package sim

import "slotmesh/gossip"

// Plant is a bug put into every node of a run. The tests demand that each is
// caught by a checker: a checker that finds nothing here finds nothing at all.
// Some bugs sit between the machine and its caller and are planted here, the
// others are inside the machine, which has a switch for each.
type Plant struct {
	// skipSave lets Save report success without writing.
	skipSave bool
	// noFence lets replies leave whatever the lease says.
	noFence bool
	// inside are the machine's own.
	inside gossip.Faults
}
