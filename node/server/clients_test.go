package server

import (
	"testing"

	"slotmesh/node/command"
	"slotmesh/node/resp"
)

// TestClientKillNobody holds CLIENT KILL of an id that nobody has to no allocation: the
// list of those chosen is made when there is one.
func TestClientKillNobody(t *testing.T) {
	r := newRig(t, nil)
	r.dial().expect("PING", "PONG")
	var self *session
	r.srv.mu.Lock()
	for _, s := range r.srv.clients {
		self = s
	}
	r.srv.mu.Unlock()
	w := &resp.Writer{Buf: make([]byte, 0, 64)}
	c := &command.Call{Conn: self, Reply: w, Args: [][]byte{[]byte("CLIENT"), []byte("KILL"), []byte("ID"), []byte("999999")}}
	allocs := testing.AllocsPerRun(100, func() {
		w.Buf = w.Buf[:0]
		if err := r.srv.clientKill(c); err != nil || string(w.Buf) != ":0\r\n" {
			t.Fatalf("%v, %q", err, w.Buf)
		}
	})
	if allocs > 0 {
		t.Errorf("%v allocations", allocs)
	}
}
