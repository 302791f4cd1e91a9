package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestSplit(t *testing.T) {
	for _, test := range []struct {
		line string
		want []string
	}{
		{``, nil},
		{" \t ", nil},
		{`a  b`, []string{"a", "b"}},
		{`a "" ''`, []string{"a", "", ""}},
		{`a "b c" 'd "e"'`, []string{"a", "b c", `d "e"`}},
		{`"\x41\n\t\q\""`, []string{"A\n\tq\""}},
		{`"\xZZ"`, []string{"xZZ"}},
		{`'a\'b\n'`, []string{`a'b\n`}},
		{`pre"fix x"`, []string{"prefix x"}},
	} {
		got, err := Split(test.line)
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("Split(%q) = %q, %v, want %q", test.line, got, err, test.want)
		}
	}
	for _, line := range []string{`"a`, `'a`, `"a"b`, `'a'b`, `"a\`, `"a\"`} {
		if got, err := Split(line); err == nil {
			t.Errorf("Split(%q) = %q", line, got)
		}
	}
}

func FuzzSplitQuote(f *testing.F) {
	for _, seed := range []string{"", "a b", `"\x00\\"`, "\xff\x00\n", `'`, `a"b"c`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if words, err := Split(Quote(s)); err != nil || len(words) != 1 || words[0] != s {
			t.Errorf("Split(Quote(%q)) = %q, %v", s, words, err)
		}
		words, err := Split(s)
		if err != nil {
			return
		}
		var quoted []string
		for _, word := range words {
			quoted = append(quoted, Quote(word))
		}
		if again, err := Split(strings.Join(quoted, " ")); err != nil || !slices.Equal(again, words) {
			t.Errorf("Split(%q) = %q, again %q, %v", s, words, again, err)
		}
	})
}

// FuzzLoad feeds texts as standard input: an error or values that can be given
// back, never a panic.
func FuzzLoad(f *testing.F) {
	for _, seed := range []string{
		"port 7000\r\nsave 900 1\nsave 300 10\n", "maxmemory 10%\n", "client-output-buffer-limit normal 1gb 2 3",
		"include /nonexistent", "user default on", "save \"1 2\"", "notify-keyspace-events AKE", "\x00\n'",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, content string) {
		if strings.Contains(strings.ToLower(content), "include") {
			t.Skip("would read other files")
		}
		c := New()
		if err := c.Load([]string{"-"}, strings.NewReader(content)); err != nil {
			return
		}
		again := New()
		c.mu.Lock()
		text := c.rewritten("", true)
		c.mu.Unlock()
		if err := again.Load([]string{"-"}, strings.NewReader(text)); err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		for _, pair := range c.Get("*") {
			if got := again.Get(pair.Name)[0].Value; got != pair.Value {
				t.Errorf("%s was %q, after a rewrite %q", pair.Name, pair.Value, got)
			}
		}
	})
}

func TestCommandLineForms(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string // name=value, separated by "; "
	}{
		{[]string{"--port", "7000"}, "port=7000"},
		{[]string{"--port 7000"}, "port=7000"},
		{[]string{"--save", "100", "100"}, "save=100 100"},
		{[]string{"--save", ""}, "save="},
		{[]string{"--save"}, "save="},
		{[]string{"--save", "--port", "7000"}, "save=; port=7000"},
		{[]string{"--save", "100 100 200 200"}, "save=100 100 200 200"},
		{[]string{"--save 100 100"}, "save=100 100"},
		{[]string{"--save", "10 1", "--save", "20 2"}, "save=10 1 20 2"},
		{[]string{"--maxmemory 700mb"}, "maxmemory=734003200"},
		{[]string{"--loglevel", "verbose", "--proc-title-template 'x y'"}, "loglevel=verbose; proc-title-template=x y"},
		{[]string{"--shutdown-on-sigint", "nosave", "force", "now"}, "shutdown-on-sigint=nosave now force"},
		{[]string{"--shutdown-on-sigint", "nosave force", "--port", "7001"}, "shutdown-on-sigint=nosave force; port=7001"},
		{[]string{"--requirepass", "--abc"}, "requirepass=--abc"},
		{[]string{"--port", "1", "--port", "2"}, "port=2"},
		{[]string{"-", "--port", "2"}, "port=2; timeout=9"},
		{[]string{"--port", "2", "-"}, "port=2; timeout=9"},
		{[]string{"--replicaof", "no", "one"}, "replicaof="},
		{[]string{"--slaveof", "h", "7000"}, "replicaof=h 7000"},
		{[]string{"--BIND", "127.0.0.1", "-::1"}, "bind=127.0.0.1 -::1"},
		{[]string{"--client-output-buffer-limit", "pubsub", "0", "0", "0"}, "client-output-buffer-limit=normal 0 0 0 slave 268435456 67108864 60 pubsub 0 0 0"},
	} {
		c := New()
		if err := c.Load(test.args, strings.NewReader("port 1\ntimeout 9\n")); err != nil {
			t.Errorf("%q: %v", test.args, err)
			continue
		}
		for each := range strings.SplitSeq(test.want, "; ") {
			name, want, _ := strings.Cut(each, "=")
			if got := c.Get(name)[0].Value; got != want {
				t.Errorf("%q: %s is %q, want %q", test.args, name, got, want)
			}
		}
	}
}

// TestFatalTexts pins what programs look for on standard error. The lines are
// those of the reference for the same arguments.
func TestFatalTexts(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--port"}, "at line 2\n>>> 'port'\nwrong number of arguments\n"},
		{[]string{"--port", "1", "2"}, "at line 2\n>>> 'port \"1\" \"2\"'\nwrong number of arguments\n"},
		{[]string{"--port", "--loglevel", "verbose"}, "at line 2\n>>> 'port \"--loglevel\" \"verbose\"'\nwrong number of arguments\n"},
		{[]string{"--port", "--bla"}, "at line 2\n>>> 'port \"--bla\"'\nargument couldn't be parsed into an integer\n"},
		{[]string{"--loglevel", "--my--log"}, "argument(s) must be one of the following: debug, verbose, notice, warning\n"},
		{[]string{"--replicaof", "127.0.0.1", "abc"}, "at line 2\n>>> 'replicaof \"127.0.0.1\" \"abc\"'\nInvalid master port\n"},
		{[]string{"--replicaof", "--127.0.0.1", "abc"}, ">>> 'replicaof \"--127.0.0.1\" \"abc\"'\nInvalid master port\n"},
		{[]string{"--replicaof", "--127.0.0.1", "--abc"}, ">>> 'replicaof \"--127.0.0.1\"'\nwrong number of arguments\n"},
		{[]string{"--port", "7000", "--save", "--timeout", "x"}, "at line 4\n>>> 'timeout \"x\"'\nargument couldn't be parsed into an integer\n"},
		{[]string{"--nosuch", "1"}, "at line 2\n>>> 'nosuch \"1\"'\nBad directive or wrong number of arguments\n(command line)\n"},
		{[]string{"--bind", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16", "17"}, "Too many bind addresses specified.\n"},
		{[]string{"--cluster-enabled", "yes", "--replicaof", "h", "1"}, "ERROR (X 1) ***\nreplicaof directive not allowed in cluster mode\n"},
		{[]string{"-"}, "at line 2\n>>> 'hz \"1'\nUnbalanced quotes in configuration line\n(standard input)\n"},
		{[]string{"--dir", "/nonexistent"}, "No such file or directory\n"},
		{[]string{"--appenddirname", ""}, "appenddirname can't be empty\n"},
		{[]string{"--unixsocketperm", "888"}, "argument couldn't be parsed as an octal number\n"},
		{[]string{"--io-threads", "129"}, "argument must be between 1 and 128 inclusive\n"},
	} {
		err := New().Load(test.args, strings.NewReader("port 1\nhz \"1\n"))
		var bad *LoadError
		if !errors.As(err, &bad) {
			t.Errorf("%q: %v", test.args, err)
			continue
		}
		if got := FatalText(err, "X 1"); !strings.Contains(got, test.want) || !strings.HasPrefix(got, "\n*** FATAL CONFIG FILE ERROR (X 1) ***\n") {
			t.Errorf("%q:\n%s\nwant %s", test.args, got, test.want)
		}
	}
}

func write(t *testing.T, path, content string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFilesAndIncludes(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a1.conf"), "timeout 1\r\nhz 11\r\n")
	write(t, filepath.Join(dir, "a2.conf"), "timeout 2\n")
	main := write(t, filepath.Join(dir, "main.conf"), fmt.Sprintf(
		"# a comment\n\ndir %s\ninclude a*.conf\nPORT 7000\nrename-command GET \"\"\nuser default on\nrename-command set put", dir))
	c := New()
	if err := c.Load([]string{main, "--hz", "12"}, nil); err != nil {
		t.Fatal(err)
	}
	if c.File() != main || c.Int("timeout").Load() != 2 || c.Int("hz").Load() != 12 || c.Int("port").Load() != 7000 {
		t.Errorf("loaded %s: timeout %d, hz %d, port %d", c.File(), c.Int("timeout").Load(), c.Int("hz").Load(), c.Int("port").Load())
	}
	if got := c.Statements("rename-command"); len(got) != 2 || got[1].Args[1] != "put" || got[1].Line != 8 {
		t.Errorf("statements %v", got)
	}

	bad := write(t, filepath.Join(dir, "bad.conf"), "hz 5\nnosuch yes\n")
	outer := write(t, filepath.Join(dir, "outer.conf"), "include "+bad+"\n")
	var wrong *LoadError
	if err := New().Load([]string{outer}, nil); !errors.As(err, &wrong) || wrong.File != bad || wrong.Line != 2 || wrong.Text != "nosuch yes" {
		t.Errorf("unknown directive in an included file: %v", err)
	}
	loop := filepath.Join(dir, "loop.conf")
	write(t, loop, "include "+loop+"\n")
	if err := New().Load([]string{loop}, nil); !errors.As(err, &wrong) {
		t.Errorf("a file that includes itself: %v", err)
	}
	var open *OpenError
	missing := filepath.Join(dir, "missing.conf")
	if err := New().Load([]string{missing}, nil); !errors.As(err, &open) || open.Path != missing || open.Text() != "No such file or directory" {
		t.Errorf("a missing file: %v", err)
	}
	if err := New().Load([]string{write(t, outer, "include "+missing)}, nil); !errors.As(err, &open) {
		t.Errorf("a missing included file: %v", err)
	}
}

func TestRewrite(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "other.conf"), "hz 11\n")
	path := write(t, filepath.Join(dir, "main.conf"), strings.Join([]string{
		"# my server",
		"include other.conf",
		"",
		"port 7000   ",
		"# timeouts",
		"timeout 5",
		"save 900 1",
		"save 300 10",
		"save 60 100",
		"slave-priority 7",
		"rename-command KEYS \"\"",
		"appendonly no",
		"",
	}, "\n"))
	c := New()
	if err := c.Load([]string{path, "--dir", dir}, nil); err == nil {
		t.Fatal("the include was found before dir was set")
	}
	c = New()
	write(t, path, "dir "+dir+"\n"+read(t, path))
	if err := c.Load([]string{path, "--maxclients", "500"}, nil); err != nil {
		t.Fatal(err)
	}
	if err := c.Set([]Pair{
		{"timeout", "0"},
		{"save", "1 2"},
		{"requirepass", "a \"b\" \n"},
		{"maxmemory", "3145728"},
		{"client-output-buffer-limit", "pubsub 1mb 0 5"},
		{"replica-priority", "8"},
	}, false); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time changes nothing
		if err := c.Rewrite(false); err != nil {
			t.Fatal(err)
		}
		want := strings.Join([]string{
			"dir " + Quote(dir),
			"# my server",
			"include other.conf",
			"",
			"port 7000",
			"# timeouts",
			"timeout 0",
			"save 1 2",
			"",
			"replica-priority 8",
			"rename-command KEYS \"\"",
			"appendonly no",
			"# Generated by CONFIG REWRITE",
			"maxclients 500",
			"client-output-buffer-limit normal 0 0 0",
			"client-output-buffer-limit replica 256mb 64mb 60",
			"client-output-buffer-limit pubsub 1mb 0 5",
			"hz 11",
			"requirepass \"a \\\"b\\\" \\n\"",
			"maxmemory 3mb",
			"",
		}, "\n")
		if got := read(t, path); got != want {
			t.Fatalf("rewritten:\n%s\nwant:\n%s", got, want)
		}
	}
	again := New()
	if err := again.Load([]string{path}, nil); err != nil {
		t.Fatal(err)
	}
	for _, pair := range c.Get("*") {
		if got := again.Get(pair.Name)[0].Value; got != pair.Value {
			t.Errorf("%s was %q, after a restart %q", pair.Name, pair.Value, got)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 2 {
		t.Errorf("files left over: %v %v", entries, err)
	}
	if err := New().Rewrite(false); !errors.Is(err, ErrNoFile) {
		t.Errorf("without a file: %v", err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
