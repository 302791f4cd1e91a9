package gossip

import "slotmesh/slots"

// Forgotten reports whether id is kept out of the cluster since a FORGET.
func (m *Machine) Forgotten(id slots.NodeID) bool { return m.tombstones[id].Forgotten }

// Save returns the whole persistent state as Ready.Save would, for an operator
// who wants it written anew.
func (m *Machine) Save() []byte { return m.encodeConfig() }
