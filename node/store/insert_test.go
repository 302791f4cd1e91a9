package store

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"slotmesh/node/store/value"
	"slotmesh/slots"
)

// TestInsertExpiring inserts keys of one slot that expire, with short and long
// keys and values, some over an older value and some with a field that expires too:
// they then expire in the order of their deadlines, whole.
func TestInsertExpiring(t *testing.T) {
	const now, count = 1_700_000_000_000, 2000
	for _, kind := range []string{"store", "sibling"} {
		random := rand.New(rand.NewPCG(5, 6))
		s := New(Options{})
		into := s
		if kind == "sibling" {
			into = s.Sibling()
		}
		type expiring struct {
			at        int64
			key, text string
		}
		slot := slots.Of([]byte("{a}"))
		keys := map[string]expiring{}
		for i := range count {
			key := fmt.Sprintf("{a}%d%s", random.IntN(count), strings.Repeat("k", random.IntN(2)*300))
			if i%3 == 0 {
				key = fmt.Sprintf("{a}new:%d", i)
			}
			text := fmt.Sprintf("value %d %s", i, strings.Repeat("v", random.IntN(3)*200))
			e := Entry{Slot: slot, Key: []byte(key), Value: value.TextValue([]byte(text)), IdleSec: -1, Freq: -1}
			e.ExpireAtMs = now + random.Int64N(1000)
			if i%5 == 0 {
				e.Value.FieldsExpireAt = now + 5000 + random.Int64N(1000)
			}
			first, old := into.space(0, slot), keys[key]
			into.Insert(e, now)
			if first != nil && kind == "store" && into.dbs[0].Load().due[slot].Load() != first.firstDue() {
				t.Fatalf("key %q: the database is told %d, it is %d", key, into.dbs[0].Load().due[slot].Load(), first.firstDue())
			}
			if r := into.Find(0, slot, []byte(key)); !r.OK() || r.ExpireAt() != e.ExpireAtMs || r.FieldsExpireAt() != e.Value.FieldsExpireAt {
				t.Fatalf("key %q, which was to expire at %d: %v, %d, want %d", key, old.at, r.OK(), r.ExpireAt(), e.ExpireAtMs)
			}
			keys[key] = expiring{e.ExpireAtMs, key, text}
		}
		if kind == "sibling" {
			s.Replace(into)
		}
		want := make([]int64, 0, len(keys))
		for _, e := range keys {
			want = append(want, e.at)
		}
		slices.Sort(want)
		for _, at := range want {
			r, found := s.FirstExpired(slot, now+10_000)
			if !found || r.ExpireAt() != at {
				t.Fatalf("%s: the next expires at %d, want %d", kind, r.ExpireAt(), at)
			}
			e := keys[string(r.Key())]
			if got := string(r.Value().Bytes); e.at != at || got != e.text {
				t.Fatalf("%s: key %q is %q until %d, want %q until %d", kind, r.Key(), got, at, e.text, e.at)
			}
			s.Delete(0, slot, []byte(e.key))
		}
		if !s.Empty() || s.Expires(0) != 0 {
			t.Errorf("%s: %d keys, %d expire", kind, s.Len(0), s.Expires(0))
		}
	}
}
