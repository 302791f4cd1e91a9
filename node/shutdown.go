package node

import (
	"errors"
	"strings"
	"sync"
	"time"

	"slotmesh/node/command"
	"slotmesh/node/repl"
	"slotmesh/node/resp"
	"slotmesh/node/server"
)

// shutdownOptions are those of SHUTDOWN and of shutdown-on-sigterm.
type shutdownOptions struct{ save, nosave, now, force bool }

// shutdowns is the shutdown that is under way, if any.
type shutdowns struct {
	mu sync.Mutex
	// abort ends the waiting for replicas; nil when nothing waits.
	abort chan struct{}
	// deadline is when the waiting ends by itself.
	deadline time.Time
}

// errShutdownFailed is what a client hears whose SHUTDOWN did not end the node.
const errShutdownFailed resp.Error = "ERR Errors trying to SHUTDOWN. Check logs."

// shutdownPoll is how often a shutdown looks whether the replicas have all.
const shutdownPoll = 10 * time.Millisecond

// shutdown ends the node in order: writes pause, replicas that lag get up to
// shutdown-timeout to catch up, then Run ends. It returns when the node is
// about to stop, or an error when it goes on.
func (n *Node) shutdown(o shutdownOptions) error {
	n.log.Warn("User requested shutdown...")
	timeout := time.Duration(n.cfg.Int("shutdown-timeout").Load()) * time.Second
	if !o.now && timeout > 0 {
		if err := n.awaitReplicas(timeout); err != nil {
			return err
		}
	}
	if o.save || !o.nosave && len(n.cfg.SavePoints()) > 0 {
		if err := n.saveAtTheEnd(); err != nil && !o.force {
			n.engine.SetEnding(false)
			n.server.UnpauseClients(server.PauseForShutdown)
			return errShutdownFailed
		}
	}
	n.requestStop(nil)
	return nil
}

// saveAtTheEnd saves the data before the node stops, after a save in the
// background that is under way. What is acknowledged is in the file: writes are held
// back, and those that the pause came too late for are refused.
func (n *Node) saveAtTheEnd() error {
	n.server.PauseClients(server.PauseForShutdown, server.PauseWrites, shutdownPause)
	n.engine.Exclusive(func() { n.engine.SetEnding(true) })
	n.log.Info("Saving the final RDB snapshot before exiting.")
	poll := time.NewTicker(shutdownPoll)
	defer poll.Stop()
	for {
		err := n.persistence.saveNow()
		if !errors.Is(err, errSaving) {
			return err
		}
		<-poll.C
	}
}

// laggingReplicas counts the replicas that have not acknowledged offset.
func (n *Node) laggingReplicas(offset int64) int {
	info := n.replication.Info()
	if info.Link != nil {
		return 0
	}
	lagging := 0
	for _, r := range info.Replicas {
		if r.State == repl.StateOnline && r.Offset < offset {
			lagging++
		}
	}
	return lagging
}

// shutdownPause outlasts every shutdown: a write that was held back must not
// run, and be acknowledged, after the replicas were asked for the last time.
const shutdownPause = 100 * 365 * 24 * time.Hour

// awaitReplicas pauses writes until no replica lags, timeout has passed or
// SHUTDOWN ABORT. Only the last ends the pause.
func (n *Node) awaitReplicas(timeout time.Duration) error {
	s := &n.shutdowns
	s.mu.Lock()
	if abort := s.abort; abort != nil {
		s.mu.Unlock()
		n.log.Info("A shutdown is under way already.")
		select {
		case <-abort:
			return errShutdownFailed
		case <-n.stopping:
			return nil
		}
	}
	abort := make(chan struct{})
	s.abort, s.deadline = abort, time.Now().Add(timeout)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.abort = nil
		s.mu.Unlock()
	}()

	n.server.PauseClients(server.PauseForShutdown, server.PauseWrites, shutdownPause)
	var offset int64
	// What was running when the pause began is in the journal after this.
	n.engine.Exclusive(func() { offset = n.journal.Offset() })
	if n.laggingReplicas(offset) == 0 {
		return nil
	}
	n.log.Info("Waiting for replicas before shutting down.")
	cancel := n.replication.AskAcks()
	defer cancel()
	poll := time.NewTicker(shutdownPoll)
	defer poll.Stop()
	over := time.NewTimer(timeout)
	defer over.Stop()
	for {
		select {
		case <-abort:
			n.server.UnpauseClients(server.PauseForShutdown)
			n.log.Warn("Shutdown manually aborted.")
			return errShutdownFailed
		case <-over.C:
			n.log.Warn("Lagging replicas at the end of shutdown-timeout: they will miss the last writes.")
			return nil
		case <-n.stopping:
			return nil
		case <-poll.C:
			if n.laggingReplicas(offset) == 0 {
				return nil
			}
		}
	}
}

// abortShutdown ends the waiting of a shutdown; false when there is none.
func (n *Node) abortShutdown() bool {
	s := &n.shutdowns
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.abort == nil {
		return false
	}
	close(s.abort)
	s.abort = nil
	return true
}

// shutdownIn is how long a shutdown under way may still wait.
func (n *Node) shutdownIn() (left time.Duration, underWay bool) {
	s := &n.shutdowns
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(time.Until(s.deadline), 0), s.abort != nil
}

func (n *Node) shutdownRow() command.Spec {
	return command.Spec{
		Name: "shutdown", Syntax: "[NOSAVE | SAVE] [NOW] [FORCE] [ABORT]", Arity: -1,
		Flags: command.Admin | command.NoScript | command.Loading | command.Stale | command.NoMulti | command.AllowBusy,
		Group: "server", Since: "1.0.0",
		Complexity: "O(N) when saving, where N is the total number of keys in all databases when saving data, otherwise O(1)",
		Summary:    "Ends the server in order.",
		Run:        n.runShutdown,
	}
}

func parseShutdown(args [][]byte) (o shutdownOptions, abort bool, err error) {
	for _, arg := range args {
		switch strings.ToLower(string(arg)) {
		case "nosave":
			o.nosave = true
		case "save":
			o.save = true
		case "now":
			o.now = true
		case "force":
			o.force = true
		case "abort":
			abort = true
		default:
			return o, false, resp.ErrSyntax
		}
	}
	if o.save && o.nosave || abort && (o != shutdownOptions{}) {
		return o, false, resp.ErrSyntax
	}
	return o, abort, nil
}

// runShutdown parks the client: it hears nothing when the node ends, and an
// error when it goes on.
func (n *Node) runShutdown(c *command.Call) error {
	options, abort, err := parseShutdown(c.Args[1:])
	if err != nil {
		return err
	}
	if abort {
		if !n.abortShutdown() {
			return resp.Error("ERR No shutdown in progress.")
		}
		c.Reply.OK()
		return nil
	}
	c.Conn.Park(func(wake func(func(*resp.Writer))) (cancel func()) {
		go func() {
			if err := n.shutdown(options); err != nil {
				wake(func(w *resp.Writer) { w.Error(err.Error()) })
			}
		}()
		return nil
	})
	return nil
}
