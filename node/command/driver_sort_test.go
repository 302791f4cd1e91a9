package command

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
)

// sort draws a SORT, or what there is to sort. It has keys of its own: texts with
// zero bytes have no order that is promised. Numbers are for
// TestRandomSorts, since the reference may take an error that an earlier command
// left behind for one of theirs.
func (d *driver) sort() []string {
	key := fmt.Sprint("t", d.IntN(6))
	switch d.IntN(8) {
	case 0:
		args := []string{d.pick("RPUSH", "SADD"), key}
		for range 1 + d.IntN(8) {
			args = append(args, d.pick("a", "b", "c", "m1", "", strconv.Itoa(d.IntN(30)), "\xff\x01"))
		}
		return args
	case 1:
		args := []string{"ZADD", key}
		for range 1 + d.IntN(8) {
			args = append(args, strconv.Itoa(d.IntN(10)), d.pick("a", "b", "c", "m1", strconv.Itoa(d.IntN(30))))
		}
		return args
	case 2:
		return []string{d.pick("DEL", "TYPE"), key}
	}
	args := []string{d.pick("SORT", "SORT", "SORT_RO"), key}
	if d.IntN(20) == 0 {
		args[1] = d.key()
		return append(args, "ALPHA", "LIMIT", "0", "0")
	}
	args = append(args, d.pick("ALPHA", "alpha"))
	for range d.IntN(4) {
		switch d.IntN(9) {
		case 0:
			args = append(args, d.pick("ASC", "DESC"))
		case 1, 2:
			args = append(args, "LIMIT", d.pick("0", "0", "1", "5", "-1", "x"), d.pick("-1", "2", "10", "0", d.number()))
		case 3, 4:
			args = append(args, "GET", d.pick("#", "k*", "k1*", "*", "k*->m1", "k*->1", "nothing", "", "k*->"))
		case 5:
			args = append(args, "STORE", fmt.Sprint("t", d.IntN(6)))
		case 6, 7:
			args = append(args, d.pick("ALPHA", "asc", "foo", "GET", "STORE", "LIMIT"))
		}
	}
	return args
}

// TestRandomSorts sorts random numbers, and elements by random weights.
func TestRandomSorts(t *testing.T) {
	ref := startReference(t)
	ours := newNode(t)
	d := &driver{Rand: rand.New(rand.NewPCG(9, 9))}
	both := func(args ...string) {
		t.Helper()
		if our, theirs := ours.do(args...), ref.do(args...); our != theirs {
			t.Fatalf("%q\n ours:   %.300q\n theirs: %.300q", args, our, theirs)
		}
	}
	number := func() string {
		switch d.IntN(4) {
		case 0:
			return strconv.FormatFloat(d.NormFloat64()*1e3, 'g', 1+d.IntN(17), 64)
		case 1:
			return d.pick("inf", "-inf", "-0", "0", "9223372036854775807", "9223372036854775806", "1e300")
		}
		return strconv.Itoa(d.IntN(200) - 100)
	}
	for range 1500 {
		both("DEL", "x", "stored")
		command := d.pick("RPUSH", "SADD", "ZADD")
		args := []string{command, "x"}
		for range 1 + d.IntN(40) {
			if command == "ZADD" {
				args = append(args, strconv.Itoa(d.IntN(5)))
			}
			args = append(args, number())
		}
		both(args...)
		both("SET", "w_"+strconv.Itoa(d.IntN(200)-100), number())
		args = []string{"SORT", "x"}
		if d.IntN(2) == 0 {
			args = append(args, "LIMIT", strconv.Itoa(d.IntN(20)), strconv.Itoa(d.IntN(20)))
		}
		if d.IntN(2) == 0 {
			args = append(args, "DESC")
		}
		if d.IntN(2) == 0 {
			args = append(args, "BY", "w_*", "GET", "#", "GET", "w_*")
		}
		if d.IntN(4) == 0 {
			both(append(args, "STORE", "stored")...)
			both("LRANGE", "stored", "0", "-1")
			continue
		}
		both(args...)
		if command != "SADD" {
			both("SORT", "x", "BY", "nosort", d.pick("ASC", "DESC"), "LIMIT", strconv.Itoa(d.IntN(20)), strconv.Itoa(d.IntN(20)))
		}
	}
}
