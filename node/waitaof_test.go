package node

import (
	"strings"
	"testing"
)

// TestWaitAOF: a write is counted where it is on the disk, here and on replicas
// that say so.
func TestWaitAOF(t *testing.T) {
	a := startPeerNode(t, "--appendonly", "yes", "--save", "")
	lasting := startPeerNode(t, "--appendonly", "yes", "--save", "")
	never := startPeerNode(t, "--appendonly", "yes", "--appendfsync", "no", "--save", "")
	without := startPeerNode(t, "--save", "")
	for _, replica := range []peerServer{lasting, never, without} {
		replica.follow(a)
		awaitSync(t, a, replica)
	}
	a.do("set", "key", "1")
	if got := a.ask("waitaof", "1", "1", "20000"); got != "*[:1 :1]" {
		t.Errorf("WAITAOF 1 1: %s", got)
	}
	if got := a.ask("wait", "3", "20000"); got != ":3" {
		t.Errorf("WAIT: %s", got)
	}
	a.do("set", "key", "2")
	if got := a.ask("waitaof", "1", "1", "20000"); got != "*[:1 :1]" {
		t.Errorf("WAITAOF 1 1 again: %s", got)
	}
	if got := a.ask("waitaof", "0", "2", "1500"); got != "*[:1 :1]" {
		t.Errorf("WAITAOF of two where one has it: %s", got)
	}
	// A replica that switches its file on has it on the disk then.
	without.do("config", "set", "appendonly", "yes")
	if got := a.ask("waitaof", "1", "2", "20000"); got != "*[:1 :2]" {
		t.Errorf("WAITAOF after CONFIG SET appendonly yes: %s", got)
	}
	for _, c := range []struct {
		words string
		want  string
	}{
		{"waitaof 2 0 0", `-"ERR value is out of range, value must between 0 and 1"`},
		{"waitaof -1 0 0", `-"ERR value is out of range, value must between 0 and 1"`},
		{"waitaof x 0 0", `-"ERR value is not an integer or out of range"`},
		{"waitaof 0 -1 0", `-"ERR value is out of range, must be positive"`},
		{"waitaof 0 0 -1", `-"ERR timeout is negative"`},
		{"waitaof 0 0 x", `-"ERR timeout is not an integer or out of range"`},
	} {
		if got := a.ask(strings.Fields(c.words)...); got != c.want {
			t.Errorf("%s: %s", c.words, got)
		}
	}
	if got := lasting.ask("waitaof", "1", "0", "0"); got != `-"`+string(errWaitAOFReplica)+`"` {
		t.Errorf("WAITAOF on a replica: %s", got)
	}
	// In a transaction it does not wait.
	a.do("multi")
	a.do("set", "key", "3")
	a.do("waitaof", "0", "9", "0")
	if got := a.ask("exec"); !strings.HasPrefix(got, `*[+"OK" *[:`) {
		t.Errorf("WAITAOF in a transaction: %s", got)
	}
	// Who waits for a file hears that it was switched off.
	waiting := dialClient(t, "tcp", "127.0.0.1:"+a.port)
	waiting.do("set", "key", "4")
	waiting.send("waitaof", "1", "9", "0")
	waitFor(t, "the client to wait", func() bool { return a.field("clients", "blocked_clients") == "1" })
	a.do("replicaof", "127.0.0.1", lasting.port)
	reply, err := waiting.receive()
	if err != nil || !strings.HasPrefix(text(reply), `-"UNBLOCKED`) {
		t.Errorf("WAITAOF across a change of role: %s, %v", text(reply), err)
	}
	a.do("replicaof", "no", "one")
	a.do("config", "set", "appendonly", "no")
	if got := a.ask("waitaof", "1", "0", "0"); got != `-"`+string(errWaitAOFOff)+`"` {
		t.Errorf("WAITAOF without a file: %s", got)
	}
}

// TestReplicaReportsToReference: the reference takes acknowledgements with FACK.
func TestReplicaReportsToReference(t *testing.T) {
	a := startPeerReference(t)
	b := startPeerNode(t, "--appendonly", "yes", "--save", "")
	b.follow(a)
	awaitSync(t, a, b)
	a.do("set", "key", "1")
	if got := a.ask("wait", "1", "20000"); got != ":1" {
		t.Errorf("WAIT: %s", got)
	}
}
