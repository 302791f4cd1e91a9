package command

import (
	"fmt"
	"strconv"
)

// member draws an element of a collection: a few words and numbers that
// collide, and now and then anything.
func (d *driver) member() string {
	switch d.IntN(12) {
	case 0:
		return d.value()
	case 1:
		return d.pick("9223372036854775807", "-9223372036854775808", "9223372036854775808", "32767", "-32768", "32768", "2147483648", "-2147483649", "00", "-0", "+1", "")
	case 2, 3:
		return fmt.Sprint("m", d.IntN(300))
	case 4, 5:
		return d.pick("a", "b", "c", "d", "e")
	}
	return strconv.Itoa(d.IntN(700) - 100)
}

func (d *driver) members(most int) []string {
	members := make([]string, 1+d.IntN(most))
	for i := range members {
		members[i] = d.member()
	}
	return members
}

func (d *driver) keys(most int) []string {
	keys := make([]string, 1+d.IntN(most))
	for i := range keys {
		keys[i] = d.key()
	}
	return keys
}

// set draws a command on sets.
func (d *driver) set() []string {
	k := d.key()
	switch d.IntN(20) {
	case 0, 1, 2:
		return append([]string{"SADD", k}, d.members(5)...)
	case 3:
		// Integers in great number, for the thresholds.
		args := []string{"SADD", k}
		for range 1 + d.IntN(400) {
			args = append(args, strconv.Itoa(d.IntN(1000)-100))
		}
		return args
	case 4:
		return append([]string{"SADD", k}, d.members(200)...)
	case 5, 6:
		return append([]string{"SREM", k}, d.members(20)...)
	case 7:
		return []string{"SMEMBERS", k}
	case 8:
		return []string{"SISMEMBER", k, d.member()}
	case 9:
		return append([]string{"SMISMEMBER", k}, d.members(5)...)
	case 10:
		return []string{"SCARD", k}
	case 11:
		return []string{"SMOVE", k, d.key(), d.member()}
	case 12, 13:
		return append([]string{d.pick("SINTER", "SUNION", "SDIFF")}, d.keys(4)...)
	case 14, 15:
		return append([]string{d.pick("SINTERSTORE", "SUNIONSTORE", "SDIFFSTORE"), k}, d.keys(4)...)
	case 16:
		keys := d.keys(4)
		args := []string{"SINTERCARD", strconv.Itoa(len(keys))}
		if d.IntN(10) == 0 {
			args[1] = d.number()
		}
		args = append(args, keys...)
		if d.IntN(3) == 0 {
			args = append(args, "LIMIT", d.pick("0", "1", "5", "100", "-1", "x"))
		}
		return args
	case 17:
		// All of it, or nothing: else the two would go different ways.
		return []string{d.pick("SPOP", "SRANDMEMBER"), k, d.pick("0", "9223372036854775807", "100000", "x", "-9223372036854775808")}
	case 18:
		args := []string{"SSCAN", k, d.pick("0", "0", "0", "x", ""), "COUNT", "100000"}
		if d.IntN(3) == 0 {
			args = append(args, "MATCH", d.pick("*", "m*", "1?", "[ab]"))
		}
		return args
	}
	return []string{"OBJECT", "ENCODING", k}
}
