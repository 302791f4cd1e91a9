package node

import (
	"testing"
	"time"

	"slotmesh/gossip"
	"slotmesh/node/server"
)

// fenceAt is a fence with a clock that the test moves.
func fenceAt(now *gossip.Instant) *fence {
	return newFence(func() gossip.Instant { return *now }, 10*time.Second)
}

func TestFenceFollowsLease(t *testing.T) {
	now := gossip.Instant(0)
	f := fenceAt(&now)
	expect := func(want server.FenceState) {
		t.Helper()
		if got, _ := f.State(); got != want {
			t.Fatalf("at %v: state %d, want %d", now, got, want)
		}
	}
	expect(server.FenceOpen)
	f.set(300*time.Millisecond, postureLeased, 10*time.Second, false, false)
	expect(server.FenceOpen)
	now = 300 * time.Millisecond
	expect(server.FenceHeld)
	now = 10*time.Second + 300*time.Millisecond
	expect(server.FenceHeld)
	now++
	expect(server.FenceDown)
	f.set(now+time.Second, postureLeased, 10*time.Second, false, false)
	expect(server.FenceOpen)
	f.set(now+time.Second, postureDraining, 10*time.Second, false, false)
	expect(server.FenceWritesHeld)
	f.set(0, postureFree, 10*time.Second, false, false)
	expect(server.FenceOpen)
	f.set(0, postureWaiting, 10*time.Second, false, false)
	expect(server.FenceHeld)
	now += 11 * time.Second
	expect(server.FenceDown)
}

func TestFenceTermEndsWhenDeposed(t *testing.T) {
	now := gossip.Instant(0)
	f := fenceAt(&now)
	_, before := f.State()
	f.set(0, postureFree, time.Second, true, true)
	if _, after := f.State(); after == before {
		t.Fatal("the term outlived a deposition")
	}
}

func TestFenceWakesThoseWhoWait(t *testing.T) {
	tests := []struct {
		name  string
		then  func(f *fence, now *gossip.Instant)
		wakes bool
	}{
		{"lease renewed", func(f *fence, now *gossip.Instant) {
			f.set(*now+time.Second, postureLeased, time.Minute, false, false)
		}, true},
		{"slots gone", func(f *fence, now *gossip.Instant) {
			f.set(0, postureFree, time.Minute, true, true)
		}, true},
		{"another table", func(f *fence, now *gossip.Instant) { f.poll(true) }, true},
		{"waited too long", func(f *fence, now *gossip.Instant) {
			*now += 2 * time.Minute
			f.poll(false)
		}, true},
		{"nothing happened", func(f *fence, now *gossip.Instant) {
			*now += time.Second
			f.poll(false)
		}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			now := gossip.Instant(time.Second)
			f := fenceAt(&now)
			f.set(now-1, postureLeased, time.Minute, false, false)
			woken := 0
			f.Notify(func() { woken++ })
			test.then(f, &now)
			if (woken == 1) != test.wakes || woken > 1 {
				t.Fatalf("woken %d times", woken)
			}
		})
	}
}

func TestFenceIsShutWhileTheTableChanges(t *testing.T) {
	now := gossip.Instant(time.Second)
	f := fenceAt(&now)
	woken := false
	f.suspend()
	if state, _ := f.State(); state != server.FenceHeld {
		t.Fatalf("state %d during the change", state)
	}
	f.Notify(func() { woken = true })
	f.poll(false)
	f.set(0, postureFree, time.Minute, true, true)
	if state, _ := f.State(); state != server.FenceOpen || !woken {
		t.Fatalf("state %d after the change, woken %v", state, woken)
	}
}
