package server

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestLatencyClassesAreNarrowAndInOrder(t *testing.T) {
	last := -1
	for nanos := int64(0); nanos < 1<<37; nanos += 1 + nanos/100 {
		class := latencyClass(nanos)
		if class < last || class >= latencyClasses {
			t.Fatalf("%d ns is of class %d after %d", nanos, class, last)
		}
		last = class
		if bound := latencyBound(class); nanos < 1<<latencyBits && (bound < nanos || float64(bound) > float64(nanos)*1.07+1) {
			t.Fatalf("%d ns is of class %d, which ends at %d", nanos, class, bound)
		}
	}
}

func TestPercentiles(t *testing.T) {
	var all latencies = make([]*Latency, 2)
	random := rand.New(rand.NewPCG(1, 2))
	var times []int64
	for range 10_000 {
		nanos := int64(1000 + random.ExpFloat64()*50_000)
		times = append(times, nanos)
		all.note(1, 2*nanos, 2)
	}
	sum := make(latencies, 2)
	sum.add(all)
	slices.Sort(times)
	percents := []float64{99.9, 0, 50, 100, 99, 50}
	found := sum[1].Percentiles([]time.Duration{7}, percents)
	if len(found) != 1+len(percents) || found[0] != 7 {
		t.Fatalf("appended %v", found)
	}
	for i, p := range percents {
		exact := times[min(int(p/100*10_000), 9_999)]
		got := found[1+i]
		if float64(got) < float64(exact)*0.93 || float64(got) > float64(exact)*1.08 {
			t.Errorf("p%g is %v, exactly %v", p, got, time.Duration(exact))
		}
	}
	sum.reset()
	if of := sum[1].Percentiles(nil, []float64{50}); of[0] != 0 {
		t.Errorf("a percentile of nothing is %v", of[0])
	}
}
