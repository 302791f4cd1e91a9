package node

import (
	"math"
	"time"

	"slotmesh/node/repl"
)

// ReplicationInfo is what INFO tells about replication.
type ReplicationInfo struct {
	// Link is nil on a primary.
	Link     *LinkInfo
	Replicas []repl.ReplicaInfo
	// ID, FormerID and SecondOffset name the history, as journal.IDs does.
	ID, FormerID         string
	Offset, SecondOffset int64
	BacklogActive        bool
	// BacklogSize is configured; BacklogFirst is the offset of the first byte,
	// counted from 1, and BacklogLen how many there are.
	BacklogSize, BacklogFirst, BacklogLen int64
	// RetainedBytes is the memory of the backlog and of slow replicas.
	RetainedBytes                           int64
	SyncFull, SyncPartialOK, SyncPartialErr int64
	FailoverState                           string
	Static                                  staticReplicationInfo
}

// LinkInfo is a replica's link to its primary.
type LinkInfo struct {
	Host string
	Port int
	repl.ReplicaStatus
}

// Info returns what INFO tells about replication.
func (r *Replication) Info() ReplicationInfo {
	j, counts := r.o.Journal, r.primary.Counts()
	info := ReplicationInfo{
		Replicas:       r.primary.Replicas(),
		Offset:         j.Offset(),
		BacklogActive:  j.Active(),
		BacklogSize:    j.BacklogBytes(),
		RetainedBytes:  j.RetainedBytes(),
		SyncFull:       counts.SyncFull.Load(),
		SyncPartialOK:  counts.SyncPartialOK.Load(),
		SyncPartialErr: counts.SyncPartialErr.Load(),
		FailoverState:  r.failoverState(),
	}
	info.ID, info.FormerID, info.SecondOffset = j.IDs()
	if info.BacklogActive {
		first := j.FirstOffset()
		info.BacklogFirst, info.BacklogLen = first+1, max(info.Offset-first, 0)
	}
	info.Link = r.linkInfo()
	if r.o.Static != nil {
		info.Static = r.o.Static()
	}
	return info
}

// linkInfo is the link to the primary, nil if there is none.
func (r *Replication) linkInfo() *LinkInfo {
	link := r.link.Load()
	if link == nil {
		return nil
	}
	host, port := link.Primary()
	return &LinkInfo{Host: host, Port: port, ReplicaStatus: link.Status()}
}

// retained returns the memory of the backlog and of slow replicas, and how much of
// it is backlog.
func (r *Replication) retained() (bytes, backlog int64) {
	j := r.o.Journal
	bytes = j.RetainedBytes()
	if j.Active() {
		backlog = min(max(j.Offset()-j.FirstOffset(), 0), bytes)
	}
	return bytes, backlog
}

// AppendSection appends the lines of INFO replication, without its headline.
func (i *ReplicationInfo) AppendSection(b []byte) []byte {
	t := infoText(b)
	if i.Link == nil {
		t.line("role", "master")
	} else {
		t.line("role", "slave")
		i.appendLink(&t)
	}
	t.line("connected_slaves", len(i.Replicas))
	if i.Static.MinReplicasToWrite > 0 && i.Static.MinReplicasMaxLag > 0 {
		good := 0
		for _, r := range i.Replicas {
			if r.State == repl.StateOnline && r.Lag <= i.Static.MinReplicasMaxLag {
				good++
			}
		}
		t.line("min_slaves_good_slaves", good)
	}
	for n, r := range i.Replicas {
		lag := int64(r.Lag / time.Second)
		if r.State != repl.StateOnline {
			lag = 0
		}
		b := appendNumber(t, "slave", int64(n))
		b = append(append(b, ":ip="...), r.IP...)
		b = appendNumber(b, ",port=", int64(r.Port))
		b = append(append(b, ",state="...), r.State.String()...)
		b = appendNumber(b, ",offset=", r.Offset)
		t.end(appendNumber(b, ",lag=", lag))
	}
	t.line("master_failover_state", i.FailoverState)
	t.line("master_replid", i.ID)
	t.line("master_replid2", i.FormerID)
	t.line("master_repl_offset", i.Offset)
	t.line("second_repl_offset", i.SecondOffset)
	t.line("repl_backlog_active", bit(i.BacklogActive))
	t.line("repl_backlog_size", i.BacklogSize)
	t.line("repl_backlog_first_byte_offset", i.BacklogFirst)
	t.line("repl_backlog_histlen", i.BacklogLen)
	return t
}

// appendLink adds the lines that only a replica has.
func (i *ReplicationInfo) appendLink(t *infoText) {
	l := i.Link
	seconds := func(d time.Duration) int64 {
		if d < 0 {
			return -1
		}
		return int64(d / time.Second)
	}
	up, syncing := l.ReplicaStatus.Link == repl.LinkConnected, l.ReplicaStatus.Link == repl.LinkSync
	status, lastIO := "down", int64(-1)
	if up {
		status, lastIO = "up", seconds(l.SinceHeard)
	}
	t.line("master_host", l.Host)
	t.line("master_port", l.Port)
	t.line("master_link_status", status)
	t.line("master_last_io_seconds_ago", lastIO)
	t.line("master_sync_in_progress", bit(syncing))
	t.line("slave_read_repl_offset", i.Offset)
	t.line("slave_repl_offset", i.Offset)
	if syncing {
		total, left, percent := max(l.LoadTotal, 0), int64(0), 0.0
		if l.LoadTotal > 0 {
			left = max(total-l.LoadRead, 0)
			percent = math.Min(float64(l.LoadRead)/float64(total), 1) * 100
		}
		t.line("master_sync_total_bytes", total)
		t.line("master_sync_read_bytes", l.LoadRead)
		t.line("master_sync_left_bytes", left)
		t.fixed("master_sync_perc", percent, 2, "")
		t.line("master_sync_last_io_seconds_ago", seconds(l.SinceHeard))
	}
	if !up {
		t.line("master_link_down_since_seconds", seconds(l.Down))
	}
	t.line("slave_priority", i.Static.Priority)
	t.line("slave_read_only", bit(i.Static.ReadOnly))
	t.line("replica_announced", bit(i.Static.Announced))
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}
