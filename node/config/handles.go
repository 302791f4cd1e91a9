package config

// Int is a live number: of an integer directive in its own unit, of a memory
// directive in bytes.
type Int struct{ d *directive }

// Int returns the handle of an integer or memory directive and panics when
// there is none of that name.
func (c *Config) Int(name string) *Int {
	if d := c.lookup(name); d != nil {
		if _, ok := d.row.Kind.(memory); ok {
			return &Int{d}
		}
	}
	return &Int{mustLookup[integer](c, name)}
}

// Load is the current number. A percentage (maxmemory-clients 5%) is negative.
func (h *Int) Load() int64 { return h.d.n.Load() }

// Bool is a live yes or no.
type Bool struct{ d *directive }

// Bool returns the handle of a yes-or-no directive.
func (c *Config) Bool(name string) *Bool { return &Bool{mustLookup[boolean](c, name)} }

// Load reports whether the directive is yes.
func (h *Bool) Load() bool { return h.d.n.Load() != 0 }

// Text is a live string.
type Text struct{ d *directive }

// Text returns the handle of a string directive.
func (c *Config) Text(name string) *Text { return &Text{mustLookup[text](c, name)} }

// Load is the current string.
func (h *Text) Load() string { return h.d.cur.Load().text() }

// Enum is a live choice, or a set of choices.
type Enum struct{ d *directive }

// Enum returns the handle of an enumeration.
func (c *Config) Enum(name string) *Enum { return &Enum{mustLookup[enum](c, name)} }

// Load is the chosen word in lower case; of several, joined by spaces.
func (h *Enum) Load() string { return h.d.cur.Load().text() }

// Has reports whether word is the choice or one of the choices.
func (h *Enum) Has(word string) bool {
	v := h.d.cur.Load()
	for _, chosen := range v.words {
		if chosen == word {
			return true
		}
	}
	return false
}

// Words is a live list, such as the addresses of bind.
type Words struct{ d *directive }

// Words returns the handle of a directive with several values.
func (c *Config) Words(name string) *Words {
	d := c.lookup(name)
	if d == nil || !d.row.Kind.multi() {
		panic("config: no directive with several values " + name)
	}
	return &Words{d}
}

// Load is the current list, which must not be changed.
func (h *Words) Load() []string { return h.d.cur.Load().words }

// BufferLimit is one class of client-output-buffer-limit.
type BufferLimit struct {
	HardBytes, SoftBytes int64
	SoftSeconds          int64
}

// BufferLimits are the limits of the three classes of clients.
type BufferLimits struct{ Normal, Replica, PubSub BufferLimit }

// BufferLimits reads client-output-buffer-limit. It parses: callers on a hot
// path keep the result and renew it with OnChange.
func (c *Config) BufferLimits() BufferLimits {
	words := c.lookup("client-output-buffer-limit").cur.Load().words
	var limits [3]BufferLimit
	for i := range limits {
		fields := words[4*i+1 : 4*i+4]
		limits[i] = BufferLimit{mustInt(fields[0]), mustInt(fields[1]), mustInt(fields[2])}
	}
	return BufferLimits{limits[0], limits[1], limits[2]}
}

// SavePoint asks for a snapshot after Seconds with at least Changes.
type SavePoint struct{ Seconds, Changes int64 }

// SavePoints reads save.
func (c *Config) SavePoints() []SavePoint {
	words := c.lookup("save").cur.Load().words
	var points []SavePoint
	for i := 0; i+1 < len(words); i += 2 {
		points = append(points, SavePoint{mustInt(words[i]), mustInt(words[i+1])})
	}
	return points
}

// Percentiles reads latency-tracking-info-percentiles.
func (c *Config) Percentiles() []float64 {
	var list []float64
	for _, word := range c.lookup("latency-tracking-info-percentiles").cur.Load().words {
		list = append(list, mustFloat(word))
	}
	return list
}

// ReplicaOf reads replicaof; ok is false when the node is to be a primary.
func (c *Config) ReplicaOf() (host string, port int, ok bool) {
	words := c.lookup("replicaof").cur.Load().words
	if len(words) != 2 {
		return "", 0, false
	}
	return words[0], int(mustInt(words[1])), true
}

// OOMScoreAdjValues reads oom-score-adj-values: primary, replica, background.
func (c *Config) OOMScoreAdjValues() [3]int {
	words := c.lookup("oom-score-adj-values").cur.Load().words
	return [3]int{int(mustInt(words[0])), int(mustInt(words[1])), int(mustInt(words[2]))}
}
