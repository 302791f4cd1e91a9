package node

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"slotmesh/node/config"
)

// LevelVerbose lies between debug and notice, which is slog.LevelInfo.
const LevelVerbose = slog.Level(-2)

// The roles that a line of the log shows.
const (
	roleStarting = 'C' // before the node listens, and the process that daemonizes
	rolePrimary  = 'M'
	roleReplica  = 'S'
)

// logSink is where lines go and what all handlers of one log share.
type logSink struct {
	level slog.LevelVar
	role  atomic.Int32
	pid   int
	now   func() time.Time

	// mu makes each line one write.
	mu  sync.Mutex
	out io.Writer
}

// OpenLog opens the log that the configuration asks for: a file, which is
// appended to, or else stdout; in the format of log-format. It follows CONFIG
// SET loglevel. The error has the text that a start prints for it.
func OpenLog(cfg *config.Config, stdout io.Writer) (*slog.Logger, error) {
	sink := &logSink{pid: os.Getpid(), now: time.Now, out: stdout}
	if path := cfg.Text("logfile").Load(); path != "" {
		file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
		if err != nil {
			return nil, &config.LoadError{Reason: "Can't open the log file: " + errnoText(err)}
		}
		sink.out = file
	}
	sink.role.Store(roleStarting)
	level := cfg.Enum("loglevel")
	follow := func() error {
		sink.level.Set(levelOf(level.Load()))
		return nil
	}
	if err := follow(); err != nil {
		return nil, err
	}
	cfg.OnChangeAtOnce("loglevel", follow)
	return slog.New(newLogHandler(sink, cfg.Enum("log-format").Load())), nil
}

// levelOf turns a word of loglevel into the least level that is written.
func levelOf(word string) slog.Level {
	switch word {
	case "debug":
		return slog.LevelDebug
	case "verbose":
		return LevelVerbose
	case "warning":
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

// levelName is the reverse, for the formats that have words for it.
func levelName(level slog.Level) string {
	switch {
	case level < LevelVerbose:
		return "debug"
	case level < slog.LevelInfo:
		return "verbose"
	case level < slog.LevelWarn:
		return "notice"
	case level < slog.LevelError:
		return "warning"
	}
	return "error"
}

// roleHolder is a handler whose lines show a role.
type roleHolder interface{ setRole(role rune) }

// LogRole has the lines of log show whether the node is a replica; before the
// first call they show that it starts.
func LogRole(log *slog.Logger, replica bool) {
	role := rolePrimary
	if replica {
		role = roleReplica
	}
	setLogRole(log, role)
}

// setLogRole has the lines of log show another role from now on. It does
// nothing to a log of another make.
func setLogRole(log *slog.Logger, role rune) {
	if h, ok := log.Handler().(roleHolder); ok {
		h.setRole(role)
	}
}

func newLogHandler(sink *logSink, format string) slog.Handler {
	options := &slog.HandlerOptions{
		Level: &sink.level,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.LevelKey {
				if level, ok := a.Value.Any().(slog.Level); ok {
					return slog.String(slog.LevelKey, levelName(level))
				}
			}
			return a
		},
	}
	switch format {
	case "logfmt":
		return &recordHandler{sink, slog.NewTextHandler(lockedWriter{sink}, options)}
	case "json":
		return &recordHandler{sink, slog.NewJSONHandler(lockedWriter{sink}, options)}
	}
	return &lineHandler{sink: sink}
}

// lockedWriter writes lines to the sink.
type lockedWriter struct{ sink *logSink }

func (w lockedWriter) Write(b []byte) (int, error) {
	w.sink.mu.Lock()
	defer w.sink.mu.Unlock()
	return w.sink.out.Write(b)
}

// recordHandler adds pid and role to the standard library's formats.
type recordHandler struct {
	sink *logSink
	slog.Handler
}

func (h *recordHandler) setRole(role rune) { h.sink.role.Store(role) }

func (h *recordHandler) Handle(ctx context.Context, r slog.Record) error {
	r = r.Clone()
	r.AddAttrs(slog.Int("pid", h.sink.pid), slog.String("role", string(h.sink.role.Load())))
	return h.Handler.Handle(ctx, r)
}

func (h *recordHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &recordHandler{h.sink, h.Handler.WithAttrs(attrs)}
}

func (h *recordHandler) WithGroup(name string) slog.Handler {
	return &recordHandler{h.sink, h.Handler.WithGroup(name)}
}

// lineHandler writes lines as the reference does:
//
//	pid:role DD Mon YYYY HH:MM:SS.mmm level message
//
// with attributes as key=value after the message.
type lineHandler struct {
	sink *logSink
	// prefix is the dotted name of the open groups, fixed the attributes that
	// every line has.
	prefix, fixed string
}

func (h *lineHandler) setRole(role rune) { h.sink.role.Store(role) }

func (h *lineHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.sink.level.Level()
}

func (h *lineHandler) Handle(_ context.Context, r slog.Record) error {
	at := r.Time
	if at.IsZero() {
		at = h.sink.now()
	}
	var b []byte
	b = strconv.AppendInt(b, int64(h.sink.pid), 10)
	b = append(b, ':', byte(h.sink.role.Load()), ' ')
	b = at.AppendFormat(b, "02 Jan 2006 15:04:05.000 ")
	b = append(b, levelMark(r.Level), ' ')
	b = append(b, strings.ReplaceAll(r.Message, "\n", "\\n")...)
	b = append(b, h.fixed...)
	r.Attrs(func(a slog.Attr) bool {
		b = appendAttr(b, h.prefix, a)
		return true
	})
	b = append(b, '\n')
	h.sink.mu.Lock()
	defer h.sink.mu.Unlock()
	_, err := h.sink.out.Write(b)
	return err
}

func levelMark(level slog.Level) byte {
	switch {
	case level < LevelVerbose:
		return '.'
	case level < slog.LevelInfo:
		return '-'
	case level < slog.LevelWarn:
		return '*'
	}
	return '#'
}

func (h *lineHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	fixed := []byte(h.fixed)
	for _, a := range attrs {
		fixed = appendAttr(fixed, h.prefix, a)
	}
	return &lineHandler{h.sink, h.prefix, string(fixed)}
}

func (h *lineHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return &lineHandler{h.sink, h.prefix + name + ".", h.fixed}
}

// appendAttr writes " key=value", quoting what would not read back as one word.
func appendAttr(b []byte, prefix string, a slog.Attr) []byte {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, inner := range v.Group() {
			b = appendAttr(b, prefix, inner)
		}
		return b
	}
	if a.Equal(slog.Attr{}) {
		return b
	}
	b = append(b, ' ')
	b = append(b, prefix...)
	b = append(b, a.Key...)
	b = append(b, '=')
	s := v.String()
	if s == "" || strings.ContainsAny(s, " \t\r\n\"=") {
		return strconv.AppendQuote(b, s)
	}
	return append(b, s...)
}

// logo is what always-show-logo asks for.
func logo(mode string, port, pid int) []string {
	return []string{
		"",
		"      .---.     .---.     .---.",
		"     /     \\___/     \\___/     \\     Slotmesh " + Version,
		"     \\     /   \\     /   \\     /",
		"      '---'     '---'     '---'      Running in " + mode + " mode",
		"        |         |         |",
		"      .---.     .---.     .---.",
		fmt.Sprintf("     /     \\___/     \\___/     \\     Port: %d", port),
		fmt.Sprintf("     \\     /   \\     /   \\     /     PID: %d", pid),
		"      '---'     '---'     '---'",
		"",
	}
}

// LogStart writes the lines that open every log, and what of the configuration
// has no effect.
func LogStart(log *slog.Logger, cfg *config.Config, configured bool) {
	log.Warn("oO0OoO0OoO0Oo Slotmesh is starting oO0OoO0OoO0Oo")
	log.Warn(fmt.Sprintf("Slotmesh version=%s, redis_version=%s, bits=%d, pid=%d, just started",
		Version, ReportedVersion, strconv.IntSize, os.Getpid()))
	if configured {
		log.Warn("Configuration loaded")
	} else {
		log.Warn("Warning: no config file specified, using the default config")
	}
	for _, notice := range cfg.Inert() {
		log.Info(notice.Name + " has no effect: " + notice.Reason)
	}
	applyStatements(cfg, log)
}

// logReady writes the lines of a node that listens. The logo goes out as it
// is, without the head of a line.
func (n *Node) logReady() {
	mode := "standalone"
	if n.cfg.Bool("cluster-enabled").Load() {
		mode = "cluster"
	}
	port := int(n.cfg.Int("port").Load())
	if h, ok := n.log.Handler().(*lineHandler); ok && n.cfg.Bool("always-show-logo").Load() {
		art := strings.Join(logo(mode, port, os.Getpid()), "\n") + "\n"
		if _, err := (lockedWriter{h.sink}).Write([]byte(art)); err != nil {
			n.log.Warn("the logo could not be shown: " + err.Error())
		}
	} else {
		n.log.Info(fmt.Sprintf("Running mode=%s, port=%d.", mode, port))
	}
	n.log.Warn("Server initialized")
}
