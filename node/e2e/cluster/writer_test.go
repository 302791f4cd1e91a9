package cluster

import (
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"slotmesh/node/e2e/harness"
	"slotmesh/slots"
)

// Reply is what a server answers.
type Reply = harness.Reply

// patience is longer than any write takes on a machine that others use.
const patience = 30 * time.Second

// models are what the cluster is compared with.
type models struct {
	reference *harness.Process
	// ours holds the keys that the reference cannot: nil when the reference
	// itself is under test.
	ours *harness.Process
}

// modelConn are one client's connections to the models.
type modelConn struct{ reference, ours *harness.Conn }

func (m models) connect(t *testing.T) modelConn {
	t.Helper()
	c := modelConn{reference: m.reference.Connect()}
	if m.ours != nil {
		c.ours = m.ours.Connect()
	}
	return c
}

// of returns the model of a key.
func (m modelConn) of(key string) *harness.Conn {
	if _, kind, _ := strings.Cut(key, "}"); strings.HasPrefix(kind, kindDeadline) {
		return m.ours
	}
	return m.reference
}

// keyOf returns a key of a write; all its keys have the same model.
func keyOf(args []string) string {
	for _, a := range args {
		if strings.HasPrefix(a, "{") {
			return a
		}
	}
	return ""
}

// doubt is a write that nobody knows the fate of.
type doubt struct{ args []string }

// fleet is all clients.
type fleet struct {
	t       *testing.T
	cluster *harness.Cluster
	models  models
	// careful makes clients wait for a replica after each write.
	careful atomic.Bool
	acked   atomic.Int64

	mu     sync.Mutex // guards the rest
	doubts []doubt
}

// client follows redirections. It is for one goroutine.
type client struct {
	f      *fleet
	r      *rand.Rand
	model  modelConn
	conns  map[string]*harness.Conn
	owners map[slots.Slot]string
}

func (f *fleet) client(seed uint64) *client {
	return &client{
		f: f, r: rand.New(rand.NewPCG(seed, 1)), model: f.models.connect(f.t),
		conns: make(map[string]*harness.Conn), owners: make(map[slots.Slot]string),
	}
}

func (c *client) close() {
	for _, conn := range c.conns {
		conn.Close()
	}
}

// Outcomes of a write.
type outcome uint8

const (
	done    outcome = iota // answered, perhaps with an error, and kept
	unknown                // perhaps done, perhaps not
)

// do sends one command to the owner of its slot until it is answered.
func (c *client) do(args []string) (reply Reply, what outcome, err error) {
	slot := slots.Of([]byte(keyOf(args)))
	asking := ""
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		addr := c.owners[slot]
		if asking != "" {
			addr = asking
		}
		if addr == "" {
			nodes := c.f.cluster.Nodes
			addr = nodes[c.r.IntN(len(nodes))].Addr()
		}
		conn := c.conns[addr]
		if conn == nil {
			if conn, err = harness.Dial(addr, patience); err != nil {
				// Nobody is there: somebody else knows who owns the slot now.
				delete(c.owners, slot)
				asking = ""
				time.Sleep(5 * time.Millisecond)
				continue
			}
			c.conns[addr] = conn
		}
		careful := c.f.careful.Load()
		out := harness.Encode(args...)
		if asking != "" {
			out = append(harness.Encode("ASKING"), out...)
		}
		if careful {
			out = append(out, harness.Encode("WAIT", "1", "500")...)
		}
		reply, kept, err := exchange(conn, out, asking != "", careful)
		asking = ""
		if err != nil {
			conn.Close()
			delete(c.conns, addr)
			delete(c.owners, slot)
			return reply, unknown, err
		}
		if !reply.IsError() {
			if careful && !kept {
				return reply, unknown, nil
			}
			c.owners[slot] = addr
			return reply, done, nil
		}
		word, rest, _ := strings.Cut(reply.Text, " ")
		fields := strings.Fields(rest)
		switch {
		case word == "MOVED" && len(fields) == 2:
			c.owners[slot] = fields[1]
		case word == "ASK" && len(fields) == 2:
			asking = fields[1]
		case word == "TRYAGAIN" || word == "CLUSTERDOWN" || word == "LOADING" || word == "MASTERDOWN":
			time.Sleep(2 * time.Millisecond)
		default:
			c.owners[slot] = addr
			return reply, done, reply.Err()
		}
	}
	c.f.t.Errorf("%s: not answered within %v: %v %v", strings.Join(args, " "), patience, reply, err)
	return reply, unknown, err
}

// exchange sends what was encoded and reads the command's reply; kept says that
// WAIT counted a replica.
func exchange(conn *harness.Conn, out []byte, asking, careful bool) (reply Reply, kept bool, err error) {
	if err := conn.SetDeadline(time.Now().Add(conn.Timeout)); err != nil {
		return reply, false, err
	}
	if _, err := conn.Write(out); err != nil {
		return reply, false, err
	}
	if asking {
		if _, err := conn.Receive(); err != nil {
			return reply, false, err
		}
	}
	if reply, err = conn.Receive(); err != nil || !careful {
		return reply, false, err
	}
	counted, err := conn.Receive()
	return reply, counted.Int() > 0, err
}

// write does one write on the cluster and on its model and compares what they
// answer. It returns false if the key must not be used again.
func (c *client) write(args []string, asModel func(Reply) []string) bool {
	reply, what, err := c.do(args)
	if what == unknown {
		if asModel != nil {
			// Its choice is not known either: the group is given up.
			args = []string{"", keyOf(args)}
		}
		c.f.mu.Lock()
		c.f.doubts = append(c.f.doubts, doubt{args})
		c.f.mu.Unlock()
		return false
	}
	c.f.acked.Add(1)
	if asModel != nil && err == nil && !reply.Null {
		args = asModel(reply)
	} else if asModel != nil && reply.Null {
		return true // nothing was there to choose from
	}
	there, modelErr := c.model.of(keyOf(args)).Do(args...)
	if modelErr != nil && !harness.IsReplyError(modelErr) {
		c.f.t.Errorf("the model does not answer: %v", modelErr)
		return false
	}
	if asModel == nil && reply.String() != there.String() {
		c.f.t.Errorf("%s: the cluster answers %v, the model %v", strings.Join(args, " "), reply, there)
	}
	return true
}

// writers are clients that write until they are stopped.
type writers struct {
	stop chan struct{}
	wait sync.WaitGroup
}

// start starts clients; each has groups of keys of its own.
func (f *fleet) start(seed uint64, tags [][]string) *writers {
	w := &writers{stop: make(chan struct{})}
	for i, own := range tags {
		c := f.client(seed + uint64(i))
		w.wait.Go(func() {
			defer c.close()
			c.run(own, w.stop)
		})
	}
	return w
}

func (w *writers) end() {
	close(w.stop)
	w.wait.Wait()
}

// run writes to groups until stop. A group with a key in doubt is left alone.
func (c *client) run(tags []string, stop chan struct{}) {
	tags = append([]string(nil), tags...)
	deadlines := c.model.ours != nil
	// As much as leaves two cores the time to do something else as well.
	pace := time.NewTicker(2 * time.Millisecond)
	defer pace.Stop()
	for n := 0; len(tags) > 0 && !c.f.t.Failed(); n++ {
		select {
		case <-stop:
			return
		case <-pace.C:
		}
		i := c.r.IntN(len(tags))
		var good bool
		if n%100 == 99 {
			good = c.write(drawEnd(c.r, tags[i], deadlines), nil)
		} else {
			args, asModel := draw(c.r, tags[i], deadlines)
			good = c.write(args, asModel)
		}
		if !good {
			tags[i] = tags[len(tags)-1]
			tags = tags[:len(tags)-1]
		}
	}
}
