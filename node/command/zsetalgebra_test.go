package command

import (
	"fmt"
	"math/rand/v2"
	"strconv"
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

// TestZSetAlgebraOfRandomScores combines sets of random members and scores, of
// which many are the same, zeros with a sign, negative or infinite.
func TestZSetAlgebraOfRandomScores(t *testing.T) {
	ref := startReference(t)
	ours := newNode(t)
	d := &driver{Rand: rand.New(rand.NewPCG(4, 4))}
	both := func(args ...string) {
		t.Helper()
		if our, theirs := ours.do(args...), ref.do(args...); our != theirs {
			t.Fatalf("%.300q\n ours:   %.300q\n theirs: %.300q", args, our, theirs)
		}
	}
	score := func(kind int) string {
		switch kind {
		case 0:
			return strconv.Itoa(d.IntN(100_000) - 50_000)
		case 1:
			return strconv.FormatFloat(d.NormFloat64()*1e6, 'g', -1, 64)
		case 2:
			return d.pick("0", "-0", "1", "-1", "inf", "-inf")
		}
		return "7"
	}
	for range 150 {
		both("DEL", "a", "b", "c", "to")
		for _, key := range []string{"a", "b", "c"} {
			args := []string{"ZADD", key}
			if key == "c" && d.IntN(2) == 0 {
				args[0] = "SADD"
			}
			kind := d.IntN(4)
			for range 1 + d.IntN(600) {
				if args[0] == "ZADD" {
					args = append(args, score(kind))
				}
				args = append(args, d.pick("m", "member:")+strconv.Itoa(d.IntN(500)))
			}
			both(args...)
		}
		args := []string{d.pick("ZINTERSTORE", "ZDIFFSTORE", "ZUNIONSTORE"), "to", "2", "a", d.pick("b", "c")}
		if args[0] != "ZDIFFSTORE" && d.IntN(2) == 0 {
			args = append(args, "WEIGHTS", d.pick("1", "-2", "0.5"), d.pick("1", "-1", "0"))
		}
		both(args...)
		both("ZRANGE", "to", "0", "-1", "WITHSCORES")
		both("OBJECT", "ENCODING", "to")
		for i := range 500 {
			if i%7 == 0 {
				both("ZSCORE", "to", "m"+strconv.Itoa(i))
				both("ZRANK", "to", "member:"+strconv.Itoa(i))
			}
		}
		both("ZREMRANGEBYRANK", "to", "10", "100")
		both("ZRANGE", "to", "0", "-1", "WITHSCORES")
	}
}

// TestZSetAlgebraAllocatesNothing holds the operations that answer to the promise of
// the other hot commands.
func TestZSetAlgebraAllocatesNothing(t *testing.T) {
	for _, size := range []int{10, 100, 300} {
		n := newNode(t)
		n.journal.on = false
		for i := range size {
			n.do("ZADD", "a", fmt.Sprint(i), fmt.Sprint("member:", i))
			n.do("ZADD", "b", fmt.Sprint(i), fmt.Sprint("member:", i%7))
			n.do("SADD", "set", fmt.Sprint("member:", i))
		}
		for _, args := range [][]string{
			{"ZINTERCARD", "2", "a", "b"},
			{"ZINTER", "2", "a", "b", "WITHSCORES"},
			{"ZINTER", "3", "set", "b", "a"},
			{"ZUNION", "2", "b", "b"},
			{"ZDIFF", "2", "b", "set"},
		} {
			c := &Call{Reply: &n.out, Conn: n.conn}
			for _, word := range args {
				c.Args = append(c.Args, []byte(word))
			}
			c.Spec = n.engine.Table().Lookup(c.Args[0])
			if allocs := testing.AllocsPerRun(20, func() {
				n.out.Buf = n.out.Buf[:0]
				n.engine.Execute(c, nil)
			}); allocs > 0 {
				t.Errorf("%s of %d: %v allocations", args, size, allocs)
			}
		}
	}
}
