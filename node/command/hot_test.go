package command

import (
	"runtime"
	"testing"

	"slotmesh/node/resp"
	"slotmesh/node/store"
)

// BenchmarkHotKey has two event loops with 25 clients each on one key: what the
// lock's queue costs when everybody wants the same slot.
func BenchmarkHotKey(b *testing.B) {
	const clients = 25
	loops := min(2, runtime.GOMAXPROCS(0))
	e := NewEngine(EngineOptions{
		Table: testTable(b), Store: store.New(store.Options{}), Journal: &recorder{}, Lanes: loops,
		Now: func() int64 { return 1000 },
	})
	incr := e.Table().Lookup([]byte("incr"))
	var parked [2]int
	done := make(chan struct{})
	for lane := range loops {
		go func() {
			defer func() { done <- struct{}{} }()
			inbox := make(chan *Call, clients)
			ready := make([]*Call, 0, clients)
			resumes := map[*Call]func(){}
			for range clients {
				c := &Call{Spec: incr, Args: [][]byte{[]byte("incr"), []byte("hot")}, Reply: &resp.Writer{}, Lane: lane}
				resumes[c] = func() { inbox <- c }
				ready = append(ready, c)
			}
			for left := b.N / loops; left > 0; {
				next := ready[:0:0]
				for _, c := range ready {
					c.Reply.Buf = c.Reply.Buf[:0]
					if e.Execute(c, resumes[c]) {
						left--
						next = append(next, c)
					} else {
						parked[lane]++
					}
				}
				ready = next
				if len(ready) == 0 {
					ready = append(ready, <-inbox)
				}
				for more := true; more; {
					select {
					case c := <-inbox:
						ready = append(ready, c)
					default:
						more = false
					}
				}
			}
			// What was granted or is still parked goes on to its end.
			for _, c := range ready {
				if c.phase == phaseLock {
					e.Execute(c, resumes[c])
				}
			}
			for n := clients - len(ready); n > 0; n-- {
				c := <-inbox
				e.Execute(c, resumes[c])
			}
		}()
	}
	for range loops {
		<-done
	}
	b.ReportMetric(float64(parked[0]+parked[1])/float64(b.N), "parked/op")
}
