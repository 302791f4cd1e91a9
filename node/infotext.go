package node

import "strconv"

// infoText is text of INFO in the making.
type infoText []byte

// line adds a field. Its value is a string, an int or an int64.
func (t *infoText) line(name string, value any) {
	b := append(append(*t, name...), ':')
	switch value := value.(type) {
	case string:
		b = append(b, value...)
	case int:
		b = strconv.AppendInt(b, int64(value), 10)
	case int64:
		b = strconv.AppendInt(b, value, 10)
	default:
		panic("a field of INFO is neither text nor a whole number")
	}
	*t = append(b, "\r\n"...)
}

// begin adds a field, whose name comes in two parts, up to its value. The value is
// to be appended to what begin returns, and the result given to end.
func (t *infoText) begin(prefix, name string) []byte {
	return append(append(append(*t, prefix...), name...), ':')
}

func (t *infoText) end(field []byte) { *t = append(field, "\r\n"...) }

// fixed adds a number with so many decimals, and a unit behind it.
func (t *infoText) fixed(name string, value float64, decimals int, unit string) {
	t.end(append(strconv.AppendFloat(t.begin(name, ""), value, 'f', decimals, 64), unit...))
}

// ratio adds what a is of b, 0 if there is no b.
func (t *infoText) ratio(name string, a, b int64) { t.fixed(name, share(a, b), 2, "") }

// percent adds the same in per cent.
func (t *infoText) percent(name string, a, b int64) { t.fixed(name, share(100*a, b), 2, "%") }

func share(a, b int64) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}

// size adds a number of bytes, and again for people.
func (t *infoText) size(name string, bytes int64) {
	t.line(name, bytes)
	t.end(appendHuman(t.begin(name, "_human"), bytes))
}

// humanBytes writes a size as INFO shows it to people: 894.95K.
func humanBytes(bytes int64) string { return string(appendHuman(nil, bytes)) }

func appendHuman(dst []byte, bytes int64) []byte {
	const units = "BKMGT"
	f, unit := float64(bytes), 0
	for f >= 1024 && unit < len(units)-1 {
		f, unit = f/1024, unit+1
	}
	if unit == 0 {
		dst = strconv.AppendInt(dst, bytes, 10)
	} else {
		dst = strconv.AppendFloat(dst, f, 'f', 2, 64)
	}
	return append(dst, units[unit])
}

// appendNumber appends a part of a value: a number behind what stands before it.
func appendNumber(dst []byte, before string, n int64) []byte {
	return strconv.AppendInt(append(dst, before...), n, 10)
}
