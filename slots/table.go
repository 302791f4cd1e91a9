package slots

// Table is one node's picture of where every slot is served. It is immutable:
// built once by the cluster state, then read by every loop without a lock.
type Table struct {
	// Epoch counts the tables of this process; a later table has a greater one.
	Epoch uint64

	// Up is false while the cluster is down for this node: coverage is
	// required and missing, or a majority of primaries is out of reach.
	Up bool

	// ReadsWhenDown is cluster-allow-reads-when-down.
	ReadsWhenDown bool

	// Replica is true when this node is a replica. Primary is then the index
	// in Nodes of its primary, or None.
	Replica bool
	Primary uint16

	// Self is the index of this node in Nodes.
	Self uint16

	// Nodes are the endpoints that Owner and the open slots refer to.
	Nodes []Endpoint

	// Owner is the index in Nodes of each slot's primary, or None.
	Owner [Count]uint16

	// Migrating and Importing are the open slots of this node: the other
	// node's index. Both are empty most of the time.
	Migrating, Importing map[Slot]uint16
}

// None stands for "no node" where a Table holds an index into its Nodes.
const None = ^uint16(0)

// Endpoint is where clients reach a node.
type Endpoint struct {
	ID NodeID
	// Host is what MOVED and ASK name, already chosen by the node's
	// cluster-preferred-endpoint-type: an IP, a host name, or "" for
	// "the host you asked".
	Host string
	// Port is the plain TCP port; TLSPort is 0 when TLS is off.
	Port, TLSPort int
}

// Verdict is what a node answers to a request for one slot.
type Verdict uint8

const (
	Serve      Verdict = iota // run it here
	Moved                     // -MOVED slot endpoint
	Ask                       // -ASK slot endpoint
	TryAgain                  // -TRYAGAIN: some of the keys are here, some elsewhere
	Down                      // -CLUSTERDOWN The cluster is down
	DownReads                 // -CLUSTERDOWN …and only accepts read commands
	Unassigned                // -CLUSTERDOWN Hash slot not served
)

// Request is what Route must know of a command whose keys all hash to Slot.
type Request struct {
	Slot Slot
	// ReadOnly is true for a command that cannot change a key.
	ReadOnly bool
	// Asking is true after ASKING, ReadOnlyConn after READONLY.
	Asking, ReadOnlyConn bool
	// Keys is how many keys the request names and Missing how many of them are
	// not here. Missing is asked only for open slots.
	Keys    int
	Missing func() int
	// Migrate is true for MIGRATE itself, which is served for the keys that
	// are here whatever the slot's state is.
	Migrate bool
}

// Route decides req. The index is that of the endpoint to name with Moved and
// Ask. It never answers Moved to this node itself. Source: the reference's
// getNodeByQuery.
func (t *Table) Route(req Request) (Verdict, uint16) {
	owner := t.Owner[req.Slot]
	if owner == None {
		return Unassigned, None
	}
	if !t.Up {
		switch {
		case !t.ReadsWhenDown:
			return Down, None
		case !req.ReadOnly:
			return DownReads, None
		}
	}
	if t.Migrating == nil && t.Importing == nil {
		if owner == t.Self {
			return Serve, owner
		}
		return t.elsewhere(req, owner)
	}
	if target, open := t.Migrating[req.Slot]; open && owner == t.Self {
		switch missing := req.Missing(); {
		case missing == 0 || req.Migrate:
			return Serve, owner
		case missing < req.Keys:
			return TryAgain, None
		default:
			return Ask, target
		}
	}
	if _, open := t.Importing[req.Slot]; open && owner != t.Self && (req.Asking || req.Migrate) {
		if req.Keys > 1 && !req.Migrate && req.Missing() > 0 {
			return TryAgain, None
		}
		return Serve, owner
	}
	if owner == t.Self {
		return Serve, owner
	}
	return t.elsewhere(req, owner)
}

// elsewhere is the verdict for a slot that another node owns: a replica serves
// reads of its primary's slots to a connection that said READONLY.
func (t *Table) elsewhere(req Request, owner uint16) (Verdict, uint16) {
	if t.Replica && req.ReadOnly && req.ReadOnlyConn && owner == t.Primary {
		return Serve, owner
	}
	return Moved, owner
}
