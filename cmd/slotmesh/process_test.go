package main_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"slotmesh/node/e2e/harness"
)

// deadline is how long a test waits for anything.
const deadline = 20 * time.Second

// binary is built once for all tests of this package.
var binary string

func TestMain(m *testing.M) {
	code := func() int {
		dir, err := os.MkdirTemp("", "slotmesh-test")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "slotmesh")
		if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
			return 1
		}
		return m.Run()
	}()
	os.Exit(code)
}

// process is a server that a test started.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	dir    string
	exited chan struct{}

	mu       sync.Mutex
	out, err strings.Builder
}

// write collects one stream of a process.
type write struct {
	p  *process
	to *strings.Builder
}

func (w write) Write(b []byte) (int, error) {
	w.p.mu.Lock()
	defer w.p.mu.Unlock()
	return w.to.Write(b)
}

// launch starts the binary in a directory of its own.
func launch(t *testing.T, dir, stdin string, args ...string) *process {
	t.Helper()
	p := &process{t: t, dir: dir, exited: make(chan struct{})}
	p.cmd = exec.Command(binary, args...)
	p.cmd.Dir = dir
	p.cmd.Stdin = strings.NewReader(stdin)
	p.cmd.Stdout, p.cmd.Stderr = write{p, &p.out}, write{p, &p.err}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // the exit code is asked for later
		close(p.exited)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.exited
	})
	return p
}

func (p *process) stdout() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

func (p *process) stderr() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err.String()
}

// until waits for a condition.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(deadline); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// ready waits for the line that says so.
func (p *process) ready() *process {
	p.t.Helper()
	until(p.t, "Ready to accept connections", func() bool {
		select {
		case <-p.exited:
			p.t.Fatalf("ended early\n%s\n%s", p.stdout(), p.stderr())
		default:
		}
		return strings.Contains(p.stdout(), "Ready to accept connections")
	})
	return p
}

// wait returns the exit code.
func (p *process) wait() int {
	p.t.Helper()
	select {
	case <-p.exited:
	case <-time.After(deadline):
		p.t.Fatalf("does not end\n%s", p.stdout())
	}
	return p.cmd.ProcessState.ExitCode()
}

func freePort(t *testing.T) int {
	t.Helper()
	return harness.New(t, harness.Server{}).FreePort()
}

// ask sends one inline command and returns the reply, of which it understands
// what the tests need.
func ask(t *testing.T, network, address, command string) string {
	t.Helper()
	conn, err := net.DialTimeout(network, address, deadline)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(deadline)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "%s\r\n", command)
	reply, err := readReply(bufio.NewReader(conn))
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return reply
}

func readReply(in *bufio.Reader) (string, error) {
	head, err := in.ReadString('\n')
	if err != nil {
		return "", err
	}
	head = strings.TrimRight(head, "\r\n")
	n, _ := strconv.Atoi(head[1:])
	switch head[0] {
	case '$':
		body := make([]byte, n+2)
		for read := 0; read < len(body); {
			k, err := in.Read(body[read:])
			if err != nil {
				return "", err
			}
			read += k
		}
		return string(body[:n]), nil
	case '*':
		var all []string
		for range n {
			one, err := readReply(in)
			if err != nil {
				return "", err
			}
			all = append(all, one)
		}
		return strings.Join(all, " "), nil
	}
	return head, nil
}

func at(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

func TestLogOfAStartAndAStop(t *testing.T) {
	port := freePort(t)
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		p := launch(t, t.TempDir(), "", "--port", strconv.Itoa(port), "--always-show-logo", "yes").ready()
		if got := ask(t, "tcp", at(port), "PING"); got != "+PONG" {
			t.Errorf("PING: %s", got)
		}
		if err := p.cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		if code := p.wait(); code != 0 {
			t.Errorf("%v: exit code %d", sig, code)
		}
		pid := p.cmd.Process.Pid
		last := -1
		log := p.stdout()
		for _, want := range []string{
			"oO0OoO0OoO0Oo Slotmesh is starting oO0OoO0OoO0Oo",
			fmt.Sprintf("pid=%d, just started", pid),
			fmt.Sprintf(" Port: %d", port),
			fmt.Sprintf(" PID: %d", pid),
			"Server initialized",
			"Ready to accept connections",
			"User requested shutdown...",
			"is now ready to exit, bye bye...",
		} {
			found := strings.Index(log, want)
			if found <= last {
				t.Errorf("%q is missing or out of order in\n%s", want, log)
			}
			last = found
		}
		shape := regexp.MustCompile(`^` + strconv.Itoa(pid) + `:[CMS] \d\d [A-Z][a-z][a-z] \d{4} \d\d:\d\d:\d\d\.\d{3} [.*#-] .`)
		for line := range strings.SplitSeq(strings.TrimSpace(log), "\n") {
			if line != "" && !strings.HasPrefix(line, " ") && !shape.MatchString(line) {
				t.Errorf("line %q", line)
			}
		}
		if !strings.Contains(log, fmt.Sprintf("%d:M ", pid)) {
			t.Errorf("no line of a primary in\n%s", log)
		}
		if conn, err := net.Dial("tcp", at(port)); err == nil {
			conn.Close()
			t.Error("the port is still in use")
		}
	}
}

func TestSignalOptions(t *testing.T) {
	p := launch(t, t.TempDir(), "", "--port", strconv.Itoa(freePort(t)), "--shutdown-on-sigterm", "save", "now").ready()
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil { // ignored
		t.Fatal(err)
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := p.wait(); code != 0 || !strings.Contains(p.stdout(), "DB saved on disk") {
		t.Errorf("exit code %d\n%s", code, p.stdout())
	}
}

func TestConfigErrorsStopTheStart(t *testing.T) {
	dir := t.TempDir()
	conf := filepath.Join(dir, "bad.conf")
	if err := os.WriteFile(conf, []byte("# fine\nport 7000\nnosuchthing yes\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args []string
		want []string
	}{
		{[]string{conf}, []string{"*** FATAL CONFIG FILE ERROR", "Reading the configuration file, at line 3", ">>> 'nosuchthing yes'", "Bad directive or wrong number of arguments", conf}},
		{[]string{"--port"}, []string{"at line 2", ">>> 'port'", "wrong number of arguments"}},
		{[]string{"--logfile", "/nonexistent/log"}, []string{"*** FATAL", "Can't open the log file: No such file or directory"}},
		{[]string{"--rename-command", "nosuch", "x"}, []string{"*** FATAL", ">>> 'rename-command \"nosuch\" \"x\"'", "No such command in rename-command"}},
		{[]string{"--rename-command", "get", "set"}, []string{"Target command name already exists"}},
		{[]string{"--replicaof", "h", "x"}, []string{"Invalid master port"}},
	} {
		p := launch(t, dir, "", test.args...)
		if code := p.wait(); code != 1 {
			t.Errorf("%q: exit code %d", test.args, code)
		}
		for _, want := range test.want {
			if !strings.Contains(p.stderr(), want) {
				t.Errorf("%q: no %q in\n%s", test.args, want, p.stderr())
			}
		}
	}
	p := launch(t, dir, "", "nosuch.conf")
	if code := p.wait(); code != 1 || !strings.Contains(p.stdout(), "Fatal error, can't open config file '"+filepath.Join(dir, "nosuch.conf")+"': No such file or directory") {
		t.Errorf("missing file: exit code %d\n%s", code, p.stdout())
	}
}

func TestInformationOptions(t *testing.T) {
	for _, option := range []string{"-v", "--version"} {
		p := launch(t, t.TempDir(), "", option)
		if code := p.wait(); code != 0 || !regexp.MustCompile(`v=7\.2\.4 sha=\w+:0 malloc=\S+ bits=64 build=\w+`).MatchString(p.stdout()) {
			t.Errorf("%s: %d %s", option, code, p.stdout())
		}
	}
	for _, option := range []string{"-h", "--help"} {
		p := launch(t, t.TempDir(), "", option)
		if code := p.wait(); code != 0 || !strings.Contains(p.stderr(), "Usage:") {
			t.Errorf("%s: %d %s", option, code, p.stderr())
		}
	}
}

func TestUsedPortAndUsedDirectory(t *testing.T) {
	port, dir := freePort(t), t.TempDir()
	launch(t, dir, "", "--port", strconv.Itoa(port), "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(freePort(t)), "--bind", "127.0.0.1").ready()
	p := launch(t, t.TempDir(), "", "--port", strconv.Itoa(port), "--bind", "127.0.0.1")
	if code := p.wait(); code != 1 || !strings.Contains(p.stdout(), fmt.Sprintf("Failed listening on port %d", port)) {
		t.Errorf("used port: exit code %d\n%s", code, p.stdout())
	}
	p = launch(t, dir, "", "--port", strconv.Itoa(freePort(t)), "--cluster-enabled", "yes", "--bind", "127.0.0.1")
	if code := p.wait(); code != 1 || !strings.Contains(p.stdout(), "nodes.conf is already used by another node") {
		t.Errorf("used directory: exit code %d\n%s", code, p.stdout())
	}
	launch(t, dir, "", "--port", strconv.Itoa(freePort(t)), "--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(freePort(t)),
		"--bind", "127.0.0.1", "--cluster-config-file", "other.conf").ready()
	if got := ask(t, "tcp", at(port), "CONFIG GET dir"); got != "dir "+dir {
		t.Errorf("dir: %s", got)
	}
}

func TestConfigurationFromStandardInput(t *testing.T) {
	port := freePort(t)
	launch(t, t.TempDir(), fmt.Sprintf("port %d\r\ntimeout 7\n", port), "--timeout", "8", "-").ready()
	if got := ask(t, "tcp", at(port), "CONFIG GET timeout"); got != "timeout 8" {
		t.Errorf("got %s", got)
	}
}

func TestRewriteSurvivesARestart(t *testing.T) {
	port, dir := freePort(t), t.TempDir()
	conf := filepath.Join(dir, "redis.conf")
	if err := os.WriteFile(conf, []byte(fmt.Sprintf("# mine\nport %d\nenable-protected-configs yes\n", port)), 0o644); err != nil {
		t.Fatal(err)
	}
	p := launch(t, dir, "", conf).ready()
	for _, command := range []string{"CONFIG SET timeout 77 maxmemory 5mb", "CONFIG SET save '60 5'", "CONFIG REWRITE"} {
		if got := ask(t, "tcp", at(port), command); got != "+OK" {
			t.Errorf("%s: %s", command, got)
		}
	}
	if got := ask(t, "tcp", at(port), "SHUTDOWN FOO"); got != "-ERR syntax error" {
		t.Errorf("SHUTDOWN FOO: %s", got)
	}
	conn, err := net.Dial("tcp", at(port))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(conn, "SHUTDOWN NOSAVE\r\n")
	if code := p.wait(); code != 0 {
		t.Errorf("SHUTDOWN: exit code %d\n%s", code, p.stdout())
	}
	conn.Close()
	launch(t, dir, "", conf).ready()
	if got := ask(t, "tcp", at(port), "CONFIG GET timeout maxmemory save"); got != "timeout 77 maxmemory 5242880 save 60 5" {
		t.Errorf("after the restart: %s", got)
	}
}

func TestListensAnew(t *testing.T) {
	old, fresh := freePort(t), freePort(t)
	socket := filepath.Join(t.TempDir(), "s")
	launch(t, t.TempDir(), "", "--port", strconv.Itoa(old), "--bind", "127.0.0.1", "--unixsocket", socket).ready()
	if got := ask(t, "tcp", at(old), fmt.Sprintf("CONFIG SET port %d", fresh)); got != "+OK" {
		t.Fatal(got)
	}
	if got := ask(t, "tcp", at(fresh), "PING"); got != "+PONG" {
		t.Error(got)
	}
	if conn, err := net.Dial("tcp", at(old)); err == nil {
		conn.Close()
		t.Error("still listens at the old port")
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	got := ask(t, "unix", socket, fmt.Sprintf("CONFIG SET port %d", taken.Addr().(*net.TCPAddr).Port))
	if got != "-ERR CONFIG SET failed (possibly related to argument 'port') - Failed to bind to specified addresses." {
		t.Error(got)
	}
	if got := ask(t, "tcp", at(fresh), "CONFIG GET port"); got != fmt.Sprintf("port %d", fresh) {
		t.Error(got)
	}
	if got := ask(t, "unix", socket, "CONFIG SET bind 203.0.113.7"); !strings.HasPrefix(got, "-ERR CONFIG SET failed (possibly related to argument 'bind')") {
		t.Error(got)
	}
	if got := ask(t, "tcp", at(fresh), "PING"); got != "+PONG" {
		t.Error(got)
	}
}

func commandLine(t *testing.T, pid int) string {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimRight(strings.ReplaceAll(string(raw), "\x00", " "), " ")
}

func TestProcessTitle(t *testing.T) {
	port := freePort(t)
	p := launch(t, t.TempDir(), "", "--port", strconv.Itoa(port)).ready()
	if got, want := commandLine(t, p.cmd.Process.Pid), fmt.Sprintf("slotmesh *:%d", port); got != want {
		t.Errorf("title %q, want %q", got, want)
	}
	long := "{title} " + strings.Repeat("x", 60) + " {port} {config-file}"
	if got := ask(t, "tcp", at(port), `CONFIG SET proc-title-template "`+long+`"`); got != "+OK" {
		t.Fatal(got)
	}
	if got, want := commandLine(t, p.cmd.Process.Pid), "slotmesh "+strings.Repeat("x", 60)+fmt.Sprintf(" %d", port); got != want {
		t.Errorf("title %q, want %q", got, want)
	}
	if got := ask(t, "tcp", at(port), `CONFIG SET proc-title-template "{nosuch}"`); !strings.HasSuffix(got, "template format is invalid or contains unknown variables") {
		t.Error(got)
	}
	// The title lies over the arguments and the environment: both must be intact.
	if got := ask(t, "tcp", at(port), "CONFIG GET port"); got != fmt.Sprintf("port %d", port) {
		t.Error(got)
	}
}

func TestOOMScore(t *testing.T) {
	port := freePort(t)
	p := launch(t, t.TempDir(), "", "--port", strconv.Itoa(port), "--oom-score-adj", "absolute", "--oom-score-adj-values", "17 200 800").ready()
	read := func() string {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", p.cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(raw))
	}
	if got := read(); got != "17" {
		t.Errorf("oom_score_adj %s", got)
	}
	if got := ask(t, "tcp", at(port), "CONFIG SET oom-score-adj-values '23 200 800'"); got != "+OK" {
		t.Fatal(got)
	}
	if got := read(); got != "23" {
		t.Errorf("oom_score_adj %s", got)
	}
}

func TestDaemonize(t *testing.T) {
	port, dir := freePort(t), t.TempDir()
	log, pidFile := filepath.Join(dir, "log"), filepath.Join(dir, "pid")
	args := []string{"-", "--daemonize", "yes", "--logfile", log, "--pidfile", pidFile, "--bind", "127.0.0.1"}
	p := launch(t, dir, fmt.Sprintf("port %d\n", port), args...)
	if code := p.wait(); code != 0 {
		t.Fatalf("exit code %d: %s%s", code, p.stdout(), p.stderr())
	}
	// The first process ended when the second served: no waiting here.
	raw, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil || pid == p.cmd.Process.Pid {
		t.Fatalf("pid file %q", raw)
	}
	t.Cleanup(func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
	if got := ask(t, "tcp", at(port), "PING"); got != "+PONG" {
		t.Error(got)
	}
	if session, _, _ := syscall.Syscall(syscall.SYS_GETSID, uintptr(pid), 0, 0); int(session) != pid {
		t.Errorf("session %d of process %d", session, pid)
	}
	second := launch(t, dir, fmt.Sprintf("port %d\n", port), "-", "--daemonize", "yes", "--logfile", log, "--bind", "127.0.0.1")
	if code := second.wait(); code != 1 {
		t.Errorf("a second daemon on the port: exit code %d", code)
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	until(t, "the daemon's last line", func() bool {
		content, err := os.ReadFile(log)
		return err == nil && strings.Contains(string(content), "bye bye...")
	})
	until(t, "the pid file to go", func() bool {
		_, err := os.Stat(pidFile)
		return errors.Is(err, os.ErrNotExist)
	})
}

func TestLogFormats(t *testing.T) {
	for format, want := range map[string]string{
		"logfmt": `level=notice msg="Ready to accept connections" pid=`,
		"json":   `"level":"notice","msg":"Ready to accept connections","pid":`,
	} {
		p := launch(t, t.TempDir(), "", "--port", strconv.Itoa(freePort(t)), "--log-format", format).ready()
		if !strings.Contains(p.stdout(), want) {
			t.Errorf("%s: no %s in\n%s", format, want, p.stdout())
		}
	}
}

func TestSupervisedBySystemd(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	t.Setenv("NOTIFY_SOCKET", socket)
	launch(t, t.TempDir(), "", "--port", strconv.Itoa(freePort(t)), "--supervised", "systemd").ready()
	if err := conn.SetDeadline(time.Now().Add(deadline)); err != nil {
		t.Fatal(err)
	}
	var b [256]byte
	n, err := conn.Read(b[:])
	if err != nil || !strings.Contains(string(b[:n]), "READY=1") {
		t.Errorf("%q %v", b[:n], err)
	}
}

func TestUserAndModuleLines(t *testing.T) {
	port := freePort(t)
	p := launch(t, t.TempDir(), "", "--port", strconv.Itoa(port), "--loadmodule", "x.so", "--user", "default", "on", ">secret", "~*", "+@all",
		"--user", "bob", "on", "--repl-diskless-sync", "no").ready()
	for _, want := range []string{"loadmodule has no effect", "user has no effect", "repl-diskless-sync has no effect"} {
		if !strings.Contains(p.stdout(), want) {
			t.Errorf("no %q in\n%s", want, p.stdout())
		}
	}
	if got := ask(t, "tcp", at(port), "GET a"); got != "-NOAUTH Authentication required." {
		t.Error(got)
	}
}
