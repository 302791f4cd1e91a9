package command

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"slotmesh/node/store/hash"
)

// field draws a name out of few: numbers, texts and binary ones, one too long
// for a listpack.
func (d *driver) field() string {
	switch n := d.IntN(60); {
	case n == 0:
		return ""
	case n == 1:
		return strings.Repeat("f", 65)
	case n == 2:
		return "\x00\xff\r\n"
	case n < 20:
		return strconv.Itoa(n)
	default:
		return fmt.Sprint("f", n)
	}
}

// hashValue draws a value; few are too long for a listpack.
func (d *driver) hashValue() string {
	if d.IntN(40) == 0 {
		return strings.Repeat("v", 60+d.IntN(300))
	}
	return d.value()
}

// hash draws a command on hashes. HRANDFIELD asks for all or none, HSCAN for all
// at once: what they choose otherwise is not the same on both sides.
func (d *driver) hash() []string {
	k := d.key()
	switch d.IntN(17) {
	case 0, 1, 2, 3:
		args := []string{d.pick("HSET", "HSET", "HMSET"), k}
		n := 1 + d.IntN(4)
		if d.IntN(30) == 0 {
			n = d.IntN(700)
		}
		for range n {
			args = append(args, d.field(), d.hashValue())
		}
		if d.IntN(30) == 0 {
			args = append(args, d.field())
		}
		return args
	case 4:
		// Many different fields, past the limit of a listpack.
		args := []string{"HSET", k}
		from := d.IntN(600)
		for i := range 1 + d.IntN(200) {
			args = append(args, fmt.Sprint("n", from+i), d.number())
		}
		return args
	case 5:
		return []string{"HSETNX", k, d.field(), d.hashValue()}
	case 6:
		return []string{d.pick("HGET", "HEXISTS", "HSTRLEN"), k, d.field()}
	case 7:
		return []string{"HMGET", k, d.field(), d.field(), d.field()}
	case 8:
		return []string{d.pick("HGETALL", "HKEYS", "HVALS", "HLEN"), k}
	case 9, 10:
		args := []string{"HDEL", k}
		for range 1 + d.IntN(8) {
			args = append(args, d.field())
		}
		return args
	case 11:
		return []string{"HINCRBY", k, d.field(), d.number()}
	case 12:
		return []string{"HINCRBYFLOAT", k, d.field(), d.float()}
	case 13:
		args := []string{"HRANDFIELD", k, d.pick("0", "100000", "-9223372036854775808", "x", "4611686018427387904")}
		if d.IntN(2) == 0 {
			args = append(args, d.pick("WITHVALUES", "foo"))
		}
		return args
	case 14:
		args := []string{"HSCAN", k, d.pick("0", "0", "0", "x", "")}
		for range d.IntN(3) {
			args = append(args, d.pick("MATCH", "COUNT"), d.pick("f*", "*1*", "1000000"))
		}
		return append(args, "COUNT", "1000000")
	case 15:
		return []string{d.pick("TYPE", "DEL", "EXISTS"), k}
	default:
		return []string{"OBJECT", "ENCODING", k}
	}
}

// TestHashLimits compares random commands on hashes, and their encodings, under
// other limits of the listpack.
func TestHashLimits(t *testing.T) {
	for i, limits := range []hash.Limits{{Entries: 3, Value: 64}, {Entries: 0, Value: 0}, {Entries: 512, Value: 5}, {Entries: 2000, Value: 4096}} {
		t.Run(fmt.Sprint(limits), func(t *testing.T) {
			ref := startReference(t, "--hash-max-listpack-entries", strconv.Itoa(limits.Entries),
				"--hash-max-listpack-value", strconv.Itoa(limits.Value))
			ours := newNode(t)
			all := *ours.engine.limits.Load()
			all.Hash = limits
			ours.engine.SetLimits(all)
			d := &driver{Rand: rand.New(rand.NewPCG(uint64(i), 3))}
			for range 3000 {
				args := d.hash()
				if theirs, our := ref.do(args...), ours.do(args...); our != theirs && !(unordered[args[0]] && sameSet(our, theirs)) {
					t.Fatalf("%q\n ours:   %.300q\n theirs: %.300q", args, our, theirs)
				}
			}
		})
	}
}
