package command

import "math"

// A position is kept as the score of a member of a sorted set: 52 bits that
// interleave 26 of the longitude, in the odd places, with 26 of the latitude.
// Positions near each other share their first bits, so that a cell of the map is
// a range of scores.

// The positions that can be kept: those that the web's Mercator projection
// shows.
const (
	geoLonMin, geoLonMax = -180.0, 180.0
	geoLatMin, geoLatMax = -85.05112878, 85.05112878
	geoSteps             = 26
)

// position is a point on the map, in degrees.
type position struct{ lon, lat float64 }

// geoCell is a cell of the map that has been halved steps times in both
// directions: its first 2*steps bits. The zero geoCell stands for none.
type geoCell struct {
	bits  uint64
	steps uint
}

// geoArea is what a cell covers.
type geoArea struct{ min, max position }

// spread puts a zero before every bit of n.
func spread(n uint32) uint64 {
	x := uint64(n)
	x = (x | x<<16) & 0x0000ffff0000ffff
	x = (x | x<<8) & 0x00ff00ff00ff00ff
	x = (x | x<<4) & 0x0f0f0f0f0f0f0f0f
	x = (x | x<<2) & 0x3333333333333333
	return (x | x<<1) & 0x5555555555555555
}

// gather is the inverse of spread.
func gather(x uint64) uint32 {
	x &= 0x5555555555555555
	x = (x | x>>1) & 0x3333333333333333
	x = (x | x>>2) & 0x0f0f0f0f0f0f0f0f
	x = (x | x>>4) & 0x00ff00ff00ff00ff
	x = (x | x>>8) & 0x0000ffff0000ffff
	return uint32(x | x>>16)
}

// geoCellOf returns the cell that p is in, of a map that reaches latMax to
// north and south.
func geoCellOf(p position, steps uint, latMax float64) geoCell {
	lon := (p.lon - geoLonMin) / (geoLonMax - geoLonMin)
	lat := (p.lat + latMax) / (latMax + latMax)
	scale := float64(uint64(1) << steps)
	return geoCell{spread(uint32(lat*scale)) | spread(uint32(lon*scale))<<1, steps}
}

// area returns what the cell covers.
func (c geoCell) area() (a geoArea) {
	lat, lon := gather(c.bits), gather(c.bits>>1)
	// A power of two: multiplying by it loses nothing.
	scale := 1 / float64(uint64(1)<<c.steps)
	at := func(low, high, n float64) float64 { return low + float64(n*scale*(high-low)) }
	a.min = position{at(geoLonMin, geoLonMax, float64(lon)), at(geoLatMin, geoLatMax, float64(lat))}
	a.max = position{at(geoLonMin, geoLonMax, float64(lon+1)), at(geoLatMin, geoLatMax, float64(lat+1))}
	return a
}

// move returns the cell that lies lon cells east and lat cells north of c, each
// -1, 0 or 1. Both directions come round at the end of the map. The last degree
// itself lies beyond the last cell, and stays there until it is moved.
func (c geoCell) move(lon, lat int) geoCell {
	mask := uint32(1)<<c.steps - 1
	x, y := gather(c.bits>>1), gather(c.bits)
	if lon != 0 {
		x = (x + uint32(lon)) & mask
	}
	if lat != 0 {
		y = (y + uint32(lat)) & mask
	}
	return geoCell{spread(y) | spread(x)<<1, c.steps}
}

// scores returns the scores of the positions in the cell, the second one not
// included.
func (c geoCell) scores() (from, to float64) {
	shift := 2*geoSteps - 2*c.steps
	return float64(c.bits << shift), float64((c.bits + 1) << shift)
}

// geoScore returns the score that keeps p.
func geoScore(p position) float64 { return float64(geoCellOf(p, geoSteps, geoLatMax).bits) }

// geoPosition returns the position that a score keeps: the middle of its cell.
func geoPosition(score float64) position {
	a := geoCell{geoBits(score), geoSteps}.area()
	return position{
		min(max((a.min.lon+a.max.lon)/2, geoLonMin), geoLonMax),
		min(max((a.min.lat+a.max.lat)/2, geoLatMin), geoLatMax),
	}
}

// geoBits makes bits of a score, which may be any number: what is none of 64 bits
// becomes what an x86 processor makes of it.
func geoBits(score float64) uint64 {
	const top = 1 << 63
	switch {
	case score >= 2*top:
		return 0
	case score >= top:
		return uint64(int64(score-top)) ^ top
	case score < -top:
		return top
	}
	return uint64(int64(score))
}

// geohashAlphabet has the digits of the common geohash.
const geohashAlphabet = "0123456789bcdefghjkmnpqrstuvwxyz"

// appendGeohash appends the common geohash of p: it halves a map that reaches to
// the poles, and has eleven digits, the last of which is no longer known.
func appendGeohash(dst []byte, p position) []byte {
	bits := geoCellOf(p, geoSteps, 90).bits
	for shift := 2*geoSteps - 5; shift > 0; shift -= 5 {
		dst = append(dst, geohashAlphabet[bits>>shift&0x1f])
	}
	return append(dst, geohashAlphabet[0])
}

// geoShape is what a search covers: a circle, or a box of sides along the
// degrees.
type geoShape struct {
	center position
	box    bool
	// radius of a circle, width and height of a box, in meters.
	radius, width, height float64

	// What prepare worked out: the center in radians, the cosine of its latitude,
	// and the haversine of the radius, a little less and a little more than that.
	lon, lat, cosLat, least, most float64
}

// prepare is to be called before contains.
func (s *geoShape) prepare() {
	s.lon, s.lat = toRadians(s.center.lon), toRadians(s.center.lat)
	s.cosLat = math.Cos(s.lat)
	s.least, s.most = math.Inf(-1), math.Inf(1)
	if half := s.radius / (2 * earthRadius); half < math.Pi/2 {
		h := math.Sin(half)
		s.least, s.most = h*h*(1-1e-9)-1e-300, h*h*(1+1e-9)+1e-300
	}
}

// bounds returns the box of degrees around the shape.
func (s *geoShape) bounds() (a geoArea) {
	height, width := s.radius, s.radius
	if s.box {
		height, width = s.height/2, s.width/2
	}
	lat := toDegrees(height / earthRadius)
	// The parallel nearer to the equator is the longer one: on the southern half
	// of the globe the upper one.
	edge := s.center.lat + lat
	if s.center.lat < 0 {
		edge = s.center.lat - lat
	}
	lon := toDegrees(width / earthRadius / math.Cos(toRadians(edge)))
	a.min = position{s.center.lon - lon, s.center.lat - lat}
	a.max = position{s.center.lon + lon, s.center.lat + lat}
	return a
}

// contains reports whether p is in the shape, and how far from the center it is.
// Unless measured, the distance may be left out.
func (s *geoShape) contains(p position, measured bool) (distance float64, ok bool) {
	if s.box {
		if geoBeyond(p.lon, p.lat, p.lon, s.center.lat, s.height/2) || geoBeyond(p.lon, p.lat, s.center.lon, p.lat, s.width/2) {
			return 0, false
		}
		if !measured {
			return 0, true
		}
		return geoDistance(s.center.lon, s.center.lat, p.lon, p.lat, false), true
	}
	// Most that are not in the circle are found to be so without the whole formula:
	// by the latitude, or by the haversine.
	lat := toRadians(p.lat)
	if math.Abs(lat-s.lat)*earthRadius > s.radius*(1+1e-9)+1e-3 {
		return 0, false
	}
	u := math.Sin((lat - s.lat) / 2)
	v := math.Sin((toRadians(p.lon) - s.lon) / 2)
	a := float64(u*u) + float64(s.cosLat*math.Cos(lat)*v*v)
	if a > s.most {
		return 0, false
	}
	if !measured && v != 0 && a < s.least {
		return 0, true
	}
	if distance = 2 * earthRadius * math.Asin(math.Sqrt(a)); v == 0 {
		distance = earthRadius * math.Abs(lat-s.lat)
	}
	if geoNear(distance, s.radius) {
		distance = geoDistance(s.center.lon, s.center.lat, p.lon, p.lat, true)
	}
	return distance, distance <= s.radius
}

// geoBeyond reports whether two positions are more than limit apart.
func geoBeyond(lon1, lat1, lon2, lat2, limit float64) bool {
	distance := geoDistance(lon1, lat1, lon2, lat2, false)
	if geoNear(distance, limit) {
		distance = geoDistance(lon1, lat1, lon2, lat2, true)
	}
	return distance > limit
}

// mercatorMax is half of the equator on the web's map, in meters.
const mercatorMax = 20037726.37

// stepsFor returns how often the map can be halved so that nine cells cover
// what lies within radius meters. Near the poles cells are narrower.
func stepsFor(radius, lat float64) uint {
	if radius == 0 {
		return geoSteps
	}
	steps := -1
	for ; radius < mercatorMax; radius *= 2 {
		steps++
	}
	if lat = math.Abs(lat); lat > 80 {
		steps -= 2
	} else if lat > 66 {
		steps--
	}
	return uint(min(max(steps, 1), geoSteps))
}

// cells returns the nine cells that cover the shape, in the order in which the
// reference searches them: the middle, north, south, east, west, then the
// corners. Those that the shape does not reach are zero.
func (s *geoShape) cells() (cells [9]geoCell) {
	bounds := s.bounds()
	radius := s.radius
	if s.box {
		radius = math.Sqrt(float64(s.width/2*(s.width/2)) + float64(s.height/2*(s.height/2)))
	}
	steps := stepsFor(radius, s.center.lat)
	middle := geoCellOf(s.center, steps, geoLatMax)
	if steps > 1 && !middle.reaches(bounds) {
		steps--
		middle = geoCellOf(s.center, steps, geoLatMax)
	}
	area := middle.area()
	for i, to := range geoDirections {
		useless := steps >= 2 && (to.lat < 0 && area.min.lat < bounds.min.lat || to.lat > 0 && area.max.lat > bounds.max.lat ||
			to.lon < 0 && area.min.lon < bounds.min.lon || to.lon > 0 && area.max.lon > bounds.max.lon)
		if !useless {
			cells[i] = middle.move(to.lon, to.lat)
		}
	}
	return cells
}

var geoDirections = [9]struct{ lon, lat int }{{0, 0}, {0, 1}, {0, -1}, {1, 0}, {-1, 0}, {1, 1}, {-1, 1}, {1, -1}, {-1, -1}}

// reaches reports whether the cell and its neighbors cover the bounds.
func (c geoCell) reaches(bounds geoArea) bool {
	return c.move(0, 1).area().max.lat >= bounds.max.lat && c.move(0, -1).area().min.lat <= bounds.min.lat &&
		c.move(1, 0).area().max.lon >= bounds.max.lon && c.move(-1, 0).area().min.lon <= bounds.min.lon
}
