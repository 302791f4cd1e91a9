package command

import (
	"fmt"
	"testing"
)

// TestLargeZSetAlgebra combines sorted sets of all sizes, whose results tell
// what they ought to be: member i of a set has the score i, and those of the
// other are the multiples of three.
func TestLargeZSetAlgebra(t *testing.T) {
	n := newNode(t)
	for _, first := range []int{1, 50, 1000, 5000} {
		for _, second := range []int{1, 50, 1000, 5000} {
			n.do("DEL", "a", "b")
			add := func(key string, count, step int) {
				for i := 0; i < count; i += 500 {
					args := []string{"ZADD", key}
					for j := i; j < min(i+500, count); j++ {
						args = append(args, fmt.Sprint(j*step), fmt.Sprint("member:", j*step))
					}
					n.do(args...)
				}
			}
			add("a", first, 1)
			add("b", second, 3)
			common := min((first+2)/3, second)
			for _, c := range []struct {
				command string
				want    int
				factor  int
			}{
				{"ZINTERSTORE", common, 2},
				{"ZDIFFSTORE", first - common, 1},
				{"ZUNIONSTORE", first + second - common, 0},
			} {
				what := fmt.Sprint(c.command, " of ", first, " and ", second)
				if got := n.do(c.command, "to", "2", "a", "b"); got != fmt.Sprintf(":%d\r\n", c.want) {
					t.Fatalf("%s: %q, want %d", what, got, c.want)
				}
				last := -1
				for i := range c.want {
					if i%97 != 0 && i != c.want-1 {
						continue
					}
					member := n.do("ZRANGE", "to", fmt.Sprint(i), fmt.Sprint(i))
					var number int
					if _, err := fmt.Sscanf(member, "*1\r\n$%d\r\nmember:%d\r\n", new(int), &number); err != nil {
						t.Fatalf("%s: rank %d is %q", what, i, member)
					}
					score := number * c.factor
					if c.factor == 0 {
						if score = number; number%3 == 0 && number < first && number/3 < second {
							score *= 2
						}
					}
					if got, text := n.do("ZSCORE", "to", fmt.Sprint("member:", number)), fmt.Sprint(score); got != fmt.Sprintf("$%d\r\n%s\r\n", len(text), text) {
						t.Fatalf("%s: score of %d is %q, want %d", what, number, got, score)
					}
					if score < last {
						t.Fatalf("%s: %d at rank %d follows %d", what, score, i, last)
					}
					last = score
				}
			}
		}
	}
}
