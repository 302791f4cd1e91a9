//go:build linux

package bus

import (
	"encoding/binary"
	"syscall"
	"testing"
	"time"

	"slotmesh/slots"
)

// BenchmarkRoundTrip measures a message over a link and its answer over the
// link back, one at a time.
func BenchmarkRoundTrip(b *testing.B) {
	for _, mode := range []struct {
		name string
		tune func(*Options)
	}{{"open", nil}, {"secured", secret("one")}} {
		b.Run(mode.name, func(b *testing.B) {
			nodes := cluster(b, 2, mode.tune)
			a, c := nodes[0], nodes[1]
			answers := make(chan struct{}, 1)
			a.mu.Lock()
			a.onMessage = func(slots.NodeID, []byte) { answers <- struct{}{} }
			a.mu.Unlock()
			c.mu.Lock()
			c.onMessage = func(_ slots.NodeID, m []byte) { c.send(a, string(m)) }
			c.mu.Unlock()
			message := string(make([]byte, 100))
			a.send(c, message)
			<-answers
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				a.send(c, message)
				<-answers
			}
		})
	}
}

// BenchmarkIdleCluster measures what six buses cost that do nothing but keep
// themselves informed while three of them renew leases every 100 ms: each asks
// the two others, who answer. An operation is a second; run it with
// -benchtime 10x. The metric is processor time of one node, in percent of a core.
func BenchmarkIdleCluster(b *testing.B) {
	nodes := cluster(b, 6, func(o *Options) {
		secret("one")(o)
		o.ProbeInterval, o.GossipInterval = 0, 0 // the defaults
	})
	for _, n := range nodes[:3] {
		n.mu.Lock()
		n.onMessage = func(from slots.NodeID, m []byte) {
			if m[0] == '?' {
				for _, other := range nodes[:3] {
					if other.id == from {
						n.send(other, "!"+string(m[1:]))
					}
				}
			}
		}
		n.mu.Unlock()
	}
	usage := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	b.ResetTimer()
	began, used := time.Now(), usage()
	for i := range b.N * 10 {
		<-ticker.C
		lease := binary.BigEndian.AppendUint64([]byte("?"), uint64(i))
		lease = append(lease, make([]byte, 60)...)
		for _, n := range nodes[:3] {
			for _, other := range nodes[:3] {
				if n != other {
					n.send(other, string(lease))
				}
			}
		}
	}
	share := float64(usage()-used) / float64(time.Since(began)) / float64(len(nodes))
	b.ReportMetric(100*share, "%core/node")
}
