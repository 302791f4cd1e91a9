package command

import (
	"fmt"
	"strconv"
)

// zkey draws the key of a sorted set: one that other families use too, or one
// that grows large.
func (d *driver) zkey() string {
	if d.IntN(10) == 0 {
		return d.key()
	}
	return fmt.Sprint("z", d.IntN(4))
}

func (d *driver) score() string {
	switch d.IntN(12) {
	case 0:
		return d.pick("inf", "-inf", "+inf", "-0", "0", "1e21", "1e17", "4611686018427387904", "-1e300", "5e-324", "0x10", "1e-400", "x", "", "nan")
	case 1:
		return d.float()
	case 2, 3:
		return fmt.Sprintf("%d.%d", d.IntN(10)-5, d.IntN(100))
	}
	return strconv.Itoa(d.IntN(40) - 20)
}

// end draws one end of a range of scores.
func (d *driver) end() string {
	if d.IntN(4) == 0 {
		return "(" + d.score()
	}
	return d.score()
}

// lexEnd draws one end of a range of members.
func (d *driver) lexEnd() string {
	switch d.IntN(8) {
	case 0:
		return d.pick("-", "+", "[", "(", "", "x", "-a")
	case 1, 2:
		return d.pick("-", "+")
	case 3, 4, 5:
		return "[" + d.member()
	}
	return "(" + d.member()
}

func (d *driver) limit() []string {
	if d.IntN(3) > 0 {
		return nil
	}
	return []string{"LIMIT", d.number(), d.number()}
}

// zset draws a command on sorted sets.
func (d *driver) zset() []string {
	k := d.zkey()
	switch d.IntN(30) {
	case 0, 1, 2, 3, 4, 5:
		args := []string{"ZADD", k}
		for range d.IntN(3) * d.IntN(2) {
			args = append(args, d.pick("NX", "XX", "GT", "LT", "CH", "INCR"))
		}
		for range 1 + d.IntN(1+d.IntN(40)) {
			args = append(args, d.score(), d.member())
		}
		return args
	case 6, 7:
		return []string{"ZINCRBY", k, d.score(), d.member()}
	case 8:
		return append([]string{"ZREM", k}, d.members(6)...)
	case 9:
		return []string{d.pick("ZCARD", "ZPOPMIN", "ZPOPMAX"), k}
	case 10:
		return []string{d.pick("ZSCORE", "ZRANK", "ZREVRANK"), k, d.member()}
	case 11:
		return append([]string{"ZMSCORE", k}, d.members(4)...)
	case 12:
		return []string{"ZCOUNT", k, d.end(), d.end()}
	case 13, 14:
		args := []string{d.pick("ZRANGE", "ZREVRANGE"), k, d.number(), d.number()}
		for range d.IntN(3) {
			args = append(args, d.pick("WITHSCORES", "REV", "foo"))
		}
		return args
	case 15, 16:
		args := append([]string{"ZRANGE", k, d.end(), d.end(), "BYSCORE"}, d.limit()...)
		for range d.IntN(3) {
			args = append(args, d.pick("WITHSCORES", "REV", "BYLEX"))
		}
		return args
	case 17:
		args := append([]string{d.pick("ZRANGEBYSCORE", "ZREVRANGEBYSCORE"), k, d.end(), d.end()}, d.limit()...)
		if d.IntN(2) == 0 {
			args = append(args, "WITHSCORES")
		}
		return args
	case 18:
		return []string{"ZREMRANGEBYSCORE", k, d.end(), d.end()}
	case 19:
		return []string{"ZREMRANGEBYRANK", k, d.number(), d.number()}
	case 20:
		return []string{d.pick("ZPOPMIN", "ZPOPMAX"), k, d.number()}
	case 21:
		return []string{"ZMPOP", d.pick("1", "2", "2", "0", "x", "3"), k, d.zkey(), d.pick("MIN", "MAX", "foo"), "COUNT", d.number()}
	case 22:
		args := []string{"ZRANGESTORE", d.zkey(), k, d.number(), d.number()}
		if d.IntN(2) == 0 {
			args = append([]string{"ZRANGESTORE", d.zkey(), k, d.end(), d.end(), "BYSCORE"}, d.limit()...)
		}
		if d.IntN(2) == 0 {
			args = append(args, "REV")
		}
		return args
	case 23, 24:
		return d.zalgebra([]string{d.pick("ZUNION", "ZINTER", "ZDIFF", "ZINTERCARD")}, d.pick("WITHSCORES", "WITHSCORES", "LIMIT"))
	case 25:
		return d.zalgebra([]string{d.pick("ZUNIONSTORE", "ZINTERSTORE", "ZDIFFSTORE"), d.zkey()}, "foo")
	case 26:
		if d.IntN(2) == 0 {
			return []string{"ZSCAN", k, "0", "COUNT", "100000"}
		}
		return []string{"ZRANDMEMBER", k, "100000", d.pick("WITHSCORES", "foo")}
	case 27:
		return []string{d.pick("OBJECT", "OBJECT"), "ENCODING", k}
	}
	return d.zlex()
}

func (d *driver) zalgebra(args []string, last string) []string {
	n := 1 + d.IntN(3)
	args = append(args, d.pick(strconv.Itoa(n), strconv.Itoa(n), strconv.Itoa(n), strconv.Itoa(n), d.number()))
	for range n {
		args = append(args, d.zkey())
	}
	if d.IntN(3) == 0 {
		args = append(args, "WEIGHTS")
		for range n {
			args = append(args, d.score())
		}
	}
	if d.IntN(3) == 0 {
		args = append(args, "AGGREGATE", d.pick("SUM", "MIN", "MAX", "SUM", "MIN", "MAX", "foo"))
	}
	if d.IntN(3) == 0 {
		args = append(args, last)
		if last == "LIMIT" {
			args = append(args, d.number())
		}
	}
	return args
}

// zlex draws a command on a sorted set whose scores are all the same: ranges of
// the order of bytes are not defined on others.
func (d *driver) zlex() []string {
	k := fmt.Sprint("lex", d.IntN(2))
	switch d.IntN(8) {
	case 0, 1, 2:
		args := []string{"ZADD", k}
		for range 1 + d.IntN(10) {
			args = append(args, "0", d.member())
		}
		return args
	case 3:
		return append([]string{"ZRANGE", k, d.lexEnd(), d.lexEnd(), "BYLEX"}, d.limit()...)
	case 4:
		return append([]string{"ZRANGE", k, d.lexEnd(), d.lexEnd(), "BYLEX", "REV"}, d.limit()...)
	case 5:
		return append([]string{d.pick("ZRANGEBYLEX", "ZREVRANGEBYLEX"), k, d.lexEnd(), d.lexEnd()}, d.limit()...)
	case 6:
		return []string{"ZLEXCOUNT", k, d.lexEnd(), d.lexEnd()}
	}
	return []string{"ZREMRANGEBYLEX", k, d.lexEnd(), d.lexEnd()}
}

// place draws a longitude and a latitude: towns near each other, the edges of
// the map, and anything.
func (d *driver) place() (lon, lat string) {
	format := func(f float64) string { return strconv.FormatFloat(f, 'f', 6, 64) }
	switch d.IntN(10) {
	case 0:
		return d.pick("180", "-180", "179.99999", "0", "181", "x", "-90"), d.pick("85.05112878", "-85.05112878", "0", "86", "x", "66", "-80.5")
	case 1, 2:
		return format(d.Float64()*360 - 180), format(d.Float64()*170 - 85)
	}
	return format(13 + d.NormFloat64()), format(37 + d.NormFloat64())
}

// geo draws a command on positions.
func (d *driver) geo() []string {
	k := fmt.Sprint("geo", d.IntN(2))
	if d.IntN(8) == 0 {
		k = d.key()
	}
	town := func() string { return fmt.Sprint("town", d.IntN(300)) }
	lon, lat := d.place()
	unit := d.pick("m", "km", "ft", "mi", "KM", "km", "km", "x")
	size := d.pick(strconv.Itoa(d.IntN(30000)), strconv.Itoa(d.IntN(300)), d.float(), strconv.FormatFloat(d.Float64()*100, 'f', 3, 64))
	switch d.IntN(10) {
	case 0, 1, 2:
		args := []string{"GEOADD", k}
		if d.IntN(4) == 0 {
			args = append(args, d.pick("NX", "XX", "CH"))
		}
		for range 1 + d.IntN(12) {
			if d.IntN(20) > 0 {
				lon, lat = strconv.FormatFloat(13+d.NormFloat64()*3, 'f', 6, 64), strconv.FormatFloat(37+d.NormFloat64()*3, 'f', 6, 64)
			} else {
				lon, lat = d.place()
			}
			args = append(args, lon, lat, town())
		}
		return args
	case 3:
		return []string{"GEODIST", k, town(), town(), unit}
	case 4:
		return []string{d.pick("GEOHASH", "GEOPOS"), k, town(), town()}
	case 5:
		args := []string{d.pick("GEORADIUS", "GEORADIUS_RO"), k, lon, lat, size, unit}
		if d.IntN(2) == 0 {
			args = []string{d.pick("GEORADIUSBYMEMBER", "GEORADIUSBYMEMBER_RO"), k, town(), size, unit}
		}
		return append(args, d.geoOptions(true)...)
	case 6:
		args := append([]string{"GEOSEARCHSTORE", d.zkey(), k}, d.geoArea(lon, lat, size, unit)...)
		return append(args, d.geoOptions(false)...)
	case 7:
		// Nothing else writes here, so that many stay.
		return []string{"ZREM", k, town()}
	}
	return append(append([]string{"GEOSEARCH", k}, d.geoArea(lon, lat, size, unit)...), d.geoOptions(true)...)
}

func (d *driver) geoArea(lon, lat, size, unit string) []string {
	args := []string{"FROMLONLAT", lon, lat}
	if d.IntN(2) == 0 {
		args = []string{"FROMMEMBER", fmt.Sprint("town", d.IntN(300))}
	}
	if d.IntN(2) == 0 {
		return append(args, "BYRADIUS", size, unit)
	}
	return append(args, "BYBOX", size, strconv.Itoa(d.IntN(2000)), unit)
}

func (d *driver) geoOptions(with bool) (args []string) {
	if d.IntN(2) == 0 {
		args = append(args, d.pick("ASC", "DESC"))
	}
	if d.IntN(3) == 0 {
		args = append(args, "COUNT", d.number())
		if d.IntN(2) == 0 {
			args = append(args, "ANY")
		}
	}
	for range d.IntN(3) {
		if with {
			args = append(args, d.pick("WITHDIST", "WITHHASH", "WITHCOORD", "withdist"))
		}
	}
	return args
}
