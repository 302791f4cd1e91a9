package node

import "testing"

// TestExpiredBetweenSaveAndStart: a primary that starts from its RDB file, and its
// replica that goes on from there, agree about a key whose time was over meanwhile.
func TestExpiredBetweenSaveAndStart(t *testing.T) {
	dir, port := t.TempDir(), freePort(t)
	options := []string{"--dir", dir, "--port", port, "--bind", "127.0.0.1"}
	_, dial, ended := startNode(t, options...)
	primary := peerServer{dial(), port}
	replica := startPeerNode(t, "--replicaof", "127.0.0.1 "+port)
	awaitSync(t, primary, replica)
	primary.do("SET", "k", "old", "PX", "500")
	primary.do("SET", "other", "v")
	awaitSync(t, primary, replica)
	primary.do("DEBUG", "SET-ACTIVE-EXPIRE", "0")
	stopNode(t, primary.client, ended, "save")
	waitFor(t, "the end of the key", func() bool { return replica.ask("EXISTS", "k") == ":0" })

	_, dial, _ = startNode(t, options...)
	primary = peerServer{dial(), port}
	waitFor(t, "the primary to serve", func() bool { return primary.ask("APPEND", "k", "new") == ":3" })
	awaitSync(t, primary, replica)
	if got := primary.field("stats", "sync_partial_ok"); got != "1" {
		t.Errorf("sync_partial_ok is %s: the test shows nothing", got)
	}
	if got := replica.ask("GET", "k"); got != `$"new"` {
		t.Errorf("GET on the replica: %s", got)
	}
	if got := primary.field("persistence", "rdb_last_load_keys_expired"); got != "1" {
		t.Errorf("rdb_last_load_keys_expired is %s", got)
	}
	if got := replica.ask("PTTL", "k"); got != ":-1" {
		t.Errorf("PTTL on the replica: %s", got)
	}
}
