package server

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// TestLongCommandsLeaveTheLoop has pipelines of commands whose values show only
// under the lock that they are too long for a loop, between short ones and inside
// transactions, all on one key: some wait for the lock first. The replies come in
// order and the loops stay alive.
func TestLongCommandsLeaveTheLoop(t *testing.T) {
	r := newRig(t, nil)
	const elements = 3000
	setup := r.dial()
	for i := 1; i <= elements/100; i++ {
		setup.expect("RPUSH l"+strings.Repeat(" "+strings.Repeat("x", 60), 100), fmt.Sprint(100*i))
	}
	const clients, rounds = 12, 30
	var group sync.WaitGroup
	for range clients {
		group.Go(func() {
			c := r.dial()
			for range rounds {
				c.send("LLEN l\r\nLRANGE l 0 -1\r\nPING\r\nMULTI\r\nLLEN l\r\nLRANGE l 0 -1\r\nEXEC\r\nLPOS l nothing\r\nLLEN l\r\n")
				for i, want := range []string{"3000", "*[x", "PONG", "OK", "QUEUED", "QUEUED", "*[3000 *[x", "nil", "3000"} {
					if got := c.reply(); !strings.HasPrefix(got, want) {
						t.Errorf("reply %d is %.60s, want %s", i, got, want)
						return
					}
				}
			}
		})
	}
	group.Wait()
	if stats := r.srv.Stats(); stats.Errors != 0 {
		t.Errorf("%d errors", stats.Errors)
	}
}
