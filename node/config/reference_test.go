package config

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// reference starts the reference server on a Unix socket and returns a
// function that asks it. The test is skipped where it is not installed.
func reference(t *testing.T) func(args ...string) []string {
	t.Helper()
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("redis-server is not installed: nothing to compare with")
	}
	dir, err := os.MkdirTemp("", "config")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	server := exec.Command(binary, "--port", "0", "--unixsocket", socket, "--enable-protected-configs", "yes")
	server.Dir = dir
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	})
	var conn net.Conn
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if conn, err = net.Dial("unix", socket); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { conn.Close() })
	in := bufio.NewReader(conn)
	return func(args ...string) []string {
		t.Helper()
		fmt.Fprintf(conn, "*%d\r\n", len(args))
		for _, arg := range args {
			fmt.Fprintf(conn, "$%d\r\n%s\r\n", len(arg), arg)
		}
		return readReply(t, in)
	}
}

// readReply reads a status, an error, a bulk string or a flat array of them.
func readReply(t *testing.T, in *bufio.Reader) []string {
	t.Helper()
	head, err := in.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	head = strings.TrimRight(head, "\r\n")
	switch head[0] {
	case '*':
		n, _ := strconv.Atoi(head[1:])
		var all []string
		for range n {
			all = append(all, readReply(t, in)...)
		}
		return all
	case '$':
		n, _ := strconv.Atoi(head[1:])
		body := make([]byte, n+2)
		for read := 0; read < len(body); {
			k, err := in.Read(body[read:])
			if err != nil {
				t.Fatal(err)
			}
			read += k
		}
		return []string{string(body[:n])}
	}
	return []string{head[1:]}
}

// atHome are the directives whose default depends on how a server was started or
// built.
func atHome(name string) bool {
	switch name {
	case "activedefrag": // on here: the reference of the packages cannot do it
		return true
	case "dir", "port", "unixsocket", "enable-protected-configs", "oom-score-adj-values":
		return true
	}
	return false
}

func TestNamesAndDefaultsAreTheReferences(t *testing.T) {
	ask := reference(t)
	c := New()
	theirs := make(map[string]string)
	all := ask("CONFIG", "GET", "*")
	for _, hidden := range []string{
		"rdb-key-save-delay", "key-load-delay", "loading-process-events-interval-bytes",
		"watchdog-period", "use-exit-on-panic",
	} {
		all = append(all, ask("CONFIG", "GET", hidden)...)
	}
	for i := 0; i+1 < len(all); i += 2 {
		theirs[all[i]] = all[i+1]
	}
	if len(theirs) < 190 {
		t.Fatalf("only %d directives from the reference", len(theirs))
	}
	for name, value := range theirs {
		d := c.byName[name]
		if d == nil {
			t.Errorf("%s is missing", name)
			continue
		}
		if got := d.cur.Load().text(); got != value && !atHome(name) {
			t.Errorf("%s is %q, the reference says %q", name, got, value)
		}
	}
	own := make(map[string]bool)
	for _, row := range ownRows() {
		own[row.Name] = true
	}
	for _, name := range c.names {
		if _, ok := theirs[name]; !ok && !own[name] {
			t.Errorf("the reference does not have %s", name)
		}
	}
}

func TestSetAnswersAsTheReference(t *testing.T) {
	ask := reference(t)
	c := New()
	// Values that are tried on every directive; those that would move or kill
	// the reference are left out.
	values := []string{"0", "1", "-1", "-99", "yes", "NO", "abc", "", "10%", "1kb", "99999999999999999999", "01", " 1", "normal 0 0 0", "1 2", "1 2 3", "KEA", "save nosave", "nosave now"}
	skip := map[string]bool{
		"bind": true, "port": true, "tls-port": true, "unixsocket": true, "requirepass": true, "dir": true,
		"bind-source-addr": true, "oom-score-adj": true, "activedefrag": true, "cluster-announce-ip": true,
		"maxclients": true, "save": true, "appendonly": true, "watchdog-period": true, "oom-score-adj-values": true,
		"proc-title-template": true, "jemalloc-bg-thread": true,
	}
	compared := 0
	for _, name := range c.names {
		d := c.byName[name]
		if skip[name] || strings.HasPrefix(name, "tls-") || len(ask("CONFIG", "GET", name)) == 0 {
			continue
		}
		for _, v := range values {
			theirs := ask("CONFIG", "SET", name, v)[0]
			ours := "OK"
			if err := c.Set([]Pair{{name, v}}, true); err != nil {
				ours = err.Error()
			}
			if _, isMemory := d.row.Kind.(memory); isMemory && v == "99999999999999999999" {
				// The reference wraps around or saturates; a size that does not fit is refused here.
				continue
			}
			compared++
			if ours != theirs {
				t.Errorf("CONFIG SET %s %q:\n ours   %s\n theirs %s", name, v, ours, theirs)
				continue
			}
			if got, want := c.Get(name)[0].Value, ask("CONFIG", "GET", name)[1]; got != want && !atHome(name) {
				t.Errorf("after CONFIG SET %s %q: ours %q, theirs %q", name, v, got, want)
			}
		}
	}
	t.Logf("%d answers compared", compared)
	for _, pairs := range [][]string{
		{"timeout", "1", "nosuch", "2"},
		{"databases", "1", "nosuch", "2"},
		{"nosuch", "1", "databases", "2"},
		{"timeout", "1", "TIMEOUT", "2"},
		{"timeout", "1", "timeout", "2", "nosuch", "3"},
		{"timeout", "77", "hz", "x"},
		{"timeout", "78", "HZ", "x"},
		{"Slave-Priority", "x"},
		{"DATABASES", "1"},
		{"dynamic-hz", "ye\u017f"},
		{"maxmemory-policy", "all\u212aeys-lru"},
		{"slave-priority", "1", "replica-priority", "2"},
		{"save", "900 1 300"},
		{"save", "900 1 300 10"},
		{"save", "900 0"},
		{"save", "0 1"},
		{"save", ""},
		{"client-output-buffer-limit", "normal 1mb 2 3 pubsub 1g 2 3"},
		{"client-output-buffer-limit", "replica 1mb 2 3"},
		{"client-output-buffer-limit", "master 1mb 2 3"},
		{"client-output-buffer-limit", "normal 1x 2 3"},
		{"latency-tracking-info-percentiles", "50.0 99.90 100"},
		{"latency-tracking-info-percentiles", "99.999999 0.1"},
		{"shutdown-on-sigint", "nosave force now"},
		{"shutdown-on-sigint", "default"},
		{"notify-keyspace-events", "Kmn"},
		{"cluster-announce-hostname", "exa_mple"},
		{"cluster-announce-hostname", strings.Repeat("a", 300)},
		{"proc-title-template", "{title} {title"},
		{"proc-title-template", "{bad}"},
		{"dir", "/nonexistent"},
		{"dir", ""},
		{"dir", "/etc/passwd"},
		{"dbfilename", "a/b"},
		{"repl-backlog-size", "100"},
		{"hz", "1000"},
	} {
		theirs := ask(append([]string{"CONFIG", "SET"}, pairs...)...)[0]
		ours := "OK"
		var list []Pair
		for i := 0; i < len(pairs); i += 2 {
			list = append(list, Pair{pairs[i], pairs[i+1]})
		}
		if err := c.Set(list, true); err != nil {
			ours = err.Error()
		}
		if ours != theirs {
			t.Errorf("CONFIG SET %q:\n ours   %s\n theirs %s", pairs, ours, theirs)
		}
		for _, p := range list {
			got, want := c.Get(p.Name), ask("CONFIG", "GET", p.Name)
			if len(got) > 0 && got[0].Value != want[1] && p.Name != "dir" && p.Name != "databases" {
				t.Errorf("after CONFIG SET %q: %s is %q, theirs %q", pairs, p.Name, got[0].Value, want[1])
			}
		}
	}
}
