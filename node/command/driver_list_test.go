package command

import "strconv"

// list draws a command on lists.
func (d *driver) list() []string {
	k := d.key()
	end := func() string { return d.pick("LEFT", "RIGHT", "left", "right", "LEFT", "RIGHT", "foo") }
	switch d.IntN(22) {
	case 0, 1, 2, 3:
		args := []string{d.pick("LPUSH", "RPUSH", "LPUSH", "RPUSH", "LPUSHX", "RPUSHX"), k}
		for range 1 + d.IntN(12) {
			args = append(args, d.element())
		}
		if d.IntN(12) == 0 {
			// Beyond the small form, and now and then beyond a block.
			for range 30 + d.IntN(120) {
				args = append(args, d.element()+d.pick("some more text, so that the list grows", ""))
			}
		}
		return args
	case 4, 5:
		return append([]string{d.pick("LPOP", "RPOP"), k}, []string{d.smallCount()}[:d.IntN(2)]...)
	case 6:
		return []string{"LLEN", k}
	case 7:
		return []string{"LINDEX", k, d.number()}
	case 8, 9:
		return []string{"LSET", k, d.number(), d.element()}
	case 10:
		return []string{"LRANGE", k, d.number(), d.number()}
	case 11, 12:
		return []string{"LINSERT", k, d.pick("BEFORE", "AFTER", "before", "after", "foo"), d.element(), d.element()}
	case 13, 14:
		return []string{"LREM", k, d.pick("0", "1", "-1", "2", "-2", d.number()), d.element()}
	case 15:
		if d.IntN(3) == 0 {
			return []string{"LTRIM", k, d.number(), d.number()}
		}
		return []string{"LTRIM", k, d.pick("0", "1", "2"), d.pick("-1", "-2", "-3")}
	case 16:
		args := []string{"LPOS", k, d.element()}
		for range d.IntN(4) {
			args = append(args, d.pick("RANK", "COUNT", "MAXLEN"), d.pick("0", "1", "2", "-1", "-2", d.number()))
		}
		return args
	case 17, 18:
		switch d.IntN(4) {
		case 0:
			return []string{"RPOPLPUSH", k, d.key()}
		case 1:
			return []string{"BRPOPLPUSH", k, d.key(), "0.001"}
		case 2:
			return []string{"BLMOVE", k, d.key(), end(), end(), d.shortTimeout()}
		}
		return []string{"LMOVE", k, d.key(), end(), end()}
	case 19:
		args := []string{"LMPOP", d.pick("2", "2", "2", "1", "3", "0", d.number()), k, d.key(), end()}
		if d.IntN(2) == 0 {
			args = append(args, d.pick("COUNT", "count", "foo"), d.smallCount())
		}
		if d.IntN(4) == 0 {
			args = append([]string{"BLMPOP", d.shortTimeout()}, args[1:]...)
		}
		return args
	case 20:
		if d.IntN(3) == 0 {
			return []string{d.pick("BLPOP", "BRPOP"), k, d.key(), d.shortTimeout()}
		}
		return []string{"DUMP", "nokey"}
	default:
		return []string{"LRANGE", k, "0", "-1"}
	}
}

// element draws from few texts, so that they are met again, or from all.
func (d *driver) element() string {
	switch d.IntN(4) {
	case 0:
		return d.value()
	case 1:
		return strconv.Itoa(d.IntN(20))
	case 2:
		return strconv.FormatInt(int64(d.Uint64()>>d.IntN(64)), 10)
	}
	return d.pick("a", "b", "c", "", "007", "-0", "longer text of forty or fifty bytes, perhaps", string(make([]byte, 300)))
}

func (d *driver) smallCount() string {
	return d.pick("1", "2", "3", "0", "100", "-1", "x", d.number())
}

func (d *driver) shortTimeout() string {
	return d.pick("0.001", "0.001", "0.001", "0.002", "-1", "x", "1e400", "1e-9")
}
