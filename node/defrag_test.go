package node

import "testing"

func TestDefragEffort(t *testing.T) {
	const mib = 1 << 20
	for _, tt := range []struct {
		name                string
		excess, used, limit int64
		want                int64
	}{
		{"close together", 1 * mib, 1000 * mib, 0, 0},
		{"less than is looked at", 90 * mib, 100 * mib, 0, 0},
		{"less than the lower percentage", 109 * mib, 1100 * mib, 0, 0},
		{"the lower percentage", 110 * mib, 1100 * mib, 0, 1},
		{"between the percentages", 550 * mib, 1000 * mib, 0, 13},
		{"beyond the upper percentage", 2000 * mib, 1000 * mib, 0, 25},
		{"bearable within a limit", 7 * mib, 200 * mib, 256 * mib, 0},
		{"just not bearable", 8 * mib, 200 * mib, 256 * mib, 1},
		{"half as much again", 12 * mib, 200 * mib, 256 * mib, 13},
		{"twice as much", 16 * mib, 200 * mib, 256 * mib, 25},
		{"much more", 160 * mib, 100 * mib, 256 * mib, 25},
		{"a limit of nothing", 1 * mib, 100 * mib, 1, 0},
	} {
		need := defragNeed{
			excess: tt.excess, used: tt.used, limit: tt.limit, ignore: 100 * mib,
			lower: 10, upper: 100, least: 1, most: 25,
		}
		if got := need.effort(); got != tt.want {
			t.Errorf("%s: %d %%, not %d %%", tt.name, got, tt.want)
		}
	}
}

func TestDefragRestsAfterWalksInVain(t *testing.T) {
	for _, tt := range []struct {
		excess, left, moved int64
		want                bool
	}{
		{1600, 800, 700, true},
		{1600, 1590, 10, false},
		{1600, 1600, 99, false},
		{1600, 1650, 900, true}, // others freed as much
		{1600, 1500, 0, true},
	} {
		if got := gained(tt.excess, tt.left, tt.moved); got != tt.want {
			t.Errorf("%d bytes, %d afterwards, %d moved: %v", tt.excess, tt.left, tt.moved, got)
		}
	}
}
