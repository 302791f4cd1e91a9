package node

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"slotmesh/gossip"
	"slotmesh/gossip/bus"
	"slotmesh/node/command"
	"slotmesh/node/resp"
	"slotmesh/slots"
)

// cluster drives the cluster state machine: it feeds what happens and carries
// out what the machine orders, in the order that package gossip asks for. It
// implements bus.Handler.
//
// Events from the bus pass through a queue, so that the membership's goroutines
// never wait for a disk; the operator's commands step the machine at once and
// return its answer.
type cluster struct {
	log         *slog.Logger
	engine      *command.Engine
	replication *Replication
	fence       *fence
	settings    func() gossip.Config
	openBus     func(id slots.NodeID) (*bus.Bus, error)
	statePath   string
	started     time.Time
	// fatal ends the process: the state could not be made durable.
	fatal func(error)

	events chan gossip.Event
	// opened is closed once the bus is open, which is after the first clients
	// may have come: an operator's command waits for it.
	opened chan struct{}
	alerts chan struct{} // capacity 1, see alert
	done   chan struct{}
	loop   sync.WaitGroup

	view atomic.Pointer[gossip.View]
	bus  atomic.Pointer[bus.Bus]

	// mu guards machine and what carryOut does with its orders.
	mu      sync.Mutex
	machine *gossip.Machine
	// drained is set by the barrier that follows a view with HoldWrites.
	drained atomic.Bool
	// following is the primary that replication was last told to follow.
	following endpoint
	// dropping is closed when the keys of slots that were lost are gone.
	dropping chan struct{}
	// byHand is true while an operator's command is carried out.
	byHand bool
}

// endpoint is where a replica finds its primary.
type endpoint struct {
	host string
	port int
}

// clusterQueueSize holds a burst of a full re-join of a large cluster.
const clusterQueueSize = 4096

// now is the machine's clock.
func (c *cluster) now() gossip.Instant { return time.Since(c.started) }

// load builds the machine from the state file. Commands may come from then on;
// what they order sent before start opens the bus is repaired by gossip.
func (c *cluster) load() error {
	saved, err := readStateFile(c.statePath)
	if err != nil {
		return err
	}
	data := c.replicationEvent()
	opts := gossip.Options{
		Config: c.settings(),
		Saved:  saved,
		Rand:   rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())),
		Now:    c.now(),
		Empty:  data.Empty,
	}
	if saved != nil && !data.Empty {
		opts.Recovered = recovered(data)
	}
	c.machine, err = gossip.New(opts)
	if err != nil {
		return &stateFileError{path: c.statePath, err: err}
	}
	if saved == nil {
		c.log.Info("No cluster configuration found, I'm " + c.machine.Self().String())
	} else {
		c.log.Info("Node configuration loaded, I'm " + c.machine.Self().String())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.step(c.replicationEvent())
	return nil
}

// start opens the bus and begins to drive.
func (c *cluster) start() error {
	b, err := c.openBus(c.machine.Self())
	if err != nil {
		close(c.done)
		return err
	}
	c.bus.Store(b)
	close(c.opened)
	c.loop.Add(1)
	go c.run()
	return nil
}

// hasState reports whether this node was part of a cluster before: then data
// that are not here may be elsewhere.
func (c *cluster) hasState() bool {
	_, err := os.Stat(c.statePath)
	return err == nil
}

// stop ends the driving and closes the bus.
func (c *cluster) stop() {
	close(c.done)
	c.loop.Wait()
	if b := c.bus.Load(); b != nil {
		b.Close()
	}
}

// run feeds the bus's events, and ticks the machine when it asks for it: in a calm
// cluster each tick wakes an idle process.
func (c *cluster) run() {
	defer c.loop.Done()
	tick := time.NewTimer(0)
	defer tick.Stop()
	armed := gossip.Forever // what the timer is set to
	for {
		var due gossip.Instant
		select {
		case <-c.done:
			return
		case ev := <-c.events:
			c.mu.Lock()
			c.logRefused(c.step(ev))
			due = c.machine.Due()
			c.mu.Unlock()
		case <-c.alerts:
		case <-tick.C:
			c.mu.Lock()
			c.step(c.replicationEvent())
			c.step(gossip.Tick{Served: c.fence.served.Swap(false)})
			due = c.machine.Due()
			c.mu.Unlock()
			c.fence.poll(false)
			armed = gossip.Forever
		}
		if due != armed {
			armed = due
			tick.Reset(max(0, due-c.now()))
		}
	}
}

// alert has the machine ticked now. It never blocks.
func (c *cluster) alert() {
	select {
	case c.alerts <- struct{}{}:
	default:
	}
}

// logRefused reports bytes that were no message of this version.
func (c *cluster) logRefused(err error) {
	if err != nil {
		c.log.Debug("Cluster bus message refused", "err", err)
	}
}

const (
	// commandPatience is how long a command that cannot be carried out just now
	// is tried again: a lease comes back within a fraction of it, and redis-cli
	// gives up a whole reshard at the first refusal.
	commandPatience = 3 * time.Second
	commandRetry    = 10 * time.Millisecond
)

// command steps the machine with an operator's command and returns its answer,
// after a while if the machine asks for one.
func (c *cluster) command(ev gossip.Event) error {
	if err := c.awaitBus(); err != nil {
		return err
	}
	deadline := c.now() + commandPatience
	for {
		err := c.order(ev)
		var notNow gossip.NotNowError
		if !errors.As(err, &notNow) || c.now() >= deadline {
			return err
		}
		select {
		case <-c.done:
			return err
		case <-time.After(commandRetry):
		}
	}
}

// order is one attempt of command. Slots that it gives away depose nobody.
func (c *cluster) order(ev gossip.Event) error {
	c.lockUndropped()
	defer c.mu.Unlock()
	c.byHand = true
	defer func() { c.byHand = false }()
	defer c.alert()
	return c.step(ev)
}

// lockUndropped takes c.mu while no keys of lost slots are being dropped: a slot
// that is imported again must not have its new keys among them.
func (c *cluster) lockUndropped() {
	for {
		c.mu.Lock()
		dropping := c.dropping
		if dropping == nil {
			return
		}
		c.mu.Unlock()
		<-dropping
		c.mu.Lock()
		if c.dropping == dropping {
			c.dropping = nil
		}
		c.mu.Unlock()
	}
}

// awaitBus waits until the bus is open. It is for goroutines that may block.
func (c *cluster) awaitBus() error {
	select {
	case <-c.opened:
		return nil
	case <-c.done:
		return resp.Error("ERR the cluster bus is closed")
	}
}

// reconfigure tells the machine of a changed configuration.
func (c *cluster) reconfigure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.machine != nil {
		c.step(gossip.Reconfigure{Config: c.settings()})
		c.alert()
	}
	return nil
}

// step feeds one event and carries out the orders. The caller holds c.mu.
func (c *cluster) step(ev gossip.Event) error {
	err := c.machine.Step(ev, c.now())
	c.carryOut(c.machine.Ready(c.now()))
	return err
}

// carryOut follows the caller's duties of package gossip. The caller holds
// c.mu.
func (c *cluster) carryOut(r gossip.Ready) {
	for _, line := range r.Log {
		level := slog.LevelInfo
		if line.Warning {
			level = slog.LevelWarn
		}
		c.log.Log(context.Background(), level, line.Text)
	}
	if r.Save != nil {
		write := writeStateFile
		if r.SaveSoftly {
			write = writeStateFileSoftly
		}
		if err := write(c.statePath, r.Save); err != nil {
			c.fatal(err)
			return
		}
	}
	if r.View != nil {
		c.publish(r.View, r.Lease)
	} else if view := c.view.Load(); view != nil {
		c.fence.set(r.Lease, postureOf(view), c.settings().NodeTimeout, false, false)
	}
	b := c.bus.Load()
	if b == nil {
		return
	}
	if r.NewIdentity {
		c.changeIdentity(b)
		b = c.bus.Load()
	}
	for _, id := range r.Drop {
		b.Drop(id)
	}
	c.send(b, r.Send)
	for _, bc := range r.Broadcast {
		b.Broadcast(bc.Key, bc.Message)
	}
	for _, d := range r.Dial {
		if addr, ok := busAddress(d.IP, d.BusPort); ok {
			b.Dial(addr, d.Expect, nil)
		}
	}
	if r.MetaChanged {
		b.MetaChanged()
	}
}

// send hands over what goes to one node at once.
func (c *cluster) send(b *bus.Bus, out []gossip.Outbound) {
	view := c.view.Load()
	if view == nil {
		return
	}
	slices.SortStableFunc(out, func(x, y gossip.Outbound) int { return x.To.Compare(y.To) })
	for len(out) > 0 {
		var messages [][]byte
		to := out[0].To
		for ; len(out) > 0 && out[0].To == to; out = out[1:] {
			messages = append(messages, out[0].Message)
		}
		n := view.Node(to)
		if n == nil || n.NoAddress {
			continue
		}
		if addr, ok := busAddress(n.Address.IP, n.Address.BusPort); ok {
			b.Send(to, addr, messages...)
		}
	}
}

// busAddress is where a node's bus listens, if its IP is known.
func busAddress(ip string, port int) (netip.AddrPort, bool) {
	addr, err := netip.ParseAddr(ip)
	if err != nil || port < 1 || port > 65535 {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(addr, uint16(port)), true
}

// changeIdentity replaces the bus after CLUSTER RESET. The caller holds c.mu,
// which is given up meanwhile: both a bus that closes and one that opens ask
// for this node's record (Meta, LocalState). What other goroutines send until
// then goes to the closed bus, and nowhere.
func (c *cluster) changeIdentity(old *bus.Bus) {
	self := c.machine.Self()
	c.mu.Unlock()
	old.Close()
	b, err := c.openBus(self)
	c.mu.Lock()
	if err != nil {
		c.fatal(err)
		return
	}
	c.bus.Store(b)
}

func postureOf(v *gossip.View) posture {
	switch {
	case v.Self.IsReplica || v.Self.Slots.Empty():
		return postureFree
	case !v.MayServe:
		return postureWaiting
	case v.HoldWrites:
		return postureDraining
	default:
		return postureLeased
	}
}

// publish makes view the one that everything follows. The fence comes first: a
// node that was deposed must not let a reply out under the new table, and one
// that was promoted must not answer before it has a lease. A deposed node's
// fence stays shut until the new table stands, for a replica needs no lease:
// opened before, it would let writes run by the old table under the new term.
func (c *cluster) publish(view *gossip.View, lease gossip.Instant) {
	previous := c.view.Swap(view)
	var lost slots.Set
	rerouted := true
	if previous != nil {
		lost = previous.Self.Slots.Minus(view.Self.Slots)
		rerouted = previous.Table != view.Table
	}
	deposed := !lost.Empty() && !c.byHand && !c.movedAway(previous, view, lost)
	promoted := previous != nil && previous.Self.IsReplica && !view.Self.IsReplica

	if promoted {
		c.replication.Promote()
		c.following = endpoint{}
	}
	c.fence.suspend()
	c.engine.SetReplica(view.Self.IsReplica)
	c.engine.SetRouting(view.Table)
	c.fence.set(lease, postureOf(view), c.settings().NodeTimeout, deposed, rerouted)
	if !view.HoldWrites {
		c.drained.Store(false)
	} else if previous == nil || !previous.HoldWrites {
		go func() {
			c.engine.Exclusive(func() { c.drained.Store(true) })
			c.alert()
		}()
	}
	c.replication.SetQuiet(view.HoldWrites)
	c.replication.SetFeeding(view.MayServe)
	if view.Self.IsReplica {
		c.follow(view)
		return
	}
	if view.MayServe {
		// What is here is what there is of these slots.
		c.replication.Adopted()
	}
	if taken := ownedBy(view.Table, lost); !taken.Empty() {
		c.drop(taken)
	}
}

// ownedBy returns those of the slots that somebody owns. The keys of the others
// stay: who is given one next by an operator may be the one that has them.
func ownedBy(table *slots.Table, of slots.Set) (owned slots.Set) {
	for slot := range of.All() {
		if table.Owner[slot] != slots.None {
			owned.Add(slot)
		}
	}
	return owned
}

// movedAway reports whether every lost slot was emptied by MIGRATE and went
// where it was migrating to, as the last step of an orderly move does it. Then
// no reply has to be held back: while a slot migrates no key is created here, so
// what was answered for one that is no longer here has gone where the key went.
func (c *cluster) movedAway(previous, view *gossip.View, lost slots.Set) bool {
	for slot := range lost.All() {
		to, open := previous.Self.Migrating[slot]
		if !open || c.engine.CountInSlot(slot) > 0 {
			return false
		}
		if n := view.Node(to); n == nil || !n.Slots.Has(slot) {
			return false
		}
	}
	return true
}

// drop deletes the keys of slots that another node owns now, behind those that
// are being dropped already. The caller holds c.mu.
func (c *cluster) drop(lost slots.Set) {
	before, dropped := c.dropping, make(chan struct{})
	c.dropping = dropped
	go func() {
		defer close(dropped)
		if before != nil {
			<-before
		}
		for slot := range lost.All() {
			c.engine.DropSlot(slot)
		}
	}()
}

// follow points replication to the primary's present address.
func (c *cluster) follow(view *gossip.View) {
	p := view.Node(view.Self.Primary)
	if p == nil || p.NoAddress || p.Address.IP == "" {
		c.following = endpoint{}
		return
	}
	to := endpoint{p.Address.IP, p.Address.Port}
	if to == c.following {
		return
	}
	c.following = to
	c.replication.Follow(to.host, to.port)
}

// replicationEvent tells the machine of this node's data. Whether it is drained
// is read before the offset: one that was read first could miss a write that
// ran, and was answered, just before the drain was complete.
func (c *cluster) replicationEvent() gossip.Replication {
	drained := c.drained.Load()
	ev := c.replication.State()
	ev.Drained = drained
	id, former, second := c.replication.o.Journal.IDs()
	ev.History = historyWord(id)
	if second > 0 {
		ev.Past, ev.Shared = historyWord(former), second-1
	}
	if v := c.view.Load(); v != nil && v.Self.IsReplica && c.following == (endpoint{}) {
		ev.LinkUp, ev.Synced = false, false // the link is to a primary of before
	}
	return ev
}

// recovered is what the files held that were loaded at the start. Who writes goes
// on under a new history from there.
func recovered(data gossip.Replication) *gossip.Recovery {
	if data.Past != 0 && data.Shared == data.Offset {
		return &gossip.Recovery{History: data.Past, Offset: data.Shared}
	}
	return &gossip.Recovery{History: data.History, Offset: data.Offset}
}

// historyWord is the name of a history among the nodes.
func historyWord(id string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(id))
	return h.Sum64() | 1 // 0 is none
}

// The bus's events.

func (c *cluster) enqueue(ev gossip.Event) {
	select {
	case c.events <- ev:
	case <-c.done:
	default:
		// A full queue means that this node is far behind; what is lost is
		// repaired by the next exchange of states, and links are heard again.
		c.log.Debug("Cluster event queue full, event dropped")
	}
}

// Meta implements bus.Handler.
func (c *cluster) Meta() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.machine.Meta()
}

// LocalState implements bus.Handler.
func (c *cluster) LocalState() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.machine.LocalState()
}

// Received implements bus.Handler, as do the methods below.
func (c *cluster) Received(from slots.NodeID, way gossip.Way, message []byte) {
	c.enqueue(gossip.Received{From: from, Way: way, Message: message})
}

func (c *cluster) Member(meta []byte, ip string) { c.enqueue(gossip.Member{Meta: meta, IP: ip}) }

func (c *cluster) Met(meta []byte, ip string) {
	c.enqueue(gossip.Member{Meta: meta, IP: ip, Met: true})
}

func (c *cluster) Answered(id slots.NodeID)  { c.enqueue(gossip.Answered{Node: id}) }
func (c *cluster) LinkUp(id slots.NodeID)    { c.enqueue(gossip.LinkUp{Node: id}) }
func (c *cluster) Suspected(id slots.NodeID) { c.enqueue(gossip.Suspected{Node: id}) }

func (c *cluster) LinkDown(id slots.NodeID, refused bool) {
	c.enqueue(gossip.LinkDown{Node: id, Refused: refused})
}

func (c *cluster) Allowed(id slots.NodeID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.machine.Forgotten(id)
}

func (c *cluster) CheckMeta(id slots.NodeID, meta []byte) error {
	identity, err := gossip.ParseMeta(meta)
	if err != nil {
		return err
	}
	if identity.ID != id {
		return fmt.Errorf("the identity record is of node %s", identity.ID)
	}
	return nil
}

// What the rows of CLUSTER ask for.

// checkAddress is why a node at ip cannot be met, or nil.
func (c *cluster) checkAddress(ip string) error {
	if err := c.awaitBus(); err != nil {
		return err
	}
	if err := c.bus.Load().CheckAddress(ip); err != nil {
		return resp.Error("ERR " + err.Error())
	}
	return nil
}

func (c *cluster) links() []bus.LinkInfo {
	if b := c.bus.Load(); b != nil {
		return b.Links()
	}
	return nil
}

func (c *cluster) busStats() bus.Stats {
	if b := c.bus.Load(); b != nil {
		return b.Stats()
	}
	return bus.Stats{UDPHealthy: true}
}

// save writes the state file once more: what is in it was ordered to be saved.
func (c *cluster) save() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return writeStateFileAgain(c.statePath, c.machine.Save())
}

// stateFile is the path of the cluster config file.
func stateFile(dir, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(dir, name)
}

// settleKeys looks at what was loaded: keys of slots that other nodes own are
// deleted, unless the slot is on its way here, and slots that nobody owns are this
// node's when it has keys of them and knows no other node. It is called between load
// and start, when the append only file follows the journal.
func (c *cluster) settleKeys(p *persistence) error {
	v := c.view.Load()
	if v.Self.IsReplica {
		return nil
	}
	foreign := ownedBy(v.Table, slots.SetOf(slots.Range{First: 0, Last: slots.Count - 1}).Minus(v.Self.Slots))
	for slot := range v.Self.Importing {
		foreign.Remove(slot)
	}
	p.dropForeign(foreign)
	var orphaned []slots.Slot
	for slot := range slots.Slot(slots.Count) {
		if v.Table.Owner[slot] == slots.None && c.engine.CountInSlot(slot) > 0 {
			orphaned = append(orphaned, slot)
		}
	}
	switch {
	case len(orphaned) == 0:
		return nil
	case len(v.Nodes) > 1:
		c.log.Warn(fmt.Sprintf("There are keys of %d slots that no node owns: redis-cli --cluster fix gives them to this one.", len(orphaned)))
		return nil
	}
	c.log.Info(fmt.Sprintf("I have keys of %d slots that no node owns. Taking responsibility for them.", len(orphaned)))
	return c.order(gossip.AddSlots{Slots: orphaned})
}
