package harness

import (
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// SlotRange is an inclusive range of slots.
type SlotRange struct{ First, Last int }

// NodeLine is one line of CLUSTER NODES.
type NodeLine struct {
	ID      string
	Addr    string // host:port
	BusPort int
	Flags   []string
	// PrimaryID is empty for a primary.
	PrimaryID string
	Epoch     int64
	Connected bool
	Slots     []SlotRange
	// Open holds the slots that are migrating or importing, as printed.
	Open []string
}

// Has reports whether the line carries flag.
func (n NodeLine) Has(flag string) bool { return slices.Contains(n.Flags, flag) }

// Primary reports whether the line is that of a primary.
func (n NodeLine) Primary() bool { return n.Has("master") }

// SlotCount returns how many slots the line lists.
func (n NodeLine) SlotCount() int {
	count := 0
	for _, r := range n.Slots {
		count += r.Last - r.First + 1
	}
	return count
}

// Owns reports whether slot is among the line's.
func (n NodeLine) Owns(slot int) bool {
	return slices.ContainsFunc(n.Slots, func(r SlotRange) bool { return r.First <= slot && slot <= r.Last })
}

// View is how one node sees the cluster.
type View []NodeLine

// ParseNodes reads the answer of CLUSTER NODES as strictly as tools do.
func ParseNodes(text string) (View, error) {
	var view View
	for line := range strings.Lines(text) {
		line, ended := strings.CutSuffix(line, "\n")
		if !ended {
			return nil, fmt.Errorf("CLUSTER NODES: the last line %q does not end", line)
		}
		fields := strings.Split(line, " ")
		if len(fields) < 8 {
			return nil, fmt.Errorf("CLUSTER NODES: %q has fewer than 8 fields", line)
		}
		n := NodeLine{ID: fields[0], Flags: strings.Split(fields[2], ","), Connected: fields[7] == "connected"}
		if len(n.ID) != 40 {
			return nil, fmt.Errorf("CLUSTER NODES: %q does not start with an id of 40 digits", line)
		}
		address, _, _ := strings.Cut(fields[1], ",")
		at := strings.LastIndexByte(address, '@')
		if at < 0 {
			return nil, fmt.Errorf("CLUSTER NODES: %q names no bus port", line)
		}
		n.Addr = address[:at]
		var err error
		if n.BusPort, err = strconv.Atoi(address[at+1:]); err != nil {
			return nil, fmt.Errorf("CLUSTER NODES: bus port in %q: %w", line, err)
		}
		if fields[3] != "-" {
			n.PrimaryID = fields[3]
		}
		if n.Epoch, err = strconv.ParseInt(fields[6], 10, 64); err != nil {
			return nil, fmt.Errorf("CLUSTER NODES: epoch in %q: %w", line, err)
		}
		for _, field := range fields[8:] {
			if strings.HasPrefix(field, "[") {
				n.Open = append(n.Open, field)
				continue
			}
			first, last, ranged := strings.Cut(field, "-")
			if !ranged {
				last = first
			}
			var r SlotRange
			if r.First, err = strconv.Atoi(first); err == nil {
				r.Last, err = strconv.Atoi(last)
			}
			if err != nil {
				return nil, fmt.Errorf("CLUSTER NODES: slots in %q: %w", line, err)
			}
			n.Slots = append(n.Slots, r)
		}
		view = append(view, n)
	}
	return view, nil
}

// Self returns the line of the node that was asked.
func (v View) Self() NodeLine {
	for _, n := range v {
		if n.Has("myself") {
			return n
		}
	}
	return NodeLine{}
}

// ByID returns the line of a node, and whether it is there.
func (v View) ByID(id string) (NodeLine, bool) {
	for _, n := range v {
		if n.ID == id {
			return n, true
		}
	}
	return NodeLine{}, false
}

// Owner returns the line that lists slot, and whether there is one.
func (v View) Owner(slot int) (NodeLine, bool) {
	for _, n := range v {
		if n.Owns(slot) {
			return n, true
		}
	}
	return NodeLine{}, false
}

// Signature is equal for two views that agree on who owns what: the one that
// redis-cli waits for.
func (v View) Signature() string {
	var lines []string
	for _, n := range v {
		if len(n.Slots) > 0 {
			lines = append(lines, fmt.Sprintf("%s:%v", n.ID, n.Slots))
		}
	}
	sort.Strings(lines)
	return strings.Join(lines, "|")
}

// Assigned returns how many slots have an owner.
func (v View) Assigned() int {
	count := 0
	for _, n := range v {
		count += n.SlotCount()
	}
	return count
}
