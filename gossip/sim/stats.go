package sim

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"slotmesh/slots"
)

// Stats counts what happened, in one run or in many.
type Stats struct {
	Seeds         int
	Events        int
	Messages      int
	Broadcasts    int
	Exchanges     int
	Saves         int
	Dropped       int
	Delayed       int
	Duplicated    int
	Overlapping   int
	Acknowledged  int
	Held          int
	Deposed       int
	Votes         int
	Elections     int
	Promotions    int
	Failovers     int
	Handovers     int
	Collisions    int
	Migrations    int
	Moved         int
	Interrupted   int
	Repairs       int
	Forgets       int
	FullSyncs     int
	EmptyRestarts int
	Calms         int // spells in which a machine is told that nobody is served
	// CrashesAfterSave are crashes between a Save and what it allowed.
	CrashesAfterSave int
	// ExcusedWipes are full syncs from a primary that came back empty by
	// replicas that had no chance to take over.
	ExcusedWipes int
	// OperatorRaces are acknowledgements out of order that SETSLOT NODE
	// during a failover of the source caused, or against a repair.
	OperatorRaces int
	// Uncovered are slots that the operator had to assign anew in the end.
	Uncovered  int
	Faults     Tally
	Formed     bool
	Recoveries []time.Duration
}

// Tally counts by name.
type Tally map[string]int

func (t *Tally) add(name string) {
	if *t == nil {
		*t = Tally{}
	}
	(*t)[name]++
}

// Add adds other to s.
func (s *Stats) Add(other Stats) {
	sum, part := reflect.ValueOf(s).Elem(), reflect.ValueOf(other)
	for i := range sum.NumField() {
		if field := sum.Field(i); field.Kind() == reflect.Int {
			field.SetInt(field.Int() + part.Field(i).Int())
		}
	}
	for name, n := range other.Faults {
		if s.Faults == nil {
			s.Faults = Tally{}
		}
		s.Faults[name] += n
	}
	s.Recoveries = append(s.Recoveries, other.Recoveries...)
}

// String lists every count.
func (s Stats) String() string {
	var b strings.Builder
	v := reflect.ValueOf(s)
	for i := range v.NumField() {
		if v.Field(i).Kind() == reflect.Int {
			fmt.Fprintf(&b, "%-18s %d\n", v.Type().Field(i).Name, v.Field(i).Int())
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Faults)) {
		fmt.Fprintf(&b, "fault %-22s %d\n", name, s.Faults[name])
	}
	return b.String()
}

// sortedSlots makes the order in which a map is read part of the replay.
func sortedSlots(open map[slots.Slot]slots.NodeID) []slots.Slot {
	return slices.Sorted(maps.Keys(open))
}
