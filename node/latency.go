package node

import (
	"strconv"
	"time"

	"slotmesh/node/server"
)

// infoLatencyStats shows the percentiles that latency-tracking-info-percentiles
// asks for, in microseconds.
func infoLatencyStats(n *Node, s *infoScene) {
	percentiles := n.cfg.Percentiles()
	if !n.cfg.Bool("latency-tracking").Load() || len(percentiles) == 0 {
		return
	}
	var found []time.Duration
	n.server.Latencies(func(name string, l *server.Latency) {
		found = l.Percentiles(found[:0], percentiles)
		b := s.begin("latency_percentiles_usec_", name)
		for i, p := range percentiles {
			if i > 0 {
				b = append(b, ',')
			}
			b = strconv.AppendFloat(append(b, 'p'), p, 'f', -1, 64)
			b = strconv.AppendFloat(append(b, '='), float64(found[i])/float64(time.Microsecond), 'f', 3, 64)
		}
		s.end(b)
	})
}
