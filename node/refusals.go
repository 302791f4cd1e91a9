package node

import (
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"slotmesh/node/command"
	"slotmesh/node/config"
	"slotmesh/node/resp"
	"slotmesh/node/server"
)

// refusals are the conditions under which commands that change data are
// refused. They are looked at ten times a second and when a directive that
// they depend on changes, so that a command costs no more than a flag.
type refusals struct {
	// maxMemory, minReplicas and maxLag are maxmemory, min-replicas-to-write and
	// min-replicas-max-lag.
	maxMemory, minReplicas, maxLag *config.Int
	// followEviction has eviction follow the configuration.
	followEviction func()
	// fewReplicas: less than min-replicas-to-write replicas are in time.
	fewReplicas atomic.Bool
	// brokenDisk: the data could not be saved.
	brokenDisk atomic.Bool
	// looked says that the memory was looked at since the last of ten times a second.
	looked atomic.Bool
	// besides is the memory in use that neither is data nor surrounds them, in bytes: as
	// of ten times a second and of every besidesEvery commands that want memory. asked
	// counts those, looking is held by who looks for them.
	besides atomic.Int64
	asked   atomic.Int64
	looking sync.Mutex
	// surroundings is the memory that surrounds the data, as of ten times a second, and
	// around what counts of it.
	surroundings, around atomic.Int64
	// tight says that the collector keeps to tightPercent, and usualPercent is what
	// it kept to before. tuning guards both.
	tuning       sync.Mutex
	tight        bool
	usualPercent int
}

// watchRefusals has commands be refused as the configuration says.
func (n *Node) watchRefusals() {
	r := &n.refusals
	r.maxMemory = n.cfg.Int("maxmemory")
	r.minReplicas, r.maxLag = n.cfg.Int("min-replicas-to-write"), n.cfg.Int("min-replicas-max-lag")
	r.followEviction = n.evictionFollower()
	n.follow(n.followRefusals, "save", "stop-writes-on-bgsave-error", "maxmemory", "min-replicas-to-write", "min-replicas-max-lag")
	n.follow(r.followEviction, evictionDirectives...)
	n.gates.refuse = n.refuse
}

// besidesEvery is after how many commands that want memory the memory that is not
// data is looked at anew. On a busy machine the ten times a second are fewer, and a
// replica that catches up turns megabytes of what does not count into garbage that
// does.
const besidesEvery = 64

// refreshRefusals looks at the conditions, and at the memory if it has a limit.
func (n *Node) refreshRefusals() {
	n.spareGarbage(n.refusals.maxMemory.Load() > 0)
	n.refusals.looked.Store(false)
	n.followRefusals()
}

// followRefusals looks at the conditions. Of the memory it takes what is known since
// refreshRefusals: a limit that is set and lifted and set again counts what one that
// stands does.
func (n *Node) followRefusals() {
	r := &n.refusals
	wanted, lag := int(r.minReplicas.Load()), time.Duration(r.maxLag.Load())*time.Second
	few := wanted > 0 && lag > 0 && !n.replication.IsReplica() && n.replication.primary.Online(lag) < wanted
	r.fewReplicas.Store(few)
	limit := r.maxMemory.Load()
	if limit > 0 && !r.looked.Swap(true) {
		n.lookAtMemory()
	}
	r.around.Store(aroundThatCounts(r.surroundings.Load(), limit))
	r.followEviction()
	broken := n.persistence.refuses()
	r.brokenDisk.Store(broken)
	n.gates.set(server.GateRefuse, few || limit > 0 || broken || n.appendOnly.failing() != nil)
}

// lookAtMemory takes the memory that is not data. It takes some microseconds.
func (n *Node) lookAtMemory() {
	n.refusals.surroundings.Store(n.surroundings())
	n.refusals.besides.Store(n.memoryBesides())
}

// evictionDirectives are those that say how memory is won back, but not from which use of
// it on.
var evictionDirectives = []string{"maxmemory-policy", "maxmemory-samples", "lazyfree-lazy-eviction"}

// evictionFollower returns what tells the engine how much memory there is and how it is
// won back.
func (n *Node) evictionFollower() func() {
	limit, samples := n.cfg.Int("maxmemory"), n.cfg.Int("maxmemory-samples")
	policy, lazy := n.cfg.Enum("maxmemory-policy"), n.cfg.Bool("lazyfree-lazy-eviction")
	used := n.countedMemory
	return func() {
		n.engine.SetMemoryLimit(command.MemoryLimit{
			Max:     limit.Load(),
			Policy:  command.ParseEvictionPolicy(policy.Load()),
			Samples: int(samples.Load()),
			Lazy:    lazy.Load(),
			Used:    used,
		})
	}
}

// tightPercent is how much garbage Go's heap may gather beside what it holds while
// there is a limit. The heap is small, for data are not in it: collecting it twice as
// often as usual costs little, and its garbage counts as resident.
const tightPercent = 50

// spareGarbage has the collector keep to tightPercent, or not.
func (n *Node) spareGarbage(tight bool) {
	r := &n.refusals
	r.tuning.Lock()
	defer r.tuning.Unlock()
	switch {
	case tight && !r.tight:
		r.usualPercent = debug.SetGCPercent(tightPercent)
	case !tight && r.tight:
		debug.SetGCPercent(r.usualPercent)
	}
	r.tight = tight
}

// countedMemory is what maxmemory counts: the data, which grow with every
// command, and all the rest as of the last look.
func (n *Node) countedMemory() int64 {
	return n.store.Used() + n.refusals.besides.Load() + n.refusals.around.Load()
}

// refuse answers for server.GateRefuse.
func (n *Node) refuse(spec *command.Spec) resp.Error {
	if err := n.appendOnly.failing(); err != nil && spec.Flags&command.Write != 0 {
		return errAOF(err)
	}
	switch {
	case spec.Flags&command.Write != 0 && n.refusals.brokenDisk.Load():
		return resp.ErrMisconf
	case spec.Flags&command.DenyOOM != 0 && !n.makeRoom():
		return resp.ErrOOM
	case spec.Flags&command.Write != 0 && n.refusals.fewReplicas.Load():
		return resp.ErrNoReplicas
	}
	return ""
}

// makeRoom evicts what must go before a command that wants memory, and reports
// whether it may run.
func (n *Node) makeRoom() bool {
	r := &n.refusals
	if r.maxMemory.Load() > 0 && r.asked.Add(1)%besidesEvery == 0 && r.looking.TryLock() {
		r.besides.Store(n.memoryBesides())
		r.looking.Unlock()
	}
	return n.engine.MakeRoom()
}

// memoryBesides is the process's memory that is not data: all that the runtime
// has of the system's and did not give back. What garbage and headroom take is not
// there for data, so it counts. What replicas have yet to fetch does not: the effects
// of evictions would make it more, and so on until nothing is left.
func (n *Node) memoryBesides() int64 {
	slow := int64(0)
	if j := n.journal; j.Active() {
		slow = max(j.RetainedBytes()-max(j.Offset()-j.FirstOffset(), 0), 0)
	}
	owned, room := runtimeBytes()
	return max(owned+room-slow, 0)
}

// surroundings is the resident memory that is neither the runtime's nor in blocks, and
// that eviction cannot make less: the program itself, the tables of pages, and the ends
// of pages, of which each size of blocks has one that is not full yet. Sparse pages, and
// what such pages gave up, are not among it: the more is evicted the more they are, so
// that counting them would evict still more. Defragmentation sees to those.
func (n *Node) surroundings() int64 {
	m := n.store.Memory()
	owned, _ := runtimeBytes()
	return residentBytes() - owned - m.Used() - m.Excess() - m.Spare()
}

const (
	// aroundFree is the part of maxmemory up to which the surroundings of the data do
	// not count: with a large limit they are next to nothing.
	aroundFree = 64
	// aroundMost is the part of maxmemory that they count for at most: whoever sets a
	// small limit wants to store something for all that.
	aroundMost = 16
)

// aroundThatCounts is what counts of the surroundings of the data.
func aroundThatCounts(surroundings, limit int64) int64 {
	return min(max(surroundings-limit/aroundFree, 0), limit/aroundMost)
}
