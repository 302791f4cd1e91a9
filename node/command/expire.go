package command

import (
	"math"
	"strings"

	"slotmesh/node/resp"
	"slotmesh/node/store/value"
)

func expireRows() []Spec {
	const conditions = " [NX | XX | GT | LT]"
	expire := func(name, amount, since, summary string, unit int64, relative bool) Spec {
		return Spec{
			Name: name, Syntax: "key " + amount + conditions, Arity: -3, Flags: Write | Fast, Keys: updatesKey,
			Since: since, Complexity: "O(1)", Summary: summary,
			Run: func(c *Call) error {
				base := int64(0)
				if relative {
					base = c.Now
				}
				return expireKey(c, unit, base)
			},
		}
	}
	ttl := func(name, since, summary string, read func(c *Call, at int64) int64) Spec {
		s := Spec{
			Name: name, Syntax: "key", Arity: 2, Flags: ReadOnly | Fast, Keys: readsKey,
			Since: since, Complexity: "O(1)", Summary: summary,
			Run: func(c *Call) error {
				ref := c.Look(c.Args[1])
				switch {
				case !ref.OK():
					c.Reply.Int(-2)
				case !ref.Expires():
					c.Reply.Int(-1)
				default:
					c.Reply.Int(read(c, ref.ExpireAt()))
				}
				return nil
			},
		}
		if strings.HasSuffix(name, "ttl") {
			s.Tips = []string{"nondeterministic_output"}
		}
		return s
	}
	left := func(c *Call, at int64) int64 { return max(at-c.Now, 0) }
	return []Spec{
		expire("expire", "seconds", "1.0.0", "Sets when a key ends, in seconds from now.", 1000, true),
		expire("expireat", "unix-time-seconds", "1.2.0", "Sets when a key ends, as a Unix time.", 1000, false),
		ttl("expiretime", "7.0.0", "Returns when a key ends, as a Unix time.", func(_ *Call, at int64) int64 { return rounded(at) }),
		{
			Name: "persist", Syntax: "key", Arity: 2, Flags: Write | Fast, Keys: updatesKey,
			Since: "2.2.0", Complexity: "O(1)", Summary: "Takes the expiry of a key away.", Run: runPersist,
		},
		expire("pexpire", "milliseconds", "2.6.0", "Sets when a key ends, in milliseconds from now.", 1, true),
		expire("pexpireat", "unix-time-milliseconds", "2.6.0", "Sets when a key ends, as a Unix time in milliseconds.", 1, false),
		ttl("pexpiretime", "7.0.0", "Returns when a key ends, as a Unix time in milliseconds.", func(_ *Call, at int64) int64 { return at }),
		ttl("pttl", "2.6.0", "Returns how long a key has left, in milliseconds.", left),
		ttl("ttl", "1.0.0", "Returns how long a key has left, in seconds.", func(c *Call, at int64) int64 { return rounded(left(c, at)) }),
	}
}

// rounded turns milliseconds into seconds, halves up, as the reference's
// (ms+500)/1000.
func rounded(ms int64) int64 {
	if ms > math.MaxInt64-500 {
		return ms / 1000
	}
	return (ms + 500) / 1000
}

// expireCondition is when EXPIRE changes anything.
type expireCondition struct{ nx, xx, gt, lt bool }

func parseExpireCondition(words [][]byte) (o expireCondition, err error) {
	for _, word := range words {
		switch {
		case IsWord(word, "nx"):
			o.nx = true
		case IsWord(word, "xx"):
			o.xx = true
		case IsWord(word, "gt"):
			o.gt = true
		case IsWord(word, "lt"):
			o.lt = true
		default:
			return o, resp.Errf("ERR Unsupported option ", oneLine(clip(word, 128)))
		}
	}
	switch {
	case o.nx && (o.xx || o.gt || o.lt):
		return o, resp.Error("ERR NX and XX, GT or LT options at the same time are not compatible")
	case o.gt && o.lt:
		return o, resp.Error("ERR GT and LT options at the same time are not compatible")
	}
	return o, nil
}

// allows reports whether a key with the expiry old, 0 for none, may get at. No
// expiry counts as later than any.
func (o expireCondition) allows(old, at int64) bool {
	switch {
	case o.nx && old != 0, o.xx && old == 0, o.gt && (old == 0 || at <= old), o.lt && old != 0 && at >= old:
		return false
	}
	return true
}

func expireKey(c *Call, unit, base int64) error {
	key := c.Args[1]
	condition, err := parseExpireCondition(c.Args[3:])
	if err != nil {
		return err
	}
	at, ok := value.ParseInt(c.Args[2])
	if !ok {
		return resp.ErrNotInteger
	}
	if at > math.MaxInt64/unit || at < math.MinInt64/unit || at*unit > math.MaxInt64-base {
		return errExpireTime(c)
	}
	at = at*unit + base
	ref := c.Write(key)
	if !ref.OK() || !condition.allows(ref.ExpireAt(), at) {
		c.Reply.Int(0)
		return nil
	}
	if c.alreadyExpired(at) {
		c.Delete(key)
		c.Effect(c.expiryWord(), key)
	} else {
		// A replica keeps a key that has ended until its primary deletes it; zero
		// and less would read as "no expiry".
		at = max(at, 1)
		ref.SetExpire(at)
		c.Effect(wordPExpireAt, key, c.Number(at))
	}
	c.Changed(key)
	c.Reply.Int(1)
	return nil
}

func runPersist(c *Call) error {
	key := c.Args[1]
	ref := c.Write(key)
	if !ref.OK() || !ref.Expires() {
		c.Reply.Int(0)
		return nil
	}
	ref.SetExpire(0)
	c.Changed(key)
	c.Reply.Int(1)
	return nil
}
