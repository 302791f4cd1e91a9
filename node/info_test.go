package node

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// toolFields are the fields of INFO that programs read, by section.
const toolFields = `
server: redis_version slotmesh_version redis_mode os arch_bits process_id run_id tcp_port uptime_in_seconds config_file executable lru_clock
clients: connected_clients blocked_clients tracking_clients maxclients
memory: used_memory used_memory_human used_memory_rss used_memory_peak used_memory_dataset used_memory_lua maxmemory maxmemory_policy
 mem_not_counted_for_evict mem_clients_normal mem_clients_slaves mem_total_replication_buffers mem_allocator mem_fragmentation_ratio
 lazyfree_pending_objects lazyfreed_objects
persistence: loading async_loading rdb_bgsave_in_progress rdb_changes_since_last_save rdb_last_save_time rdb_last_bgsave_status
 rdb_last_load_keys_loaded rdb_last_load_keys_expired current_save_keys_processed current_save_keys_total aof_enabled
 aof_rewrite_in_progress aof_rewrite_scheduled aof_last_bgrewrite_status aof_last_write_status
stats: total_connections_received total_commands_processed instantaneous_ops_per_sec total_net_input_bytes total_net_output_bytes
 rejected_connections sync_full sync_partial_ok sync_partial_err expired_keys evicted_keys evicted_clients keyspace_hits keyspace_misses
 tracking_total_keys unexpected_error_replies total_error_replies dump_payload_sanitizations
replication: role connected_slaves master_failover_state master_replid master_replid2 master_repl_offset second_repl_offset
 repl_backlog_active repl_backlog_size repl_backlog_first_byte_offset repl_backlog_histlen
cpu: used_cpu_sys used_cpu_user used_cpu_sys_children used_cpu_user_children
cluster: cluster_enabled
`

// infoField finds a field like redis-cli does: where its name stands first.
func infoField(info, name string) (string, bool) {
	at := strings.Index(info, name)
	if at < 0 {
		return "", false
	}
	rest := info[at+len(name):]
	if rest == "" || rest[0] != ':' {
		return "", false
	}
	value, _, ok := strings.Cut(rest[1:], "\r")
	return value, ok
}

// sectionsOf are the headlines of a text of INFO.
func sectionsOf(info string) string {
	var titles []string
	for line := range strings.SplitSeq(info, "\r\n") {
		if title, ok := strings.CutPrefix(line, "# "); ok {
			titles = append(titles, title)
		}
	}
	return strings.Join(titles, " ")
}

func TestInfoHasWhatToolsRead(t *testing.T) {
	_, dial, _ := startNode(t)
	c := dial()
	all := string(c.do("info").Text)
	for each := range strings.SplitSeq(strings.ReplaceAll(strings.TrimSpace(toolFields), "\n ", " "), "\n") {
		section, fields, _ := strings.Cut(each, ":")
		text := string(c.do("info", section).Text)
		for _, name := range strings.Fields(fields) {
			if !strings.Contains(text, "\r\n"+name+":") {
				t.Errorf("section %s has no %s", section, name)
			}
		}
	}
	// What redis-cli looks for with a plain search in the whole text.
	for _, name := range []string{
		"cluster_enabled", "used_memory", "connected_clients", "blocked_clients", "total_commands_processed",
		"total_connections_received", "rdb_bgsave_in_progress", "aof_rewrite_in_progress", "loading", "redis_version",
	} {
		if _, ok := infoField(all, name); !ok {
			t.Errorf("%s is not found where it stands first", name)
		}
	}
	if strings.Contains(all, "db0:") {
		t.Error("db0: without keys")
	}
	c.do("set", "k", "v")
	c.do("setex", "e", "1000", "v")
	text := string(c.do("info", "keyspace").Text)
	if !regexp.MustCompile(`^# Keyspace\r\ndb0:keys=2,expires=1,avg_ttl=\d+\r\n$`).MatchString(text) {
		t.Errorf("keyspace %q", text)
	}
	line := regexp.MustCompile(`^[a-zA-Z0-9_.|-]+:[^\r\n]*$`)
	for each := range strings.SplitSeq(strings.TrimSuffix(string(c.do("info", "everything").Text), "\r\n"), "\r\n") {
		if each != "" && !strings.HasPrefix(each, "# ") && !line.MatchString(each) {
			t.Errorf("line %q", each)
		}
	}
}

func TestInfoSections(t *testing.T) {
	_, dial, _ := startNode(t)
	theirs := startReference(t)()
	c := dial()
	for _, args := range []string{
		"info", "info default", "info all", "info everything", "info ALL", "info server", "info keyspace server", "info nosuch",
		"info nosuch Server", "info default commandstats", "info latencystats errorstats", "info modules", "info all modules",
	} {
		words := strings.Fields(args)
		if got, want := sectionsOf(string(c.do(words...).Text)), sectionsOf(string(theirs.do(words...).Text)); got != want {
			t.Errorf("%s: %s, the reference has %s", args, got, want)
		}
	}
	c.do("hello", "3")
	if r := c.do("info"); r.Kind != '=' {
		t.Errorf("INFO in RESP3 is a %c", r.Kind)
	}
}

func TestInfoCounts(t *testing.T) {
	_, dial, _ := startNode(t, "--latency-tracking-info-percentiles", "50 100")
	c := dial()
	field := func(section, name string) string {
		value, ok := infoField(string(c.do("info", section).Text), name)
		if !ok {
			t.Fatalf("no %s", name)
		}
		return value
	}
	c.do("set", "a", "1")
	c.do("get", "a")
	c.do("get", "nokey")
	c.do("incr", "nokey2")
	c.do("set", "b", "x")
	c.do("incr", "b")
	// Before the server knows the subcommand by heart, and after.
	c.do("config", "get")
	c.do("config", "get", "timeout")
	c.do("config", "get")
	c.do("get")
	for name, want := range map[string]string{"keyspace_hits": "1", "keyspace_misses": "1", "total_error_replies": "4"} {
		if got := field("stats", name); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	if got := field("persistence", "rdb_changes_since_last_save"); got != "3" {
		t.Errorf("%s changes", got)
	}
	for name, want := range map[string]string{
		"cmdstat_get":        `^calls=2,usec=\d+,usec_per_call=\d+\.\d\d,rejected_calls=1,failed_calls=0$`,
		"cmdstat_incr":       `^calls=2,usec=\d+,usec_per_call=\d+\.\d\d,rejected_calls=0,failed_calls=1$`,
		"cmdstat_config|get": `^calls=1,usec=\d+,usec_per_call=\d+\.\d\d,rejected_calls=2,failed_calls=0$`,
	} {
		if got := field("commandstats", name); !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("%s is %s", name, got)
		}
	}
	if got := field("errorstats", "errorstat_ERR"); got != "count=4" {
		t.Errorf("errorstat_ERR %s", got)
	}
	if got := field("latencystats", "latency_percentiles_usec_get"); !regexp.MustCompile(`^p50=\d+\.\d{3},p100=\d+\.\d{3}$`).MatchString(got) {
		t.Errorf("latencystats %s", got)
	}
	used, err := strconv.Atoi(field("memory", "used_memory"))
	if err != nil || used < 1<<20 {
		t.Errorf("used_memory %d %v", used, err)
	}
	peak, err := strconv.Atoi(field("memory", "used_memory_peak"))
	if err != nil || peak < used/2 {
		t.Errorf("used_memory_peak %d %v", peak, err)
	}
	if got := field("server", "uptime_in_seconds"); got != "0" && len(got) > 3 {
		t.Errorf("uptime %s", got)
	}
	if got := c.ask("config", "resetstat"); got != `+"OK"` {
		t.Error(got)
	}
	if got := string(c.do("info", "errorstats").Text); strings.Contains(got, "errorstat_") {
		t.Errorf("after RESETSTAT: %s", got)
	}
	if got := field("stats", "keyspace_hits"); got != "0" {
		t.Errorf("after RESETSTAT: keyspace_hits %s", got)
	}
}

func TestHumanBytes(t *testing.T) {
	for bytes, want := range map[int64]string{0: "0B", 1023: "1023B", 1024: "1.00K", 916424: "894.95K", 25276502016: "23.54G", 1 << 50: "1024.00T"} {
		if got := humanBytes(bytes); got != want {
			t.Errorf("humanBytes(%d) = %s, want %s", bytes, got, want)
		}
	}
}

// The debug section is shown by its name only, and CONFIG RESETSTAT starts the
// accounts of the event loops anew.
func TestInfoOfEventLoops(t *testing.T) {
	_, dial, _ := startNode(t)
	c := dial()
	if all := string(c.do("info", "everything").Text); strings.Contains(all, "eventloop_duration_max") {
		t.Error("INFO everything shows the debug section")
	}
	number := func(section, field string) int {
		t.Helper()
		text, ok := infoField(string(c.do("info", section).Text), field)
		n, err := strconv.Atoi(text)
		if !ok || err != nil {
			t.Fatalf("%s is %q", field, text)
		}
		return n
	}
	c.do("set", "large", strings.Repeat("x", 4<<20))
	before := number("stats", "eventloop_cycles")
	if before == 0 || number("stats", "eventloop_duration_sum") == 0 || number("debug", "eventloop_duration_max") == 0 {
		t.Error("a loop that received 4 MB has no account of it")
	}
	if own := number("debug", "eventloop_own_duration_max"); own == 0 || own > number("debug", "eventloop_duration_max") {
		t.Errorf("%d µs of the longest turn are its own", own)
	}
	c.do("config", "resetstat")
	if after := number("stats", "eventloop_cycles"); after >= before {
		t.Errorf("%d rounds before CONFIG RESETSTAT, %d after", before, after)
	}
}
