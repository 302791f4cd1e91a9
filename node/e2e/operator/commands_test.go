package operator

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"slotmesh/node/e2e/harness"
	"slotmesh/slots"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// patience is how long a condition may take to come true on a busy machine.
const patience = 20 * time.Second

func newRig(t *testing.T) *harness.Rig { return harness.New(t, harness.UnderTest(t)) }

// ask returns the reply's text, an error's too.
func ask(t *testing.T, p *harness.Process, args ...string) string {
	t.Helper()
	reply, err := p.TryDo(patience, args...)
	return text(t, p, reply, err)
}

func text(t *testing.T, p *harness.Process, reply harness.Reply, err error) string {
	t.Helper()
	var refused harness.ReplyError
	switch {
	case errors.As(err, &refused):
		return string(refused)
	case err != nil:
		t.Fatalf("%s: %v", p.Name, err)
	case reply.Elems != nil || reply.Null:
		return reply.String()
	}
	return reply.Text
}

func on(t *testing.T, p *harness.Process, conn *harness.Conn, args ...string) string {
	t.Helper()
	reply, err := conn.Do(args...)
	return text(t, p, reply, err)
}

func want(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	harness.Await(t, patience, what, func() string {
		if holds() {
			return ""
		}
		return "still not so"
	})
}

func stateOK(p *harness.Process) bool {
	reply, err := p.TryDo(2*time.Second, "CLUSTER", "INFO")
	return err == nil && harness.Fields(reply.Text)["cluster_state"] == "ok"
}

// knows reports whether p sees id as a full member.
func knows(p *harness.Process, id string) bool {
	view, err := harness.TryView(p)
	if err != nil {
		return false
	}
	line, known := view.ByID(id)
	return known && !line.Has("handshake")
}

// terminate ends p as an operator does, who goes by its exit status.
func terminate(t *testing.T, p *harness.Process) {
	t.Helper()
	p.Signal(syscall.SIGTERM)
	if err := p.WaitExit(patience); err != nil {
		t.Fatal(err)
	}
	if err := p.Status(); err != nil {
		t.Errorf("%s ended badly: %v", p.Name, err)
	}
}

func slotOf(key string) string { return strconv.Itoa(int(slots.Of([]byte(key)))) }

// ownerAndOther returns the owner of key's slot and another primary.
func ownerAndOther(t *testing.T, c *harness.Cluster, key string) (owner, other *harness.Process) {
	t.Helper()
	await(t, "one owner of "+key, func() bool {
		owner = c.Owner(int(slots.Of([]byte(key))))
		return owner != nil
	})
	for _, p := range c.Primaries() {
		if p != owner {
			return owner, p
		}
	}
	t.Fatal("there is one primary only")
	return nil, nil
}

// TestRefusals has CLUSTER refuse what would do harm, in words that tools know.
func TestRefusals(t *testing.T) {
	c := newRig(t).StartCluster(3, 1, harness.Options{})
	primary := c.Primaries()[0]
	other := c.Primaries()[1]
	replica := c.ReplicasOf(primary)[0]
	id := c.ID(primary)
	for _, row := range []struct {
		at          *harness.Process
		cmd, answer string
	}{
		{replica, "CLUSTER SETSLOT 1 STABLE", "ERR Please use SETSLOT only with masters."},
		{replica, "CLUSTER REPLICATE " + c.ID(replica), "ERR Can't replicate myself"},
		{replica, "CLUSTER REPLICATE " + c.ID(c.ReplicasOf(other)[0]), "ERR I can only replicate a master, not a replica."},
		{replica, "CLUSTER FORGET " + id, "ERR Can't forget my master!"},
		{replica, "CLUSTER FORGET " + c.ID(replica), "ERR I tried hard but I can't forget myself..."},
		{replica, "CLUSTER SET-CONFIG-EPOCH 9", "ERR The user can assign a config epoch only when the node does not know any other node."},
		{replica, "CLUSTER COUNT-FAILURE-REPORTS " + id, "0"},
		{replica, "CLUSTER SAVECONFIG", "OK"},
		{replica, "CLUSTER REPLICAS " + c.ID(replica), "ERR The specified node is not a master"},
		{replica, "REPLICAOF NO ONE", "ERR REPLICAOF not allowed in cluster mode."},
		{replica, "CLUSTER MYSHARDID", ask(t, primary, "CLUSTER", "MYSHARDID")},
		{primary, "CLUSTER REPLICATE " + c.ID(other), "ERR To set a master the node must be empty and without assigned slots."},
		{primary, "CLUSTER FAILOVER", "ERR You should send CLUSTER FAILOVER to a replica"},
		{primary, "CLUSTER SETSLOT 1 MIGRATING " + strings.Repeat("f", 40), "ERR I don't know about node " + strings.Repeat("f", 40)},
	} {
		want(t, row.cmd, ask(t, row.at, strings.Fields(row.cmd)...), row.answer)
	}
	conn := primary.Connect()
	for i := range 2000 {
		key := strconv.Itoa(i)
		if primary == c.Owner(int(slots.Of([]byte(key)))) {
			want(t, "SET", on(t, primary, conn, "SET", key, "v"), "OK")
			break
		}
	}
	want(t, "RESET with keys", ask(t, primary, "CLUSTER", "RESET"), "ERR CLUSTER RESET can't be called with master nodes containing keys")
	want(t, "FLUSHSLOTS with keys", ask(t, primary, "CLUSTER", "FLUSHSLOTS"), "ERR DB must be empty to perform CLUSTER FLUSHSLOTS.")

	t.Run("forget and meet", func(t *testing.T) { forgetAndMeet(t, c, primary, replica) })
}

// forgetAndMeet takes a node out and in again: by FORGET, and by both kinds of
// RESET.
func forgetAndMeet(t *testing.T, c *harness.Cluster, primary, replica *harness.Process) {
	meet := func() {
		t.Helper()
		id := c.ID(replica)
		want(t, "MEET", ask(t, primary, "CLUSTER", "MEET", "127.0.0.1", strconv.Itoa(replica.Port)), "OK")
		for _, p := range c.Nodes {
			await(t, p.Name+" knows it again", func() bool { return knows(p, id) })
		}
	}
	forget := func(id string) {
		t.Helper()
		for _, p := range c.Nodes {
			if p != replica {
				want(t, "FORGET", ask(t, p, "CLUSTER", "FORGET", id), "OK")
			}
		}
	}
	old := c.ID(replica)
	forget(old)
	for _, p := range c.Nodes {
		if p != replica && knows(p, old) {
			t.Errorf("%s knows the node that it has forgotten", p.Name)
		}
	}
	meet()

	want(t, "RESET SOFT", ask(t, replica, "CLUSTER", "RESET", "SOFT"), "OK")
	want(t, "id after RESET SOFT", c.ID(replica), old)
	if view := c.View(replica); len(view) != 1 || !view.Self().Primary() {
		t.Errorf("after RESET SOFT it sees %v", view)
	}
	want(t, "keys after RESET", ask(t, replica, "DBSIZE"), "0")
	meet()
	await(t, "it knows its cluster again", func() bool { return len(c.View(replica)) == len(c.Nodes) })

	want(t, "RESET HARD", ask(t, replica, "CLUSTER", "RESET", "HARD"), "OK")
	if c.ID(replica) == old {
		t.Error("RESET HARD keeps the id")
	}
	meet()
	forget(old)
	await(t, "it knows its primary", func() bool { return knows(replica, c.ID(primary)) })
	want(t, "REPLICATE", ask(t, replica, "CLUSTER", "REPLICATE", c.ID(primary)), "OK")
	c.WaitOK(patience)
	want(t, "keys of the replica", ask(t, replica, "DBSIZE"), "1")
}

// TestEndpoints changes by CONFIG SET what clients are told to connect to.
func TestEndpoints(t *testing.T) {
	c := newRig(t).StartCluster(3, 0, harness.Options{Directives: []string{"cluster-node-timeout 1500"}})
	owner, other := ownerAndOther(t, c, "foo")
	moved := func(endpoint string) string { return "MOVED 12182 " + endpoint + ":" + strconv.Itoa(owner.Port) }
	set := func(p *harness.Process, name, value string) {
		t.Helper()
		want(t, "CONFIG SET "+name, ask(t, p, "CONFIG", "SET", name, value), "OK")
	}
	const kind = "cluster-preferred-endpoint-type"
	want(t, "ip", ask(t, other, "GET", "foo"), moved("127.0.0.1"))
	set(other, kind, "hostname")
	want(t, "no hostname", ask(t, other, "GET", "foo"), moved("?"))
	set(other, kind, "unknown-endpoint")
	want(t, "unknown endpoint", ask(t, other, "GET", "foo"), moved(""))
	set(other, kind, "hostname")
	set(owner, "cluster-announce-hostname", "node-a.test")
	await(t, "the hostname is known", func() bool { return ask(t, other, "GET", "foo") == moved("node-a.test") })
	set(other, kind, "ip")
	set(owner, "cluster-announce-ip", "127.0.0.9")
	set(owner, "cluster-announce-port", "7777")
	await(t, "the address is known", func() bool { return ask(t, other, "GET", "foo") == "MOVED 12182 127.0.0.9:7777" })
	set(owner, "cluster-announce-ip", "")
	set(owner, "cluster-announce-port", "0")
	await(t, "the own address is back", func() bool { return ask(t, other, "GET", "foo") == moved("127.0.0.1") })

	t.Run("reads when down", func(t *testing.T) {
		third := c.Nodes[0]
		for _, p := range c.Nodes {
			if p != owner && p != other {
				third = p
			}
		}
		third.Kill()
		await(t, "the cluster is down", func() bool { return !stateOK(owner) })
		want(t, "a read", ask(t, owner, "GET", "foo"), "CLUSTERDOWN The cluster is down")
		set(owner, "cluster-allow-reads-when-down", "yes")
		want(t, "an allowed read", ask(t, owner, "GET", "foo"), "$null")
		want(t, "a write", ask(t, owner, "SET", "foo", "1"), "CLUSTERDOWN The cluster is down and only accepts read commands")
		set(owner, "cluster-require-full-coverage", "no")
		await(t, "what is covered is served", func() bool { return ask(t, owner, "SET", "foo", "1") == "OK" })
	})
}
