package node

import (
	"fmt"
	"math"
	"net"
	"strconv"
	"strings"
	"time"

	"slotmesh/node/command"
	"slotmesh/node/repl"
	"slotmesh/node/resp"
	"slotmesh/node/store/value"
)

// Errors of the replication commands, in the reference's words.
const (
	errReplicaOfCluster resp.Error = "ERR REPLICAOF not allowed in cluster mode."
	errPrimaryPort      resp.Error = "ERR Invalid master port"
	errWaitReplica      resp.Error = "ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is configured to be writable (which is not the default) writes to replicas are just local and are not propagated."
	errWaitDeposed      resp.Error = "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)"
	errFailingOver      resp.Error = "NOMASTERLINK Can't SYNC while failing over"
	errFilteredPeer     resp.Error = "ERR Filtered replica requires EOF capability"
	errNoPrimaryLink    resp.Error = "NOMASTERLINK Can't SYNC while not connected with my master"
)

// Rows are the commands of replication.
func (r *Replication) Rows() []command.Spec {
	const admin = command.Admin | command.NoScript
	follow := command.Spec{
		Syntax: "<host port | NO ONE>", Arity: 3,
		Flags: admin | command.Stale | command.NoAsyncLoading,
		Group: "server", Complexity: "O(1)",
		Summary: "Makes this server a replica of another one, or a primary.",
		Run:     r.replicaOf,
	}
	replicaOf, slaveOf := follow, follow
	replicaOf.Name, replicaOf.Since = "replicaof", "5.0.0"
	slaveOf.Name, slaveOf.Since = "slaveof", "1.0.0"
	return []command.Spec{
		replicaOf, slaveOf, r.failoverRow(),
		{
			Name: "replconf", Arity: -1,
			Flags: admin | command.Loading | command.Stale | command.AllowBusy,
			Group: "server", Since: "3.0.0", Complexity: "O(1)",
			Summary: "What a replica tells its primary about itself and its progress.",
			Run:     r.replConf,
		},
		{
			Name: "psync", Syntax: "replicationid offset", Arity: -3,
			Flags: admin | command.NoAsyncLoading | command.NoMulti,
			Group: "server", Since: "2.8.0",
			Summary: "Asks for the stream from an offset of a history, or for everything.",
			Run:     r.psync,
		},
		{
			Name: "sync", Arity: 1,
			Flags: admin | command.NoAsyncLoading | command.NoMulti,
			Group: "server", Since: "1.0.0",
			Summary: "Asks for everything and then the stream.",
			Run:     r.sync,
		},
		{
			Name: "role", Arity: 1,
			Flags: command.NoScript | command.Loading | command.Stale | command.Fast,
			Group: "server", Since: "2.8.12", Complexity: "O(1)",
			Categories: []string{"admin", "dangerous"},
			Summary:    "Tells whether this is a primary or a replica, and of whom.",
			Run:        r.role,
		},
		{
			Name: "wait", Syntax: "numreplicas timeout", Arity: 3,
			Flags: command.NoScript,
			Group: "connection", DocGroup: "generic", Since: "3.0.0", Complexity: "O(1)",
			Tips:    []string{"request_policy:all_shards", "response_policy:agg_min"},
			Summary: "Waits until replicas have acknowledged the writes so far.",
			Run:     r.wait,
		},
	}
}

func (r *Replication) replicaOf(c *command.Call) error {
	if r.o.Cluster {
		return errReplicaOfCluster
	}
	host, port := string(c.Args[1]), 0
	promote := strings.EqualFold(host, "no") && strings.EqualFold(string(c.Args[2]), "one")
	if !promote {
		n, ok := value.ParseInt(c.Args[2])
		if !ok || n < 0 || n > math.MaxUint16 {
			return errPrimaryPort
		}
		port = int(n)
		if link := r.link.Load(); link != nil {
			if h, p := link.Primary(); h == host && p == port {
				c.Reply.Simple("OK Already connected to specified master")
				return nil
			}
		}
	}
	if promote && r.isTop() {
		c.Reply.OK()
		return nil
	}
	change := func() {
		if promote {
			r.Promote()
			return
		}
		r.Follow(host, port)
	}
	if c.InExec || c.Conn == nil {
		// The transaction holds what the change may have to wait for.
		go change()
		c.Reply.OK()
		return nil
	}
	c.Conn.Park(func(wake func(func(*resp.Writer))) func() {
		go func() {
			change()
			wake(func(w *resp.Writer) { w.OK() })
		}()
		return nil
	})
	return nil
}

// isTop reports whether this is a primary, and nobody is about to change that.
func (r *Replication) isTop() bool {
	if !r.mu.TryLock() {
		return false
	}
	defer r.mu.Unlock()
	return r.link.Load() == nil
}

// peer is what REPLCONF has told about the connection so far.
func peer(conn command.Conn) *repl.Peer {
	p, ok := conn.Attachment().(*repl.Peer)
	if !ok {
		p = new(repl.Peer)
		conn.SetAttachment(p)
	}
	return p
}

func (r *Replication) replConf(c *command.Call) error {
	if len(c.Args)%2 == 0 {
		return resp.ErrSyntax
	}
	if c.Conn == nil {
		return nil
	}
	p := peer(c.Conn)
	for i := 1; i < len(c.Args); i += 2 {
		value := string(c.Args[i+1])
		switch option := strings.ToLower(string(c.Args[i])); option {
		case "listening-port":
			n, err := parseNumber(c.Args[i+1])
			if err != nil {
				return err
			}
			p.ListeningPort = int(n)
		case "ip-address":
			const longest = 255
			if len(value) > longest {
				return resp.Errf("ERR REPLCONF ip-address provided by replica instance is too long: ", strconv.Itoa(len(value)), " bytes")
			}
			p.IP = value
		case "capa":
			p.EOF = p.EOF || strings.EqualFold(value, "eof")
			p.PSYNC2 = p.PSYNC2 || strings.EqualFold(value, "psync2")
		case "version":
			p.Version = value
		case "rdb-only":
			n, err := parseNumber(c.Args[i+1])
			if err != nil {
				return err
			}
			p.RDBOnly = n == 1
		case "rdb-filter-only":
			// An include list: what is not in it is left out. Functions are all
			// that can be asked for beside everything, and there are none here.
			p.NoKeys = false
			for word := range strings.FieldsSeq(value) {
				if !strings.EqualFold(word, "functions") {
					return resp.Errf("ERR Unsupported rdb-filter-only option: ", word)
				}
			}
			p.NoKeys = true
		case "ack", "getack":
			// Only a replica's link takes these, and it is not read here; the
			// reference does not answer anybody else.
			return nil
		default:
			return resp.Errf("ERR Unrecognized REPLCONF option: ", string(c.Args[i]))
		}
	}
	c.Reply.OK()
	return nil
}

func parseNumber(arg []byte) (int64, error) {
	n, ok := value.ParseInt(arg)
	if !ok {
		return 0, resp.ErrNotInteger
	}
	return n, nil
}

func (r *Replication) psync(c *command.Call) error {
	if c.Conn == nil {
		return nil
	}
	id := string(c.Args[1])
	takeOver := len(c.Args) > 3 && strings.EqualFold(string(c.Args[3]), "failover")
	if takeOver {
		if err := r.mayTakeOver(id); err != nil {
			return err
		}
	} else if err := r.mayServe(peer(c.Conn)); err != nil {
		return err
	}
	offset, err := parseNumber(c.Args[2])
	if err != nil {
		return err
	}
	request := repl.Request{ID: id, Offset: offset}
	if !takeOver {
		r.serve(c, request)
		return nil
	}
	// Taking over may have to wait for a command that is being applied: not on
	// the loop.
	request.Peer = *peer(c.Conn)
	c.Conn.Hijack(func(socket net.Conn, pending []byte, done func()) {
		go func() {
			if err := r.takeOver(id); err != nil {
				fmt.Fprintf(socket, "-%s\r\n", err)
				socket.Close()
				done()
				return
			}
			r.primary.Serve(socket, pending, request, done)
		}()
	})
	return nil
}

func (r *Replication) sync(c *command.Call) error {
	if c.Conn == nil {
		return nil
	}
	if err := r.mayServe(peer(c.Conn)); err != nil {
		return err
	}
	r.serve(c, repl.Request{Old: true})
	return nil
}

// mayServe returns the error for a replica that cannot be fed now.
func (r *Replication) mayServe(p *repl.Peer) error {
	switch {
	case r.failover.Load() != nil:
		return errFailingOver
	case r.IsReplica() && !r.LinkUp(), !r.feeding.Load():
		return errNoPrimaryLink
	case p.NoKeys && !p.EOF:
		return errFilteredPeer
	}
	return nil
}

// serve hands the connection over to replication.
func (r *Replication) serve(c *command.Call, request repl.Request) {
	request.Peer = *peer(c.Conn)
	c.Conn.Hijack(func(socket net.Conn, pending []byte, done func()) {
		r.primary.Serve(socket, pending, request, done)
	})
}

func (r *Replication) role(c *command.Call) error {
	w := c.Reply
	if link := r.link.Load(); link != nil {
		host, port := link.Primary()
		w.Array(5)
		w.BulkString("slave")
		w.BulkString(host)
		w.Int(int64(port))
		state, offset := link.Status().Link, int64(-1)
		if state == repl.LinkConnected {
			offset = r.o.Journal.Offset()
		}
		w.BulkString(state.String())
		w.Int(offset)
		return nil
	}
	w.Array(3)
	w.BulkString("master")
	w.Int(r.o.Journal.Offset())
	var online []repl.ReplicaInfo
	for _, replica := range r.primary.Replicas() {
		if replica.State == repl.StateOnline {
			online = append(online, replica)
		}
	}
	w.Array(len(online))
	for _, replica := range online {
		w.Array(3)
		w.BulkString(replica.IP)
		w.BulkString(strconv.Itoa(replica.Port))
		w.BulkString(strconv.FormatInt(replica.Offset, 10))
	}
	return nil
}

// waitTimeout reads a timeout in milliseconds; 0 is none.
func waitTimeout(arg []byte) (time.Duration, error) {
	ms, ok := value.ParseInt(arg)
	switch {
	case !ok || ms > math.MaxInt64/int64(time.Millisecond):
		return 0, resp.ErrTimeoutInteger
	case ms < 0:
		return 0, resp.ErrTimeoutNeg
	}
	return time.Duration(ms) * time.Millisecond, nil
}

func (r *Replication) wait(c *command.Call) error {
	if r.IsReplica() {
		return errWaitReplica
	}
	replicas, err := parseNumber(c.Args[1])
	if err != nil {
		return err
	}
	timeout, err := waitTimeout(c.Args[2])
	if err != nil {
		return err
	}
	offset := r.o.Journal.EffectOffset()
	if n := r.primary.Acknowledged(offset); int64(n) >= replicas || c.InExec || c.Conn == nil {
		c.Reply.Int(int64(n))
		return nil
	}
	c.Conn.Park(func(wake func(func(*resp.Writer))) func() {
		wanted := int(min(replicas, math.MaxInt32))
		cancel := r.primary.Wait(offset, wanted, timeout, func(n int, deposed bool) {
			wake(func(w *resp.Writer) {
				if deposed {
					w.Error(string(errWaitDeposed))
					return
				}
				w.Int(int64(n))
			})
		})
		return func() { cancel() }
	})
	return nil
}
