package command

import (
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var (
	driverCommands = flag.Int("driver.commands", 0, "how many random commands to compare with the reference; 0 means 50,000, or a million with SLOTMESH_LONG")
	driverSeed     = flag.Uint64("driver.seed", 0, "seed of the random commands; 0 takes one that was never taken before")
)

// driverDatabases are those that the driver's commands can reach.
const driverDatabases = 3

// TestRandomCommands sends one session of random commands of all families, whose
// types meet in the same keys, to an engine and to the reference, and compares
// every reply and, at the end, the whole keyspace.
func TestRandomCommands(t *testing.T) {
	commands, seed := *driverCommands, *driverSeed
	switch {
	case commands > 0:
	case testing.Short():
		commands = 8_000
	case os.Getenv("SLOTMESH_LONG") != "":
		commands = 1_000_000
	default:
		commands = 50_000
	}
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("%d commands; -driver.seed=%d sends them again", commands, seed)
	runDriver(t, seed, commands)
}

func runDriver(t *testing.T, seed uint64, commands int) {
	ref := startReference(t, "--enable-debug-command", "yes")
	// The active cycle would make DBSIZE a matter of luck.
	ref.do("DEBUG", "SET-ACTIVE-EXPIRE", "0")
	ours := newNode(t)
	ours.real = true
	d := &driver{Rand: rand.New(rand.NewPCG(seed, 77))}
	failures, ties := 0, 0
	var before [][]string // what was sent last, and may be the reason
	for i := range commands {
		args := d.command()
		theirs, our := ref.do(args...), ours.do(args...)
		switch {
		case sameReply(args, our, theirs):
		case sameButTies(args, our, theirs):
			ties++
			t.Logf("command %d, %.100q: a distance is rounded the other way", i, args)
		default:
			at := firstDifference(our, theirs)
			t.Errorf("seed %d, command %d: %.300q\n ours:   %.300q\n theirs: %.300q\n after %.100q", seed, i, args, our[min(at, len(our)):], theirs[min(at, len(theirs)):], before)
			if failures++; failures > 5 {
				return
			}
		}
		before = append(before[max(len(before)-15, 0):len(before):len(before)], args)
	}
	if ties > 1+commands/500_000 {
		t.Errorf("seed %d: distances are rounded differently in %d replies", seed, ties)
	}
	for db := range driverDatabases {
		compareKeyspaces(t, ours, ref, db)
	}
	var c Call
	c.engine = ours.engine
	if a, b := fmt.Sprintf("+%x\r\n", c.DigestAll()), ref.do("DEBUG", "DIGEST"); a != b {
		t.Errorf("the keyspaces differ: %q, %q", a, b)
	}
}

// sameReply compares replies, without regard to order where none is promised
// and to times that pass.
func sameReply(args []string, our, theirs string) bool {
	return our == theirs || unordered[args[0]] && sameSet(our, theirs) || sameStreams(args, our, theirs)
}

// sameButTies reports whether two replies to a command of the map differ in the last of
// the four decimals of distances, and in nothing else. The C library's asin is not
// rounded correctly in every case, so that a distance that lies between two decimals to
// sixteen digits may go either way, which hardly ever happens.
func sameButTies(args []string, a, b string) bool {
	if len(a) != len(b) || !strings.HasPrefix(args[0], "GEO") {
		return false
	}
	theirs := strings.Split(b, "\r\n")
	for i, line := range strings.Split(a, "\r\n") {
		if i >= len(theirs) {
			return false
		}
		if line == theirs[i] {
			continue
		}
		x, err1 := strconv.ParseFloat(line, 64)
		y, err2 := strconv.ParseFloat(theirs[i], 64)
		if err1 != nil || err2 != nil || len(line)-strings.IndexByte(line, '.') != 5 || math.Abs(x-y) > 1.5e-4 {
			return false
		}
	}
	return true
}

// firstDifference is a little before where two texts begin to differ.
func firstDifference(a, b string) int {
	at := 0
	for at < min(len(a), len(b)) && a[at] == b[at] {
		at++
	}
	return max(at-100, 0)
}

// compareKeyspaces compares db key by key: what the reference makes of our DUMP
// with what it makes of its own, which is not always what it has itself: a sorted
// set that has become small is restored as a listpack, and that knows no negative
// zero. Both sides have compressed the payload, chosen the order of hashes and
// sets and cut lists in ways of their own, so it is their dumps that are compared,
// and their digests where the order is free.
func compareKeyspaces(t *testing.T, ours *node, ref *reference, db int) {
	number := strconv.Itoa(db)
	for _, do := range []func(...string) string{ours.do, ref.do} {
		do("SELECT", number)
	}
	const copied, own = "\x00restored", "\x00its own"
	keys := sorted(decoded(ours.do("KEYS", "*")))
	if theirs := sorted(decoded(ref.do("KEYS", "*"))); !slices.Equal(keys, theirs) {
		t.Errorf("database %d has the keys %q, not %q", db, keys, theirs)
	}
	for _, key := range keys {
		kind := ref.do("TYPE", key)
		for _, args := range [][]string{{"TYPE", key}, {"PEXPIRETIME", key}, {"OBJECT", "ENCODING", key}} {
			if our, theirs := ours.do(args...), ref.do(args...); our != theirs {
				t.Errorf("database %d: %q: %q, not %q", db, args, our, theirs)
			}
		}
		if kind == "+stream\r\n" {
			compareStreams(t, ours, ref, key)
		}
		dump, ok := decoded(ours.do("DUMP", key)).(string)
		if !ok {
			continue // it has expired
		}
		end := strings.TrimSpace(ours.do("PEXPIRETIME", key)[1:])
		if reply := ref.do("RESTORE", copied, max(end, "0"), dump, "REPLACE", "ABSTTL"); reply != "+OK\r\n" {
			t.Errorf("database %d: the reference answers %q to our DUMP of %q", db, reply, key)
			continue
		}
		theirs, _ := decoded(ref.do("DUMP", key)).(string)
		ref.do("RESTORE", own, max(end, "0"), theirs, "ABSTTL")
		digests, _ := decoded(ref.do("DEBUG", "DIGEST-VALUE", copied, own)).([]any)
		if len(digests) != 2 || digests[0] != digests[1] {
			t.Errorf("database %d: %q is not the same: %q", db, key, digests)
		}
		if kind == "+stream\r\n" || kind == "+string\r\n" {
			if a, b := ref.do("DUMP", copied), ref.do("DUMP", key); a != b {
				t.Errorf("database %d: DUMP %q\n ours:   %.300q\n theirs: %.300q", db, key, a, b)
			}
		}
		ref.do("DEL", copied, own)
	}
}

// driver draws commands whose replies do not depend on time or on order.
type driver struct {
	*rand.Rand
	// lastID is about where the ids of streams have come to, and added the milliseconds
	// of entries that were added lately.
	lastID int
	added  []int
	// own begins the keys that the family whose command is drawn has nearly to itself.
	own string
}

func (d *driver) pick(words ...string) string { return words[d.IntN(len(words))] }

// key draws a key for any type, which is most often a string; mostly one of those
// that the family has nearly to itself, so that its values live and grow.
func (d *driver) key() string {
	switch n := d.IntN(2000); {
	case n < 3:
		return d.ownKey()
	case n < 1600 && d.own != "":
		return fmt.Sprint(d.own, d.IntN(4))
	}
	return fmt.Sprint("k", d.IntN(12))
}

// ownKey draws a key that some family has nearly to itself.
func (d *driver) ownKey() string {
	return fmt.Sprint(d.pick("s", "z", "list", "set", "hash", "bits", "geo"), d.IntN(5))
}

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
var families = []struct {
	draw func(*driver) []string
	own  string
}{
	{(*driver).bitmap, "bits"},
	{(*driver).hyperLogLog, ""},
	{(*driver).sort, ""},
	{(*driver).list, "list"},
	{(*driver).set, "set"},
	{(*driver).hash, "hash"},
	{(*driver).zset, ""},
	{(*driver).geo, ""},
	{(*driver).stream, ""},
}

func (d *driver) command() []string {
	if d.IntN(300) == 0 {
		return []string{"DEL", d.ownKey()} // what it is now may be of another type
	}
	n := d.IntN(2 + len(families))
	if n >= len(families) {
		return d.plain()
	}
	d.own = families[n].own
	defer func() { d.own = "" }()
	return families[n].draw(d)
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
