package persist

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"slotmesh/node/crew"
	"slotmesh/node/rdb"
	"slotmesh/node/resp"
	"slotmesh/slots"
)

// Target takes what is loaded. Insert, Apply and Warm are called by several
// goroutines at once, but never for slots of the same heap (see store.Heaps).
type Target interface {
	// Workers is how many goroutines there may be.
	Workers() int
	// Target says where collections of a slot come to lie while they are read.
	Target(slot slots.Slot) rdb.Target
	// Expect is told how many keys of a database an RDB part has: a claim, but for
	// its size in bytes.
	Expect(db int, keys int64)
	// Insert adds keys of an RDB part, as rdb.LoadOptions.Insert does. A key that is
	// there already is replaced.
	Insert(entries []rdb.Entry) (int, error)
	// Route returns the slot that c needs, and which argument is its first key.
	// Without ok it needs several or all, or that cannot be told: it is then applied
	// while nothing else is. Route is called by one goroutine.
	Route(c Command) (slot slots.Slot, key int, ok bool)
	// Warm is told which keys of a database are going to be needed.
	Warm(db int, keys [][]byte)
	// Apply runs commands as one step, on a goroutine with that number. Nothing of
	// them is kept. An error ends the load; a command that its handler refuses is
	// not one.
	Apply(worker int, commands []Command) error
}

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
	return a.load(t, p, -1)
}

// errUnwritten: the files do not hold everything now.
var errUnwritten = errors.New("aof: not everything is in the files")

// Reload is Load while the file is written to: it gives t what the files hold
// now. Nothing on the disk is changed, so that an incomplete end is an error too.
func (a *AOF) Reload(t Target, p *Progress) (Loaded, error) {
	a.admin.lock()
	defer a.admin.unlock()
	a.writing.Lock()
	a.write()
	w := &a.w
	whole := w.reader != nil && !w.held && len(w.run) == 0 && a.failing.Load() == nil && !a.rebuild
	end := w.size
	a.writing.Unlock()
	if !whole {
		return Loaded{}, errors.Join(errUnwritten, a.Failing())
	}
	return a.load(t, p, end)
}

// load is Load, or with end >= 0 Reload, of which that is where the last file ends.
// The caller holds admin.
func (a *AOF) load(t Target, p *Progress, end int64) (Loaded, error) {
	if p == nil {
		p = new(Progress)
	}
	p.Total.Store(a.filesSize())
	l := &load{a: a, target: t, progress: p, spread: newSpread(t, p), lastEnd: end}
	defer l.spread.close()
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

	// lastEnd is where the last file ends, if it is not negative: it is being written
	// to.
	lastEnd int64
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
	// spread applies the commands; entries is what they are read from.
	spread  *spread
	entries *entryReader
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
	if l.last && l.lastEnd >= 0 {
		counted.r = io.LimitReader(in, l.lastEnd)
	}
	if l.entries, err = l.preamble(path, counted); err != nil {
		return err
	}
	l.entries.turn = l.spread.turn
	l.entries.buf = l.spread.begin(l.entries.buf)
	err = l.commands()
	// What a worker failed at stands before what ended the reading.
	if f := l.spread.end(l.entries.buf); f != nil {
		return l.damage(path, f.At, false, f.Err)
	}
	var bad *damage
	switch {
	case errors.As(err, &bad):
		return l.end(f, path, bad)
	case errors.Is(err, errMissing):
		return err
	}
	var refused *refusedEntry
	if errors.As(err, &refused) {
		return l.damage(path, refused.at, false, refused.err)
	}
	if err != nil {
		return fmt.Errorf("aof: load %s: %w", path, err)
	}
	return nil
}

// refusedEntry is an entry that is whole and cannot be taken.
type refusedEntry struct {
	at  int64
	err error
}

func (e *refusedEntry) Error() string { return e.err.Error() }

// commands reads the file's entries.
func (l *load) commands() error {
	for {
		e, err := l.entries.next()
		if err == io.EOF {
			if l.inGroup {
				return &damage{at: l.groupAt, found: l.entries.offset(), short: true, why: "the file ends between MULTI and EXEC"}
			}
			return nil
		}
		if err != nil {
			return err
		}
		if err := l.take(e); err != nil {
			if errors.Is(err, errMissing) {
				return err
			}
			return &refusedEntry{e.at, err}
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

// startsRDB reports whether a file with this head begins in RDB format, as Redis
// or as Valkey 9 marks it.
func startsRDB(head string) bool { return head == "REDIS" || head == "VALKE" }

// preamble loads what a file holds in RDB format, and returns the rest.
func (l *load) preamble(path string, in io.Reader) (*entryReader, error) {
	magic := make([]byte, 5)
	n, err := io.ReadFull(in, magic)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, fmt.Errorf("aof: load %s: %w", path, err)
	}
	if !startsRDB(string(magic[:n])) {
		return newEntryReader(in, 0, magic[:n]), nil
	}
	r := rdb.NewReader(io.MultiReader(bytes.NewReader(magic), in), l.target.Target)
	r.Notice = func(text string) { l.a.o.Log.Info("AOF: " + text) }
	r.AnyChecksum = !l.a.o.Settings().Checksum
	r.OnResize = expectKeys(l.target, l.progress.Total.Load())
	err = r.Load(rdb.LoadOptions{Workers: l.target.Workers(), Insert: func(entries []rdb.Entry) (int, error) {
		l.progress.Keys.Add(int64(len(entries)))
		return l.target.Insert(entries)
	}})
	if err != nil {
		return nil, l.damage(path, r.Offset(), false, err)
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
	l.result.At.Offset += int64(e.size)
	r := l.entries
	return l.applied(l.spread.command(Command{DB: l.db, Args: e.args}, e, r.start-e.size, r.buf))
}

// applied turns the failure of a step into an error. It is met again when the
// file ends, with its place.
func (l *load) applied(f *crew.Failure) error {
	if f != nil {
		return f.Err
	}
	return nil
}

func (l *load) gather(e entry) error {
	l.groupSize += int64(e.size)
	switch name := e.args[0]; {
	case named(name, "exec"):
		l.inGroup = false
		l.result.At.Offset += l.groupSize
		commands := l.group
		l.group = nil
		return l.applied(l.spread.transaction(e.at, commands, l.entries.buf))
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
		// Only files of ours say what of them is on the disk, and where they stand in
		// the stream.
		lost, err := l.a.lostFrom(path, bad.found, l.result.Known)
		if err != nil {
			return fmt.Errorf("aof: load %s: %w", path, err)
		}
		if !lost {
			return l.damage(path, bad.found, false, errors.New(bad.why))
		}
	}
	if !l.a.o.Settings().LoadTruncated || l.lastEnd >= 0 {
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
	l.group = nil
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
	if err != nil || joined || !a.o.Settings().LoadTruncated || l.lastEnd >= 0 {
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

// lostFrom reports whether a file looks from byte at on as the loss of power leaves
// what was not on the disk: zeros there, and nothing behind them that vouches for them.
// Behind zeros may stand what was written after an fsync had failed and before the
// file was left, if the file is ours.
func (a *AOF) lostFrom(path string, at int64, ours bool) (bool, error) {
	f, err := a.fs.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	if _, err := io.CopyN(io.Discard, f, at); err != nil {
		return false, err
	}
	in := bufio.NewReader(f)
	for zeros := 0; ; zeros++ {
		switch c, err := in.ReadByte(); {
		case err == io.EOF:
			return zeros > 0, nil
		case err != nil:
			return false, err
		case c == 0:
			continue
		}
		if zeros == 0 || !ours {
			return false, nil
		}
		if err := in.UnreadByte(); err != nil {
			return false, err
		}
		break
	}
	// Where entries begin behind the zeros is not known: any bytes that look like the
	// annotation count, for what they are taken for wrongly is not cut off.
	for {
		switch _, err := in.ReadSlice(diskPrefix[0]); {
		case err == io.EOF:
			return true, nil
		case err == bufio.ErrBufferFull:
			continue
		case err != nil:
			return false, err
		}
		const number = len("9223372036854775807\r\n")
		rest, err := in.Peek(len(diskPrefix) - 1 + number)
		if err != nil && err != io.EOF {
			return false, err
		}
		line, _, _ := bytes.Cut(rest, []byte("\n"))
		if mark := parseAnnotation(append([]byte(diskPrefix[:1]), line...)); mark.kind == diskPrefix && mark.size > at {
			return false, nil
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
