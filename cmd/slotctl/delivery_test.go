package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"slotmesh/node/resp"
	"slotmesh/slots"
)

// fakeNode is a node that answers as a test says.
type fakeNode struct {
	addr string

	mu   sync.Mutex
	seen []string
}

func (f *fakeNode) requests() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.seen...)
}

// startFake starts a node that answers its nth command with a line; "" closes
// the connection.
func startFake(t *testing.T, answer func(n int, request string) string) *fakeNode {
	t.Helper()
	n := 0
	return startRaw(t, func(request string) (string, bool) {
		n++
		line := answer(n, request)
		if line == "" {
			return "", true
		}
		return line + "\r\n", false
	})
}

// startRaw starts a node that sends what answer returns, and closes the
// connection after it if told so. answer is called by one goroutine at a time.
func startRaw(t *testing.T, answer func(request string) (sent string, last bool)) *fakeNode {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	f := &fakeNode{addr: listener.Addr().String()}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go f.serve(conn, answer)
		}
	}()
	return f
}

func (f *fakeNode) serve(conn net.Conn, answer func(request string) (string, bool)) {
	defer conn.Close()
	// Requests look like replies that are arrays.
	requests := resp.NewReplyReader(bufio.NewReader(conn), resp.ReplyLimits{})
	for {
		request, err := requests.Read()
		if err != nil {
			return
		}
		var words []string
		for _, e := range request.Elements {
			words = append(words, string(e.Text))
		}
		text := strings.Join(words, " ")
		f.mu.Lock()
		f.seen = append(f.seen, text)
		reply, last := answer(text)
		f.mu.Unlock()
		if _, err := conn.Write([]byte(reply)); err != nil || last {
			return
		}
	}
}

func ok(int, string) string { return "+OK" }

// send delivers the keys a and b to a cluster in which seed owns everything.
func send(t *testing.T, seed string, replace bool) (left int, err error) {
	t.Helper()
	o := options{addr: seed, timeout: 5 * time.Second, replace: replace}
	all := shard{ID: "seed", Addr: seed, Slots: allSlots()}
	c := &courier{route: newRouter(topology{all}, o), o: o, links: make(map[string]*link)}
	defer c.close()
	var items []*item
	for _, key := range []string{"a", "b"} {
		items = append(items, &item{slot: slots.Of([]byte(key)), key: []byte(key), payload: []byte("dump"), expireAt: 77, idleSec: -1, freq: -1})
	}
	return c.deliver(context.Background(), items)
}

func wantRequests(t *testing.T, f *fakeNode, want ...string) {
	t.Helper()
	if is := f.requests(); fmt.Sprint(is) != fmt.Sprint(want) {
		t.Errorf("requests %q, want %q", is, want)
	}
}

func TestDeliveryFollowsRedirections(t *testing.T) {
	other := startFake(t, ok)
	seed := startFake(t, func(_ int, request string) string {
		if strings.HasPrefix(request, "RESTORE a") {
			return "-MOVED 15495 " + other.addr
		}
		return "-ASK 3300 " + other.addr
	})
	if left, err := send(t, seed.addr, true); err != nil || left != 0 {
		t.Fatalf("%d left, %v", left, err)
	}
	wantRequests(t, other, "RESTORE a 77 dump ABSTTL REPLACE", "ASKING", "RESTORE b 77 dump ABSTTL REPLACE")
}

func TestDeliveryWaitsForObstacles(t *testing.T) {
	seed := startFake(t, func(n int, request string) string {
		switch {
		case strings.HasPrefix(request, "CLUSTER"):
			return "-CLUSTERDOWN The cluster is down"
		case n < 6:
			return "-TRYAGAIN Multiple keys request during rehashing of slot"
		}
		return "+OK"
	})
	if left, err := send(t, seed.addr, false); err != nil || left != 0 {
		t.Fatalf("%d left, %v", left, err)
	}
}

// TestDeliveryAfterABrokenConnection: what may have arrived is not taken for
// somebody else's key.
func TestDeliveryAfterABrokenConnection(t *testing.T) {
	seed := startFake(t, func(n int, request string) string {
		switch {
		case n == 2:
			return ""
		case strings.HasPrefix(request, "CLUSTER"):
			return "-ERR not now"
		}
		return "+OK"
	})
	if left, err := send(t, seed.addr, false); err != nil || left != 0 {
		t.Fatalf("%d left, %v", left, err)
	}
	var restores []string
	for _, request := range seed.requests() {
		if strings.HasPrefix(request, "RESTORE") {
			restores = append(restores, request)
		}
	}
	want := []string{"RESTORE a 77 dump ABSTTL", "RESTORE b 77 dump ABSTTL", "RESTORE b 77 dump ABSTTL REPLACE"}
	if fmt.Sprint(restores) != fmt.Sprint(want) {
		t.Errorf("requests %q, want %q", restores, want)
	}
}

func TestDeliveryGivesUp(t *testing.T) {
	for reply, want := range map[string]string{
		"-BUSYKEY Target key name already exists.":                 "somebody else writes",
		"-OOM command not allowed when used memory > 'maxmemory'.": "OOM command",
		"-ERR Bad data format":                                     "refuses key \"a\"",
		"-MOVED nonsense":                                          "answers",
	} {
		seed := startFake(t, func(int, string) string { return reply })
		left, err := send(t, seed.addr, false)
		if err == nil || !strings.Contains(err.Error(), want) || left != 2 {
			t.Errorf("after %s: %d left, %v, want %q", reply, left, err, want)
		}
	}
}
