package command

import "math"

// This file is the arithmetic of positions: distances on a sphere, to the last
// digit as the reference finds them. Conversions to float64 around products keep
// compilers from joining a product and a sum into one operation, which rounds
// once instead of twice.

// earthRadius is in meters; the sphere is the reference's.
const (
	earthRadius = 6372797.560856
	radians     = math.Pi / 180
)

func toRadians(degrees float64) float64 { return degrees * radians }
func toDegrees(angle float64) float64   { return angle / radians }

// geoDistance returns the distance in meters by the haversine formula. With
// exact it is the number that the reference has, bit for bit as a rule; else it
// may differ in the last digits, see geoNear.
func geoDistance(lon1, lat1, lon2, lat2 float64, exact bool) float64 {
	sin, cos, asin := math.Sin, math.Cos, math.Asin
	if exact {
		sin, cos, asin = exactSin, exactCos, exactAsin
	}
	lon1, lon2 = toRadians(lon1), toRadians(lon2)
	v := sin((lon2 - lon1) / 2)
	lat1, lat2 = toRadians(lat1), toRadians(lat2)
	if v == 0 {
		return earthRadius * math.Abs(lat2-lat1)
	}
	u := sin((lat2 - lat1) / 2)
	a := float64(u*u) + float64(cos(lat1)*cos(lat2)*v*v)
	return 2 * earthRadius * asin(math.Sqrt(a))
}

// geoError bounds the relative error of a distance that is not exact.
const geoError = 1e-14

// geoNear reports whether a distance that is not exact is so near to bound that
// the exact one may be on its other side.
func geoNear(distance, bound float64) bool {
	return math.Abs(distance-bound) <= geoError*math.Max(distance, bound)
}

// double is the sum of two numbers, the second too small to matter to the first.
type double struct{ hi, lo float64 }

// add and mul are exact to about 100 bits.

func quickSum(a, b float64) double {
	s := a + b
	return double{s, b - (s - a)}
}

func sum(a, b float64) double {
	s := a + b
	v := s - a
	return double{s, (a - (s - v)) + (b - v)}
}

func product(a, b float64) double {
	p := a * b
	return double{p, math.FMA(a, b, -p)}
}

func (x double) add(y double) double {
	s := sum(x.hi, y.hi)
	t := sum(x.lo, y.lo)
	s = quickSum(s.hi, s.lo+t.hi)
	return quickSum(s.hi, s.lo+t.lo)
}

func (x double) mul(y double) double {
	p := product(x.hi, y.hi)
	return quickSum(p.hi, p.lo+(float64(x.hi*y.lo)+float64(x.lo*y.hi)))
}

func (x double) over(n float64) double {
	q := x.hi / n
	rest := product(q, n)
	return quickSum(q, ((x.hi-rest.hi)-rest.lo+x.lo)/n)
}

// halfPi is a quarter of the circle, to 160 bits.
var halfPi = [3]float64{0x1.921fb54442d18p+0, 0x1.1a62633145c07p-54, -0x1.f1976b7ed8fbcp-110}

// sinCos returns the sine and the cosine of x, which is an angle of a few turns
// at most.
func sinCos(x float64) (sin, cos double) {
	k := math.Round(x / halfPi[0])
	r := sum(x, -k*halfPi[0])
	r = r.add(product(-k, halfPi[1]))
	r = r.add(double{-k * halfPi[2], 0})
	square := r.mul(r)
	// The series, from their least terms on: of the sine's, r itself comes last.
	sin, cos = double{1, 0}, double{1, 0}
	for n := 29.0; n >= 3; n -= 2 {
		sin = double{1, 0}.add(sin.mul(square).over(-n * (n - 1)))
		cos = double{1, 0}.add(cos.mul(square).over(-(n - 1) * (n - 2)))
	}
	return rotate(sin.mul(r), cos, int(k))
}

// rotate turns by k quarters.
func rotate(sin, cos double, k int) (double, double) {
	switch k & 3 {
	case 1:
		return cos, double{-sin.hi, -sin.lo}
	case 2:
		return double{-sin.hi, -sin.lo}, double{-cos.hi, -cos.lo}
	case 3:
		return double{-cos.hi, -cos.lo}, sin
	}
	return sin, cos
}

func exactSin(x float64) float64 {
	sin, _ := sinCos(x)
	return sin.hi
}

func exactCos(x float64) float64 {
	_, cos := sinCos(x)
	return cos.hi
}

// exactAsin takes one step of Newton's method from what is right but for the
// last digit.
func exactAsin(x float64) float64 {
	y := math.Asin(x)
	sin, cos := sinCos(y)
	if cos.hi == 0 {
		return y
	}
	rest := double{x, 0}.add(double{-sin.hi, -sin.lo})
	return y + rest.hi/cos.hi
}
