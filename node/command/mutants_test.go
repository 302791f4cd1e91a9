package command

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestMutants changes the lines of the scripts by a word or two: a word is
// missing, or too much, or no number, or a key is of another type. What both
// servers answer is compared: mostly it is which error comes first.
func TestMutants(t *testing.T) {
	each, seed := 3, *driverSeed
	switch {
	case testing.Short():
		each = 1
	case os.Getenv("SLOTMESH_LONG") != "":
		each = 60
	}
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("-driver.seed=%d makes the same mutants", seed)
	files, err := filepath.Glob("testdata/scripts/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	compared := 0
	for i, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			b := newBreeder(t, rand.New(rand.NewPCG(seed, uint64(i))))
			b.each = each
			b.run(file)
			compared += b.compared
			t.Logf("%d mutants", b.compared)
		})
	}
	t.Logf("%d mutants compared", compared)
}

// breeder makes mutants of commands and compares what a node and the reference
// say.
type breeder struct {
	*testing.T
	*rand.Rand
	ours *node
	ref  *reference
	// each is how many mutants a line has, and in six, how many types a key.
	each     int
	compared int
	before   [][]string
}

// typed are the commands that make one key of every type.
var typed = [][]string{
	{"SET", "t:text", "text"},
	{"SET", "t:number", "12"},
	{"RPUSH", "t:list", "1", "b", "3"},
	{"SADD", "t:set", "a", "b"},
	{"SADD", "t:intset", "1", "2", "3"},
	{"ZADD", "t:zset", "1", "a", "2", "b"},
	{"HSET", "t:hash", "a", "1", "b", "two"},
	{"XADD", "t:stream", "1-1", "a", "1"},
	{"PFADD", "t:hll", "a", "b"},
	{"DEL", "t:none"},
}

// wrongWords are put in the place of others.
var wrongWords = []string{
	"", "x", "-1", "0", "1000000", "+1", "1.5", " 2", "nan", "inf", "-", "*", "9223372036854775807", "9223372036854775808", "-9223372036854775808",
	"COUNT", "LIMIT", "STORE", "NX", "XX", "GET", "EX", "WITHSCORES", "LEFT", "KEEPTTL", "0-0", "(1", "[a", "\x00",
}

// unstable are commands that one cannot follow with another: what they leave or
// answer is a matter of chance, of the time or of how a value is kept.
var unstable = []string{"SPOP", "PFSELFTEST", "PFDEBUG", "DUMP", "RANDOMKEY", "SCAN", "HSCAN", "SSCAN", "ZSCAN", "COMMAND"}

func newBreeder(t *testing.T, r *rand.Rand) *breeder {
	b := &breeder{T: t, Rand: r, ref: startReference(t, "--enable-debug-command", "yes"), ours: newNode(t)}
	b.ours.real = true
	b.ref.do("DEBUG", "SET-ACTIVE-EXPIRE", "0")
	for _, args := range typed {
		b.both(args)
	}
	return b
}

func (b *breeder) run(file string) {
	for _, line := range scriptLines(b.T, file) {
		if b.Failed() {
			return
		}
		args := splitLine(b.T, line)
		if slices.Contains([]string{"unordered", "about", "shape"}, args[0]) {
			args = args[1:]
		}
		args[0] = strings.ToUpper(args[0])
		if args[0] == "XADD" && slices.ContainsFunc(args, func(arg string) bool { return strings.Contains(arg, "*") }) {
			continue // the id would be the time
		}
		if !slices.Contains(unstable, args[0]) && !arbitrary(args) {
			b.same(args, b.both(args))
		}
		for range b.each {
			mutant := b.mutant(args)
			if slices.Contains(unstable, mutant[0]) || arbitrary(mutant) {
				continue
			}
			replies := b.both(mutant)
			b.same(mutant, replies)
			if replies[1][0] == '-' || mutant[0] == "XREADGROUP" {
				continue // the reference takes a consumer named STREAMS for the word
			}
			for _, how := range []string{"GETKEYS", "GETKEYSANDFLAGS"} {
				asked := append([]string{"COMMAND", how}, mutant...)
				b.same(asked, b.both(asked))
			}
		}
		b.types(args)
	}
}

// mutant is args with a change.
func (b *breeder) mutant(args []string) []string {
	m := slices.Clone(args)
	for range 1 + b.IntN(5)/4 {
		at := 1
		if len(m) > 1 {
			at += b.IntN(len(m) - 1)
		}
		word := wrongWords[b.IntN(len(wrongWords))]
		switch n := b.IntN(8); {
		case n == 0 || at == len(m):
			m = append(m, word)
		case n == 1:
			m = slices.Delete(m, at, at+1)
		case n == 2:
			m = slices.Insert(m, at, m[at])
		case n == 3:
			m = slices.Insert(m, at, word)
		case n == 4:
			other := 1 + b.IntN(len(m)-1)
			m[at], m[other] = m[other], m[at]
		default:
			m[at] = word
		}
	}
	return m
}

// types has every key of args be of every type.
func (b *breeder) types(args []string) {
	spec := b.ours.engine.Table().Lookup([]byte(args[0]))
	if spec == nil || slices.Contains(unstable, args[0]) || arbitrary(args) {
		return
	}
	words := make([][]byte, len(args))
	for i, arg := range args {
		words[i] = []byte(arg)
	}
	if sub, err := b.ours.engine.Table().Find(words); err == nil {
		spec = sub
	}
	places, err := spec.KeyPositions(words, nil)
	if err != nil {
		return
	}
	for _, at := range places[:min(len(places), 3)] {
		if at >= len(args) {
			continue // the row's arity leaves it open
		}
		for _, creation := range typed {
			if b.IntN(6) >= b.each {
				continue
			}
			m := slices.Clone(args)
			m[at] = creation[1]
			if arbitrary(m) {
				continue
			}
			b.same(m, b.both(m))
			if spec.Flags&Write != 0 {
				b.both([]string{"DEL", creation[1]})
				b.both(creation)
			}
		}
	}
}

// arbitrary reports whether args store the members of a set as they come, whether
// what they do depends on how many milliseconds have passed, or whether they ask
// for more than memory holds: the reference begins to answer that.
func arbitrary(args []string) bool {
	has := func(word string) bool {
		return slices.ContainsFunc(args, func(arg string) bool { return strings.EqualFold(arg, word) })
	}
	switch args[0] {
	case "SORT":
		return has("BY") && has("STORE")
	case "RESTORE":
		return len(args) > 2 && args[2] == "1" && !has("ABSTTL")
	case "EXPIRE", "PEXPIRE":
		return has("GT") || has("LT")
	case "HRANDFIELD", "SRANDMEMBER", "ZRANDMEMBER":
		return slices.ContainsFunc(args, func(arg string) bool {
			n, err := strconv.ParseInt(arg, 10, 64)
			return err == nil && n < -1_000_000
		})
	}
	return false
}

// staleError is what the reference says of numbers after it has read one that was
// too large, whatever they are.
const staleError = "-ERR One or more scores can't be converted into double\r\n"

// both sends args to both.
func (b *breeder) both(args []string) [2]string {
	// Nobody comes to serve who waits.
	if spec := b.ours.engine.Table().Lookup([]byte(args[0])); spec != nil && spec.Flags&Blocking != 0 {
		for i, arg := range args {
			isTimeout := i == len(args)-1 || i == 1 && strings.HasSuffix(args[0], "MPOP")
			if strings.HasPrefix(args[0], "X") {
				isTimeout = strings.EqualFold(args[max(i-1, 0)], "BLOCK")
			}
			if n, err := strconv.ParseFloat(arg, 64); isTimeout && err == nil && (n == 0 || n > 0.02) {
				args[i] = map[bool]string{true: "0.01", false: "10"}[args[0][0] == 'B']
			}
		}
	}
	slow := time.AfterFunc(10*time.Second, func() { panic(fmt.Sprintf("no answer to %q", args)) })
	defer slow.Stop()
	return [2]string{b.ours.do(args...), b.ref.do(args...)}
}

// same compares two replies.
func (b *breeder) same(args []string, replies [2]string) {
	b.Helper()
	if len(args) > 1 && strings.EqualFold(args[1], "HELP") {
		return // in words of our own
	}
	b.compared++
	our, theirs := replies[0], replies[1]
	args = append([]string{strings.ToUpper(args[0])}, args[1:]...)
	ok := sameReply(args, our, theirs)
	switch args[0] {
	case "TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME", "OBJECT", "TOUCH":
		x, ok1 := decoded(our).(int64)
		y, ok2 := decoded(theirs).(int64)
		ok = ok || ok1 && ok2 && max(x-y, y-x) <= 2000
	case "KEYS":
		ok = ok || sameSet(our, theirs)
	case "SORT", "SORT_RO":
		// Members of a set that are not sorted may be any of them.
		ok = ok || our[0] == '*' && strings.Count(our, "$") == strings.Count(theirs, "$")
		// The reference mistakes an ERANGE of an earlier command for one of its own.
		if at := slices.IndexFunc(args, func(arg string) bool { return strings.EqualFold(arg, "STORE") }) + 1; our[0] != '-' && theirs == staleError {
			ok = true
			if 0 < at && at < len(args) {
				b.both([]string{"DEL", args[at]})
			}
		}
	case "HRANDFIELD", "SRANDMEMBER", "ZRANDMEMBER":
		ok = ok || our[0] == theirs[0] && our[0] != '-'
	}
	if !ok {
		at := firstDifference(our, theirs)
		b.Errorf("%.300q\n ours:   %.300q\n theirs: %.300q\n after %.100q", args, our[min(at, len(our)):], theirs[min(at, len(theirs)):], b.before)
	}
	b.before = append(b.before[max(len(b.before)-8, 0):len(b.before):len(b.before)], args)
}
