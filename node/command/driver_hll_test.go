package command

import "fmt"

// hyperLogLog draws a command that counts elements. It has keys of its own: what
// APPEND and others leave of a sparse one, the reference reads and writes beyond
// the end.
func (d *driver) hyperLogLog() []string {
	k := fmt.Sprint("h", d.IntN(5))
	sources := func(most int) []string {
		keys := d.keys(most)
		for i := range keys {
			if d.IntN(5) > 0 {
				keys[i] = fmt.Sprint("h", d.IntN(5))
			}
		}
		return keys
	}
	switch d.IntN(18) {
	case 0, 1, 2, 11, 12, 13:
		return append([]string{"PFADD", k}, d.members(10)...)
	case 3:
		return append([]string{"PFADD", k}, d.members(400)...)
	case 4:
		return append([]string{"PFCOUNT"}, sources(3)...)
	case 5:
		return append([]string{"PFMERGE", k}, sources(4)...)
	case 6:
		return []string{"PFDEBUG", d.pick("ENCODING", "DECODE", "TODENSE", "GETREG", "foo"), sources(1)[0]}
	case 7:
		return []string{"PFADD", k}
	case 8:
		return []string{d.pick("GET", "STRLEN"), k}
	case 14, 15, 16:
		return []string{"DEL", k}
	case 9:
		return []string{"OBJECT", "ENCODING", k}
	case 10:
		return [][]string{{"SET", k, d.value()}, {"SADD", k, d.member()}, {"SET", k, "12"}, {"COPY", k, "h0", "REPLACE"}}[d.IntN(4)]
	}
	// What looks like one, and may be none.
	header := "HYLL" + d.pick("\x01", "\x01", "\x01", "\x00", "\x02") + "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" + d.pick("\x00", "\x80")
	runs := d.pick("\x7f\xff", "\x7f\xff", "\x7f\xff", "\x7f\xfe\x80", "\x7f\xfe\x00", "\x7f\xbf\x3f", "\x7f\xff\x80", "\x5f\xff", "", "\x7f\xfa\x80\x88\x81\xf8")
	return []string{"SET", k, header + runs}
}
