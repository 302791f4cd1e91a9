package config

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write what is found as what is expected")

// TestInertListIsCommitted pins the directives without a meaning and the
// reasons: a row that comes to mean something, or ceases to, shows in the diff
// of testdata/inert.txt.
func TestInertListIsCommitted(t *testing.T) {
	var lines []string
	for _, row := range rows() {
		if row.Inert != "" {
			lines = append(lines, row.Name+": "+row.Inert)
		}
	}
	slices.Sort(lines)
	got := strings.Join(lines, "\n") + "\n"
	path := filepath.Join("testdata", "inert.txt")
	if *rewrite {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the directives without effect have changed (go test -rewrite, then read the diff):\n%s", got)
	}
}

// TestEveryMutableValueCanBeGivenBack is the promise that CONFIG SET takes what
// CONFIG GET shows.
func TestEveryMutableValueCanBeGivenBack(t *testing.T) {
	c := New()
	for _, pair := range c.Get("*") {
		err := c.Set([]Pair{pair}, true)
		d := c.lookup(pair.Name)
		switch {
		case d.row.Immutable:
			want := "ERR CONFIG SET failed (possibly related to argument '" + pair.Name + "') - can't set immutable config"
			if err == nil || err.Error() != want {
				t.Errorf("immutable %s: %v", pair.Name, err)
			}
		case err != nil:
			t.Errorf("%s %q: %v", pair.Name, pair.Value, err)
		}
		if again := c.Get(pair.Name)[0].Value; again != pair.Value {
			t.Errorf("%s was %q and reads %q", pair.Name, pair.Value, again)
		}
	}
}

func TestImmutableDirectives(t *testing.T) {
	want := strings.Fields(`aclfile always-show-logo aof_rewrite_cpulist appenddirname appendfilename bgsave_cpulist
		bio_cpulist cluster-config-file cluster-enabled cluster-port daemonize databases disable-thp enable-debug-command
		enable-module-command enable-protected-configs io-threads io-threads-do-reads logfile pidfile rdbchecksum
		replicaof server_cpulist set-proc-title slaveof socket-mark-id supervised syslog-enabled syslog-facility
		syslog-ident tcp-backlog unixsocket unixsocketperm`)
	own := []string{"cluster-allow-open-bus", "cluster-secret-file", "log-format"}
	var got []string
	c := New()
	for _, name := range c.names {
		if c.byName[name].row.Immutable && !slices.Contains(own, name) {
			got = append(got, name)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("immutable directives:\n got %v\nwant %v", got, want)
	}
}

func TestGet(t *testing.T) {
	c := New()
	names := func(patterns ...string) string {
		var list []string
		for _, pair := range c.Get(patterns...) {
			list = append(list, pair.Name)
		}
		return strings.Join(list, " ")
	}
	for _, test := range []struct {
		patterns []string
		want     string
	}{
		{[]string{"timeout"}, "timeout"},
		{[]string{"TIMEOUT"}, "TIMEOUT"},
		{[]string{"TIME*"}, "timeout"},
		{[]string{"time[no]ut", "timeout", "nosuch"}, "timeout"},
		{[]string{"time[^o]ut"}, ""},
		{[]string{"*-ziplist-entries"}, "hash-max-ziplist-entries zset-max-ziplist-entries"},
		{[]string{"rdb-key*"}, ""},
		{[]string{"rdb-key-save-delay"}, "rdb-key-save-delay"},
		{[]string{"slave-priority", "replica-priority"}, "slave-priority replica-priority"},
		{[]string{"h?"}, "hz"},
		{[]string{`h\z*`}, "hz"},
		{[]string{"h[", "*["}, ""},
	} {
		if got := names(test.patterns...); got != test.want {
			t.Errorf("Get(%q) = %q, want %q", test.patterns, got, test.want)
		}
	}
}

func TestSetIsAtomicAndAsksTheHooks(t *testing.T) {
	c := New()
	timeout, hz := c.Int("timeout"), c.Int("hz")
	var seen []string
	refuse := false
	c.OnChange("timeout", func() error {
		seen = append(seen, fmt.Sprint("timeout ", timeout.Load()))
		return nil
	})
	c.OnChange("hz", func() error {
		seen = append(seen, fmt.Sprint("hz ", hz.Load()))
		if refuse {
			refuse = false
			return errors.New("not now")
		}
		return nil
	})
	if err := c.Set([]Pair{{"timeout", "5"}, {"hz", "20"}, {"tcp-keepalive", "300"}}, false); err != nil {
		t.Fatal(err)
	}
	refuse = true
	err := c.Set([]Pair{{"timeout", "6"}, {"hz", "30"}}, false)
	if err == nil || err.Error() != "ERR CONFIG SET failed (possibly related to argument 'hz') - not now" {
		t.Errorf("refused change: %v", err)
	}
	if err := c.Set([]Pair{{"timeout", "9"}, {"hz", "x"}}, false); err == nil {
		t.Error("a bad value was taken")
	}
	want := "timeout 5, hz 20, timeout 6, hz 30, timeout 5, hz 20"
	if got := strings.Join(seen, ", "); got != want {
		t.Errorf("hooks saw %s, want %s", got, want)
	}
	if timeout.Load() != 5 || hz.Load() != 20 {
		t.Errorf("after two refused changes: timeout %d, hz %d", timeout.Load(), hz.Load())
	}
	if err := c.Set([]Pair{{"dir", "/"}}, false); err == nil || !strings.HasSuffix(err.Error(), "can't set protected config") {
		t.Errorf("protected: %v", err)
	}
}

func TestHandles(t *testing.T) {
	c := New()
	if err := c.Set([]Pair{
		{"maxmemory", "18446744073709551615"},
		{"maxmemory-clients", "5%"},
		{"client-output-buffer-limit", "normal 1kb 2kb 3"},
		{"save", "900 1 300 10"},
		{"shutdown-on-sigint", "nosave now"},
		{"bind", "127.0.0.1 -::1"},
		{"loglevel", "VERBOSE"},
		{"latency-tracking-info-percentiles", "50 99.9"},
		{"oom-score-adj-values", "1 -2 3"},
	}, false); err != nil {
		t.Fatal(err)
	}
	if got := c.Int("maxmemory").Load(); got != 1<<63-1 {
		t.Errorf("maxmemory %d", got)
	}
	if got := c.Int("maxmemory-clients").Load(); got != -5 {
		t.Errorf("maxmemory-clients %d", got)
	}
	limits := c.BufferLimits()
	if want := (BufferLimit{1024, 2048, 3}); limits.Normal != want || limits.Replica.HardBytes != 256<<20 {
		t.Errorf("limits %+v", limits)
	}
	if got := c.SavePoints(); !slices.Equal(got, []SavePoint{{900, 1}, {300, 10}}) {
		t.Errorf("save points %v", got)
	}
	sigint := c.Enum("shutdown-on-sigint")
	if !sigint.Has("nosave") || !sigint.Has("now") || sigint.Has("force") || sigint.Has("default") {
		t.Errorf("shutdown-on-sigint %s", sigint.Load())
	}
	if got := c.Words("bind").Load(); !slices.Equal(got, []string{"127.0.0.1", "-::1"}) {
		t.Errorf("bind %q", got)
	}
	if got := c.Enum("loglevel").Load(); got != "verbose" {
		t.Errorf("loglevel %q", got)
	}
	if got := c.Percentiles(); !slices.Equal(got, []float64{50, 99.9}) {
		t.Errorf("percentiles %v", got)
	}
	if got := c.OOMScoreAdjValues(); got != [3]int{1, -2, 3} {
		t.Errorf("oom-score-adj-values %v", got)
	}
	if _, _, ok := c.ReplicaOf(); ok {
		t.Error("replicaof without one")
	}
	if err := c.Assign("slaveof", "localhost", "7000"); err != nil {
		t.Fatal(err)
	}
	if host, port, ok := c.ReplicaOf(); !ok || host != "localhost" || port != 7000 {
		t.Errorf("replicaof %s %d %v", host, port, ok)
	}
	if err := c.Assign("slaveof", "localhost", "x"); err == nil {
		t.Error("a bad port was assigned")
	}
	for _, ask := range []func(){
		func() { c.Int("nosuch") },
		func() { c.Int("bind") },
		func() { c.Bool("timeout") },
		func() { c.Words("timeout") },
		func() { c.Text("loglevel") },
		func() { c.OnChange("nosuch", nil) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("a handle of the wrong kind was given out")
				}
			}()
			ask()
		}()
	}
}

func TestInertNotices(t *testing.T) {
	c := New()
	if got := c.Inert(); len(got) != 0 {
		t.Errorf("with defaults: %v", got)
	}
	if err := c.Set([]Pair{{"activerehashing", "no"}, {"timeout", "5"}}, false); err != nil {
		t.Fatal(err)
	}
	if got := c.Inert(); len(got) != 1 || got[0].Name != "activerehashing" || got[0].Reason == "" {
		t.Errorf("got %v", got)
	}
}

func TestExpandTitle(t *testing.T) {
	variable := func(name string) string { return map[string]string{"title": "slotmesh", "port": "7000"}[name] }
	for _, test := range []struct{ template, want string }{
		{"{title} {port} {server-mode}", "slotmesh 7000"},
		{"x}", "x}"},
		{"", ""},
		{"{title", "!"},
		{"{pid}", "!"},
	} {
		got, err := ExpandTitle(test.template, variable)
		if err != nil {
			got = "!"
		}
		if got != test.want {
			t.Errorf("ExpandTitle(%q) = %q, want %q", test.template, got, test.want)
		}
	}
}

func TestTrySetWaitsForNobody(t *testing.T) {
	c := New()
	called := 0
	c.OnChange("hz", func() error { called++; return nil })
	if ran, err := c.TrySet([]Pair{{"timeout", "7"}}, false); !ran || err != nil || c.Int("timeout").Load() != 7 {
		t.Errorf("%v %v, timeout %d", ran, err, c.Int("timeout").Load())
	}
	if ran, err := c.TrySet([]Pair{{"timeout", "x"}}, false); !ran || err == nil {
		t.Errorf("a bad value: %v %v", ran, err)
	}
	if ran, err := c.TrySet([]Pair{{"timeout", "8"}, {"HZ", "20"}}, false); ran || err != nil || called > 0 || c.Int("timeout").Load() != 7 {
		t.Errorf("with a hook: %v %v, %d calls of it, timeout %d", ran, err, called, c.Int("timeout").Load())
	}
	if ran, err := c.TrySet([]Pair{{"timeout", "8"}, {"HZ", "10"}}, false); !ran || err != nil || c.Int("timeout").Load() != 8 {
		t.Errorf("with a hook, whose directive has that value: %v %v, timeout %d", ran, err, c.Int("timeout").Load())
	}
	c.OnChangeAtOnce("lfu-decay-time", func() error { called++; return nil })
	if ran, err := c.TrySet([]Pair{{"lfu-decay-time", "3"}}, false); !ran || err != nil || called != 1 {
		t.Errorf("with a hook that takes no time: %v %v, %d calls of it", ran, err, called)
	}
	c.OnChange("lfu-decay-time", func() error { called++; return nil })
	if ran, err := c.TrySet([]Pair{{"lfu-decay-time", "4"}}, false); ran || err != nil || called != 1 {
		t.Errorf("with one of each: %v %v, %d calls of them", ran, err, called)
	}
	c.OnChange("loglevel", func() error {
		if ran, _ := c.TrySet([]Pair{{"timeout", "9"}}, false); ran {
			t.Error("it ran while a change was under way")
		}
		return nil
	})
	if err := c.Set([]Pair{{"loglevel", "debug"}}, false); err != nil {
		t.Error(err)
	}
}

// A tool that sets what is set already, over and over, leaves no garbage behind.
func TestSetOfTheSameMakesNoGarbage(t *testing.T) {
	c := New()
	c.OnChange("maxmemory", func() error { t.Error("maxmemory has changed"); return nil })
	pairs := []Pair{
		{"maxmemory", "0"},
		{"hz", "10"},
		{"appendonly", "NO"},
		{"maxmemory-policy", "noeviction"},
		{"maxmemory-clients", "0"},
		{"requirepass", ""},
		{"loglevel", "NOTICE"},
	}
	set := func() {
		if ran, err := c.TrySet(pairs, false); !ran || err != nil {
			t.Fatal(ran, err)
		}
	}
	set()
	if n := testing.AllocsPerRun(100, set); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// What reads the same is the value that stands; what reads differently is shown so,
// whatever was set before.
func TestSetAndSetBack(t *testing.T) {
	c := New()
	for _, test := range []struct{ name, text, shown string }{
		{"maxmemory", "1gb", "1073741824"},
		{"maxmemory", "1073741824", "1073741824"},
		{"maxmemory", "0", "0"},
		{"maxmemory", "9223372036854775807", "9223372036854775807"},
		{"maxmemory", "9223372036854775808", "9223372036854775808"},
		{"maxmemory", "9223372036854775807", "9223372036854775807"},
		{"maxmemory-clients", "5%", "5%"},
		{"maxmemory-clients", "5", "5"},
		{"maxmemory-clients", "5%", "5%"},
		{"maxmemory-clients", "0%", "0"},
		{"maxmemory-clients", "0", "0"},
		{"hz", "501", "500"},
		{"hz", "500", "500"},
		{"hz", "0", "1"},
		{"notify-keyspace-events", "KA", "AK"},
		{"notify-keyspace-events", "AK", "AK"},
		{"notify-keyspace-events", "", ""},
		{"activerehashing", "no", "no"},
		{"activerehashing", "YES", "yes"},
		{"activerehashing", "yes", "yes"},
		{"maxmemory-policy", "allkeys-lru", "allkeys-lru"},
		{"maxmemory-policy", "Allkeys-LRU", "allkeys-lru"},
		{"save", "10 1", "10 1"},
		{"save", "10 1 20 2", "10 1 20 2"},
		{"save", "", ""},
	} {
		if err := c.Set([]Pair{{test.name, test.text}}, false); err != nil {
			t.Errorf("%s %q: %v", test.name, test.text, err)
		}
		if got := c.Get(test.name)[0].Value; got != test.shown {
			t.Errorf("%s %q is shown as %q, want %q", test.name, test.text, got, test.shown)
		}
	}
}
