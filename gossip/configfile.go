package gossip

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc64"
	"strconv"
	"strings"
	"time"

	"slotmesh/slots"
)

// The cluster config file is text, one fact a line, words separated by one
// blank:
//
//	slotmesh-cluster-config 1
//	self <id>
//	epoch <current epoch>
//	promise <longest lease granted, ms>
//	node <id> <shard> <seq> <config epoch> <seized epoch> primary|replica <primary|-> <flags|-> <ip|-> <seen ip|-> <port> <tls port> <bus port> <host|-> <asked epoch>
//	claim <id> <window> <seq held> <seq announced> <epoch> [<range>…]
//	open <id> migrating|importing <slot> <peer>
//	vote <shard> <epoch> <candidate>
//	tombstone <id> <stamp> forgotten|lifted
//	checksum <CRC-64 of all before this line, 16 hex digits>
//
// It is read strictly: an unknown word, a line too many or a bit that flipped
// is an error with its place, because a vote or a claim that is guessed at is
// worse than a node that does not start.
const (
	configMagic   = "slotmesh-cluster-config"
	configVersion = 1
)

// ErrDamaged marks a cluster config file that cannot be what this program
// wrote. The error's text names the byte.
var ErrDamaged = errors.New("damaged")

func dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

func undash(text string) string {
	if text == "-" {
		return ""
	}
	return text
}

// configLine appends the words of one line.
type configLine struct{ b []byte }

func (l *configLine) word(text string) { l.b = append(append(l.b, text...), ' ') }
func (l *configLine) uint(v uint64)    { l.b = append(strconv.AppendUint(l.b, v, 10), ' ') }
func (l *configLine) id(id [20]byte)   { l.b = append(hex.AppendEncode(l.b, id[:]), ' ') }
func (l *configLine) end()             { l.b[len(l.b)-1] = '\n' }

func (m *Machine) encodeConfig() []byte {
	l := configLine{make([]byte, 0, 512+512*len(m.order))}
	l.word(configMagic)
	l.uint(configVersion)
	l.end()
	l.word("self")
	l.id(m.self.rec.ID)
	l.end()
	l.word("epoch")
	l.uint(m.currentEpoch)
	l.end()
	l.word("promise")
	l.uint(uint64(m.lease.promisedMost / time.Millisecond))
	l.end()
	for _, n := range m.order {
		writeNode(&l, n)
	}
	for _, shard := range m.sortedVotes() {
		v := m.election.votes[shard]
		l.word("vote")
		l.id(shard)
		l.uint(v.Epoch)
		l.id(v.Candidate)
		l.end()
	}
	for _, t := range m.sortedTombstones() {
		l.word("tombstone")
		l.id(t.ID)
		l.uint(t.Stamp)
		if t.Forgotten {
			l.word("forgotten")
		} else {
			l.word("lifted")
		}
		l.end()
	}
	return fmt.Appendf(l.b, "checksum %016x\n", crc64.Checksum(l.b, crc64.MakeTable(crc64.ECMA)))
}

func writeNode(l *configLine, n *member) {
	r := &n.rec
	l.word("node")
	l.id(r.ID)
	l.id(r.Shard)
	l.uint(r.Seq)
	l.uint(r.Epoch)
	l.uint(r.SeizedEpoch)
	if r.Replica {
		l.word("replica")
		l.id(r.Primary)
	} else {
		l.word("primary")
		l.word("-")
	}
	var flags []string
	for _, f := range memberFlags(n) {
		if *f.on {
			flags = append(flags, f.name)
		}
	}
	if f := r.Recovered; f != nil {
		flags = append(flags, fmt.Sprintf("%s%016x:%d", recoveredFlag, f.History, f.Offset))
	}
	l.word(dash(strings.Join(flags, ",")))
	l.word(dash(r.Address.IP))
	l.word(dash(n.ip))
	l.uint(uint64(r.Address.Port))
	l.uint(uint64(r.Address.TLSPort))
	l.uint(uint64(r.Address.BusPort))
	l.word(dash(r.Address.Host))
	l.uint(n.promiseAt)
	l.end()
	for w := range windows {
		h := &n.win[w]
		if h.seq == 0 && r.WinSeq[w] == 0 {
			continue
		}
		l.word("claim")
		l.id(r.ID)
		l.uint(uint64(w))
		l.uint(h.seq)
		l.uint(r.WinSeq[w])
		l.uint(h.epoch)
		for _, run := range h.bits.ranges() {
			l.uint(uint64(w*windowSlots + run[0]))
			if run[1] > run[0] {
				l.b[len(l.b)-1] = '-'
				l.uint(uint64(w*windowSlots + run[1]))
			}
		}
		l.end()
	}
	for _, o := range r.Open {
		l.word("open")
		l.id(r.ID)
		if o.Importing {
			l.word("importing")
		} else {
			l.word("migrating")
		}
		l.uint(uint64(o.Slot))
		l.id(o.Peer)
		l.end()
	}
}

type memberFlag struct {
	name string
	on   *bool
}

func memberFlags(n *member) []memberFlag {
	r := &n.rec
	return []memberFlag{{"nofailover", &r.NoFailover}, {"empty", &r.Empty}, {"elector", &r.Elector}, {"heirless", &n.heirless}}
}

// configReader reads the file line by line and knows where it is.
type configReader struct {
	m     *Machine
	self  slots.NodeID
	at    int // of the line being read
	words []string
}

func (c *configReader) damaged(format string, args ...any) error {
	return fmt.Errorf("%w at byte %d: %s", ErrDamaged, c.at, fmt.Sprintf(format, args...))
}

// restore fills a new machine from the file.
func (m *Machine) restore(saved []byte) error {
	c := configReader{m: m}
	first, _, whole := strings.Cut(string(saved), "\n")
	magic, version, _ := strings.Cut(first, " ")
	if magic != configMagic {
		return c.damaged("this is no cluster config file of slotmesh")
	}
	if v, err := strconv.ParseUint(version, 10, 32); err == nil && v != configVersion {
		return fmt.Errorf("%w: the file at byte %d has version %d, this program reads %d", ErrVersion, len(configMagic)+1, v, configVersion)
	} else if err != nil || !whole || first != configMagic+" 1" {
		return c.damaged("no version in the first line")
	}
	// Lines are read first, so that damage is reported where it is, and the
	// checksum is the judge of what reads well all the same.
	sum := -1
	for at := len(first) + 1; at < len(saved); {
		c.at = at
		if sum >= 0 {
			return c.damaged("bytes after the checksum")
		}
		end := bytes.IndexByte(saved[at:], '\n')
		if end < 0 {
			return c.damaged("the last line is not complete")
		}
		c.words = strings.Split(string(saved[at:at+end]), " ")
		if c.words[0] == "checksum" {
			sum = at
		} else if err := c.line(); err != nil {
			return err
		}
		at += end + 1
	}
	c.at = len(saved)
	if sum < 0 {
		return c.damaged("no checksum: the file was cut off")
	}
	c.at = sum
	if got := fmt.Sprintf("checksum %016x\n", crc64.Checksum(saved[:sum], crc64.MakeTable(crc64.ECMA))); got != string(saved[sum:]) {
		return c.damaged("the checksum does not fit the %d bytes before it", sum)
	}
	m.self = m.members[c.self]
	if m.self == nil {
		return c.damaged("nothing is said of this node itself")
	}
	m.finishRestore()
	return nil
}

// finishRestore draws what the lines imply.
func (m *Machine) finishRestore() {
	m.restored = true
	for _, o := range m.self.rec.Open {
		m.claims.open[o.Slot] = o
	}
	for slot := range slots.Count {
		if m.decide(slots.Slot(slot)); m.claims.owner[slot] != m.self {
			m.unclaim(slots.Slot(slot))
		}
	}
	m.claims.successor = nil
	m.claims.gained = true
	m.startedWithSlots = m.self.nOwned > 0
	// A replica that said so has not synced since.
	m.dataKept.foreign = m.self.rec.Replica && m.self.rec.Empty
	m.self.rec.Recovered = nil
	m.save = false
}

func (c *configReader) line() error {
	m, w := c.m, c.words
	want := map[string]int{"self": 2, "epoch": 2, "promise": 2, "node": 16, "open": 5, "vote": 4, "tombstone": 4}
	if n, known := want[w[0]]; known && n != len(w) || !known && (w[0] != "claim" || len(w) < 6) {
		return c.damaged("a line that does not belong here")
	}
	var err error
	id := func(i int) (out slots.NodeID) {
		if err == nil {
			out, err = slots.ParseNodeID(w[i])
		}
		return out
	}
	number := func(i int, limit uint64) (out uint64) {
		if err != nil {
			return 0
		}
		if out, err = strconv.ParseUint(w[i], 10, 64); err == nil && out > limit {
			err = fmt.Errorf("%d is out of range", out)
		}
		return out
	}
	switch w[0] {
	case "self":
		c.self = id(1)
	case "epoch":
		m.currentEpoch = number(1, maxEpoch)
	case "promise":
		m.lease.promisedMost = time.Duration(number(1, uint64(2*leaseBounds/time.Millisecond))) * time.Millisecond
	case "vote":
		shard, v := slots.ShardID(id(1)), vote{number(2, maxEpoch), id(3)}
		m.election.votes[shard] = v
	case "tombstone":
		t := tombstone{ID: id(1), Stamp: number(2, maxEpoch), Forgotten: w[3] == "forgotten"}
		if w[3] != "forgotten" && w[3] != "lifted" {
			return c.damaged("a tombstone that is neither forgotten nor lifted")
		}
		m.tombstones[t.ID] = t
	case "node":
		r := record{ID: id(1), Shard: slots.ShardID(id(2)), Seq: number(3, maxEpoch), Epoch: number(4, maxEpoch), SeizedEpoch: number(5, maxEpoch)}
		r.Address = Address{IP: undash(w[9]), Port: int(number(11, 65535)), TLSPort: int(number(12, 65535)), BusPort: int(number(13, 65535)), Host: undash(w[14])}
		asked := number(15, maxEpoch)
		switch {
		case w[6] == "replica":
			r.Replica, r.Primary = true, id(7)
		case w[6] != "primary" || w[7] != "-":
			return c.damaged("a node that is neither primary nor replica")
		}
		read := member{rec: r}
		if w[8] != "-" && !setFlags(&read, w[8]) {
			return c.damaged("an unknown flag in %q", w[8])
		}
		if err != nil {
			break
		}
		if r.ID.IsZero() || m.members[r.ID] != nil || !plainText(r.Address.IP) || !plainText(r.Address.Host) || !plainText(w[10]) {
			return c.damaged("a node that cannot be")
		}
		n := m.addMember(r.ID)
		n.rec, n.heirless, n.ip, n.promiseAt = read.rec, read.heirless, undash(w[10]), asked
	case "claim", "open":
		n := m.members[id(1)]
		if err == nil && n == nil {
			return c.damaged("a %s of an unknown node", w[0])
		}
		if err != nil {
			break
		}
		if w[0] == "claim" {
			return c.claimLine(n)
		}
		slot, peer := number(3, slots.Count-1), id(4)
		if w[2] != "migrating" && w[2] != "importing" {
			return c.damaged("an open slot that is neither migrating nor importing")
		}
		n.rec.Open = append(n.rec.Open, openSlot{slots.Slot(slot), w[2] == "importing", peer})
	}
	if err != nil {
		return c.damaged("%v", err)
	}
	return nil
}

// recoveredFlag begins the flag that holds what a primary recovered: a history
// and an offset.
const recoveredFlag = "recovered:"

func setFlags(n *member, text string) bool {
	for name := range strings.SplitSeq(text, ",") {
		found := false
		if text, is := strings.CutPrefix(name, recoveredFlag); is {
			history, offset, _ := strings.Cut(text, ":")
			h, err1 := strconv.ParseUint(history, 16, 64)
			o, err2 := strconv.ParseInt(offset, 10, 64)
			n.rec.Recovered, found = &Recovery{h, o}, err1 == nil && err2 == nil && !n.rec.Replica
		}
		for _, f := range memberFlags(n) {
			if f.name == name {
				*f.on, found = true, true
			}
		}
		if !found {
			return false
		}
	}
	return true
}

func (c *configReader) claimLine(n *member) error {
	w, err := strconv.ParseUint(c.words[2], 10, 8)
	if err != nil || w >= windows {
		return c.damaged("window %q", c.words[2])
	}
	h := &n.win[w]
	if h.seq, err = strconv.ParseUint(c.words[3], 10, 62); err != nil {
		return c.damaged("%v", err)
	}
	if n.rec.WinSeq[w], err = strconv.ParseUint(c.words[4], 10, 62); err != nil {
		return c.damaged("%v", err)
	}
	if h.epoch, err = strconv.ParseUint(c.words[5], 10, 62); err != nil {
		return c.damaged("%v", err)
	}
	for _, word := range c.words[6:] {
		r, err := slots.ParseRange(word)
		if err != nil {
			return c.damaged("%v", err)
		}
		if int(r.First)/windowSlots != int(w) || int(r.Last)/windowSlots != int(w) {
			return c.damaged("slots %s are not in window %d", r, w)
		}
		for slot := int(r.First); slot <= int(r.Last); slot++ {
			h.bits.set(slots.Slot(slot), true)
		}
	}
	return nil
}
