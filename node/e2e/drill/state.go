package drill

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"slotmesh/node/e2e/harness"
)

// stateTimeout is how long reading a node's whole keyspace may take.
const stateTimeout = 30 * time.Second

// Lost returns the acknowledged writes of w that the owner of its slot does
// not hold.
func Lost(c *harness.Cluster, slot int, w *Writer) ([]Ack, error) {
	return LostOf(c, slot, w, w.Acks())
}

// LostOf is Lost for some of the writes.
func LostOf(c *harness.Cluster, slot int, w *Writer, acks []Ack) ([]Ack, error) {
	owner := c.Owner(slot)
	if owner == nil {
		return nil, fmt.Errorf("slot %d has no single owner", slot)
	}
	keys := make([]string, len(acks))
	for i, a := range acks {
		keys[i] = w.Key(a.Seq)
	}
	values, err := Get(owner.Addr(), keys)
	if err != nil {
		return nil, err
	}
	var lost []Ack
	for i, a := range acks {
		if values[i] != Value(a.Seq) {
			lost = append(lost, a)
		}
	}
	return lost, nil
}

// Get reads keys of the node at addr in pipelines, "" for those that are not
// there. A replica is asked to answer too.
func Get(addr string, keys []string) ([]string, error) {
	conn, err := harness.Dial(addr, stateTimeout)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if _, err := conn.Do("READONLY"); err != nil {
		return nil, fmt.Errorf("%s: READONLY: %w", addr, err)
	}
	if err := conn.SetDeadline(time.Now().Add(stateTimeout)); err != nil {
		return nil, err
	}
	values := make([]string, 0, len(keys))
	for chunk := range slices.Chunk(keys, 500) {
		var out []byte
		for _, key := range chunk {
			out = append(out, harness.Encode("GET", key)...)
		}
		if _, err := conn.Write(out); err != nil {
			return nil, err
		}
		for _, key := range chunk {
			reply, err := conn.Receive()
			if err == nil {
				err = reply.Err()
			}
			if err != nil {
				return nil, fmt.Errorf("%s: GET %s: %w", addr, key, err)
			}
			values = append(values, reply.Text)
		}
	}
	return values, nil
}

// Keyspace returns all string keys of the node at addr with their values.
func Keyspace(addr string) (map[string]string, error) {
	conn, err := harness.Dial(addr, stateTimeout)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	var keys []string
	for cursor := "0"; ; {
		reply, err := conn.Do("SCAN", cursor, "COUNT", "1000")
		if err != nil {
			return nil, fmt.Errorf("%s: SCAN: %w", addr, err)
		}
		if len(reply.Elems) != 2 {
			return nil, fmt.Errorf("%s: SCAN answered %v", addr, reply)
		}
		keys = append(keys, reply.Elems[1].Strings()...)
		if cursor = reply.Elems[0].Text; cursor == "0" {
			break
		}
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	values, err := Get(addr, keys)
	if err != nil {
		return nil, err
	}
	space := make(map[string]string, len(keys))
	for i, key := range keys {
		space[key] = values[i]
	}
	return space, nil
}

// Divergence returns "" if primary and its replicas hold the same keys and
// values, else the first difference of each.
func Divergence(c *harness.Cluster, primary *harness.Process) string {
	want, err := Keyspace(primary.Addr())
	if err != nil {
		return err.Error()
	}
	for _, replica := range c.ReplicasOf(primary) {
		got, err := Keyspace(replica.Addr())
		if err != nil {
			return err.Error()
		}
		if maps.Equal(want, got) {
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(want)) {
			if got[key] != want[key] {
				return fmt.Sprintf("%s has %q = %q, its replica %s %q (%d and %d keys)",
					primary.Name, key, want[key], replica.Name, got[key], len(want), len(got))
			}
		}
		for _, key := range slices.Sorted(maps.Keys(got)) {
			if _, there := want[key]; !there {
				return fmt.Sprintf("replica %s has %q, %s does not", replica.Name, key, primary.Name)
			}
		}
	}
	return ""
}

// WaitAlike waits until every primary and its replicas hold the same.
func WaitAlike(r harness.Reporter, c *harness.Cluster, timeout time.Duration) {
	r.Helper()
	harness.Await(r, timeout, "replicas hold what their primaries hold", func() string {
		for _, p := range c.Primaries() {
			if difference := Divergence(c, p); difference != "" {
				return difference
			}
		}
		return ""
	})
}
