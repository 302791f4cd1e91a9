package node

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"slotmesh/node/config"
)

func TestLineFormat(t *testing.T) {
	var out bytes.Buffer
	sink := &logSink{pid: 42, now: time.Now, out: &out}
	sink.level.Set(slog.LevelDebug)
	sink.role.Store(roleStarting)
	log := slog.New(newLogHandler(sink, "text"))
	at := time.Date(2026, 3, 7, 9, 8, 7, 6_000_000, time.Local)
	emit := func(log *slog.Logger, level slog.Level, text string, args ...any) {
		r := slog.NewRecord(at, level, text, 0)
		r.Add(args...)
		if err := log.Handler().Handle(context.Background(), r); err != nil {
			t.Fatal(err)
		}
	}
	emit(log, slog.LevelDebug, "one")
	emit(log, LevelVerbose, "two", "n", 1)
	LogRole(log, false)
	emit(log.With("peer", "a b"), slog.LevelInfo, "three", "q", `say "x"`)
	LogRole(log, true)
	emit(log.WithGroup("g").With("x", 1), slog.LevelWarn, "four", "y", 2, slog.Group("h", "z", ""))
	emit(log, slog.LevelError, "line\nbreak")
	want := strings.Join([]string{
		`42:C 07 Mar 2026 09:08:07.006 . one`,
		`42:C 07 Mar 2026 09:08:07.006 - two n=1`,
		`42:M 07 Mar 2026 09:08:07.006 * three peer="a b" q="say \"x\""`,
		`42:S 07 Mar 2026 09:08:07.006 # four g.x=1 g.y=2 g.h.z=""`,
		`42:S 07 Mar 2026 09:08:07.006 # line\nbreak`,
		``,
	}, "\n")
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func TestOpenLogFollowsTheConfiguration(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(path, []byte("before\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	cfg := config.New()
	if err := cfg.Load([]string{"--logfile", path, "--loglevel", "warning", "--log-format", "json"}, nil); err != nil {
		t.Fatal(err)
	}
	log, err := OpenLog(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	log.Info("hidden")
	if err := cfg.Set([]config.Pair{{Name: "loglevel", Value: "verbose"}}, false); err != nil {
		t.Fatal(err)
	}
	log.Log(context.Background(), LevelVerbose, "shown", "a", 1)
	log.Debug("hidden")
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, line, _ := strings.Cut(string(content), "\n")
	var record map[string]any
	if err := json.Unmarshal([]byte(line), &record); err != nil || before != "before" {
		t.Fatalf("%v in %s", err, content)
	}
	if record["level"] != "verbose" || record["msg"] != "shown" || record["a"] != 1.0 || record["role"] != "C" ||
		record["pid"] != float64(os.Getpid()) {
		t.Errorf("record %v", record)
	}
	if _, err := OpenLog(loaded(t, "--logfile", "/nonexistent/log"), nil); err == nil || !strings.Contains(err.Error(), "Can't open the log file: No such file or directory") {
		t.Errorf("unopenable log: %v", err)
	}
}

func loaded(t *testing.T, args ...string) *config.Config {
	t.Helper()
	cfg := config.New()
	if err := cfg.Load(args, nil); err != nil {
		t.Fatal(err)
	}
	return cfg
}

func TestLogoHoldsPortAndPID(t *testing.T) {
	art := strings.Join(logo("cluster", 7000, 123), "\n")
	for _, want := range []string{" Port: 7000", " PID: " + strconv.Itoa(123), "cluster mode"} {
		if !strings.Contains(art, want) {
			t.Errorf("no %q in\n%s", want, art)
		}
	}
}
