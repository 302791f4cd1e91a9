package cluster

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"
)

// kinds are the types that a group of keys has one key of, by the last letter
// of the key. All keys of a group are in one slot.
const (
	kindText     = "s"
	kindCounter  = "n"
	kindBits     = "b"
	kindList     = "l"
	kindQueue    = "q"
	kindInts     = "i"
	kindSet      = "m"
	kindZSet     = "z"
	kindGeo      = "g"
	kindHLL      = "p"
	kindHash     = "h"
	kindStream   = "x"
	kindDeadline = "d" // a hash whose fields have deadlines
)

var kinds = []string{
	kindText, kindCounter, kindBits, kindList, kindQueue, kindInts, kindSet,
	kindZSet, kindGeo, kindHLL, kindHash, kindStream, kindDeadline,
}

// farAhead is a time, in milliseconds, that no test lives to see.
const farAhead = 4_102_444_800_000

// drawLasting returns a time after farAhead, in whole minutes: two of them differ
// by more than a move shifts one of them.
func drawLasting(r *rand.Rand) string {
	return strconv.Itoa(farAhead + r.IntN(1000)*60_000)
}

// draw returns a write of a random kind to the group of tag. Where the reply
// decides what has happened (a random member, a chosen id), asModel says what
// the model does instead.
func draw(r *rand.Rand, tag string, deadlines bool) (args []string, asModel func(Reply) []string) {
	key := func(kind string) string { return "{" + tag + "}" + kind }
	number := func(n int) string { return strconv.Itoa(r.IntN(n)) }
	member := func() string { return "member" + number(40) }
	kind := kinds[r.IntN(len(kinds))]
	if kind == kindDeadline && !deadlines {
		kind = kindHash
	}
	k := key(kind)
	var choices [][]string
	switch kind {
	case kindText:
		choices = [][]string{
			{"SET", k, "value" + number(1000)},
			{"APPEND", k, "+" + number(10)},
			{"SETRANGE", k, number(100), "range"},
			{"SET", k, "lives", "PXAT", drawLasting(r)},
			{"PEXPIREAT", k, drawLasting(r)},
			{"PERSIST", k},
			{"GETDEL", k},
			{"GETEX", k, "PXAT", drawLasting(r)},
		}
	case kindCounter:
		choices = [][]string{{"INCR", k}, {"DECRBY", k, number(100)}, {"INCRBY", k, number(1 << 40)}}
	case kindBits:
		choices = [][]string{
			{"SETBIT", k, number(4000), number(2)},
			{"BITFIELD", k, "OVERFLOW", "SAT", "INCRBY", "u5", number(300), "7"},
			{"BITOP", "XOR", k, k, key(kindText)},
		}
	case kindList, kindQueue:
		choices = [][]string{
			{"RPUSH", k, member(), number(1000)},
			{"LPUSH", k, member()},
			{"LPOP", k},
			{"LMOVE", key(kindList), key(kindQueue), "LEFT", "RIGHT"},
			{"LINSERT", k, "BEFORE", member(), "before"},
			{"LREM", k, "1", member()},
			{"LTRIM", k, "0", "60"},
			{"SORT", key(kindInts), "LIMIT", "0", "20", "STORE", key(kindQueue)},
		}
	case kindInts:
		choices = [][]string{{"SADD", k, number(900), "-" + number(900)}, {"SREM", k, number(900)}}
	case kindSet:
		choices = [][]string{
			{"SADD", k, member(), member()},
			{"SREM", k, member()},
			{"SPOP", k},
			{"SMOVE", k, key(kindInts) + "2", member()},
			{"SUNIONSTORE", k, k, key(kindInts) + "2"},
			{"SDIFFSTORE", key(kindSet) + "2", k, key(kindInts) + "2"},
		}
	case kindZSet:
		choices = [][]string{
			{"ZADD", k, "GT", "CH", number(100), member()},
			{"ZADD", k, strconv.FormatFloat(r.Float64()*100, 'g', 17, 64), member()},
			{"ZINCRBY", k, "1.5", member()},
			{"ZREM", k, member()},
			{"ZPOPMIN", k},
			{"ZREMRANGEBYSCORE", k, "90", "(95"},
			{"ZUNIONSTORE", k, "2", k, key(kindSet), "WEIGHTS", "1", "2", "AGGREGATE", "MAX"},
			{"ZRANGESTORE", k + "2", k, "0", "9"},
		}
	case kindGeo:
		choices = [][]string{
			{"GEOADD", k, fmt.Sprintf("%.6f", r.Float64()*300-150), fmt.Sprintf("%.6f", r.Float64()*160-80), member()},
			{"GEOSEARCHSTORE", k + "2", k, "FROMLONLAT", "10", "10", "BYRADIUS", "5000", "km", "ASC"},
			{"ZREM", k, member()},
		}
	case kindHLL:
		choices = [][]string{{"PFADD", k, number(1 << 30), number(1 << 30)}, {"PFMERGE", k + "2", k}}
	case kindHash:
		choices = [][]string{
			{"HSET", k, member(), number(1000), member(), "text"},
			{"HSET", k, member(), "a value that makes a packed hash grow beyond what it may be, in time"},
			{"HINCRBY", k, "counter", number(50)},
			{"HINCRBYFLOAT", k, "float", "0.5"},
			{"HDEL", k, member()},
			{"RENAME", k, k},
			{"COPY", k, k + "2", "REPLACE"},
		}
	case kindStream:
		choices = [][]string{
			{"XADD", k, "*", member(), number(100)},
			{"XADD", k, "*", "a", number(100), "b", number(100)},
			{"XADD", k, "MAXLEN", "=", "50", "*", "a", number(100)},
			{"XGROUP", "CREATE", k, "group" + number(2), "0", "MKSTREAM"},
			{"XGROUP", "CREATECONSUMER", k, "group0", "consumer" + number(3)},
			{"XREADGROUP", "GROUP", "group" + number(2), "consumer" + number(3), "COUNT", number(4), "STREAMS", k, ">"},
			{"XAUTOCLAIM", k, "group0", "consumer" + number(3), "0", "0", "COUNT", "3", "JUSTID"},
			{"XTRIM", k, "MAXLEN", "=", "40"},
		}
	case kindDeadline:
		choices = [][]string{
			{"HSET", k, member(), number(1000)},
			{"HSETEX", k, "PXAT", drawLasting(r), "FIELDS", "1", member(), "lives"},
			{"HPEXPIREAT", k, drawLasting(r), "FIELDS", "2", member(), member()},
			{"HPERSIST", k, "FIELDS", "1", member()},
			{"HGETDEL", k, "FIELDS", "1", member()},
		}
	}
	args = choices[r.IntN(len(choices))]
	switch args[0] {
	case "SPOP":
		asModel = func(reply Reply) []string { return []string{"SREM", k, reply.Text} }
	case "XADD":
		asModel = func(reply Reply) []string {
			chosen := append([]string(nil), args...)
			for i := range chosen {
				if chosen[i] == "*" {
					chosen[i] = reply.Text
				}
			}
			return chosen
		}
	}
	return args, asModel
}

// drawEnd returns a write after which the key is left alone, because it, or a
// part of it, ends by itself in a moment.
func drawEnd(r *rand.Rand, tag string, deadlines bool) []string {
	at := strconv.FormatInt(time.Now().UnixMilli()+int64(r.IntN(3000)), 10)
	if deadlines && r.IntN(2) == 0 {
		return []string{"HSETEX", "{" + tag + "}" + kindDeadline + "!", "PXAT", at, "FIELDS", "2", "one", "1", "two", "2"}
	}
	return []string{"SET", "{" + tag + "}" + kindText + "!", "ends", "PXAT", at}
}

// large returns writes that make collections of n members in the group of tag.
func large(r *rand.Rand, tag string, n int, deadlines bool) [][]string {
	key := func(kind string) string { return "{" + tag + "}" + kind }
	var writes [][]string
	const batch = 500
	for done := 0; done < n; done += batch {
		list := []string{"RPUSH", key(kindList)}
		set := []string{"SADD", key(kindSet)}
		ints := []string{"SADD", key(kindInts)}
		zset := []string{"ZADD", key(kindZSet)}
		hash := []string{"HSET", key(kindHash)}
		ends := []string{"HPEXPIREAT", key(kindDeadline), strconv.Itoa(farAhead), "FIELDS", strconv.Itoa(batch)}
		lasting := []string{"HSET", key(kindDeadline)}
		for i := done; i < done+batch; i++ {
			name := "large" + strconv.Itoa(i)
			list = append(list, name)
			set = append(set, name)
			ints = append(ints, strconv.Itoa(i*7))
			zset = append(zset, strconv.Itoa(r.IntN(n)), name)
			hash = append(hash, name, strconv.Itoa(i))
			ends = append(ends, name)
			lasting = append(lasting, name, "v")
		}
		writes = append(writes, list, set, ints, zset, hash)
		if deadlines {
			writes = append(writes, lasting, ends)
		}
		for i := range batch / 5 {
			writes = append(writes, []string{"XADD", key(kindStream), "1-" + strconv.Itoa(done+i+1), "field", "value"})
		}
	}
	return writes
}
