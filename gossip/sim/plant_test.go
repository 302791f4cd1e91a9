package sim

import (
	"slices"
	"testing"

	"slotmesh/gossip"
)

// TestPlanted demands that every classic bug is caught, and by a checker that
// watches for what it breaks.
func TestPlanted(t *testing.T) {
	cases := []struct {
		name  string
		plant Plant
		// checkers are those that may catch it.
		checkers []string
	}{
		{"vote twice", Plant{inside: gossip.Faults{VoteTwice: true}}, []string{"votes"}},
		{"skip the save", Plant{skipSave: true}, []string{"votes", "order", "restart", "epochs", "handover", "table", "liveness", "members"}},
		{"ignore the epoch", Plant{inside: gossip.Faults{IgnoreEpoch: true}}, []string{"order", "table", "coverage", "liveness", "epochs", "failed", "handover", "formation"}},
		{"no fence", Plant{noFence: true}, []string{"order"}},
		{"keep a tie", Plant{inside: gossip.Faults{KeepTie: true}}, []string{"epochs"}},
		{"believe a stale report", Plant{inside: gossip.Faults{StaleReports: true}}, []string{"stale", "failed", "liveness"}},
		{"serve old files", Plant{inside: gossip.Faults{ServeOldFiles: true}}, []string{"wipe"}},
		{"lose a claim's window", Plant{inside: gossip.Faults{LoseWindow: true}}, []string{"table", "coverage", "liveness", "formation"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for seed := uint64(1); seed <= 200; seed++ {
				r := Run(Options{Seed: seed, Plant: c.plant, Crowded: true})
				if len(r.Violations) == 0 {
					continue
				}
				first := r.Violations[0]
				if !slices.Contains(c.checkers, first.Checker) {
					// Caught by its consequences; look for the bug itself.
					continue
				}
				t.Logf("seed %d: %v", seed, first)
				if clean := Run(Options{Seed: seed, Crowded: true}); len(clean.Violations) > 0 {
					t.Errorf("but without the bug too: %v", clean.Violations[0])
				}
				return
			}
			t.Error("no checker notices it in 200 seeds")
		})
	}
}
