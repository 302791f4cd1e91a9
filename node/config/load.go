package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// LoadError is a directive that cannot be taken.
type LoadError struct {
	// File is where it stands: a path, "standard input" or "command line".
	File string
	// Line counts from 1 in the text that the reference would read: the file,
	// then standard input, then an empty line and the options of the command
	// line, one a line. It is 0 when no single line is to blame.
	Line int
	// Text is the directive as given.
	Text string
	// Reason is the reference's text.
	Reason string
}

func (e *LoadError) Error() string {
	if e.Line == 0 {
		return "config: " + e.Reason
	}
	return fmt.Sprintf("config: %s line %d: %s: %s", e.File, e.Line, e.Text, e.Reason)
}

// OpenError is a configuration file that cannot be read.
type OpenError struct {
	Path string
	Err  error
}

func (e *OpenError) Error() string { return fmt.Sprintf("config: open %s: %v", e.Path, e.Err) }

func (e *OpenError) Unwrap() error { return e.Err }

// Text is the cause as C programs print it.
func (e *OpenError) Text() string { return syscallText(e.Err).Error() }

// Statement is a line that is no directive with a value: user, rename-command
// or loadmodule with its arguments.
type Statement struct {
	Name string
	Args []string
	File string
	Line int
	Text string
}

// Fail is the LoadError of a statement that who understands it refuses.
func (s Statement) Fail(reason string) *LoadError {
	return &LoadError{File: s.File, Line: s.Line, Text: s.Text, Reason: reason}
}

// Statements are the lines named name, in order.
func (c *Config) Statements(name string) []Statement {
	var found []Statement
	for _, s := range c.statements {
		if s.Name == name {
			found = append(found, s)
		}
	}
	return found
}

// maxIncludeDepth stops files that include each other.
const maxIncludeDepth = 32

// line is one line of the text to read, with its origin.
type line struct {
	text, file string
	number     int
}

// Load reads what args, the command line without the program's name, ask for:
// a configuration file first, if the first argument is one; standard input
// where "-" is the first or last argument; then the options, which therefore
// win. It returns a *LoadError or *OpenError. Load is called once, before
// handles are given out.
func (c *Config) Load(args []string, stdin io.Reader) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var file string
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		path, err := filepath.Abs(args[0])
		if err != nil {
			return &OpenError{args[0], err}
		}
		file, args = path, args[1:]
	}
	options, useStdin := commandLine(args)

	var lines []line
	add := func(origin, text string) {
		text = strings.TrimSuffix(text, "\n")
		for each := range strings.SplitSeq(text, "\n") {
			lines = append(lines, line{each, origin, len(lines) + 1})
		}
	}
	if file != "" {
		content, err := os.ReadFile(file)
		if err != nil {
			return &OpenError{file, err}
		}
		c.file = file
		add(file, string(content))
	}
	if useStdin {
		content, err := io.ReadAll(stdin)
		if err != nil {
			return &OpenError{"standard input", err}
		}
		if len(content) > 0 {
			add("standard input", string(content))
		}
	}
	if options != "" {
		add("command line", "\n"+options)
	}
	if err := c.readLines(lines, 0); err != nil {
		return err
	}
	return c.checkTogether()
}

// commandLine turns arguments into the lines that they stand for. "--name" in
// front of an argument starts a new line, unless the name before it has no
// value yet: then the argument is its value. An argument that holds name and
// value, such as "--port 7000", is a line of its own. "--save" alone, which
// old programs pass for an empty list, is save "".
func commandLine(args []string) (options string, useStdin bool) {
	var out strings.Builder
	wantsValue := false
	for i, arg := range args {
		if arg == "-" && (i == 0 || i == len(args)-1) {
			useStdin = true
			continue
		}
		if wantsValue || !strings.HasPrefix(arg, "--") {
			out.WriteString(Quote(arg) + " ")
			wantsValue = false
			continue
		}
		if out.Len() > 0 {
			out.WriteByte('\n')
		}
		out.WriteString(arg[2:] + " ")
		if words, err := Split(arg); err != nil || len(words) != 1 {
			continue
		}
		last := i == len(args)-1
		switch {
		case strings.EqualFold(arg, "--save") && (last || strings.HasPrefix(args[i+1], "--")):
			out.WriteString(`""`)
		default:
			wantsValue = true
		}
	}
	return out.String(), useStdin
}

// readLines takes the lines one after another; c.mu is held.
func (c *Config) readLines(lines []line, depth int) error {
	for _, l := range lines {
		trimmed := strings.Trim(l.text, " \t\r\n")
		if trimmed == "" || trimmed[0] == '#' {
			continue
		}
		refuse := func(reason string) error {
			return &LoadError{File: l.file, Line: l.number, Text: trimmed, Reason: reason}
		}
		words, err := Split(trimmed)
		if err != nil {
			return refuse(err.Error())
		}
		name, args := strings.ToLower(words[0]), words[1:]
		if d := c.byName[name]; d != nil {
			if err := c.apply(d, args); err != nil {
				return refuse(err.Error())
			}
			continue
		}
		switch {
		case name == "include" && len(args) == 1:
			if depth == maxIncludeDepth {
				return refuse("too many levels of include")
			}
			if err := c.include(args[0], depth+1); err != nil {
				return err
			}
		case name == "rename-command" && len(args) == 2,
			name == "user" && len(args) >= 1,
			name == "loadmodule" && len(args) >= 1:
			c.statements = append(c.statements, Statement{Name: name, Args: args, File: l.file, Line: l.number, Text: trimmed})
		default:
			return refuse("Bad directive or wrong number of arguments")
		}
	}
	return nil
}

// include reads the files that pattern names. Relative ones are looked for in
// dir as set so far.
func (c *Config) include(pattern string, depth int) error {
	if !filepath.IsAbs(pattern) {
		pattern = filepath.Join(c.byName["dir"].cur.Load().text(), pattern)
	}
	paths := []string{pattern}
	if strings.ContainsAny(pattern, "*?[") {
		var err error
		if paths, err = filepath.Glob(pattern); err != nil {
			return &OpenError{pattern, err}
		}
	}
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			return &OpenError{path, err}
		}
		var lines []line
		for i, each := range strings.Split(string(content), "\n") {
			lines = append(lines, line{each, path, i + 1})
		}
		if err := c.readLines(lines, depth); err != nil {
			return err
		}
	}
	return nil
}

// apply sets a directive from a file. Several values may be given in one word:
// save "900 1".
func (c *Config) apply(d *directive, args []string) error {
	if !d.row.Kind.multi() {
		if len(args) != 1 {
			return errArgumentCount
		}
	} else if len(args) == 1 && args[0] != "" {
		words, err := Split(args[0])
		if err != nil {
			return err
		}
		args = words
	}
	old := d.cur.Load()
	if _, isSave := d.row.Kind.(savePoints); isSave && !c.given[d] {
		// The first save of a configuration replaces the defaults, the others add.
		old = &value{}
	}
	v, err := d.row.Kind.parse(args, old)
	if err != nil {
		return err
	}
	d.store(v)
	c.given[d] = true
	return nil
}

// checkTogether looks at directives that exclude each other.
func (c *Config) checkTogether() error {
	if c.byName["cluster-enabled"].n.Load() != 0 && len(c.byName["replicaof"].cur.Load().words) > 0 {
		return &LoadError{Reason: "replicaof directive not allowed in cluster mode"}
	}
	return nil
}

// FatalText is what a start that failed with err prints on standard error, in
// the shape that programs look for.
func FatalText(err error, version string) string {
	var out strings.Builder
	fmt.Fprintf(&out, "\n*** FATAL CONFIG FILE ERROR (%s) ***\n", version)
	var bad *LoadError
	if !errors.As(err, &bad) {
		return out.String() + err.Error() + "\n"
	}
	if bad.Line > 0 {
		fmt.Fprintf(&out, "Reading the configuration file, at line %d\n>>> '%s'\n", bad.Line, bad.Text)
	}
	out.WriteString(bad.Reason + "\n")
	if bad.File != "" {
		out.WriteString("(" + bad.File + ")\n")
	}
	return out.String()
}
