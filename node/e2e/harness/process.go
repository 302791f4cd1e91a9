package harness

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Rig starts processes for one test and answers for their end.
type Rig struct {
	r      Reporter
	server Server
	dir    string
	// start hands commands to the one thread that may start processes: the
	// parent-death signal follows the thread, not the process.
	start chan func()

	mu        sync.Mutex // guards the rest
	processes []*Process
	ports     map[int]bool
}

// New returns a Rig whose processes run server unless told otherwise, in a
// temporary directory that is removed at the end.
func New(r Reporter, server Server) *Rig {
	r.Helper()
	dir, err := os.MkdirTemp("", "slotmesh-e2e-")
	if err != nil {
		r.Fatalf("directory for processes: %v", err)
	}
	keep := os.Getenv(EnvKeep) != ""
	if keep {
		r.Logf("processes run and log in %s", dir)
	}
	g := newRig(r, server, dir)
	r.Cleanup(func() {
		g.close()
		if !keep {
			os.RemoveAll(dir)
		}
	})
	return g
}

// NewIn is New for a directory of the caller's that stays.
func NewIn(r Reporter, server Server, dir string) *Rig {
	g := newRig(r, server, dir)
	r.Cleanup(g.close)
	return g
}

func newRig(r Reporter, server Server, dir string) *Rig {
	g := &Rig{r: r, server: server, dir: dir, start: make(chan func()), ports: make(map[int]bool)}
	go func() {
		runtime.LockOSThread()
		for fn := range g.start {
			fn()
		}
		// The thread stays locked and ends here, after its last process.
	}()
	return g
}

// Server returns what the Rig's processes run.
func (g *Rig) Server() Server { return g.server }

// Dir returns the directory above those of the processes.
func (g *Rig) Dir() string { return g.dir }

func (g *Rig) close() {
	g.mu.Lock()
	processes := g.processes
	g.mu.Unlock()
	if g.r.Failed() {
		for _, p := range processes {
			g.r.Logf("--- the end of %s's log:\n%s", p.Name, p.LogTail(40))
		}
	}
	for _, p := range processes {
		if p.Running() {
			p.Kill()
		}
	}
	close(g.start)
}

// Options describe one process.
type Options struct {
	// Name is that of its directory and in reports.
	Name string
	// Server is what it runs; the Rig's if empty.
	Server Server
	// Cluster turns cluster mode on.
	Cluster bool
	// Host is where it listens, 127.0.0.1 if empty; Port 0 means a free one.
	Host string
	Port int
	// Netns names a network namespace to run in.
	Netns string
	// CPU pins it to one core, counted from 1; 0 leaves it free.
	CPU int
	// Directives are lines of the config file that follow those of the harness:
	// "maxmemory 1gb".
	Directives []string
	// Stdin hands the directives in on standard input instead of in a file.
	Stdin bool
	// Args follow the config file on the command line.
	Args []string
	// Env adds to the environment.
	Env []string
}

// Process is one server process, which may be killed and started again.
type Process struct {
	Name string
	Host string
	Port int
	// Dir is its working directory: data, cluster config file, log.
	Dir string

	rig     *Rig
	options Options
	logPath string

	mu     sync.Mutex // guards the rest
	cmd    *exec.Cmd
	exited chan struct{}
	status error
}

// Start starts a process and waits until it answers PING.
func (g *Rig) Start(o Options) *Process {
	g.r.Helper()
	p := g.Prepare(o)
	if err := p.Launch(); err != nil {
		g.r.Fatalf("%v", err)
	}
	if err := p.WaitReady(startLimit); err != nil {
		g.r.Fatalf("%v", err)
	}
	return p
}

// Prepare chooses port and directory of a process that Launch will start.
func (g *Rig) Prepare(o Options) *Process {
	g.r.Helper()
	if o.Server.Path == "" {
		o.Server = g.server
	}
	if o.Host == "" {
		o.Host = "127.0.0.1"
	}
	if o.Port == 0 {
		o.Port = g.FreePort()
	}
	if o.Name == "" {
		o.Name = strconv.Itoa(o.Port)
	}
	p := &Process{Name: o.Name, Host: o.Host, Port: o.Port, Dir: filepath.Join(g.dir, o.Name), rig: g, options: o}
	p.logPath = filepath.Join(p.Dir, "log")
	if err := os.MkdirAll(p.Dir, 0o755); err != nil {
		g.r.Fatalf("directory of %s: %v", p.Name, err)
	}
	if err := p.WriteConfig(o.Directives...); err != nil {
		g.r.Fatalf("config file of %s: %v", p.Name, err)
	}
	g.mu.Lock()
	g.processes = append(g.processes, p)
	g.mu.Unlock()
	return p
}

// FreePort returns a port that is free on loopback together with the one
// 10,000 above it, the cluster bus, both below the range that outgoing
// connections take theirs from. No port that it returns is another's bus port: a
// process that was started a moment ago may not have bound its own yet.
func (g *Rig) FreePort() int {
	g.r.Helper()
	for range 1000 {
		port := 11000 + rand.IntN(10000)
		g.mu.Lock()
		taken := g.ports[port]
		g.ports[port] = true
		g.mu.Unlock()
		if !taken && portFree(port) && portFree(port+10000) {
			return port
		}
	}
	g.r.Fatalf("no free port found between 11000 and 21000")
	return 0
}

func portFree(port int) bool {
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	listener.Close()
	return true
}

// Addr is host:port.
func (p *Process) Addr() string { return net.JoinHostPort(p.Host, strconv.Itoa(p.Port)) }

// Server is what the process runs.
func (p *Process) Server() Server { return p.options.Server }

// WriteConfig writes the config file anew, with other Options.Directives; what
// CONFIG REWRITE put there is gone.
func (p *Process) WriteConfig(directives ...string) error {
	p.options.Directives = directives
	return os.WriteFile(filepath.Join(p.Dir, configName), []byte(p.config()), 0o644)
}

// config returns the config file of the process.
func (p *Process) config() string {
	o := p.options
	bind := o.Host
	if o.Netns != "" {
		bind = "0.0.0.0"
	}
	lines := []string{
		"port " + strconv.Itoa(o.Port),
		"bind " + bind,
		"dir " + p.Dir,
		`save ""`,
		"appendonly no",
		"daemonize no",
		"enable-debug-command yes",
		// The reference's wait for more replicas would be most of a test's time.
		"repl-diskless-sync-delay 0",
	}
	if o.Cluster {
		lines = append(lines, "cluster-enabled yes", "cluster-config-file nodes.conf")
	}
	if o.Netns != "" {
		lines = append(lines, "protected-mode no", "cluster-announce-ip "+o.Host)
	}
	lines = append(lines, o.Directives...)
	return strings.Join(lines, "\n") + "\n"
}

// configName is the config file in a process's directory.
const configName = "node.conf"

func (p *Process) command() *exec.Cmd {
	o := p.options
	file := filepath.Join(p.Dir, configName)
	if o.Stdin {
		file = "-"
	}
	args := append([]string{o.Server.Path, file}, o.Args...)
	if o.CPU > 0 {
		args = append([]string{"taskset", "-c", strconv.Itoa(o.CPU - 1)}, args...)
	}
	if o.Netns != "" {
		args = append([]string{"ip", "netns", "exec", o.Netns}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = p.Dir
	if o.Stdin {
		cmd.Stdin = strings.NewReader(p.config())
	}
	cmd.Env = append(os.Environ(), o.Env...)
	cmd.SysProcAttr = childAttributes()
	return cmd
}

// Launch starts the process without waiting until it is ready. What it prints
// is appended to the log.
func (p *Process) Launch() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		select {
		case <-p.exited:
		default:
			return fmt.Errorf("%s runs already", p.Name)
		}
	}
	log, err := os.OpenFile(p.logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("log of %s: %w", p.Name, err)
	}
	defer log.Close()
	cmd := p.command()
	cmd.Stdout, cmd.Stderr = log, log
	started := make(chan error)
	p.rig.start <- func() { started <- cmd.Start() }
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	exited := make(chan struct{})
	p.cmd, p.exited, p.status = cmd, exited, nil
	go func() {
		status := cmd.Wait()
		p.mu.Lock()
		p.status = status
		p.mu.Unlock()
		close(exited)
	}()
	return nil
}

// WaitReady waits until the process answers, with whatever: a node that loads or
// asks for a password is up too. An answer that names another process is that of
// a stranger who took the port first.
func (p *Process) WaitReady(timeout time.Duration) error {
	deadline := time.Now().Add(timeout)
	for {
		reply, err := p.TryDo(time.Second, "INFO", "server")
		if IsReplyError(err) {
			return nil
		}
		if err == nil {
			id := Fields(reply.Text)["process_id"]
			if id == strconv.Itoa(p.PID()) {
				return nil
			}
			err = fmt.Errorf("process %s answers", id)
		}
		select {
		case <-p.exit():
			return fmt.Errorf("%s ended (%v) before it was ready:\n%s", p.Name, p.Status(), p.LogTail(20))
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s at %s is not ready after %v (%v):\n%s", p.Name, p.Addr(), timeout, err, p.LogTail(20))
		}
	}
}

// PID returns the process id of the last Launch, 0 before the first.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return 0
	}
	return p.cmd.Process.Pid
}

func (p *Process) exit() chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.exited
}

// Status returns how the process ended, nil for status 0.
func (p *Process) Status() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status
}

// Running reports whether the process was started and has not ended.
func (p *Process) Running() bool {
	exited := p.exit()
	if exited == nil {
		return false
	}
	select {
	case <-exited:
		return false
	default:
		return true
	}
}

// Signal sends sig to the process.
func (p *Process) Signal(sig syscall.Signal) {
	if pid := p.PID(); pid > 0 && p.Running() {
		// An error means that it ended in between, which the caller's next
		// wait finds out.
		_ = syscall.Kill(pid, sig)
	}
}

// Kill sends SIGKILL and waits until the process is gone.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	if exited := p.exit(); exited != nil {
		<-exited
	}
}

// Pause stops the process with SIGSTOP and waits until it stands still; Resume
// lets it go on.
func (p *Process) Pause() {
	p.Signal(syscall.SIGSTOP)
	// The signal is only on its way: a thread that runs may go on for a moment.
	Await(p.rig.r, 5*time.Second, p.Name+" stands still", func() string {
		states, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.PID()))
		if err != nil || len(states) == 0 {
			return "its threads are not to be seen"
		}
		for _, path := range states {
			stat, err := os.ReadFile(path)
			if err != nil {
				return err.Error()
			}
			if state := stat[bytes.LastIndexByte(stat, ')')+2]; state != 'T' && state != 't' {
				return fmt.Sprintf("%s is in state %c", path, state)
			}
		}
		return ""
	})
}

// Resume ends what Pause began.
func (p *Process) Resume() { p.Signal(syscall.SIGCONT) }

// WaitExit waits until the process has ended by itself.
func (p *Process) WaitExit(timeout time.Duration) error {
	select {
	case <-p.exit():
		return nil
	case <-time.After(timeout):
		return fmt.Errorf("%s still runs after %v", p.Name, timeout)
	}
}

// WaitLoaded waits until a process that is ready has loaded its files: they may
// be large, so limit is for the test and not for the process.
func (p *Process) WaitLoaded(limit time.Duration) error {
	deadline := time.Now().Add(limit)
	for {
		_, err := p.TryDo(time.Second, "DBSIZE")
		if err == nil || IsReplyError(err) && !strings.HasPrefix(err.Error(), "LOADING") {
			return nil
		}
		select {
		case <-p.exit():
			return fmt.Errorf("%s ended (%v) while it loaded:\n%s", p.Name, p.Status(), p.LogTail(20))
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s has not loaded its files after %v (%v):\n%s", p.Name, limit, err, p.LogTail(20))
		}
	}
}

// Restart launches the process again and waits until it has loaded its files.
func (p *Process) Restart() {
	p.rig.r.Helper()
	if err := p.Launch(); err != nil {
		p.rig.r.Fatalf("%v", err)
	}
	if err := p.WaitReady(startLimit); err != nil {
		p.rig.r.Fatalf("%v", err)
	}
	if err := p.WaitLoaded(time.Minute); err != nil {
		p.rig.r.Fatalf("%v", err)
	}
}

// Log returns all that the process has printed.
func (p *Process) Log() string {
	content, err := os.ReadFile(p.logPath)
	if err != nil {
		return err.Error()
	}
	return string(content)
}

// LogTail returns the last lines of the log.
func (p *Process) LogTail(lines int) string {
	content := bytes.TrimRight([]byte(p.Log()), "\n")
	all := strings.Split(string(content), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// TryDo sends one command on a connection of its own. The error is that of
// Conn.Do.
func (p *Process) TryDo(timeout time.Duration, args ...string) (Reply, error) {
	conn, err := Dial(p.Addr(), timeout)
	if err != nil {
		return Reply{}, err
	}
	defer conn.Close()
	return conn.Do(args...)
}

// Do sends one command on a connection of its own; an error ends the test.
func (p *Process) Do(args ...string) Reply {
	p.rig.r.Helper()
	reply, err := p.TryDo(answerLimit, args...)
	if err != nil {
		p.rig.r.Fatalf("%s: %s: %v", p.Name, strings.Join(args, " "), err)
	}
	return reply
}

// Connect opens a connection that the Rig's test ends with.
func (p *Process) Connect() *Conn {
	p.rig.r.Helper()
	conn, err := Dial(p.Addr(), answerLimit)
	if err != nil {
		p.rig.r.Fatalf("connect to %s: %v", p.Name, err)
	}
	p.rig.r.Cleanup(func() { conn.Close() })
	return conn
}

// Info returns the fields of INFO section.
func (p *Process) Info(section string) map[string]string {
	p.rig.r.Helper()
	return Fields(p.Do("INFO", section).Text)
}

// Fields parses the lines "name:value" of INFO and CLUSTER INFO.
func Fields(text string) map[string]string {
	fields := make(map[string]string)
	for line := range strings.SplitSeq(text, "\r\n") {
		if name, value, found := strings.Cut(line, ":"); found {
			fields[name] = value
		}
	}
	return fields
}

// CPUTime returns the processor time, user and system, that the process has
// used, to the nanosecond. Threads that have ended count.
func (p *Process) CPUTime() (time.Duration, error) { return cpuTime(p.PID()) }

// RSS returns the resident memory of the process in bytes.
func (p *Process) RSS() (int64, error) {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.PID()))
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(content))
	if len(fields) < 2 {
		return 0, fmt.Errorf("unexpected /proc/%d/statm", p.PID())
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize()), err
}
