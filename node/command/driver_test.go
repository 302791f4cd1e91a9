package command

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
)

var (
	driverCommands = flag.Int("driver.commands", 8000, "how many random commands to compare with the reference")
	driverSeed     = flag.Uint64("driver.seed", 0, "seed of the random commands; 0 takes a few")
)

// TestRandomCommands sends random commands to an engine and to the reference
// and compares every reply and, at the end, the whole keyspace.
func TestRandomCommands(t *testing.T) {
	seeds := []uint64{1, 2, 3}
	if *driverSeed != 0 {
		seeds = []uint64{*driverSeed}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { runDriver(t, seed, *driverCommands) })
	}
}

func runDriver(t *testing.T, seed uint64, commands int) {
	ref := startReference(t, "--enable-debug-command", "yes")
	// The active cycle would make DBSIZE a matter of luck.
	ref.do("DEBUG", "SET-ACTIVE-EXPIRE", "0")
	ours := newNode(t)
	ours.real = true
	d := &driver{rand.New(rand.NewPCG(seed, 77))}
	failures := 0
	for i := range commands {
		args := d.command()
		theirs, our := ref.do(args...), ours.do(args...)
		if our != theirs && !(unordered[args[0]] && sameSet(our, theirs)) {
			t.Errorf("seed %d, command %d: %q\n ours:   %.300q\n theirs: %.300q", seed, i, args, our, theirs)
			if failures++; failures > 5 {
				return
			}
		}
	}
	var c Call
	c.engine = ours.engine
	if a, b := fmt.Sprintf("+%x\r\n", c.DigestAll()), ref.do("DEBUG", "DIGEST"); a != b {
		t.Errorf("seed %d: the keyspaces differ: %q, %q", seed, a, b)
	}
}

// driver draws commands whose replies do not depend on time or on order.
type driver struct{ *rand.Rand }

func (d *driver) pick(words ...string) string { return words[d.IntN(len(words))] }

func (d *driver) key() string { return fmt.Sprint("k", d.IntN(12)) }

func (d *driver) number() string {
	switch d.IntN(8) {
	case 0:
		return d.pick("9223372036854775807", "-9223372036854775808", "9223372036854775808", "-1", "0", "", " 1", "1 ", "abc", "1.5", "+1", "00")
	case 1:
		return strconv.FormatInt(int64(d.Uint64()), 10)
	}
	return strconv.Itoa(d.IntN(40) - 20)
}

func (d *driver) float() string {
	switch d.IntN(6) {
	case 0:
		return d.pick("inf", "-inf", "nan", "1e", "0x1p3", "1e400", "1e-400", "1e5000", "-0", ".", "5.", ".5", "1e17", "123456789.123456789")
	case 1:
		return strconv.FormatFloat(d.NormFloat64(), 'g', 1+d.IntN(20), 64)
	case 2:
		return strconv.FormatFloat(d.NormFloat64()*1e12, 'f', d.IntN(20), 64)
	}
	return fmt.Sprintf("%d.%d", d.IntN(1000)-500, d.IntN(1000000))
}

func (d *driver) value() string {
	switch d.IntN(6) {
	case 0:
		return d.number()
	case 1:
		return d.float()
	case 2:
		return string(make([]byte, d.IntN(60)))
	}
	b := make([]byte, d.IntN(50))
	for i := range b {
		b[i] = byte(d.IntN(256))
	}
	return string(b)
}

// deadline is an option of SET or GETEX: absolute times that neither side
// reaches or that both have passed, and other words.
func (d *driver) deadline() []string {
	return [][]string{
		{"PXAT", "33177117000000"},
		{"PXAT", "33177117420123"},
		{"EXAT", "33177117420"},
		{"EXAT", "1"},
		{"PXAT", "1000"},
		{"EX", d.pick("0", "-1", "x", "9223372036854775807")},
		{"KEEPTTL"},
		{"PERSIST"},
		{"NX"},
		{"XX"},
		{"GET"},
		{d.pick("EX", "PX", "foo", "")},
	}[d.IntN(12)]
}

// unordered are commands whose replies have no order that is promised.
var unordered = map[string]bool{
	"HGETALL": true, "HKEYS": true, "HVALS": true, "HRANDFIELD": true, "HSCAN": true,
	"SMEMBERS": true, "SINTER": true, "SUNION": true, "SDIFF": true, "SPOP": true, "SRANDMEMBER": true, "SSCAN": true,
	"ZRANDMEMBER": true, "ZSCAN": true,
}

// families are the generators of the families that have files of their own.
var families = []func(*driver) []string{
	(*driver).bitmap,
	(*driver).hyperLogLog,
	(*driver).sort,
	(*driver).list,
	(*driver).set,
	(*driver).hash,
	(*driver).zset,
	(*driver).geo,
}

func (d *driver) command() []string {
	if n := d.IntN(2 + len(families)); n < len(families) {
		return families[n](d)
	}
	return d.plain()
}

// plain draws a command of strings and keys.
func (d *driver) plain() []string {
	k := d.key()
	switch d.IntN(34) {
	case 0, 1:
		return []string{"SET", k, d.value()}
	case 2, 3:
		args := []string{"SET", k, d.value()}
		for range 1 + d.IntN(2) {
			args = append(args, d.deadline()...)
		}
		return args
	case 4:
		return append([]string{"GETEX", k}, d.deadline()...)
	case 5:
		return []string{d.pick("GET", "GETDEL", "STRLEN", "INCR", "DECR", "TYPE", "EXISTS", "PERSIST", "DEL", "UNLINK", "TOUCH"), k}
	case 6:
		return []string{d.pick("INCRBY", "DECRBY"), k, d.number()}
	case 7, 8, 9:
		return []string{"INCRBYFLOAT", k, d.float()}
	case 10:
		return []string{"APPEND", k, d.value()}
	case 11:
		return []string{"SETRANGE", k, strconv.Itoa(d.IntN(70) - 2), d.value()}
	case 12:
		return []string{"GETRANGE", k, d.number(), d.number()}
	case 13:
		return []string{"MSET", k, d.value(), d.key(), d.value()}
	case 14:
		return []string{"MSETNX", k, d.value(), d.key(), d.value()}
	case 15:
		return []string{"MGET", k, d.key(), d.key()}
	case 16:
		return []string{d.pick("GETSET", "SETNX"), k, d.value()}
	case 17:
		return []string{d.pick("RENAME", "RENAMENX"), k, d.key()}
	case 18:
		args := []string{"COPY", k, d.key()}
		if d.IntN(2) == 0 {
			args = append(args, "REPLACE")
		}
		if d.IntN(3) == 0 {
			args = append(args, "DB", d.pick("0", "1", "2", "16", "x"))
		}
		return args
	case 19:
		return []string{"MOVE", k, d.pick("0", "1", "2", "99", "x")}
	case 20:
		return []string{"SELECT", d.pick("0", "0", "1", "2", "99")}
	case 21:
		if d.IntN(20) == 0 {
			return []string{"SWAPDB", d.pick("0", "1"), d.pick("1", "2", "x")}
		}
		return []string{"DBSIZE"}
	case 22:
		return []string{d.pick("EXPIREAT", "PEXPIREAT"), k, d.pick("33177117420", "33177117420123", "33177117000", "1", "-1", "0", "x")}
	case 23:
		return []string{"EXPIREAT", k, d.pick("33177117420", "33177117421", "1"), d.pick("NX", "XX", "GT", "LT", "foo")}
	case 24:
		return []string{d.pick("EXPIRETIME", "PEXPIRETIME"), k}
	case 25:
		return []string{"OBJECT", d.pick("ENCODING", "FREQ", "foo"), k}
	case 26:
		args := []string{"LCS", k, d.key()}
		for range d.IntN(3) {
			args = append(args, d.pick("IDX", "LEN", "WITHMATCHLEN", "MINMATCHLEN"))
		}
		return args
	case 27:
		return []string{"LCS", k, d.key(), "IDX", "MINMATCHLEN", d.number(), "WITHMATCHLEN"}
	case 28:
		return []string{d.pick("SETEX", "PSETEX"), k, d.pick("0", "-1", "x", "9223372036854775807"), d.value()}
	case 29:
		if d.IntN(100) == 0 {
			return []string{d.pick("FLUSHDB", "FLUSHALL")}
		}
		return []string{"EXISTS", k, d.key(), k}
	case 30:
		// A payload of zeros has a right checksum; the "x" makes it wrong.
		return []string{"RESTORE", k, d.pick("0", "-1", "x"), "x" + d.value()}
	case 31:
		return []string{"KEYS", k}
	case 32:
		return []string{"DEL", k, d.key()}
	default:
		return []string{d.pick("INCR", "DECR"), k}
	}
}
