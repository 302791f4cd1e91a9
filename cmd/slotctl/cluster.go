package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"slotmesh/node/resp"
	"slotmesh/slots"
)

// shard is one primary with its slots.
type shard struct {
	ID       string
	Addr     string
	Replicas []string // addresses
	Slots    slots.Set
}

// topology is who serves what, ordered by the first slot.
type topology []shard

// readTopology asks the node at addr for a cluster that serves every slot.
func readTopology(ctx context.Context, addr string, o options) (topology, error) {
	l, err := dial(ctx, addr, o)
	if err != nil {
		return nil, err
	}
	defer l.close()
	info, err := l.do("CLUSTER", "INFO")
	if err != nil {
		var answered resp.Error
		if errors.As(err, &answered) && strings.Contains(string(answered), "cluster support disabled") {
			return nil, refuse("%s is not a node of a cluster", addr)
		}
		return nil, fmt.Errorf("CLUSTER INFO at %s: %w", addr, err)
	}
	if state := field(info.Text, "cluster_state"); state != "ok" {
		return nil, refuse("the state of the cluster is %q at %s, not ok", state, addr)
	}
	reply, err := l.do("CLUSTER", "SLOTS")
	if err != nil {
		return nil, fmt.Errorf("CLUSTER SLOTS at %s: %w", addr, err)
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	t, err := parseTopology(reply, host)
	if err != nil {
		return nil, fmt.Errorf("CLUSTER SLOTS at %s: %w", addr, err)
	}
	var covered slots.Set
	for _, s := range t {
		covered = covered.Union(s.Slots)
	}
	if missing := allSlots().Minus(covered); !missing.Empty() {
		return nil, refuse("nobody serves the slots %s", missing)
	}
	return t, nil
}

func allSlots() slots.Set { return slots.SetOf(slots.Range{First: 0, Last: slots.Count - 1}) }

// field returns the value of a line "name:value".
func field(text []byte, name string) string {
	for line := range strings.Lines(string(text)) {
		if value, found := strings.CutPrefix(line, name+":"); found {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// parseTopology reads the answer of CLUSTER SLOTS from a node that was reached
// as host. Source: the reference's documentation of CLUSTER SLOTS.
func parseTopology(reply resp.Reply, host string) (topology, error) {
	malformed := fmt.Errorf("%w: not ranges of slots with their nodes", resp.ErrBadReply)
	at := make(map[string]int)
	var t topology
	for _, entry := range reply.Elements {
		if len(entry.Elements) < 3 {
			return nil, malformed
		}
		first, last := entry.Elements[0].Int, entry.Elements[1].Int
		if first < 0 || first > last || last >= slots.Count {
			return nil, malformed
		}
		var id, primary string
		var replicas []string
		for i, node := range entry.Elements[2:] {
			if len(node.Elements) < 3 {
				return nil, malformed
			}
			name, port := string(node.Elements[0].Text), node.Elements[1].Int
			if name == "" || name == "?" {
				name = host // the node that was asked does not know its own name
			}
			addr := net.JoinHostPort(name, strconv.FormatInt(port, 10))
			if i == 0 {
				id, primary = string(node.Elements[2].Text), addr
				continue
			}
			replicas = append(replicas, addr)
		}
		i, known := at[id]
		if !known {
			i = len(t)
			at[id] = i
			t = append(t, shard{ID: id, Addr: primary, Replicas: replicas})
		}
		t[i].Slots.AddRange(slots.Range{First: slots.Slot(first), Last: slots.Slot(last)})
	}
	slices.SortFunc(t, func(a, b shard) int {
		return cmp.Compare(a.Slots.Ranges()[0].First, b.Slots.Ranges()[0].First)
	})
	return t, nil
}

// sameOwners reports whether the same primaries have the same slots.
func (t topology) sameOwners(other topology) bool {
	return slices.EqualFunc(t, other, func(a, b shard) bool {
		return a.ID == b.ID && a.Slots == b.Slots
	})
}

// owners returns the address of each slot's primary.
func (t topology) owners() *[slots.Count]string {
	owners := new([slots.Count]string)
	for _, s := range t {
		for slot := range s.Slots.All() {
			owners[slot] = s.Addr
		}
	}
	return owners
}

// keys returns how many keys every shard holds.
func (t topology) keys(ctx context.Context, o options) ([]int64, error) {
	counts := make([]int64, len(t))
	for i, s := range t {
		l, err := dial(ctx, s.Addr, o)
		if err != nil {
			return nil, err
		}
		reply, err := l.do("DBSIZE")
		l.close()
		if err != nil {
			return nil, fmt.Errorf("DBSIZE at %s: %w", s.Addr, err)
		}
		counts[i] = reply.Int
	}
	return counts, nil
}

// openSlot returns a primary and the first slot that it is moving, "" for none:
// the keys of such a slot are here and there.
func (t topology) openSlot(ctx context.Context, o options) (string, error) {
	for _, s := range t {
		l, err := dial(ctx, s.Addr, o)
		if err != nil {
			return "", err
		}
		reply, err := l.do("CLUSTER", "NODES")
		l.close()
		if err != nil {
			return "", fmt.Errorf("CLUSTER NODES at %s: %w", s.Addr, err)
		}
		lines := bufio.NewScanner(strings.NewReader(string(reply.Text)))
		for lines.Scan() {
			// Open slots stand at the end of the node's own line: [5->-id], [5-<-id].
			if at := strings.IndexByte(lines.Text(), '['); at >= 0 {
				return s.Addr + " " + lines.Text()[at:], nil
			}
		}
	}
	return "", nil
}
