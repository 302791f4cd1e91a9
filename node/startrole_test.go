package node

import (
	"log/slog"
	"testing"

	"slotmesh/node/config"
	"slotmesh/node/server"
)

// TestReplicaFromTheFirstCommandOn: a node with replicaof is a replica when the first
// command may run, not only when its loops have begun.
func TestReplicaFromTheFirstCommandOn(t *testing.T) {
	for _, data := range []bool{false, true} {
		dir := t.TempDir()
		if data {
			_, dial, ended := startNode(t, "--dir", dir)
			c := dial()
			c.do("SET", "k", "v")
			stopNode(t, c, ended, "save")
		}
		cfg := config.New()
		if err := cfg.Load([]string{"--port", "0", "--unixsocket", dir + "/s", "--dir", dir, "--replicaof", "127.0.0.1 1"}, nil); err != nil {
			t.Fatal(err)
		}
		n, err := New(cfg, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if err := n.prepare(); err != nil {
			t.Fatal(err)
		}
		if gates := n.gates.Gates(); gates&server.GateReadOnly == 0 || gates&server.GateLoading != 0 || !n.replication.IsReplica() {
			t.Errorf("with data %v: gates %b and a replica: %v", data, gates, n.replication.IsReplica())
		}
		n.server.Close()
		n.replication.Stop()
	}
}
