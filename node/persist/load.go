package persist

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"

	"slotmesh/node/rdb"
	"slotmesh/node/resp"
)

// DamageError refuses a file: what is wrong, where, and what to do.
type DamageError struct {
	// Path is the file, At the byte.
	Path string
	At   int64
	// Short means that the file just ends too early.
	Short bool
	Err   error
	// Manifest is what check-aof is to be given.
	Manifest string
}

func (e *DamageError) Error() string {
	what := "Bad file format reading the append only file"
	if e.Short {
		what = "Unexpected end of file reading the append only file"
	}
	text := fmt.Sprintf("%s %s, byte %d: %v. Make a backup of the AOF directory, then look with slotmesh check-aof %s, which repairs with --fix", what, e.Path, e.At, e.Err, e.Manifest)
	if e.Short {
		text += "; or set aof-load-truncated to yes"
	}
	return text
}

func (e *DamageError) Unwrap() error { return e.Err }

// oldPath is where the single file of the old layout is.
func (a *AOF) oldPath() string { return filepath.Join(a.o.Dir, a.o.FileName) }

// old reports whether the data are in a file of the old layout: there is no
// manifest, or the upgrade ended before the file was moved.
func (a *AOF) old() bool {
	m := a.manifest
	if !m.empty() && (m.base == nil || len(m.incr) > 0 || m.base.name != a.o.FileName) {
		return false
	}
	if _, err := a.fs.Size(a.path(a.o.FileName)); err == nil {
		return false
	}
	_, err := a.fs.Size(a.oldPath())
	return err == nil
}

// Exists reports whether there are files to load: those of the manifest, or a
// file of the old layout in Dir.
func (a *AOF) Exists() bool { return !a.manifest.empty() || a.old() }

// Size is how many bytes Load is going to read, for the log and INFO.
func (a *AOF) Size() int64 {
	if a.old() {
		size, err := a.fs.Size(a.oldPath())
		if err != nil {
			return 0
		}
		return size
	}
	return a.filesSize()
}

// upgrade moves the file of the old layout into the directory, as the base of the
// new one. The manifest comes first: whenever it stops, the next start goes on.
func (a *AOF) upgrade() error {
	if err := a.makeDir(); err != nil {
		return err
	}
	base := aofFile{name: a.o.FileName, seq: 1, kind: kindBase}
	if err := a.putInForce(manifest{base: &base, baseSeq: 1, incrSeq: a.manifest.incrSeq}); err != nil {
		return err
	}
	err := a.fs.Rename(a.oldPath(), a.path(base.name))
	if err == nil {
		err = a.syncDir()
	}
	if err == nil {
		err = a.fs.SyncDir(filepath.Clean(a.o.Dir))
	}
	if err != nil {
		return fmt.Errorf("aof: upgrade of %s: %w", a.oldPath(), err)
	}
	a.o.Log.Info("Successfully migrated an old-style AOF configuration (" + a.o.FileName + ").")
	return nil
}

// Load gives the files' content to t. p, if not nil, is kept up to date. It cuts
// off an incomplete end (if aof-load-truncated), upgrades the old layout, and
// changes nothing on the disk otherwise. An error says which file and byte it
// is about and what can be done; the node must not start then.
func (a *AOF) Load(t Target, p *Progress) (Loaded, error) {
	a.admin.lock()
	defer a.admin.unlock()
	if a.old() {
		if err := a.upgrade(); err != nil {
			return Loaded{}, err
		}
	}
	if p == nil {
		p = new(Progress)
	}
	p.Total.Store(a.filesSize())
	l := &load{a: a, target: t, progress: p}
	files := a.manifest.files()
	l.result.Files = len(files)
	for i, f := range files {
		l.first, l.last = i == 0, i == len(files)-1
		err := l.file(f)
		if errors.Is(err, errMissing) {
			err = l.leave(files[i:], err)
			if err == nil {
				break
			}
		}
		if err != nil {
			return Loaded{}, err
		}
	}
	l.result.At.StreamDB = l.db
	return l.result, nil
}

// load is one load.
type load struct {
	a        *AOF
	target   Target
	progress *Progress
	result   Loaded

	// first and last say which file it is; db is the database that is selected.
	first, last bool
	db          int
	// headed is set by the first #REPL of a file; before is where the file before
	// it ended in the stream.
	headed bool
	before int64
	// skip is set before a command that is not of the stream.
	skip bool
	// group is a transaction that has begun.
	inGroup bool
	group   []Command
	// groupAt is where it begins in the file, groupSize how much of the stream it
	// is so far.
	groupAt, groupSize int64
	one                [1]Command
	sinceYield         int
}

// errMissing: this file does not go on where the one before ends, whose end was
// lost.
var errMissing = errors.New("the end of the file before this one is missing")

func (l *load) damage(path string, at int64, short bool, err error) error {
	return &DamageError{Path: path, At: at, Short: short, Err: err, Manifest: l.a.manifestPath()}
}

// file loads one file.
func (l *load) file(f aofFile) error {
	path := l.a.path(f.name)
	in, err := l.a.fs.Open(path)
	if isNotExist(err) {
		return l.damage(path, 0, false, errors.New("the manifest names it and it does not exist"))
	}
	if err != nil {
		return fmt.Errorf("aof: load %s: %w", path, err)
	}
	defer in.Close()
	l.db, l.headed, l.inGroup, l.skip, l.before = 0, false, false, false, l.result.At.Offset
	counted := &countedReader{r: in, progress: l.progress}
	entries, err := l.preamble(path, counted)
	if err != nil {
		return err
	}
	for {
		e, err := entries.next()
		if err == io.EOF {
			if l.inGroup {
				return l.end(f, path, &damage{at: l.groupAt, found: entries.offset(), short: true, why: "the file ends between MULTI and EXEC"})
			}
			return nil
		}
		var bad *damage
		if errors.As(err, &bad) {
			return l.end(f, path, bad)
		}
		if err != nil {
			return fmt.Errorf("aof: load %s: %w", path, err)
		}
		if err := l.take(e); err != nil {
			if errors.Is(err, errMissing) {
				return err
			}
			return l.damage(path, e.at, false, err)
		}
		if l.sinceYield += e.size; l.sinceYield >= yieldBytes {
			l.sinceYield = 0
			runtime.Gosched()
		}
	}
}

type countedReader struct {
	r        io.Reader
	progress *Progress
}

func (c *countedReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.progress.Done.Add(int64(n))
	return n, err
}

// preamble loads what a file holds in RDB format, and returns the rest.
func (l *load) preamble(path string, in io.Reader) (*entryReader, error) {
	magic := make([]byte, 5)
	n, err := io.ReadFull(in, magic)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, fmt.Errorf("aof: load %s: %w", path, err)
	}
	if string(magic[:n]) != "REDIS" {
		return newEntryReader(in, 0, magic[:n]), nil
	}
	r := rdb.NewReader(io.MultiReader(bytes.NewReader(magic), in), l.target.Target)
	r.Notice = func(text string) { l.a.o.Log.Info("AOF: " + text) }
	yielded := int64(0)
	for {
		e, err := r.Next()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = l.target.Insert(e)
			l.progress.Keys.Add(1)
		}
		if err != nil {
			return nil, l.damage(path, r.Offset(), false, err)
		}
		if at := r.Offset(); at-yielded >= yieldBytes {
			yielded = at
			runtime.Gosched()
		}
	}
	if at, known := r.Position(); known && l.first {
		l.result.At, l.result.Known = at, true
	}
	return newEntryReader(in, r.Offset(), bytes.Clone(r.ReadAhead())), nil
}

// take handles one entry. Nothing of e is kept.
func (l *load) take(e entry) error {
	if e.args == nil {
		return l.note(e.note)
	}
	if l.inGroup {
		return l.gather(e)
	}
	switch name := e.args[0]; {
	case named(name, "select"):
		return l.selectDB(e)
	case named(name, "multi"):
		l.inGroup, l.groupAt, l.groupSize = true, e.at, int64(e.size)
		return nil
	case named(name, "exec"):
		return errors.New("EXEC without MULTI")
	}
	l.one[0] = Command{DB: l.db, Args: e.args}
	return l.apply(l.one[:], int64(e.size))
}

func (l *load) apply(commands []Command, size int64) error {
	if err := l.target.Apply(commands); err != nil {
		return err
	}
	l.progress.Commands.Add(int64(len(commands)))
	l.result.At.Offset += size
	return nil
}

func (l *load) gather(e entry) error {
	l.groupSize += int64(e.size)
	switch name := e.args[0]; {
	case named(name, "exec"):
		l.inGroup = false
		err := l.apply(l.group, l.groupSize)
		clear(l.group)
		l.group = l.group[:0]
		return err
	case named(name, "multi"):
		return errors.New("MULTI within MULTI")
	case named(name, "select"):
		size := l.result.At.Offset
		err := l.selectDB(e)
		l.result.At.Offset = size // it counts with the group
		return err
	}
	own := make([][]byte, len(e.args))
	for i, arg := range e.args {
		own[i] = bytes.Clone(arg)
	}
	l.group = append(l.group, Command{DB: l.db, Args: own})
	return nil
}

func (l *load) selectDB(e entry) error {
	if len(e.args) != 2 {
		return fmt.Errorf("SELECT with %d arguments", len(e.args)-1)
	}
	db, ok := resp.ParseInt(e.args[1])
	if !ok || db < 0 || db > 1<<31-1 {
		return fmt.Errorf("SELECT of database %q", e.args[1])
	}
	l.db = int(db)
	if !l.skip {
		l.result.At.Offset += int64(e.size)
	}
	l.skip = false
	return nil
}

// note heeds an annotation.
func (l *load) note(line []byte) error {
	n := parseAnnotation(line)
	l.skip = n.kind == skipLine
	if n.kind != replPrefix {
		return nil
	}
	at := &l.result.At
	if !l.headed && l.result.Known && n.id == at.ID && !l.first {
		if before := l.before; n.offset > before {
			return fmt.Errorf("%w: it reaches byte %d of the stream of writes, and this one begins at %d", errMissing, before, n.offset)
		}
	}
	l.headed = true
	at.ID, at.Offset = n.id, n.offset
	l.result.Known = true
	return nil
}

// end handles a file that cannot be read on from bad.at: an incomplete end is cut
// off, anything else refused.
func (l *load) end(f aofFile, path string, bad *damage) error {
	at := bad.at
	if l.inGroup {
		at = l.groupAt
	}
	size, err := l.a.fs.Size(path)
	if err != nil {
		return fmt.Errorf("aof: load %s: %w", path, err)
	}
	if !bad.short {
		padded, err := l.a.zeroFrom(path, bad.found)
		if err != nil {
			return fmt.Errorf("aof: load %s: %w", path, err)
		}
		if !padded {
			return l.damage(path, bad.found, false, errors.New(bad.why))
		}
	}
	if !l.a.o.Settings().LoadTruncated {
		return l.damage(path, at, true, errors.New(bad.why))
	}
	if !l.last {
		// The end of a file that another follows. That is what a loss of power
		// leaves behind while the old one was not fsynced; otherwise it is damage.
		if joined, err := l.a.joinedAfter(f); err != nil || joined || f.kind == kindBase {
			return l.damage(path, at, true, errors.Join(errors.New(bad.why), err))
		}
	}
	l.inGroup = false
	clear(l.group)
	l.group = l.group[:0]
	to, err := l.a.cutEnd(path, at)
	if err != nil {
		return fmt.Errorf("aof: cut the incomplete end of %s: %w", path, err)
	}
	l.result.CutBytes += size - at
	l.result.CutTo = to
	l.a.o.Log.Warn(fmt.Sprintf("!!! Warning: short read while loading the AOF file %s!!! The last %d bytes, from byte %d on, are no complete entry (%s). They were moved to %s. AOF loaded anyway because aof-load-truncated is enabled",
		f.name, size-at, at, bad.why, to))
	return nil
}

// leave drops files that go on behind writes that were lost with the power: what
// they hold was not acknowledged as being on the disk, and without what was before
// it means nothing.
func (l *load) leave(files []aofFile, cause error) error {
	a := l.a
	path := a.path(files[0].name)
	joined, err := a.joined(files[0])
	if err != nil || joined || !a.o.Settings().LoadTruncated {
		return l.damage(path, 0, false, errors.Join(cause, err))
	}
	m := a.manifest
	m.incr = nil
	for _, f := range a.manifest.incr {
		if f.seq < files[0].seq {
			m.incr = append(m.incr, f)
		}
	}
	if err := a.putInForce(m); err != nil {
		return err
	}
	for _, f := range files {
		size, err := a.fs.Size(a.path(f.name))
		if err != nil {
			return fmt.Errorf("aof: leave %s: %w", f.name, err)
		}
		to, err := a.freeName(a.path(f.name) + ".cut-0")
		if err == nil {
			err = a.fs.Rename(a.path(f.name), to)
		}
		if err != nil {
			return fmt.Errorf("aof: leave %s: %w", f.name, err)
		}
		l.result.CutBytes += size
		l.result.CutTo = to
		a.o.Log.Warn(fmt.Sprintf("The %d bytes of %s are left out (%v). They were moved to %s", size, f.name, cause, to))
	}
	l.result.At.Offset = l.before
	return a.syncDir()
}

// zeroFrom reports whether a file is all zeros from byte at to its end.
func (a *AOF) zeroFrom(path string, at int64) (bool, error) {
	f, err := a.fs.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	if _, err := io.CopyN(io.Discard, f, at); err != nil {
		return false, err
	}
	buf := make([]byte, 64<<10)
	for {
		n, err := f.Read(buf)
		for _, c := range buf[:n] {
			if c != 0 {
				return false, nil
			}
		}
		if err == io.EOF {
			return true, nil
		}
		if err != nil {
			return false, err
		}
	}
}

// cutEnd moves the bytes of a file from at on to another one beside it, whose
// path it returns.
func (a *AOF) cutEnd(path string, at int64) (string, error) {
	to, err := a.freeName(fmt.Sprintf("%s.cut-%d", path, at))
	if err != nil {
		return "", err
	}
	if err := a.copyEnd(path, to, at); err != nil {
		return "", err
	}
	f, err := a.fs.Append(path)
	if err != nil {
		return "", err
	}
	err = f.Truncate(at)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return to, err
}

// freeName returns path, or path with a number if that is taken.
func (a *AOF) freeName(path string) (string, error) {
	for i := 1; ; i++ {
		name := path
		if i > 1 {
			name = fmt.Sprintf("%s-%d", path, i)
		}
		_, err := a.fs.Size(name)
		if isNotExist(err) {
			return name, nil
		}
		if err != nil {
			return "", err
		}
	}
}

func (a *AOF) copyEnd(from, to string, at int64) error {
	in, err := a.fs.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	if _, err := io.CopyN(io.Discard, in, at); err != nil {
		return err
	}
	out, err := a.fs.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(struct{ io.Writer }{out}, struct{ io.Reader }{in})
	if err == nil {
		err = out.Sync()
	}
	if closeErr := out.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = a.fs.SyncDir(filepath.Dir(to))
	}
	return err
}

// joinedAfter reports whether a file after f says that f was on the disk.
func (a *AOF) joinedAfter(f aofFile) (bool, error) {
	for _, other := range a.manifest.incr {
		if f.kind == kindIncr && other.seq <= f.seq {
			continue
		}
		joined, err := a.joined(other)
		if err != nil || joined {
			return joined, err
		}
	}
	return false, nil
}

// joined reports whether f says that the files before it were on the disk.
func (a *AOF) joined(f aofFile) (bool, error) {
	in, err := a.fs.Open(a.path(f.name))
	if err != nil {
		return false, err
	}
	defer in.Close()
	entries := newEntryReader(in, 0, nil)
	for {
		e, err := entries.next()
		var bad *damage
		switch {
		case err == io.EOF || errors.As(err, &bad):
			return false, nil
		case err != nil:
			return false, err
		case e.args == nil && parseAnnotation(e.note).kind == joinPrefix:
			return true, nil
		}
	}
}
