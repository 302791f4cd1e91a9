package persist

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
)

// The manifest names the files of an AOF, in Redis 7's format: one line per
// file, `file <name> seq <n> type <b|h|i>`. There is at most one base; the
// increments follow it in the order of their numbers; history files are to be
// deleted.

// fileKind is what a line of the manifest says a file is.
type fileKind byte

const (
	kindBase    fileKind = 'b'
	kindHistory fileKind = 'h'
	kindIncr    fileKind = 'i'
)

const (
	manifestSuffix = ".manifest"
	// maxManifestLine is the longest line that the reference reads.
	maxManifestLine = 1024
	// maxManifest bounds what is read of a manifest: some 30,000 files.
	maxManifest = 4 << 20
)

// aofFile is one file of the manifest.
type aofFile struct {
	name string
	seq  int64
	kind fileKind
}

// manifest is the list of files. It is a value: changes are made to a copy,
// which takes its place when it is on the disk.
type manifest struct {
	base    *aofFile
	history []aofFile
	incr    []aofFile
	// baseSeq and incrSeq are the largest numbers given out.
	baseSeq, incrSeq int64
}

// files are the base, if any, and the increments.
func (m manifest) files() []aofFile {
	var all []aofFile
	if m.base != nil {
		all = append(all, *m.base)
	}
	return append(all, m.incr...)
}

// empty reports whether there is nothing to load.
func (m manifest) empty() bool { return m.base == nil && len(m.incr) == 0 }

// withIncr returns m with one more increment.
func (m manifest) withIncr(f aofFile) manifest {
	m.incr = append(m.incr[:len(m.incr):len(m.incr)], f)
	m.incrSeq = max(m.incrSeq, f.seq)
	return m
}

// rebased returns m with a new base and the increments that go on from it; all
// else has become history.
func (m manifest) rebased(base aofFile, incr ...aofFile) manifest {
	next := manifest{base: &base, incr: incr, baseSeq: max(m.baseSeq, base.seq), incrSeq: m.incrSeq}
	next.history = append(next.history, m.history...)
	for _, old := range m.files() {
		kept := false
		for _, f := range incr {
			kept = kept || f.name == old.name
		}
		if !kept {
			old.kind = kindHistory
			next.history = append(next.history, old)
		}
	}
	for _, f := range incr {
		next.incrSeq = max(next.incrSeq, f.seq)
	}
	return next
}

// encode returns the manifest as it stands in its file.
func (m manifest) encode() []byte {
	var b []byte
	line := func(f aofFile) { b = fmt.Appendf(b, "file %s seq %d type %c\n", quoteName(f.name), f.seq, f.kind) }
	if m.base != nil {
		line(*m.base)
	}
	for _, f := range m.history {
		line(f)
	}
	for _, f := range m.incr {
		line(f)
	}
	return b
}

// quoteName quotes names as the reference does: those with blanks, quotes or
// bytes that are not printable.
func quoteName(name string) string {
	plain := name != ""
	for i := range len(name) {
		c := name[i]
		plain = plain && c > ' ' && c < 0x7f && c != '"' && c != '\'' && c != '\\'
	}
	if plain {
		return name
	}
	b := []byte{'"'}
	for i := range len(name) {
		switch c := name[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, '\\', 'n')
		case c == '\r':
			b = append(b, '\\', 'r')
		case c == '\t':
			b = append(b, '\\', 't')
		case c < ' ' || c >= 0x7f:
			b = fmt.Appendf(b, `\x%02x`, c)
		default:
			b = append(b, c)
		}
	}
	return string(append(b, '"'))
}

// manifestError says what is wrong with a manifest, and where.
type manifestError struct {
	path string
	line int
	why  string
}

func (e *manifestError) Error() string {
	return fmt.Sprintf("aof: manifest %s, line %d: %s", e.path, e.line, e.why)
}

// parseManifest reads the content of the manifest at path.
func parseManifest(path string, content []byte) (manifest, error) {
	var m manifest
	number := 0
	fail := func(why string, args ...any) (manifest, error) {
		return manifest{}, &manifestError{path, number, fmt.Sprintf(why, args...)}
	}
	if len(content) == 0 {
		number = 1
		return fail("the file is empty")
	}
	for len(content) > 0 {
		number++
		end := bytes.IndexByte(content, '\n')
		if end < 0 || end >= maxManifestLine-1 {
			return fail("the line does not end, or is longer than %d bytes", maxManifestLine)
		}
		line := strings.TrimSpace(string(content[:end]))
		content = content[end+1:]
		if strings.HasPrefix(line, "#") {
			continue
		}
		f, err := parseManifestLine(line)
		if err != nil {
			return fail("%v", err)
		}
		switch f.kind {
		case kindBase:
			if m.base != nil {
				return fail("there is a second base file")
			}
			m.base, m.baseSeq = &f, f.seq
		case kindHistory:
			m.history = append(m.history, f)
		case kindIncr:
			if f.seq <= m.incrSeq {
				return fail("increment %d follows increment %d", f.seq, m.incrSeq)
			}
			m.incr = append(m.incr, f)
			m.incrSeq = f.seq
		}
	}
	return m, nil
}

func parseManifestLine(line string) (aofFile, error) {
	words, err := splitManifestLine(line)
	if err != nil {
		return aofFile{}, err
	}
	if len(words) < 6 || len(words)%2 != 0 {
		return aofFile{}, errors.New(`it is not "file <name> seq <number> type <b|h|i>"`)
	}
	var f aofFile
	for i := 0; i < len(words); i += 2 {
		value := words[i+1]
		switch strings.ToLower(words[i]) {
		case "file":
			if value == "" || value == "." || value == ".." || strings.ContainsAny(value, "/\\\x00") {
				return aofFile{}, fmt.Errorf("%q is not the name of a file", value)
			}
			f.name = value
		case "seq":
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil || n <= 0 || n == 1<<63-1 {
				return aofFile{}, fmt.Errorf("%q is not a sequence number", value)
			}
			f.seq = n
		case "type":
			if len(value) != 1 || !strings.Contains("bhi", value) {
				return aofFile{}, fmt.Errorf("%q is not a type of file", value)
			}
			f.kind = fileKind(value[0])
		}
	}
	if f.name == "" || f.seq == 0 || f.kind == 0 {
		return aofFile{}, errors.New("name, sequence number or type is missing")
	}
	return f, nil
}

// splitManifestLine splits a line into words; those in double quotes may hold
// anything.
func splitManifestLine(line string) ([]string, error) {
	var words []string
	for {
		line = strings.TrimLeft(line, " \t\r")
		if line == "" {
			return words, nil
		}
		if line[0] != '"' {
			end := strings.IndexAny(line, " \t\r")
			if end < 0 {
				end = len(line)
			}
			words, line = append(words, line[:end]), line[end:]
			continue
		}
		var word []byte
		i := 1
		for ; i < len(line) && line[i] != '"'; i++ {
			if line[i] != '\\' || i+1 == len(line) {
				word = append(word, line[i])
				continue
			}
			i++
			switch c := line[i]; c {
			case 'n':
				word = append(word, '\n')
			case 'r':
				word = append(word, '\r')
			case 't':
				word = append(word, '\t')
			case 'x':
				var n uint64
				var err error
				if i+2 < len(line) {
					n, err = strconv.ParseUint(line[i+1:i+3], 16, 8)
				}
				if err != nil || i+2 >= len(line) {
					return nil, errors.New("an escape is not complete")
				}
				word = append(word, byte(n))
				i += 2
			default:
				word = append(word, c)
			}
		}
		if i >= len(line) {
			return nil, errors.New("a quote is not closed")
		}
		words, line = append(words, string(word)), line[i+1:]
	}
}

// The files' names.

func (a *AOF) aofDir() string            { return filepath.Join(a.o.Dir, a.o.DirName) }
func (a *AOF) path(name string) string   { return filepath.Join(a.aofDir(), name) }
func (a *AOF) manifestPath() string      { return a.path(a.o.FileName + manifestSuffix) }
func (a *AOF) incrName(seq int64) string { return fmt.Sprintf("%s.%d.incr.aof", a.o.FileName, seq) }

func (a *AOF) baseName(seq int64, isRDB bool) string {
	if isRDB {
		return fmt.Sprintf("%s.%d.base.rdb", a.o.FileName, seq)
	}
	return fmt.Sprintf("%s.%d.base.aof", a.o.FileName, seq)
}

// readManifest reads the manifest; one that does not exist is empty.
func readManifest(fsys FS, path string) (manifest, error) {
	content, err := readFile(fsys, path, maxManifest)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return manifest{}, nil
	case err != nil:
		return manifest{}, fmt.Errorf("aof: read manifest: %w", err)
	}
	return parseManifest(path, content)
}

// readFile reads a whole file of at most limit bytes.
func readFile(fsys FS, path string, limit int64) ([]byte, error) {
	f, err := fsys.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%s is longer than %d bytes", path, limit)
	}
	return b, err
}

// saveManifest writes m to the disk. renamed tells that the file is there under its
// name, though with an error it may be gone after a crash.
func (a *AOF) saveManifest(m manifest) (renamed bool, err error) {
	renamed, err = replaceFile(a.fs, a.manifestPath(), m.encode())
	if err != nil {
		err = fmt.Errorf("aof: write manifest: %w", err)
	}
	return renamed, err
}
