package command

import "strconv"

// bitmap draws a command on the bits of strings.
func (d *driver) bitmap() []string {
	k := d.key()
	switch d.IntN(9) {
	case 0, 1:
		return []string{"SETBIT", k, d.bitOffset(), d.pick("0", "1", "1", "1", "2", "x")}
	case 2:
		return []string{"GETBIT", k, d.bitOffset()}
	case 3:
		args := []string{"BITCOUNT", k}
		switch d.IntN(4) {
		case 0:
		case 1:
			args = append(args, d.number(), d.number())
		case 2:
			args = append(args, d.bitIndex(), d.bitIndex(), d.pick("BIT", "bit", "BYTE"))
		default:
			for range d.IntN(5) {
				args = append(args, d.pick("0", "-1", "BIT", "BYTE", d.number()))
			}
		}
		return args
	case 4:
		args := []string{"BITPOS", k, d.pick("0", "1", "0", "1", "2", "x")}
		if d.IntN(6) == 0 {
			for range d.IntN(5) {
				args = append(args, d.pick("0", "-1", "BIT", "BYTE", d.number()))
			}
			return args
		}
		args = append(args, []string{d.bitIndex(), d.bitIndex(), d.pick("BIT", "BYTE")}[:d.IntN(4)]...)
		return args
	case 5:
		args := []string{"BITOP", d.pick("AND", "OR", "XOR", "and", "or", "xor", "foo"), k}
		for range 1 + d.IntN(4) {
			args = append(args, d.key())
		}
		return args
	case 6:
		args := []string{"BITOP", d.pick("NOT", "not"), k, d.key()}
		if d.IntN(10) == 0 {
			args = append(args, d.key())
		}
		return args
	case 7:
		args := []string{d.pick("BITFIELD", "BITFIELD_RO"), k}
		for range d.IntN(4) {
			args = append(args, "GET", d.fieldType(), d.fieldOffset())
		}
		return args
	}
	args := []string{"BITFIELD", k}
	for range d.IntN(5) {
		switch d.IntN(5) {
		case 0:
			args = append(args, "GET", d.fieldType(), d.fieldOffset())
		case 1:
			args = append(args, "OVERFLOW", d.pick("WRAP", "SAT", "FAIL", "sat", "foo"))
		case 2:
			args = append(args, "SET", d.fieldType(), d.fieldOffset(), d.number())
		default:
			args = append(args, "INCRBY", d.fieldType(), d.fieldOffset(), d.number())
		}
	}
	return args
}

func (d *driver) bitOffset() string {
	if d.IntN(12) == 0 {
		return d.pick("-1", "x", "", "#1", "4294967296", "1e3", " 1")
	}
	return strconv.Itoa(d.IntN(600))
}

func (d *driver) bitIndex() string {
	if d.IntN(12) == 0 {
		return d.number()
	}
	return strconv.Itoa(d.IntN(500) - 250)
}

func (d *driver) fieldType() string {
	if d.IntN(15) == 0 {
		return d.pick("u0", "i0", "u64", "i65", "x8", "u", "", "U8", "u8x", "u-1")
	}
	if d.IntN(3) == 0 {
		return d.pick("i64", "u63", "i8", "u8", "u1", "i1", "i16", "i32")
	}
	return d.pick("i", "u") + strconv.Itoa(1+d.IntN(63))
}

func (d *driver) fieldOffset() string {
	switch d.IntN(10) {
	case 0:
		return d.pick("-1", "#-1", "x", "#", "", "4294967296", "#9223372036854775807")
	case 1, 2, 3:
		return "#" + strconv.Itoa(d.IntN(20))
	}
	return strconv.Itoa(d.IntN(500))
}
