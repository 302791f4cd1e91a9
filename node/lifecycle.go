package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"unicode"

	"golang.org/x/sys/unix"

	"slotmesh/node/config"
)

// Process is what the operating system sees of a node: its directory and the
// lock on it, its title, limits, signals and pid file.
type Process struct {
	cfg   *config.Config
	log   *slog.Logger
	title *title
	// lock holds the data directory for as long as the process lives.
	lock *os.File
	// oomBase is /proc/self/oom_score_adj as it was found.
	oomBase   int
	oomSet    bool
	isReplica func() bool
	// announce tells the process that waits for a daemon that it serves.
	announce *os.File
	pidFile  string
}

// daemonEnv marks the process that a daemonize started; its value is the
// descriptor to report readiness to.
const daemonEnv = "SLOTMESH_DAEMON"

// NewProcess prepares the process for a node: descriptor limit, working
// directory and the lock on what the node keeps there. args is the title's
// memory, see CaptureArgs.
func NewProcess(cfg *config.Config, log *slog.Logger, args *Args) (*Process, error) {
	p := &Process{cfg: cfg, log: log, isReplica: func() bool { return false }}
	if fd, err := strconv.Atoi(os.Getenv(daemonEnv)); err == nil {
		p.announce = os.NewFile(uintptr(fd), "readiness")
		unix.CloseOnExec(fd)
		if err := os.Unsetenv(daemonEnv); err != nil {
			return nil, fmt.Errorf("lifecycle: %w", err)
		}
	}
	p.raiseFileLimit()
	dir := cfg.Text("dir").Load()
	if err := os.Chdir(dir); err != nil {
		return nil, config.Refusal("Can't chdir to '" + dir + "': " + errnoText(err))
	}
	cfg.OnChange("dir", func() error {
		if err := os.Chdir(cfg.Text("dir").Load()); err != nil {
			return errors.New(errnoText(err))
		}
		return nil
	})
	if err := p.lockDirectory(dir); err != nil {
		return nil, err
	}
	p.title = newTitle(args)
	cfg.OnChange("proc-title-template", p.setTitle)
	cfg.OnChange("port", p.setTitle)
	cfg.OnChange("bind", p.setTitle)
	cfg.OnChange("oom-score-adj", p.applyOOMScore)
	cfg.OnChange("oom-score-adj-values", p.applyOOMScore)
	return p, nil
}

// lockDirectory claims what the node writes. In cluster mode that is the
// cluster config file: two nodes with one file would speak with one voice, so
// the second does not start. Otherwise nothing is written and a shared
// directory is only worth a warning.
func (p *Process) lockDirectory(dir string) error {
	if p.cfg.Bool("cluster-enabled").Load() {
		path := p.cfg.Text("cluster-config-file").Load()
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		file, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return config.Refusal("Can't open " + path + ".lock to lock the cluster config file: " + errnoText(err))
		}
		if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			_ = file.Close() // nothing was written
			return config.Refusal("The cluster configuration file " + path + " is already used by another node. " +
				"Every node needs a data directory or a cluster-config-file of its own.")
		}
		p.lock = file
		return nil
	}
	file, err := os.Open(dir)
	if err != nil {
		return config.Refusal("Can't open the data directory " + dir + ": " + errnoText(err))
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		p.log.Warn("The data directory " + dir + " is already used by another server.")
	}
	p.lock = file
	return nil
}

// reservedFiles are the descriptors that are not for clients.
const reservedFiles = 32

// raiseFileLimit makes room for maxclients, or lowers maxclients to the room.
func (p *Process) raiseFileLimit() {
	clients := p.cfg.Int("maxclients").Load()
	need := uint64(clients) + reservedFiles
	limit, err := ensureFiles(need)
	if err == nil {
		return
	}
	p.log.Warn(fmt.Sprintf("You requested maxclients of %d requiring at least %d max file descriptors.", clients, need))
	p.log.Warn("Server can't set maximum open files to " + strconv.FormatUint(need, 10) + " because of OS error: " + errnoText(err) + ".")
	room := max(int64(limit)-reservedFiles, 1)
	p.log.Warn(fmt.Sprintf("Current maximum open files is %d. maxclients has been reduced to %d to compensate for low ulimit.", limit, room))
	if err := p.cfg.Assign("maxclients", strconv.FormatInt(room, 10)); err != nil {
		p.log.Warn(err.Error())
	}
}

// ensureFiles raises the limit of open files to need. When it cannot, it goes
// as far as it may and returns the limit with the error.
func ensureFiles(need uint64) (limit uint64, err error) {
	var now unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &now); err != nil {
		return 1024, err
	}
	if now.Cur >= need {
		return now.Cur, nil
	}
	if err = unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: need, Max: max(now.Max, need)}); err == nil {
		return need, nil
	}
	if now.Cur < now.Max && unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: now.Max, Max: now.Max}) == nil {
		return now.Max, err
	}
	return now.Cur, err
}

// Daemonize starts the same command again in a session of its own and waits
// until it serves. done is false in that new process, which goes on; otherwise
// code is the exit code for this one. stdin is what was read from standard
// input, for the new process to read again.
func Daemonize(cfg *config.Config, args []string, stdin []byte) (code int, done bool, err error) {
	if !cfg.Bool("daemonize").Load() || os.Getenv(daemonEnv) != "" {
		return 0, false, nil
	}
	self, err := os.Executable()
	if err != nil {
		return 1, true, fmt.Errorf("daemonize: %w", err)
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return 1, true, fmt.Errorf("daemonize: %w", err)
	}
	defer null.Close()
	ready, report, err := os.Pipe()
	if err != nil {
		return 1, true, fmt.Errorf("daemonize: %w", err)
	}
	defer ready.Close()
	input := null
	if len(stdin) > 0 {
		if input, err = heldInMemory(stdin); err != nil {
			return 1, true, fmt.Errorf("daemonize: %w", err)
		}
		defer input.Close()
	}
	const reportFD = 3 // the first after the standard ones
	child, err := os.StartProcess(self, args, &os.ProcAttr{
		Env:   append(os.Environ(), daemonEnv+"="+strconv.Itoa(reportFD)),
		Files: []*os.File{input, null, null, report},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return 1, true, fmt.Errorf("daemonize: %w", err)
	}
	if err := report.Close(); err != nil {
		return 1, true, fmt.Errorf("daemonize: %w", err)
	}
	var word [1]byte
	if _, err := ready.Read(word[:]); err == nil {
		return 0, true, child.Release()
	}
	// The pipe was closed without a word: the child has ended.
	state, err := child.Wait()
	if err != nil {
		return 1, true, fmt.Errorf("daemonize: %w", err)
	}
	return max(state.ExitCode(), 1), true, errors.New("daemonize: the background process ended before it served; see its log")
}

// heldInMemory is a file to read content from.
func heldInMemory(content []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate("slotmesh-stdin", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	file := os.NewFile(uintptr(fd), "stdin")
	if _, err := file.Write(content); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// Attach has the process follow n, which is about to run.
func (p *Process) Attach(n *Node) {
	p.isReplica = n.replication.IsReplica
	n.listening = p.serving
	n.onRole = func() {
		if err := p.applyOOMScore(); err != nil {
			p.log.Warn("oom-score-adj: " + err.Error())
		}
	}
}

// defaultPIDFile is where a daemon without pidfile writes its pid.
const defaultPIDFile = "/var/run/slotmesh.pid"

// serving is called when the node listens and before it says that it is ready:
// it writes the pid file and the title, and tells who waits.
func (p *Process) serving() {
	path := p.cfg.Text("pidfile").Load()
	if path == "" && p.announce != nil {
		path = defaultPIDFile
	}
	if path != "" {
		if err := os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644); err != nil {
			p.log.Warn("Failed to write PID file: " + errnoText(err))
		} else {
			p.pidFile = path
		}
	}
	if err := p.setTitle(); err != nil {
		p.log.Warn("set-proc-title: " + err.Error())
	}
	if err := p.applyOOMScore(); err != nil {
		p.log.Warn("oom-score-adj: " + err.Error())
	}
	if p.announce != nil {
		_, err := p.announce.Write([]byte{'+'})
		if err := errors.Join(err, p.announce.Close()); err != nil {
			p.log.Warn("daemonize: report readiness: " + err.Error())
		}
		p.announce = nil
	}
	switch p.cfg.Enum("supervised").Load() {
	case "systemd", "auto":
		p.notifySystemd("STATUS=Ready to accept connections\nREADY=1\n")
	}
}

// Ended undoes what should not outlive the process. It may be called again.
func (p *Process) Ended() {
	if p.pidFile != "" {
		p.log.Info("Removing the pid file.")
		if err := os.Remove(p.pidFile); err != nil {
			p.log.Warn("pid file: " + errnoText(err))
		}
		p.pidFile = ""
	}
	if p.lock != nil {
		_ = p.lock.Close() // gives up the lock, as the end of the process would
		p.lock = nil
	}
}

// notifySystemd sends a state to the socket that systemd named.
func (p *Process) notifySystemd(state string) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	if path[0] == '@' {
		path = "\x00" + path[1:]
	}
	conn, err := net.Dial("unixgram", path)
	if err == nil {
		_, err = conn.Write([]byte(state))
		err = errors.Join(err, conn.Close())
	}
	if err != nil {
		p.log.Warn("systemd supervision requested, but it cannot be told: " + err.Error())
	}
}

// setTitle shows the title of proc-title-template.
func (p *Process) setTitle() error {
	if !p.cfg.Bool("set-proc-title").Load() {
		return nil
	}
	text, err := config.ExpandTitle(p.cfg.Text("proc-title-template").Load(), p.titleVariable)
	if err != nil {
		return err
	}
	p.title.set(text)
	return nil
}

func (p *Process) titleVariable(name string) string {
	port := p.cfg.Int("port").Load()
	switch name {
	case "title":
		return p.title.program
	case "listen-addr":
		if port == 0 {
			return "unixsocket:" + p.cfg.Text("unixsocket").Load()
		}
		host := "*"
		if bind := p.cfg.Words("bind").Load(); len(bind) > 0 {
			host = bind[0]
		}
		return host + ":" + strconv.FormatInt(port, 10)
	case "server-mode":
		if p.cfg.Bool("cluster-enabled").Load() {
			return "[cluster]"
		}
		return ""
	case "port":
		return strconv.FormatInt(port, 10)
	case "tls-port":
		return strconv.FormatInt(p.cfg.Int("tls-port").Load(), 10)
	case "unixsocket":
		return p.cfg.Text("unixsocket").Load()
	case "config-file":
		return p.cfg.File()
	}
	return ""
}

const oomScorePath = "/proc/self/oom_score_adj"

// applyOOMScore follows oom-score-adj: the score of the role is absolute or
// counts from where the process began.
func (p *Process) applyOOMScore() error {
	mode := p.cfg.Enum("oom-score-adj").Load()
	if mode == "no" && !p.oomSet {
		return nil
	}
	refused := config.Refusal("Failed to apply new oom_score_adj configuration, check server logs.")
	if !p.oomSet {
		content, err := os.ReadFile(oomScorePath)
		if err == nil {
			p.oomBase, err = strconv.Atoi(strings.TrimSpace(string(content)))
		}
		if err != nil {
			p.log.Warn("Unable to read oom_score_adj: " + err.Error())
			return refused
		}
		p.oomSet = true
	}
	values := p.cfg.OOMScoreAdjValues()
	score := values[0]
	if p.isReplica() {
		score = values[1]
	}
	switch mode {
	case "no":
		score = p.oomBase
	case "yes", "relative":
		score += p.oomBase
	}
	score = min(max(score, -1000), 1000)
	if err := os.WriteFile(oomScorePath, []byte(strconv.Itoa(score)), 0); err != nil {
		p.log.Warn("Unable to write oom_score_adj: " + errnoText(err))
		return refused
	}
	return nil
}

// HandleSignals ends the node on SIGTERM and SIGINT, as shutdown-on-sigterm
// and shutdown-on-sigint say; a second one while it ends does so at once with
// exit code 1. From its return on the signals are caught, until ctx ends.
func (p *Process) HandleSignals(ctx context.Context, n *Node) {
	signals := make(chan os.Signal, 4)
	signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go p.handle(ctx, n, signals)
}

// handle is HandleSignals once the signals are caught.
func (p *Process) handle(ctx context.Context, n *Node, signals chan os.Signal) {
	defer signal.Stop(signals)
	var asked atomic.Bool
	for {
		select {
		case <-ctx.Done():
			return
		case s := <-signals:
			name, directive := "SIGTERM", "shutdown-on-sigterm"
			if s == syscall.SIGINT {
				name, directive = "SIGINT", "shutdown-on-sigint"
			}
			if asked.Swap(true) {
				p.log.Warn("You insist... exiting now.")
				p.Ended()
				os.Exit(1)
			}
			p.log.Warn("Received " + name + " scheduling shutdown...")
			how := p.cfg.Enum(directive)
			options := shutdownOptions{save: how.Has("save"), nosave: how.Has("nosave"), now: how.Has("now"), force: how.Has("force")}
			go func() {
				if err := n.shutdown(options); err != nil {
					asked.Store(false)
					p.log.Warn(name + " received but errors trying to shut down the server, check the logs for more information: " + err.Error())
				}
			}()
		}
	}
}

// errnoText is the text of an operating system's error as C programs print it.
func errnoText(err error) string {
	var number syscall.Errno
	if !errors.As(err, &number) {
		return err.Error()
	}
	text := []rune(number.Error())
	text[0] = unicode.ToUpper(text[0])
	return string(text)
}
