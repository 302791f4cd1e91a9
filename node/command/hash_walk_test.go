package command

import (
	"fmt"
	"strings"
	"testing"
)

// TestRandomFieldsAreUniform draws fields in each way and counts them; some fields
// have expired on a replica, which keeps them.
func TestRandomFieldsAreUniform(t *testing.T) {
	for _, c := range []struct {
		fields, expired int
		count           string
	}{
		{10, 0, ""},
		{10, 0, "1"},
		{10, 0, "-3"},
		{10, 0, "3"},
		{10, 0, "7"},
		{10, 90, ""},
		{10, 90, "2"},
		{10, 90, "6"},
		{600, 0, "5"},
		{600, 0, ""},
		{600, 0, "-5"},
		{600, 600, "10"},
		{600, 600, "300"},
		{5, 900, "1"},
		{5, 900, ""},
	} {
		t.Run(fmt.Sprintf("%d and %d expired, count %s", c.fields, c.expired, c.count), func(t *testing.T) {
			n := newNode(t)
			for i := range c.expired {
				n.do("HSET", "h", fmt.Sprint("old", i), "v")
				n.do("HPEXPIRE", "h", "1", "FIELDS", "1", fmt.Sprint("old", i))
			}
			for i := range c.fields {
				n.do("HSET", "h", fmt.Sprint(i), "v")
			}
			n.engine.SetReplica(true)
			n.now.Add(10)
			command := strings.Fields("HRANDFIELD h " + c.count)
			seen := map[string]int{}
			drawn := 0
			for drawn < 200*c.fields {
				list, ok := decoded(n.do(command...)).([]any)
				if !ok {
					list = []any{decoded(n.do(command...))}
				}
				distinct := map[any]bool{}
				for _, field := range list {
					seen[field.(string)]++
					drawn++
					distinct[field] = true
				}
				if !strings.HasPrefix(c.count, "-") && c.count != "" && fmt.Sprint(len(distinct)) != c.count {
					t.Fatalf("%d different fields", len(distinct))
				}
			}
			if len(seen) != c.fields {
				t.Fatalf("%d fields were drawn, of %d", len(seen), c.fields)
			}
			// About 200 draws of each: 14 is the standard deviation of a fair choice.
			for field, times := range seen {
				if times < 200-90 || times > 200+90 {
					t.Errorf("%s was drawn %d times, of %d", field, times, drawn)
				}
			}
		})
	}
}
