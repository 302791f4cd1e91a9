package command

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"slotmesh/node/resp"
	"slotmesh/slots"
)

// TestSortReachesOnALoop sorts by keys of other slots. On a loop it does so while
// they are free, and if one of them is taken it gives up without a trace; when it
// is over all of them are free again.
func TestSortReachesOnALoop(t *testing.T) {
	n := newNode(t)
	n.do("RPUSH", "l", "1", "2", "3")
	n.do("MSET", "w_1", "30", "w_2", "20", "w_3", "10", "d_1", "one", "d_3", "three")
	n.do("HSET", "h_2", "name", "two", "number", "2")
	for line, want := range map[string]string{
		"SORT l BY w_*":                           "*3\r\n$1\r\n3\r\n$1\r\n2\r\n$1\r\n1\r\n",
		"SORT l BY w_* GET d_*":                   "*3\r\n$5\r\nthree\r\n$-1\r\n$3\r\none\r\n",
		"SORT l BY d_* ALPHA GET # LIMIT 0 2":     "*2\r\n$1\r\n2\r\n$1\r\n1\r\n",
		"SORT_RO l GET h_*->name":                 "*3\r\n$-1\r\n$3\r\ntwo\r\n$-1\r\n",
		"SORT l GET w_* GET h_*->number DESC":     "*6\r\n$2\r\n10\r\n$-1\r\n$2\r\n20\r\n$1\r\n2\r\n$2\r\n30\r\n$-1\r\n",
		"SORT l BY w_* STORE l":                   ":3\r\n",
		"SORT l BY nothing GET d_* STORE w_3":     ":3\r\n",
		"SORT l BY h_*->number GET w_* STORE new": ":3\r\n",
	} {
		n.do("DEL", "new", "l", "w_3")
		n.do("RPUSH", "l", "1", "2", "3")
		n.do("SET", "w_3", "10")
		n.engine.ResetStats()
		// It looks this one up last, or among the last.
		last := slots.Of([]byte("w_3"))
		if strings.Contains(line, "d_*") {
			last = slots.Of([]byte("d_3"))
		} else if strings.Contains(line, "h_*") {
			last = slots.Of([]byte("h_3"))
		}
		before := digestAll(n.engine.Store())
		n.entries()
		n.engine.locks.lock(last)
		if reply, long := n.attempt(line); !long || reply != "" || digestAll(n.engine.Store()) != before || n.entries() != "" {
			t.Errorf("%s: answered %q with a slot taken", line, reply)
		}
		n.engine.Leave(&n.call)
		if s := n.engine.Stats(); s.Hits+s.Misses != 1 {
			t.Errorf("%s: %d keys counted of what was not done, want the first one", line, s.Hits+s.Misses)
		}
		n.engine.locks.unlock(last)
		if reply, long := n.attempt(line); long || reply != want {
			t.Errorf("%s: answered %q on the loop, want %q", line, reply, want)
		}
		n.engine.Leave(&n.call)
		for slot := range slots.Slot(slots.Count) {
			if !n.engine.locks.tryLock(slot) {
				t.Fatalf("%s: left slot %d taken", line, slot)
			}
			n.engine.locks.unlock(slot)
		}
	}
}

// TestSortSeesOneMoment sorts by keys that change together: a SORT sees all of a
// change or nothing of it, on the loop and off it.
func TestSortSeesOneMoment(t *testing.T) {
	n := newNode(t)
	n.journal.on = false // it is for one goroutine
	n.do("RPUSH", "l", "1", "2", "3", "4", "5")
	stop := make(chan struct{})
	var writers, readers sync.WaitGroup
	for lane := range 2 {
		writers.Go(func() {
			var out resp.Writer
			c := &Call{Reply: &out, Conn: &testConn{}, Lane: lane}
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				c.Args = [][]byte{[]byte("MSET")}
				for key := range 5 {
					c.Args = append(c.Args, fmt.Append(nil, "w_", key+1), fmt.Append(nil, i%1000))
				}
				c.Spec = n.engine.Table().Lookup(c.Args[0])
				n.engine.ExecuteWait(c)
			}
		})
	}
	for lane := range 2 {
		readers.Go(func() {
			var out resp.Writer
			c := &Call{Reply: &out, Conn: &testConn{}, Lane: lane}
			for range 3000 {
				c.Args = [][]byte{[]byte("SORT"), []byte("l"), []byte("BY"), []byte("nosort"), []byte("GET"), []byte("w_*")}
				c.Spec, c.OnLoop = n.engine.Table().Lookup(c.Args[0]), true
				out.Buf = out.Buf[:0]
				n.engine.ExecuteWait(c)
				if c.Err == ErrLong {
					c.OnLoop = false
					n.engine.ExecuteWait(c)
				}
				words := strings.Fields(string(out.Buf))
				for i := 4; i < len(words); i += 2 {
					if words[i] != words[2] {
						t.Errorf("half of a change: %q", out.Buf)
						return
					}
				}
			}
		})
	}
	readers.Wait()
	close(stop)
	writers.Wait()
}

// TestSortExpiresWhatItReaches: keys that SORT finds expired go, each by its name.
func TestSortExpiresWhatItReaches(t *testing.T) {
	n := newNode(t)
	n.do("RPUSH", "l", "1", "22222", "333")
	n.do("SET", "w_333", "7")
	n.do("SET", "w_1", "5", "PX", "10")
	n.do("SET", "w_22222", "6", "PX", "10")
	n.entries()
	n.now.Add(100)
	if reply := n.do("SORT", "l", "BY", "w_*", "GET", "w_*"); reply != "*3\r\n$-1\r\n$-1\r\n$1\r\n7\r\n" {
		t.Errorf("answered %q", reply)
	}
	if got, want := n.entries(), "(0 DEL w_1; 0 DEL w_22222)"; got != want {
		t.Errorf("journaled %q, want %q", got, want)
	}
	if got := n.do("EXISTS", "w_1", "w_22222", "w_333"); got != ":1\r\n" {
		t.Errorf("%q of the keys are left", got)
	}
}

// TestSortStoresLongLists keeps results of all lengths, of which some are a block
// and some many.
func TestSortStoresLongLists(t *testing.T) {
	n := newNode(t)
	for _, size := range []int{1, 2000, 2049, 9000, 40_000, 100_000} {
		n.do("DEL", "l")
		var want strings.Builder
		count := 0
		for at := 0; at < size; count++ {
			text := fmt.Sprintf("%08d", count)
			switch {
			case count%7 == 0:
				text += strings.Repeat("x", 100)
			case count == 50:
				text += strings.Repeat("y", 20_000)
			}
			n.do("RPUSH", "l", text)
			fmt.Fprintf(&want, "$%d\r\n%s\r\n", len(text), text)
			at += len(text)
		}
		if reply := n.do("SORT", "l", "ALPHA", "STORE", "to"); reply != fmt.Sprintf(":%d\r\n", count) {
			t.Errorf("%d bytes: answered %q", size, reply)
		}
		if reply := n.do("LRANGE", "to", "0", "-1"); reply != fmt.Sprintf("*%d\r\n%s", count, want.String()) {
			t.Errorf("%d bytes: another list", size)
		}
		if a, b := n.do("OBJECT", "ENCODING", "to"), n.do("OBJECT", "ENCODING", "l"); a != b {
			t.Errorf("%d bytes: encoding %q, want %q", size, a, b)
		}
		if popped := n.do("RPOP", "to", "100000"); popped[0] != '*' || n.do("EXISTS", "to") != ":0\r\n" {
			t.Errorf("%d bytes: it is no list", size)
		}
	}
}
