package persist

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"slotmesh/node/rdb"
	"slotmesh/node/store"
	"slotmesh/slots"
)

const checkUsage = "Usage: slotmesh check-aof [--fix|--truncate-to-timestamp $timestamp] <file.manifest|file.aof>\n"

// CheckAOF is slotmesh check-aof [--fix|--truncate-to-timestamp t] file: what
// redis-check-aof does, with its output. The file is a manifest, one file of an
// AOF, or one of the old layout. What it cuts off it keeps beside the file. It
// returns the exit code.
func CheckAOF(args []string, stdin io.Reader, stdout io.Writer) int {
	c := &check{fs: OS{}, in: bufio.NewReader(stdin), out: bufio.NewWriter(stdout)}
	defer c.out.Flush()
	switch {
	case len(args) == 1:
	case len(args) == 2 && args[0] == "--fix":
		c.fix = true
	case len(args) == 3 && args[0] == "--truncate-to-timestamp":
		sec, err := strconv.ParseInt(args[1], 10, 64)
		if err != nil || sec <= 0 {
			c.printf("Invalid timestamp, aborting...\n")
			return 1
		}
		c.until = sec
	default:
		c.printf(checkUsage)
		return 1
	}
	if err := c.path(args[len(args)-1]); err != nil {
		if !errors.Is(err, errChecked) {
			c.printf("%v\n", err)
		}
		return 1
	}
	return 0
}

// errChecked: what is wrong was printed.
var errChecked = errors.New("aof: not valid")

// check is one run of check-aof.
type check struct {
	fs  FS
	in  *bufio.Reader
	out *bufio.Writer
	fix bool
	// until, if not 0, is the second after which everything is to go.
	until int64
}

func (c *check) printf(format string, args ...any) { fmt.Fprintf(c.out, format, args...) }

// failed prints why the check ends.
func (c *check) failed(format string, args ...any) error {
	c.printf(format, args...)
	return errChecked
}

// path checks what is at path.
func (c *check) path(path string) error {
	head, err := c.head(path)
	if err != nil {
		return c.failed("Cannot open file %s: %v\n", path, err)
	}
	if strings.HasSuffix(path, manifestSuffix) || strings.HasPrefix(head, "file ") {
		return c.manifest(path)
	}
	c.printf("Start checking Old-Style AOF\n")
	return c.one(path, path, "AOF", true)
}

// head returns the first bytes of a file.
func (c *check) head(path string) (string, error) {
	f, err := c.fs.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b := make([]byte, 5)
	n, err := io.ReadFull(f, b)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return "", err
	}
	return string(b[:n]), nil
}

// manifest checks the files of a manifest.
func (c *check) manifest(path string) error {
	c.printf("Start checking Multi Part AOF\n")
	content, err := readFile(c.fs, path, maxManifest)
	if err != nil {
		return c.failed("Cannot read the manifest: %v\n", err)
	}
	m, err := parseManifest(path, content)
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if m.base != nil {
		isRDB := "RESP"
		head, err := c.head(filepath.Join(dir, m.base.name))
		if err != nil {
			return c.failed("Cannot open file %s: %v\n", m.base.name, err)
		}
		if startsRDB(head) {
			isRDB = "RDB"
		}
		c.printf("Start to check BASE AOF (%s format).\n", isRDB)
		if err := c.one(filepath.Join(dir, m.base.name), m.base.name, "BASE AOF", len(m.incr) == 0); err != nil {
			return err
		}
	}
	if len(m.incr) > 0 {
		c.printf("Start to check INCR files.\n")
	}
	for i, f := range m.incr {
		if err := c.one(filepath.Join(dir, f.name), f.name, "INCR AOF", i == len(m.incr)-1); err != nil {
			return err
		}
	}
	c.printf("All AOF files and manifest are valid\n")
	return nil
}

// found is what was read of a file.
type found struct {
	// valid is up to where it consists of whole entries, line how many lines that
	// is.
	valid, line int64
	// after is where the first annotation of a time after until stands, -1 if there
	// is none.
	after int64
	bad   *damage
}

// one checks one file.
func (c *check) one(path, name, kind string, last bool) error {
	size, err := c.fs.Size(path)
	if err != nil {
		return c.failed("Cannot open file %s: %v\n", name, err)
	}
	if size == 0 {
		c.printf("%s %s is empty\n", kind, name)
		return nil
	}
	r, err := c.read(path, name)
	if err != nil {
		return err
	}
	if c.until != 0 && r.after >= 0 {
		return c.truncateTo(path, name, r.after, last)
	}
	if c.until != 0 && r.bad == nil && last {
		c.printf("Truncate nothing in AOF %s to timestamp %d\n", name, c.until)
	}
	if r.bad != nil {
		c.printf("0x%16x: %s\n", r.bad.found, r.bad.why)
	}
	c.printf("AOF analyzed: filename=%s, size=%d, ok_up_to=%d, ok_up_to_line=%d, diff=%d\n", name, size, r.valid, r.line, size-r.valid)
	if size == r.valid {
		c.printf("%s %s is valid\n", kind, name)
		return nil
	}
	switch {
	case !c.fix:
		c.printf("AOF %s is not valid. Use the --fix option to try fixing it.\n", name)
		return errChecked
	case !last:
		c.printf("Failed to truncate AOF %s because it is not the last file\n", name)
		return errChecked
	}
	c.printf("This will shrink the AOF %s from %d bytes, with %d bytes, to %d bytes\n", name, size, size-r.valid, r.valid)
	c.printf("Continue? [y/N]: ")
	c.out.Flush()
	answer, _ := c.in.ReadString('\n')
	if !strings.HasPrefix(answer, "y") && !strings.HasPrefix(answer, "Y") {
		c.printf("Aborting...\n")
		return errChecked
	}
	to, err := (&AOF{fs: c.fs, now: time.Now}).cutEnd(path, r.valid)
	if err != nil {
		c.printf("Failed to truncate AOF %s: %v\n", name, err)
		return errChecked
	}
	c.printf("Successfully truncated AOF %s\nThe bytes that were cut off are in %s\n", name, filepath.Base(to))
	return nil
}

// truncateTo cuts off what was written after the time asked for.
func (c *check) truncateTo(path, name string, at int64, last bool) error {
	if at == 0 {
		c.printf("AOF %s has nothing before timestamp %d, aborting...\n", name, c.until)
		return errChecked
	}
	if !last {
		c.printf("Failed to truncate AOF %s to timestamp %d to offset %d because it is not the last file.\n", name, c.until, at)
		c.printf("If you insist, delete the files after this one and their lines in the manifest, and run slotmesh check-aof again.\n")
		return errChecked
	}
	to, err := (&AOF{fs: c.fs, now: time.Now}).cutEnd(path, at)
	if err != nil {
		c.printf("Failed to truncate AOF %s to timestamp %d: %v\n", name, c.until, err)
		return errChecked
	}
	c.printf("Successfully truncated AOF %s to timestamp %d\nThe bytes that were cut off are in %s\n", name, c.until, filepath.Base(to))
	return nil
}

// read reads a file up to its end or the first damage.
func (c *check) read(path, name string) (found, error) {
	in, err := c.fs.Open(path)
	if err != nil {
		return found{}, c.failed("Cannot open file %s: %v\n", name, err)
	}
	defer in.Close()
	r := found{after: -1, line: 1}
	entries := newEntryReader(in, 0, nil)
	if head, err := c.head(path); err != nil {
		return found{}, c.failed("Cannot read file %s: %v\n", name, err)
	} else if startsRDB(head) {
		from, ahead, err := c.preamble(in, name)
		if err != nil {
			c.printf("RDB preamble of AOF file is not sane, aborting.\n")
			return found{}, err
		}
		c.printf("RDB preamble is OK, proceeding with AOF tail...\n")
		entries = newEntryReader(in, from, ahead)
		r.valid = from
	}
	var inGroup bool
	var groupLines int64
	for {
		e, err := entries.next()
		switch {
		case err == io.EOF:
			if inGroup {
				r.bad = &damage{at: r.valid, found: entries.offset(), short: true, why: "Reached EOF before reading EXEC for MULTI"}
			}
			return r, nil
		case errors.As(err, &r.bad):
			return r, nil
		case err != nil:
			return found{}, c.failed("Cannot read file %s: %v\n", name, err)
		}
		lines := int64(1)
		switch {
		case e.args == nil:
			n := parseAnnotation(e.note)
			if n.kind == tsPrefix && c.until != 0 && n.sec > c.until {
				r.after = e.at
				return r, nil
			}
		case named(e.args[0], "multi"):
			if inGroup {
				r.bad = &damage{at: e.at, found: e.at, why: "Unexpected MULTI"}
				return r, nil
			}
			inGroup = true
		case named(e.args[0], "exec"):
			if !inGroup {
				r.bad = &damage{at: e.at, found: e.at, why: "Unexpected EXEC"}
				return r, nil
			}
			inGroup = false
		}
		if e.args != nil {
			lines += 2 * int64(len(e.args))
		}
		groupLines += lines
		if !inGroup {
			r.valid = e.at + int64(e.size)
			r.line += groupLines
			groupLines = 0
		}
	}
}

// preamble reads the RDB part of a file, and returns where it ends and what was
// read beyond.
func (c *check) preamble(in io.Reader, name string) (int64, []byte, error) {
	c.printf("[offset 0] Checking RDB file %s\n", name)
	scratch := store.New(store.Options{})
	limits := rdb.DefaultLimits()
	r := rdb.NewReader(in, func(slot slots.Slot) rdb.Target {
		return rdb.Target{Space: scratch.DraftSpace(slot), Limits: &limits}
	})
	keys, expires, expired := 0, 0, 0
	now := time.Now().UnixMilli()
	for {
		e, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			c.printf("--- RDB ERROR DETECTED ---\n[offset %d] %v\n", r.Offset(), err)
			return 0, nil, errChecked
		}
		if e.Draft != nil {
			e.Draft.Discard()
		}
		keys++
		if e.ExpireAtMs != 0 {
			expires++
			if e.ExpireAtMs < now {
				expired++
			}
		}
	}
	c.printf("[offset %d] Checksum OK\n[offset %d] \\o/ RDB looks OK! \\o/\n", r.Offset(), r.Offset())
	c.printf("[info] %d keys read\n[info] %d expires\n[info] %d already expired\n", keys, expires, expired)
	return r.Offset(), append([]byte(nil), r.ReadAhead()...), nil
}
