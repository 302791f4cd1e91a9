package node

import (
	"strconv"
	"strings"
	"time"
)

// infoLatencyStats shows the percentiles that latency-tracking-info-percentiles
// asks for, in microseconds.
func infoLatencyStats(n *Node, s *infoScene) {
	if !n.cfg.Bool("latency-tracking").Load() {
		return
	}
	percentiles := n.cfg.Percentiles()
	for _, stat := range n.server.CommandStats() {
		if stat.Latency == nil || len(percentiles) == 0 {
			continue
		}
		parts := make([]string, len(percentiles))
		for i, p := range percentiles {
			micros := float64(stat.Latency.Percentile(p)) / float64(time.Microsecond)
			parts[i] = "p" + strconv.FormatFloat(p, 'f', -1, 64) + "=" + strconv.FormatFloat(micros, 'f', 3, 64)
		}
		s.line("latency_percentiles_usec_"+stat.Name, strings.Join(parts, ","))
	}
}
