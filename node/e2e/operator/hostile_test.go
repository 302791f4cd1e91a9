package operator

import (
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"slotmesh/node/e2e/harness"
)

// TestStrangersOnThePorts sends everything but the protocol to both ports of a
// node, and leaves connections half-open, while its cluster is at work.
func TestStrangersOnThePorts(t *testing.T) {
	c := newRig(t).StartCluster(3, 0, harness.Options{})
	target := c.Nodes[0]
	stop := make(chan struct{})
	var work sync.WaitGroup
	work.Go(func() {
		conn := target.Connect()
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if _, err := conn.Do("SET", strconv.Itoa(i), "v"); err != nil && !harness.IsReplyError(err) {
				t.Errorf("an honest client: %v", err)
				return
			}
		}
	})
	before, err := target.RSS()
	if err != nil {
		t.Fatal(err)
	}
	random := rand.NewChaCha8([32]byte{1})
	noise := make([]byte, 5000)
	_, _ = random.Read(noise) // never fails
	for _, port := range []int{target.Port, target.Port + 10000} {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		for i := range 200 {
			message := [][]byte{
				noise[i : 100+20*i], []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
				{0x16, 3, 1, 2, 0, 1},
				nil,
				[]byte("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nSET a"),
			}[i%5]
			if conn, err := net.DialTimeout("tcp", addr, patience); err == nil {
				_, _ = conn.Write(message) // refusing it is the node's right
				conn.Close()
			}
		}
		for i := range 500 {
			conn, err := net.DialTimeout("tcp", addr, patience)
			if err != nil {
				continue // so is not taking more of them
			}
			defer conn.Close()
			_, _ = conn.Write(noise[:i%5])
		}
		packets, err := net.Dial("udp", addr)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 1000 {
			_, _ = packets.Write(noise[i : 2*i+1])
		}
		packets.Close()
	}
	guest := c.Rig().Start(harness.Options{Cluster: true, Name: "guest"})
	want(t, "MEET", ask(t, guest, "CLUSTER", "MEET", "127.0.0.1", strconv.Itoa(target.Port)), "OK")
	await(t, "an honest node joins meanwhile", func() bool { return len(harnessView(t, guest)) == 4 })
	close(stop)
	work.Wait()
	c.WaitOK(patience)
	after, err := target.RSS()
	if err != nil {
		t.Fatal(err)
	}
	if after > before+64<<20 {
		t.Errorf("the node has grown from %d to %d MiB", before>>20, after>>20)
	}
}

// TestSlowRequests runs what takes long beside clients on every loop.
func TestSlowRequests(t *testing.T) {
	p := newRig(t).Start(harness.Options{})
	want(t, "POPULATE", ask(t, p, "DEBUG", "POPULATE", "200000", "key", "10"), "OK")
	long := make([]byte, 5000)
	for i := range long {
		long[i] = 'a' + byte(i*i%17)
	}
	want(t, "MSET", ask(t, p, "MSET", "a", string(long), "b", string(long[1000:])+string(long[:1000])), "OK")
	conns := make([]*harness.Conn, 8)
	for i := range conns {
		conns[i] = p.Connect()
	}
	for _, request := range [][]string{
		{"DEBUG", "SLEEP", "1"},
		{"KEYS", "*"},
		{"KEYS", "*a*b*c*d*"},
		{"LCS", "a", "b", "IDX"},
		{"SCAN", "0", "COUNT", "1000000"},
		{"SETRANGE", "far", "50000000", "x"},
	} {
		// A busy machine may keep anybody from the processor for that long; a request
		// that holds others up does so each time.
		var worst time.Duration
		for range 3 {
			ask(t, p, "DEL", "far")
			if worst = waitedBeside(t, p, conns, request); worst <= longestWait {
				break
			}
		}
		if worst > longestWait {
			t.Errorf("%v: another client waited %v", request[:2], worst)
		}
	}
}

// longestWait is generous for a machine with more work than cores; DEBUG SLEEP alone
// would take twice that.
const longestWait = 500 * time.Millisecond

// waitedBeside runs a request and returns the longest that others waited for an
// answer meanwhile.
func waitedBeside(t *testing.T, p *harness.Process, conns []*harness.Conn, request []string) (worst time.Duration) {
	t.Helper()
	slow := p.Connect()
	slow.Timeout = time.Minute
	if err := slow.Send(request...); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		_, err := slow.Receive()
		done <- err
	}()
	for running, i := true, 0; running || i < 2*len(conns); i++ {
		start := time.Now()
		want(t, "PING", on(t, p, conns[i%len(conns)], "PING"), "PONG")
		worst = max(worst, time.Since(start))
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("%s: %v", request[0], err)
			}
			running = false
		default:
		}
	}
	return worst
}
