package config

import (
	"math"
	"net/netip"
	"strconv"
	"strings"
)

// list is any number of words.
type list struct {
	several
	check func([]string) error
}

func (k list) parse(args []string, _ *value) (*value, error) {
	if len(args) == 1 && args[0] == "" {
		args = nil
	}
	if k.check != nil {
		if err := k.check(args); err != nil {
			return nil, err
		}
	}
	return &value{words: append([]string(nil), args...)}, nil
}

// maxBindAddresses is how many addresses the reference listens on at most.
const maxBindAddresses = 16

func checkBind(words []string) error {
	if len(words) > maxBindAddresses {
		return Refusal("Too many bind addresses specified.")
	}
	return nil
}

// savePoints is save: pairs of seconds and changes. A file may have several
// lines of it, which add up; see Config.apply.
type savePoints struct{}

func (savePoints) multi() bool { return true }

func (savePoints) parse(args []string, old *value) (*value, error) {
	if len(args) == 0 || len(args) == 1 && args[0] == "" {
		return &value{}, nil
	}
	bad := Refusal("Invalid save parameters")
	if len(args)%2 != 0 {
		return nil, bad
	}
	words := append([]string(nil), old.words...)
	for i := 0; i < len(args); i += 2 {
		seconds, ok1 := parseInt(args[i])
		changes, ok2 := parseInt(args[i+1])
		if !ok1 || !ok2 || seconds < 1 || changes < 0 || seconds > math.MaxInt32 || changes > math.MaxInt32 {
			return nil, bad
		}
		words = append(words, args[i], args[i+1])
	}
	return &value{words: words}, nil
}

func (savePoints) lines(name string, v *value) []string {
	if len(v.words) == 0 {
		return []string{name + ` ""`}
	}
	var lines []string
	for i := 0; i < len(v.words); i += 2 {
		lines = append(lines, name+" "+v.words[i]+" "+v.words[i+1])
	}
	return lines
}

// bufferLimits is client-output-buffer-limit: for each class of clients a hard
// limit, a soft one and for how many seconds the soft one may be exceeded. A
// value names some classes and leaves the others.
type bufferLimits struct{}

func (bufferLimits) multi() bool { return true }

func (bufferLimits) parse(args []string, old *value) (*value, error) {
	if len(args)%4 != 0 {
		return nil, Refusal("Wrong number of arguments in buffer limit configuration.")
	}
	words := append([]string(nil), old.words...)
	if len(words) == 0 {
		words = strings.Fields("normal 0 0 0 slave 0 0 0 pubsub 0 0 0")
	}
	for i := 0; i < len(args); i += 4 {
		var class int
		switch strings.ToLower(args[i]) {
		case "normal":
			class = 0
		case "slave", "replica":
			class = 1
		case "pubsub":
			class = 2
		default:
			return nil, Refusal("Invalid client class specified in buffer limit configuration.")
		}
		hard, ok1 := ParseBytes(args[i+1])
		soft, ok2 := ParseBytes(args[i+2])
		seconds, ok3 := parseInt(args[i+3])
		if !ok1 || !ok2 || !ok3 || seconds < 0 || hard > math.MaxInt64 || soft > math.MaxInt64 {
			return nil, Refusal("Error in hard, soft or soft_seconds setting in buffer limit configuration.")
		}
		words[4*class+1] = strconv.FormatUint(hard, 10)
		words[4*class+2] = strconv.FormatUint(soft, 10)
		words[4*class+3] = args[i+3]
	}
	return &value{words: words}, nil
}

func (bufferLimits) lines(name string, v *value) []string {
	var lines []string
	for i := 0; i < len(v.words); i += 4 {
		class := v.words[i]
		if class == "slave" {
			class = "replica"
		}
		hard, _ := ParseBytes(v.words[i+1])
		soft, _ := ParseBytes(v.words[i+2])
		lines = append(lines, strings.Join([]string{name, class, formatBytes(hard), formatBytes(soft), v.words[i+3]}, " "))
	}
	return lines
}

// primaryAddress is replicaof: host and port, or "no one".
type primaryAddress struct{ several }

func (primaryAddress) parse(args []string, _ *value) (*value, error) {
	if len(args) == 0 {
		return &value{}, nil
	}
	if len(args) != 2 {
		return nil, errArgumentCount
	}
	if strings.EqualFold(args[0], "no") && strings.EqualFold(args[1], "one") {
		return &value{}, nil
	}
	port, ok := parseInt(args[1])
	if !ok || port < 0 || port > 65535 {
		return nil, Refusal("Invalid master port")
	}
	return &value{words: []string{args[0], args[1]}}, nil
}

// lines leaves no line when the node is a primary.
func (k primaryAddress) lines(name string, v *value) []string {
	if len(v.words) == 0 {
		return nil
	}
	return k.several.lines(name, v)
}

// oomScores is oom-score-adj-values: of a primary, a replica and a background
// process.
type oomScores struct{ several }

func (oomScores) parse(args []string, _ *value) (*value, error) {
	if len(args) != 3 {
		return nil, errArgumentCount
	}
	for _, arg := range args {
		if n, ok := parseInt(arg); !ok || n < -2000 || n > 2000 {
			return nil, Refusal("Invalid oom-score-adj-values, elements must be between -2000 and 2000.")
		}
	}
	return &value{words: append([]string(nil), args...)}, nil
}

// percentiles is latency-tracking-info-percentiles.
type percentiles struct{ several }

func (percentiles) parse(args []string, _ *value) (*value, error) {
	v := &value{}
	if len(args) == 1 && args[0] == "" {
		return v, nil
	}
	for _, arg := range args {
		f, err := strconv.ParseFloat(arg, 64)
		if err != nil || math.IsNaN(f) {
			return nil, Refusal("Invalid latency-tracking-info-percentiles parameters")
		}
		if f < 0 || f > 100 {
			return nil, Refusal("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]")
		}
		v.words = append(v.words, strconv.FormatFloat(f, 'f', -1, 64))
	}
	return v, nil
}

// eventClasses is notify-keyspace-events: letters for classes of events.
type eventClasses struct{ text }

const (
	// allEvents are the letters that A stands for.
	allEvents = "g$lshzxetd"
	// eventLetters are all letters in the order in which they are shown.
	eventLetters = allEvents + "nKEm"
)

func (eventClasses) parse(args []string, _ *value) (*value, error) {
	if len(args) != 1 {
		return nil, errArgumentCount
	}
	var bits int64
	for _, letter := range args[0] {
		switch i := strings.IndexRune(eventLetters, letter); {
		case letter == 'A':
			bits |= 1<<len(allEvents) - 1
		case i < 0:
			return nil, Refusal("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")
		default:
			bits |= 1 << i
		}
	}
	var shown strings.Builder
	rest := bits
	if all := int64(1<<len(allEvents) - 1); bits&all == all {
		shown.WriteByte('A')
		rest &^= all
	}
	for i, letter := range eventLetters {
		if rest&(1<<i) != 0 {
			shown.WriteRune(letter)
		}
	}
	return oneWord(bits, shown.String()), nil
}

// checkFileName refuses a path where only a name may stand.
func checkFileName(directive, what string, mayBeEmpty bool) func(string) error {
	return func(s string) error {
		if s == "" && !mayBeEmpty {
			return Refusal(directive + " can't be empty")
		}
		if strings.ContainsAny(s, `/\`) {
			return Refusal(directive + " can't be a path, just a " + what)
		}
		return nil
	}
}

// checkHostname is the reference's rule for cluster-announce-hostname.
func checkHostname(s string) error {
	if len(s) >= 256 {
		return Refusal("Hostnames must be less than 256 characters")
	}
	for i := range len(s) {
		if b := s[i]; !(b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '-' || b == '.') {
			return Refusal("Hostnames may only contain alphanumeric characters, hyphens or dots")
		}
	}
	return nil
}

// checkAnnounceIP refuses what could not stand in a line of CLUSTER NODES: the
// address is followed there by a port, a bus port and fields without quoting.
func checkAnnounceIP(s string) error {
	if s == "" {
		return nil
	}
	if _, err := netip.ParseAddr(s); err == nil {
		return nil
	}
	if checkHostname(s) != nil {
		return Refusal("argument must be an IP address or a host name")
	}
	return nil
}

// TitleVariables are the words that proc-title-template may have in braces.
func TitleVariables() []string {
	return []string{"title", "listen-addr", "server-mode", "port", "tls-port", "unixsocket", "config-file"}
}

// ExpandTitle replaces the variables of a proc-title-template.
func ExpandTitle(template string, variable func(name string) string) (string, error) {
	bad := Refusal("template format is invalid or contains unknown variables")
	known := make(map[string]bool)
	for _, name := range TitleVariables() {
		known[name] = true
	}
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(template, "{")
		out.WriteString(before)
		if !found {
			return strings.TrimRight(out.String(), " "), nil
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed || !known[name] {
			return "", bad
		}
		out.WriteString(variable(name))
		template = after
	}
}

func checkTitle(template string) error {
	_, err := ExpandTitle(template, func(string) string { return "" })
	return err
}
