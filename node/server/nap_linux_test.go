package server

import (
	"testing"
	"time"
)

// A loop naps while that gathers requests of many connections, and not while the
// connections are few, slow, or ask so rarely that a nap finds nothing.
func TestWhenALoopNaps(t *testing.T) {
	tests := []struct {
		name            string
		sockets         int
		perSecond, took int64
		worth           bool
	}{
		{"nobody asks", 0, 0, napTypical, false},
		{"fifty connections ask as fast as they can", 50, 90_000, napTypical, true},
		{"two hundred do", 200, 100_000, napTypical, true},
		{"ten do, and would all wait for the nap", 10, 90_000, napTypical, false},
		{"one does", 1, 30_000, napTypical, false},
		{"a thousand ask now and then", 1000, 20_000, napTypical, false},
		{"a thousand ask often", 1000, 60_000, napTypical, true},
		{"fifty ask as fast as they can, but naps take long", 50, 90_000, 4 * napTypical, false},
		{"naps are so short that they gather nothing", 50, 90_000, 10e3, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			const windows = 4
			p := nap{took: test.took, window: 1}
			sockets := make([]socket, test.sockets)
			next := 0
			for now := int64(0); now < windows*napWindow; now += napWindow {
				p.took = test.took
				for range test.perSecond * napWindow / 1e9 {
					p.count(&sockets[next%len(sockets)])
					next++
				}
				p.decide(now + napWindow/2)
				if worth := p.worth; worth && now == 0 {
					t.Error("decided before the window was over")
				}
				p.decide(now + napWindow)
			}
			if p.worth != test.worth {
				t.Errorf("worth a nap: %t", p.worth)
			}
		})
	}
}

// Naps that took long, for somebody else had the processor, are taken again when they
// have been left out for a while.
func TestNapsComeBack(t *testing.T) {
	p := nap{took: napTypical, window: 1}
	sockets := make([]socket, 50)
	now := int64(0)
	window := func() {
		for i := range 450 {
			p.count(&sockets[i%len(sockets)])
		}
		now += napWindow
		p.decide(now)
	}
	if window(); !p.worth {
		t.Fatal("no naps to begin with")
	}
	for range 100 {
		p.average(time.Second.Nanoseconds())
	}
	if window(); p.worth {
		t.Errorf("naps go on while they take %d ns", p.took)
	}
	for range 50 {
		window()
	}
	if !p.worth {
		t.Errorf("naps never come back; they are thought to take %d ns", p.took)
	}
}

// What a nap takes is known after it.
func TestNapIsMeasured(t *testing.T) {
	p := nap{took: 8 * napTypical}
	begun := time.Now()
	p.take(func() int64 { return time.Since(begun).Nanoseconds() })
	if took := time.Since(begun); took < napAsked {
		t.Errorf("the nap took %v", took)
	}
	if p.took >= 8*napTypical {
		t.Errorf("it is still thought to take %d ns", p.took)
	}
}
