package command

import (
	"bytes"
	"fmt"
	"math"
	"strconv"

	"slotmesh/node/resp"
	"slotmesh/node/store/zset"
)

// Geo are the rows of positions, which are members of sorted sets: see
// geohash.go. geosearch.go has those that search.
func Geo() []Spec {
	return inGroup("geo", append(geoRows(), geoSearchRows()...))
}

func geoRows() []Spec {
	return []Spec{
		{
			Name: "geoadd", Syntax: "key [NX | XX] [CH] longitude:double latitude:double member [longitude latitude member ...]",
			Arity: -5, Flags: Write | DenyOOM, Keys: updatesKey,
			Since: "3.2.0", Complexity: "O(log(N)) for each member, where N is the size of the sorted set.",
			Summary: "Adds positions to a sorted set or changes them.", Run: runGeoAdd, Heavy: manyArgs,
		},
		{
			Name: "geodist", Syntax: "key member1 member2 [M | KM | FT | MI]", Arity: -4, Flags: ReadOnly, Keys: readsKey,
			Since: "3.2.0", Complexity: "O(1)", Summary: "Returns the distance between two members.", Run: runGeoDist,
		},
		{
			Name: "geohash", Syntax: "key member [member ...]", Arity: -2, Flags: ReadOnly, Keys: readsKey,
			Since: "3.2.0", Complexity: "O(N) where N is the number of members asked for.",
			Summary: "Returns the geohashes of members as text.", Run: runGeoHash, Heavy: manyArgs,
		},
		{
			Name: "geopos", Syntax: "key member [member ...]", Arity: -2, Flags: ReadOnly, Keys: readsKey,
			Since: "3.2.0", Complexity: "O(N) where N is the number of members asked for.",
			Summary: "Returns the longitudes and latitudes of members.", Run: runGeoPos, Heavy: manyArgs,
		},
	}
}

// parsePosition reads a longitude and a latitude.
func parsePosition(lon, lat []byte) (p position, err error) {
	var ok bool
	if p.lon, ok = zset.ParseScore(lon); !ok {
		return p, resp.ErrNotFloat
	}
	if p.lat, ok = zset.ParseScore(lat); !ok {
		return p, resp.ErrNotFloat
	}
	if p.lon < geoLonMin || p.lon > geoLonMax || p.lat < geoLatMin || p.lat > geoLatMax {
		return p, resp.Error(fmt.Sprintf("ERR invalid longitude,latitude pair %s,%s", sixDecimals(p.lon), sixDecimals(p.lat)))
	}
	return p, nil
}

// sixDecimals is printf's %f.
func sixDecimals(f float64) string {
	if math.IsInf(f, 0) {
		return resp.FormatDouble(f)
	}
	return strconv.FormatFloat(f, 'f', 6, 64)
}

// parseUnit returns how many meters the unit has.
func parseUnit(word []byte) (float64, error) {
	switch {
	case IsWord(word, "m"):
		return 1, nil
	case IsWord(word, "km"):
		return 1000, nil
	case IsWord(word, "ft"):
		return 0.3048, nil
	case IsWord(word, "mi"):
		return 1609.34, nil
	}
	return 0, resp.Error("ERR unsupported unit provided. please use M, KM, FT, MI")
}

func runGeoAdd(c *Call) error {
	o := zaddOptions{pairs: 2}
options:
	for ; o.pairs < len(c.Args); o.pairs++ {
		switch word := c.Args[o.pairs]; {
		case IsWord(word, "nx"):
			o.mode |= zset.OnlyNew
		case IsWord(word, "xx"):
			o.mode |= zset.OnlyOld
		case IsWord(word, "ch"):
			o.changed = true
		default:
			break options
		}
	}
	words := len(c.Args) - o.pairs
	if words == 0 || words%3 != 0 || o.mode == zset.OnlyNew|zset.OnlyOld {
		return resp.ErrSyntax
	}
	var room [16]float64
	scores := room[:0]
	for i := o.pairs; i < len(c.Args); i += 3 {
		p, err := parsePosition(c.Args[i], c.Args[i+1])
		if err != nil {
			return err
		}
		scores = append(scores, geoScore(p))
	}
	dirty := c.dirty
	if err := zaddScores(c, o, scores, o.pairs+2, 3); err != nil {
		return err
	}
	if c.dirty > dirty {
		c.geoAddEffect(o.pairs, scores)
	}
	return nil
}

var wordZAdd = []byte("ZADD")

// geoAddEffect journals positions as the scores that they became.
func (c *Call) geoAddEffect(first int, scores []float64) {
	args := make([][]byte, 0, first+2*len(scores))
	args = append(append(args, wordZAdd), c.Args[1:first]...)
	for i, score := range scores {
		args = append(args, c.Number(int64(score)), c.Args[first+3*i+2])
	}
	c.Effect(args...)
}

func runGeoDist(c *Call) error {
	unit := 1.0
	if len(c.Args) > 5 {
		return resp.ErrSyntax
	}
	if len(c.Args) == 5 {
		var err error
		if unit, err = parseUnit(c.Args[4]); err != nil {
			return err
		}
	}
	var r zset.Reader
	if _, err := c.zsetOf(&r, c.Args[1]); err != nil {
		return err
	}
	a, ok1 := r.Score(c.Args[2])
	b, ok2 := r.Score(c.Args[3])
	if !ok1 || !ok2 {
		c.Reply.Null()
		return nil
	}
	from, to := geoPosition(a), geoPosition(b)
	replyDistance(c, geoDistance(from.lon, from.lat, to.lon, to.lat, false), from, to, unit)
	return nil
}

// replyDistance answers with the distance of a and b in unit meters, with four
// decimals. It is found exactly where the last of them depends on that.
func replyDistance(c *Call, distance float64, a, b position, unit float64) {
	distance /= unit
	if places := distance * 1e4; math.Abs(places-math.Floor(places)-0.5) <= 2*geoError*places {
		distance = geoDistance(a.lon, a.lat, b.lon, b.lat, true) / unit
	}
	var room [64]byte
	c.Reply.Bulk(strconv.AppendFloat(room[:0], distance, 'f', 4, 64))
}

func runGeoHash(c *Call) error {
	var r zset.Reader
	if _, err := c.zsetOf(&r, c.Args[1]); err != nil {
		return err
	}
	c.Reply.Array(len(c.Args) - 2)
	for _, member := range c.Args[2:] {
		if score, ok := r.Score(member); ok {
			var room [16]byte
			c.Reply.Bulk(appendGeohash(room[:0], geoPosition(score)))
		} else {
			c.Reply.Null()
		}
	}
	return nil
}

func runGeoPos(c *Call) error {
	var r zset.Reader
	if _, err := c.zsetOf(&r, c.Args[1]); err != nil {
		return err
	}
	c.Reply.Array(len(c.Args) - 2)
	for _, member := range c.Args[2:] {
		if score, ok := r.Score(member); ok {
			replyPosition(c.Reply, geoPosition(score))
		} else {
			c.Reply.NullArray()
		}
	}
	return nil
}

func replyPosition(w *resp.Writer, p position) {
	w.Array(2)
	replyDecimal(w, p.lon)
	replyDecimal(w, p.lat)
}

// replyDecimal answers with up to 17 decimals and never an exponent.
func replyDecimal(w *resp.Writer, f float64) {
	var room [64]byte
	text := strconv.AppendFloat(room[:0], f, 'f', 17, 64)
	text = bytes.TrimSuffix(bytes.TrimRight(text, "0"), []byte("."))
	if string(text) == "-0" {
		text = text[1:]
	}
	if w.RESP3() {
		w.Buf = append(append(append(w.Buf, ','), text...), "\r\n"...)
		return
	}
	w.Bulk(text)
}
