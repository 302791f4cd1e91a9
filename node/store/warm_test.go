package store

import (
	"fmt"
	"sync"
	"testing"

	"slotmesh/node/store/value"
	"slotmesh/slots"
)

// TestWarmAmongWriters warms keys that come, go and move to other tables all
// the while: whatever it reads, it comes back.
func TestWarmAmongWriters(t *testing.T) {
	s := New(Options{})
	var keys [][]byte
	for i := range 64 {
		keys = append(keys, fmt.Appendf(nil, "{a}%d", i))
	}
	slot := slots.Of(keys[0])
	var places []Place
	for _, key := range keys {
		places = append(places, s.Place(key))
	}
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			sum := uint64(0)
			for i := 0; ; i++ {
				select {
				case <-stop:
					_ = sum
					return
				default:
					sum += s.Warm(i%2, places[i%48:]) + s.WarmChange(i%2, places[i%48:])
				}
			}
		})
	}
	for i := range 20_000 {
		for _, key := range keys[i%32 : i%32+16] {
			if i%3 == 0 {
				s.Delete(0, slot, key)
			} else {
				s.Set(0, slot, fmt.Appendf(nil, "%s%d", key, i), value.IntValue(1), false, 0)
				s.Set(0, slot, key, value.RawValue(make([]byte, i%3000)), false, 0)
			}
		}
		if i%5000 == 0 {
			s.Flush(0)
			for s.Reap(1000) {
			}
		}
	}
	close(stop)
	readers.Wait()
}
