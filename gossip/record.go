package gossip

import (
	"fmt"
	"math/bits"

	"slotmesh/slots"
)

// A claim is cut into windows of the slot space so that each fits a packet
// beside its header whatever slots it names: 2048 slots are 256 bytes of bits.
const (
	windows     = 8
	windowSlots = slots.Count / windows
	windowWords = windowSlots / 64
)

// windowBits are the claimed slots of one window.
type windowBits [windowWords]uint64

func (w *windowBits) has(slot slots.Slot) bool {
	i := int(slot) % windowSlots
	return w[i/64]&(1<<(i%64)) != 0
}

func (w *windowBits) set(slot slots.Slot, v bool) {
	i := int(slot) % windowSlots
	if v {
		w[i/64] |= 1 << (i % 64)
	} else {
		w[i/64] &^= 1 << (i % 64)
	}
}

// next returns the first offset from at on whose bit is v, or windowSlots.
func (w *windowBits) next(at int, v bool) int {
	for at < windowSlots {
		word := w[at/64]
		if !v {
			word = ^word
		}
		if word >>= at % 64; word != 0 {
			return at + bits.TrailingZeros64(word)
		}
		at = (at/64 + 1) * 64
	}
	return windowSlots
}

// ranges returns the maximal runs of set bits as offsets inside the window.
func (w *windowBits) ranges() [][2]int {
	var out [][2]int
	for first := w.next(0, true); first < windowSlots; {
		end := w.next(first, false)
		out = append(out, [2]int{first, end - 1})
		first = w.next(end, true)
	}
	return out
}

// fill sets the bits from first to last.
func (w *windowBits) fill(first, last int) {
	for i := first / 64; i <= last/64; i++ {
		word := ^uint64(0)
		if i == first/64 {
			word &= ^uint64(0) << (first % 64)
		}
		if i == last/64 {
			word &= ^uint64(0) >> (63 - last%64)
		}
		w[i] |= word
	}
}

// count returns how many bits are set.
func (w *windowBits) count() int {
	n := 0
	for _, word := range w {
		n += bits.OnesCount64(word)
	}
	return n
}

// openSlot is one slot that is being moved, as its node announces it.
type openSlot struct {
	Slot      slots.Slot
	Importing bool
	Peer      slots.NodeID
}

// Limits of what rides in one record. They keep a header and its largest
// window inside MaxBroadcast.
const (
	maxOpenSlots = 64
	maxOpenPeers = 4
	maxIPText    = 46
	maxHostText  = 255
)

// record is what a node says of itself. It has one writer, the node, which
// raises Seq with every change and saves it before it tells: so the record
// with the greatest Seq is the newest, whoever carries it.
//
// WinSeq is the Seq at which each window last changed. A receiver knows the
// whole claim when the windows it holds have just these numbers.
type record struct {
	ID          slots.NodeID
	Shard       slots.ShardID
	Seq         uint64
	Epoch       uint64
	Replica     bool
	Primary     slots.NodeID // of a replica
	NoFailover  bool
	Empty       bool
	Elector     bool
	Recovered   *Recovery // of a primary that waits for replicas with more
	SeizedEpoch uint64    // the last epoch at which slots were taken without their owner's consent
	Address     Address
	WinSeq      [windows]uint64
	Open        []openSlot

	// Windows are those that this copy carries.
	Windows []window
}

type window struct {
	Index int
	Bits  windowBits
}

const (
	flagReplica = 1 << iota
	flagNoFailover
	flagEmpty
	flagElector
	flagRecovered
)

func putAddress(e *encoder, a Address) {
	e.text(clip(a.IP, maxIPText))
	e.uint(uint64(a.Port))
	e.uint(uint64(a.TLSPort))
	e.uint(uint64(a.BusPort))
	e.text(clip(a.Host, maxHostText))
}

func clip(text string, limit int) string {
	if len(text) > limit {
		return text[:limit]
	}
	return text
}

func getAddress(d *decoder) Address {
	a := Address{IP: d.text(maxIPText), Port: d.port(), TLSPort: d.port(), BusPort: d.port(), Host: d.text(maxHostText)}
	if !plainText(a.IP) || !plainText(a.Host) {
		d.fail("address with control characters")
	}
	return a
}

// plainText keeps names that would break a line of CLUSTER NODES or of the
// config file out of the cluster.
func plainText(text string) bool {
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c >= 127 || c == '@' || c == ',' || c == '"' {
			return false
		}
	}
	return true
}

func (r *record) put(e *encoder) {
	e.id(r.ID)
	e.shard(r.Shard)
	e.uint(r.Seq)
	e.uint(r.Epoch)
	var flags byte
	for i, v := range [...]bool{r.Replica, r.NoFailover, r.Empty, r.Elector, r.Recovered != nil} {
		flags |= boolByte(v) << i
	}
	e.byte(flags)
	if r.Replica {
		e.id(r.Primary)
	}
	if r.Recovered != nil {
		e.fixed64(r.Recovered.History)
		e.int(r.Recovered.Offset)
	}
	e.uint(r.SeizedEpoch)
	putAddress(e, r.Address)
	for _, seq := range r.WinSeq {
		e.uint(seq)
	}
	putOpen(e, r.Open)
	e.uint(uint64(len(r.Windows)))
	for i := range r.Windows {
		putWindow(e, &r.Windows[i])
	}
}

// putOpen writes the open slots: the peers first, then slots that name them by
// index. What exceeds the limits stays behind; a replica that takes over then
// starts without it, and SETSLOT can set it again.
func putOpen(e *encoder, open []openSlot) {
	var peers []slots.NodeID
	index := func(id slots.NodeID) int {
		for i, p := range peers {
			if p == id {
				return i
			}
		}
		if len(peers) == maxOpenPeers {
			return -1
		}
		peers = append(peers, id)
		return len(peers) - 1
	}
	body := encoder{}
	n := 0
	for _, o := range open {
		i := index(o.Peer)
		if i < 0 || n == maxOpenSlots {
			continue
		}
		body.uint(uint64(o.Slot)<<1 | uint64(boolByte(o.Importing)))
		body.byte(byte(i))
		n++
	}
	e.uint(uint64(len(peers)))
	for _, p := range peers {
		e.id(p)
	}
	e.uint(uint64(n))
	e.raw(body.b)
}

func getOpen(d *decoder) []openSlot {
	peers := make([]slots.NodeID, d.count(maxOpenPeers, 20, "peers of open slots"))
	for i := range peers {
		peers[i] = d.id()
	}
	n := d.count(maxOpenSlots, 2, "open slots")
	var open []openSlot
	for range n {
		v, i := d.uint(), int(d.byte())
		if d.err != nil {
			return nil
		}
		if v>>1 >= slots.Count || i >= len(peers) {
			d.fail("open slot out of range")
			return nil
		}
		open = append(open, openSlot{slots.Slot(v >> 1), v&1 == 1, peers[i]})
	}
	return open
}

const (
	windowAsRanges = 0
	windowAsBits   = 1
)

// putWindow writes ranges or bits, whichever is shorter.
func putWindow(e *encoder, w *window) {
	e.byte(byte(w.Index))
	body := encoder{}
	last := 0
	ranges := w.Bits.ranges()
	for _, r := range ranges {
		body.uint(uint64(r[0] - last))
		body.uint(uint64(r[1] - r[0]))
		last = r[1]
	}
	if len(body.b)+2 < windowWords*8 {
		e.byte(windowAsRanges)
		e.uint(uint64(len(ranges)))
		e.raw(body.b)
		return
	}
	e.byte(windowAsBits)
	for _, word := range w.Bits {
		e.fixed64(word)
	}
}

func getWindow(d *decoder) window {
	w := window{Index: int(d.byte())}
	if w.Index >= windows {
		d.fail("window out of range")
		return w
	}
	switch d.byte() {
	case windowAsBits:
		for i := range w.Bits {
			w.Bits[i] = d.fixed64()
		}
	case windowAsRanges:
		at := uint64(0)
		for range d.count(windowSlots, 2, "ranges") {
			skip, length := d.uint(), d.uint()
			if skip >= windowSlots || length >= windowSlots || at+skip+length >= windowSlots {
				d.fail("range out of its window")
				return w
			}
			w.Bits.fill(int(at+skip), int(at+skip+length))
			at += skip + length
		}
	default:
		d.fail("window of unknown form")
	}
	return w
}

func getRecord(d *decoder) *record {
	r := &record{ID: d.id(), Shard: d.shard(), Seq: d.uint(), Epoch: d.uint()}
	flags := d.byte()
	if flags >= 1<<5 || flags&flagReplica != 0 && flags&flagRecovered != 0 {
		d.fail("unknown flags")
	}
	r.Replica = flags&flagReplica != 0
	r.NoFailover = flags&flagNoFailover != 0
	r.Empty = flags&flagEmpty != 0
	r.Elector = flags&flagElector != 0
	if r.Replica {
		r.Primary = d.id()
	}
	if flags&flagRecovered != 0 {
		r.Recovered = &Recovery{d.fixed64(), d.int()}
	}
	r.SeizedEpoch = d.uint()
	r.Address = getAddress(d)
	for i := range r.WinSeq {
		r.WinSeq[i] = d.uint()
		if r.WinSeq[i] > r.Seq {
			d.fail("window newer than its record")
		}
	}
	r.Open = getOpen(d)
	for range d.count(windows, 3, "windows") {
		r.Windows = append(r.Windows, getWindow(d))
	}
	if d.err == nil && (r.ID.IsZero() || r.Epoch > maxEpoch || r.Seq > maxEpoch || r.SeizedEpoch > maxEpoch) {
		d.fail("record out of range")
	}
	return r
}

// maxEpoch bounds epochs and sequence numbers from outside, so that none can
// be made to wrap.
const maxEpoch = 1 << 62

// metaKind stands in the place of a message kind in an identity record.
const metaKind = 'I'

// putMeta encodes the identity of r; the result is at most 512 bytes.
func putMeta(r *record) []byte {
	var e encoder
	e.head(metaKind)
	slim := *r
	slim.Open, slim.Windows = nil, nil
	slim.put(&e)
	return e.b
}

func parseMeta(meta []byte) (*record, error) {
	d := decoder{b: meta}
	if kind := d.head(); d.err == nil && kind != metaKind {
		d.fail("no identity record")
	}
	r := getRecord(&d)
	if err := d.end(); err != nil {
		return nil, fmt.Errorf("identity record: %w", err)
	}
	return r, nil
}
