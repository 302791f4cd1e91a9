package command

import (
	"cmp"
	"slices"

	"slotmesh/node/resp"
	"slotmesh/node/store/value"
	"slotmesh/node/store/zset"
)

func geoSearchRows() []Spec {
	const (
		from       = "<FROMMEMBER member | FROMLONLAT longitude:double latitude:double>"
		unit       = "<M | KM | FT | MI>"
		by         = " <<BYRADIUS radius:double> " + unit + " | <BYBOX width:double> height:double " + unit + ">"
		order      = " [ASC | DESC] [<COUNT count> [ANY]]"
		with       = " [WITHCOORD] [WITHDIST] [WITHHASH]"
		point      = "key longitude:double latitude:double radius:double " + unit
		member     = "key member radius:double " + unit
		oldOrder   = with + " [<COUNT count> [ANY]] [ASC | DESC]"
		oldStore   = " [STORE key] [STOREDIST key]"
		complexity = "O(N+log(M)) where N is the number of members in the cells that cover the area, and M the size of the sorted set."
		instead    = "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument"
	)
	stores := func(flags KeyFlags) []KeySpec {
		return []KeySpec{{Flags: flags, Begin: 1, Step: 1}, {Flags: KeyRO | KeyAccess, Begin: 2, Step: 1}}
	}
	old := func(s Spec, since, replacedBy string, g geoSearch) Spec {
		s.Since, s.Deprecated, s.ReplacedBy = since, "6.2.0", replacedBy
		s.Complexity = complexity
		s.Keys, s.Flags = readsKey, ReadOnly
		if !g.readOnly {
			s.Flags = Write | DenyOOM | MovableKeys
			s.Keys = append([]KeySpec{{Flags: KeyRO | KeyAccess, Begin: 1, Step: 1}}, geoStoreKeys(-s.Arity)...)
		}
		s.Run, s.Sized = func(c *Call) error { return geoSearchCall(c, g) }, true
		return s
	}
	return []Spec{
		old(Spec{
			Name: "georadius", Syntax: point + oldOrder + oldStore, Arity: -6,
			Summary: "Returns or stores the members within a distance of a position.",
		}, "3.2.0", instead, geoSearch{key: 1, options: 6}),
		old(Spec{
			Name: "georadius_ro", Syntax: point + oldOrder, Arity: -6,
			Summary: "Returns the members within a distance of a position.",
		}, "3.2.10", "`GEOSEARCH` with the `BYRADIUS` argument", geoSearch{key: 1, options: 6, readOnly: true}),
		old(Spec{
			Name: "georadiusbymember", Syntax: member + oldOrder + oldStore, Arity: -5,
			Summary: "Returns or stores the members within a distance of a member.",
		}, "3.2.0", "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments", geoSearch{key: 1, options: 5}),
		old(Spec{
			Name: "georadiusbymember_ro", Syntax: member + oldOrder, Arity: -5,
			Summary: "Returns the members within a distance of a member.",
		}, "3.2.10", "`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments", geoSearch{key: 1, options: 5, readOnly: true}),
		{
			Name: "geosearch", Syntax: "key " + from + by + order + with, Arity: -7, Flags: ReadOnly, Keys: readsKey,
			Since: "6.2.0", Complexity: complexity, Summary: "Returns the members in a circle or a box.",
			Run: func(c *Call) error { return geoSearchCall(c, geoSearch{key: 1, options: 2, byWords: true}) }, Sized: true,
		},
		{
			Name: "geosearchstore", Syntax: "destination source " + from + by + order + " [STOREDIST]", Arity: -8,
			Flags: Write | DenyOOM, Keys: stores(KeyOW | KeyUpdate),
			Since: "6.2.0", Complexity: complexity, Summary: "Stores the members in a circle or a box in another key.",
			Run: func(c *Call) error {
				return geoSearchCall(c, geoSearch{key: 2, options: 3, byWords: true, store: c.Args[1]})
			}, Sized: true,
		},
	}
}

// geoStoreKeys are the specs of the keys behind STORE and STOREDIST, which are
// looked for from the first option on.
func geoStoreKeys(first int) []KeySpec {
	return []KeySpec{
		{Flags: KeyOW | KeyUpdate, Keyword: "STORE", Begin: first, Step: 1},
		{Flags: KeyOW | KeyUpdate, Keyword: "STOREDIST", Begin: first, Step: 1},
	}
}

// geoSearch is a search as its row and its arguments say.
type geoSearch struct {
	// key is where the key stands, options where the options begin.
	key, options int
	// byWords is true for the commands whose area is told by options; readOnly for
	// those that do not store.
	byWords, readOnly bool

	shape geoShape
	// unit is that of distances, in meters.
	unit                          float64
	withDist, withHash, withCoord bool
	// order is 1 for the nearest first, -1 for the farthest, 0 for none.
	order int
	// count is how many are wanted, 0 for all; with any, no matter which.
	count int64
	any   bool
	// store is the key to store into, nil for none, and storeDist makes distances
	// the scores.
	store     []byte
	storeDist bool
}

// geoFound is a member that is in the area.
type geoFound struct {
	// from and to are where the member is in the texts of the search.
	from, to int
	at       position
	distance float64
	score    float64
}

// geoMatches are what a search has found. A call keeps the memory of one that is
// not large.
type geoMatches struct {
	list  []geoFound
	texts []byte
}

func (m *geoMatches) reset() {
	const kept = 2048
	if cap(m.list) > kept || cap(m.texts) > 16*kept {
		*m = geoMatches{}
	}
	m.list, m.texts = m.list[:0], m.texts[:0]
}

func (m *geoMatches) member(f *geoFound) []byte { return m.texts[f.from:f.to] }

var errGeoMember = resp.Error("ERR could not decode requested zset member")

// parse reads the arguments. r is the sorted set, if there is one.
func (g *geoSearch) parse(c *Call, r *zset.Reader, there bool) (err error) {
	switch {
	case g.byWords:
	case g.options == 6:
		if g.shape.center, err = parsePosition(c.Args[2], c.Args[3]); err == nil {
			err = g.parseRadius(c.Args[4:])
		}
	case there:
		// Without the key, only the options behind are looked at.
		if g.shape.center, err = memberPosition(r, c.Args[2]); err == nil {
			err = g.parseRadius(c.Args[3:])
		}
	}
	if err != nil {
		return err
	}
	center, area, err := g.parseOptions(c, r, there)
	if err != nil {
		return err
	}
	name := string(c.Args[0])
	switch {
	case g.store != nil && (g.withDist || g.withHash || g.withCoord):
		what := "STORE option in GEORADIUS"
		if g.byWords {
			what = "GEOSEARCHSTORE"
		}
		return resp.Errf("ERR ", what, " is not compatible with WITHDIST, WITHHASH and WITHCOORD options")
	case g.byWords && !center:
		return resp.Errf("ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for ", name)
	case g.byWords && !area:
		return resp.Errf("ERR exactly one of BYRADIUS and BYBOX can be specified for ", name)
	case g.any && g.count == 0:
		return resp.Error("ERR the ANY argument requires COUNT argument")
	}
	if g.count > 0 && g.order == 0 && !g.any {
		g.order = 1
	}
	return nil
}

// parseOptions reads the words from g.options on. It reports whether they told
// the center and the area.
func (g *geoSearch) parseOptions(c *Call, r *zset.Reader, there bool) (center, area bool, err error) {
	var fromMember, fromPosition bool
	words := c.Args[g.options:]
	for i := 0; i < len(words) && err == nil; i++ {
		word, more := words[i], len(words)-i-1
		switch {
		case IsWord(word, "withdist"):
			g.withDist = true
		case IsWord(word, "withhash"):
			g.withHash = true
		case IsWord(word, "withcoord"):
			g.withCoord = true
		case IsWord(word, "any"):
			g.any = true
		case IsWord(word, "asc"):
			g.order = 1
		case IsWord(word, "desc"):
			g.order = -1
		case IsWord(word, "count") && more >= 1:
			var ok bool
			if g.count, ok = value.ParseInt(words[i+1]); !ok {
				err = resp.ErrNotInteger
			} else if g.count <= 0 {
				err = resp.Error("ERR COUNT must be > 0")
			}
			i++
		case !g.byWords && !g.readOnly && more >= 1 && (IsWord(word, "store") || IsWord(word, "storedist")):
			g.store, g.storeDist = words[i+1], len(word) > len("store")
			i++
		case g.byWords && g.store != nil && IsWord(word, "storedist"):
			g.storeDist = true
		case g.byWords && more >= 1 && IsWord(word, "frommember") && !fromPosition:
			fromMember = true
			if there {
				g.shape.center, err = memberPosition(r, words[i+1])
			}
			i++
		case g.byWords && more >= 2 && IsWord(word, "fromlonlat") && !fromMember:
			fromPosition = true
			g.shape.center, err = parsePosition(words[i+1], words[i+2])
			i += 2
		case g.byWords && more >= 2 && IsWord(word, "byradius") && (!area || !g.shape.box):
			area = true
			err = g.parseRadius(words[i+1:])
			i += 2
		case g.byWords && more >= 3 && IsWord(word, "bybox") && (!area || g.shape.box):
			area, g.shape.box = true, true
			err = g.parseBox(words[i+1:])
			i += 3
		default:
			err = resp.ErrSyntax
		}
	}
	return fromMember || fromPosition, area, err
}

func memberPosition(r *zset.Reader, member []byte) (position, error) {
	score, ok := r.Score(member)
	if !ok {
		return position{}, errGeoMember
	}
	return geoPosition(score), nil
}

func (g *geoSearch) parseRadius(words [][]byte) (err error) {
	radius, ok := zset.ParseScore(words[0])
	if !ok {
		return resp.Error("ERR need numeric radius")
	}
	if radius < 0 {
		return resp.Error("ERR radius cannot be negative")
	}
	g.unit, err = parseUnit(words[1])
	g.shape.radius = radius * g.unit
	return err
}

func (g *geoSearch) parseBox(words [][]byte) (err error) {
	width, ok := zset.ParseScore(words[0])
	if !ok {
		return resp.Error("ERR need numeric width")
	}
	height, ok := zset.ParseScore(words[1])
	if !ok {
		return resp.Error("ERR need numeric height")
	}
	if width < 0 || height < 0 {
		return resp.Error("ERR height or width cannot be negative")
	}
	g.unit, err = parseUnit(words[2])
	g.shape.width, g.shape.height = width*g.unit, height*g.unit
	return err
}

func geoSearchCall(c *Call, g geoSearch) error {
	var r zset.Reader
	there, err := c.zsetOf(&r, c.Args[g.key])
	if err != nil {
		return err
	}
	if err := g.parse(c, &r, there); err != nil {
		return err
	}
	found := &c.places
	found.reset()
	if there {
		var packedRoom [128]zset.PackedPlace
		packed := packedRoom[:0]
		if r.Packed() {
			// Once from end to end rather than once for every cell.
			packed = r.AppendPlaces(packed)
		}
		var room [len(geoDirections)]geoRanks
		parts, total := g.look(&r, packed, room[:0])
		// As many as are wanted may be found soon, but nobody knows.
		if !g.any && c.tooLong(total, zsetTurn) {
			return ErrLong
		}
		limit := total
		if g.any && c.OnLoop {
			limit = zsetTurn
		}
		if looked := g.search(&r, packed, parts, limit, found); looked > limit {
			return ErrLong
		}
	}
	g.sort(found)
	if g.store != nil {
		g.keep(c, found)
		return nil
	}
	g.reply(c, found)
	return nil
}

// geoRanks are the ranks of the members in a cell, from up to, without it, to.
type geoRanks struct{ from, to int }

// look appends to parts where the members near the area are, cell by cell; total
// is how many. If r is packed, packed are all its members.
func (g *geoSearch) look(r *zset.Reader, packed []zset.PackedPlace, parts []geoRanks) (near []geoRanks, total int) {
	g.shape.prepare()
	cells := g.shape.cells()
	last := 0
	for i, cell := range cells {
		// The neighbors of a cell of a quarter of the map, or of half of it, are the
		// same, some of them. As in the reference, one after the other is left out.
		if cell == (geoCell{}) || last > 0 && cell == cells[last] {
			continue
		}
		part := cell.ranks(r, packed)
		if part.from < part.to {
			parts = append(parts, part)
			total += part.to - part.from
		}
		last = i
	}
	return parts, total
}

// ranks returns the ranks of the members of r in the cell.
func (c geoCell) ranks(r *zset.Reader, packed []zset.PackedPlace) geoRanks {
	s := zset.ScoreRange{WithoutMax: true}
	s.Min, s.Max = c.scores()
	if !r.Packed() {
		from, to := r.RanksByScore(s)
		return geoRanks{from, to}
	}
	before := func(score float64) int {
		low, high := 0, len(packed)
		for low < high {
			if middle := int(uint(low+high) >> 1); packed[middle].Score < score {
				low = middle + 1
			} else {
				high = middle
			}
		}
		return low
	}
	return geoRanks{before(s.Min), before(s.Max)}
}

// search finds the members in the area among those of parts. It gives up after
// limit of them, and returns how many it would have looked at so far.
func (g *geoSearch) search(r *zset.Reader, packed []zset.PackedPlace, parts []geoRanks, limit int, found *geoMatches) (looked int) {
	for _, part := range parts {
		if r.Packed() {
			for _, place := range packed[part.from:part.to] {
				if looked++; looked > limit {
					return looked
				}
				if !g.admits(place.Score, found) {
					continue
				}
				e := r.PackedIn(place)
				found.texts = e.AppendMember(found.texts)
				if g.end(found) {
					return looked
				}
			}
			continue
		}
		at := r.At(part.from)
		for range part.to - part.from {
			if looked++; looked > limit {
				return looked
			}
			if g.admits(at.Score(), found) {
				found.texts = append(found.texts, at.Member()...)
				if g.end(found) {
					return looked
				}
			}
			at.Next()
		}
	}
	return looked
}

// admits adds the member with this score to what was found, if it is in the area.
// Its text is to follow, and then end.
func (g *geoSearch) admits(score float64, found *geoMatches) bool {
	f := geoFound{score: score, at: geoPosition(score), from: len(found.texts)}
	var in bool
	if f.distance, in = g.shape.contains(f.at, g.order != 0 || g.withDist); in {
		found.list = append(found.list, f)
	}
	return in
}

// end completes the last member that was found, and reports whether no more are
// wanted.
func (g *geoSearch) end(found *geoMatches) bool {
	found.list[len(found.list)-1].to = len(found.texts)
	return g.any && int64(len(found.list)) >= g.count
}

// sort puts what was found in order and cuts it to the number that is wanted.
func (g *geoSearch) sort(found *geoMatches) {
	some := g.count > 0 && g.count < int64(len(found.list))
	switch {
	case g.order != 0 && some:
		partialSort(found.list, 0, int(g.count)-1, func(a, b *geoFound) int { return g.order * cmp.Compare(a.distance, b.distance) })
	case g.order != 0:
		slices.SortStableFunc(found.list, func(a, b geoFound) int { return g.order * cmp.Compare(a.distance, b.distance) })
	}
	if some {
		found.list = found.list[:g.count]
	}
}

func (g *geoSearch) reply(c *Call, found *geoMatches) {
	parts := 1
	for _, asked := range []bool{g.withDist, g.withHash, g.withCoord} {
		if asked {
			parts++
		}
	}
	c.Reply.Array(len(found.list))
	for i := range found.list {
		f := &found.list[i]
		if parts > 1 {
			c.Reply.Array(parts)
		}
		c.Reply.Bulk(found.member(f))
		if g.withDist {
			replyDistance(c, f.distance, g.shape.center, f.at, g.unit)
		}
		if g.withHash {
			c.Reply.Int(int64(geoBits(f.score)))
		}
		if g.withCoord {
			replyPosition(c.Reply, f.at)
		}
	}
}

// keep stores what was found.
func (g *geoSearch) keep(c *Call, found *geoMatches) {
	if len(found.list) == 0 {
		c.storeNothing(g.store)
		return
	}
	t := &c.zsets.found
	defer c.zsets.giveBack()
	t.memory = c.Store().Memory()
	t.expect(len(found.list))
	for i := range found.list {
		f := &found.list[i]
		e, old := t.find(found.member(f))
		if old {
			continue // round the globe a member can be met twice
		}
		if e.score = f.score; g.storeDist {
			e.score = geoDistance(g.shape.center.lon, g.shape.center.lat, f.at.lon, f.at.lat, true) / g.unit
		}
	}
	t.sort()
	n := len(t.order)
	t.store(c, g.store)
	c.changedTimes(g.store, int64(n))
	c.Reply.Int(int64(len(found.list)))
}
