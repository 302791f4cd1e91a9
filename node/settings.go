package node

import "slotmesh/node/server"

// serverSettings are the directives that sessions obey, as live handles.
func (n *Node) serverSettings(clusterMode bool) server.Settings {
	cfg := n.cfg
	return server.Settings{
		MaxClients:      cfg.Int("maxclients"),
		Timeout:         cfg.Int("timeout"),
		TCPKeepAlive:    cfg.Int("tcp-keepalive"),
		TCPBacklog:      cfg.Int("tcp-backlog"),
		MaxBulk:         cfg.Int("proto-max-bulk-len"),
		QueryBuffer:     cfg.Int("client-query-buffer-limit"),
		ClientsMemory:   cfg.Int("maxmemory-clients"),
		Databases:       cfg.Int("databases"),
		ProtectedMode:   cfg.Bool("protected-mode"),
		RequirePass:     cfg.Text("requirepass"),
		OutputLimits:    n.outputLimits,
		DebugCommand:    cfg.Enum("enable-debug-command"),
		ModuleCommand:   cfg.Enum("enable-module-command"),
		UnixSocketPerm:  cfg.Int("unixsocketperm"),
		ClusterEnabled:  clusterMode,
		ReportedVersion: ReportedVersion,
	}
}

// outputLimits reads client-output-buffer-limit.
func (n *Node) outputLimits() server.OutputLimits {
	limits := n.cfg.BufferLimits()
	return server.OutputLimits{
		Normal:  server.OutputLimit(limits.Normal),
		Replica: server.OutputLimit(limits.Replica),
		PubSub:  server.OutputLimit(limits.PubSub),
	}
}
