package node

import (
	"fmt"
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
	if link := r.link.Load(); link != nil {
		host, port := link.Primary()
		info.Link = &LinkInfo{Host: host, Port: port, ReplicaStatus: link.Status()}
	}
	if r.o.Static != nil {
		info.Static = r.o.Static()
	}
	return info
}

// AppendSection appends the lines of INFO replication, without its headline.
func (i ReplicationInfo) AppendSection(b []byte) []byte {
	line := func(format string, args ...any) {
		b = fmt.Appendf(b, format, args...)
		b = append(b, '\r', '\n')
	}
	if i.Link == nil {
		line("role:master")
	} else {
		line("role:slave")
		b = i.Link.appendTo(b, i)
	}
	line("connected_slaves:%d", len(i.Replicas))
	if i.Static.MinReplicasToWrite > 0 && i.Static.MinReplicasMaxLag > 0 {
		good := 0
		for _, r := range i.Replicas {
			if r.State == repl.StateOnline && r.Lag <= i.Static.MinReplicasMaxLag {
				good++
			}
		}
		line("min_slaves_good_slaves:%d", good)
	}
	for n, r := range i.Replicas {
		lag := int64(r.Lag / time.Second)
		if r.State != repl.StateOnline {
			lag = 0
		}
		line("slave%d:ip=%s,port=%d,state=%s,offset=%d,lag=%d", n, r.IP, r.Port, r.State, r.Offset, lag)
	}
	line("master_failover_state:%s", i.FailoverState)
	line("master_replid:%s", i.ID)
	line("master_replid2:%s", i.FormerID)
	line("master_repl_offset:%d", i.Offset)
	line("second_repl_offset:%d", i.SecondOffset)
	line("repl_backlog_active:%d", bit(i.BacklogActive))
	line("repl_backlog_size:%d", i.BacklogSize)
	line("repl_backlog_first_byte_offset:%d", i.BacklogFirst)
	line("repl_backlog_histlen:%d", i.BacklogLen)
	return b
}

// appendTo appends the lines that only a replica has.
func (l *LinkInfo) appendTo(b []byte, i ReplicationInfo) []byte {
	line := func(name string, value any) { b = fmt.Appendf(b, "%s:%v\r\n", name, value) }
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
	line("master_host", l.Host)
	line("master_port", l.Port)
	line("master_link_status", status)
	line("master_last_io_seconds_ago", lastIO)
	line("master_sync_in_progress", bit(syncing))
	line("slave_read_repl_offset", i.Offset)
	line("slave_repl_offset", i.Offset)
	if syncing {
		total, left, percent := max(l.LoadTotal, 0), int64(0), 0.0
		if l.LoadTotal > 0 {
			left = max(total-l.LoadRead, 0)
			percent = math.Min(float64(l.LoadRead)/float64(total), 1) * 100
		}
		line("master_sync_total_bytes", total)
		line("master_sync_read_bytes", l.LoadRead)
		line("master_sync_left_bytes", left)
		line("master_sync_perc", fmt.Sprintf("%.2f", percent))
		line("master_sync_last_io_seconds_ago", seconds(l.SinceHeard))
	}
	if !up {
		line("master_link_down_since_seconds", seconds(l.Down))
	}
	line("slave_priority", i.Static.Priority)
	line("slave_read_only", bit(i.Static.ReadOnly))
	line("replica_announced", bit(i.Static.Announced))
	return b
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}
