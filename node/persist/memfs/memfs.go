package memfs

import (
	"io"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"

	"slotmesh/node/persist"
)

// Op is one operation.
type Op struct {
	// Kind is "open", "create", "append", "write", "sync", "truncate", "rename",
	// "remove", "mkdir", "syncdir", "list" or "size".
	Kind, Path string
	// Bytes is how much is written.
	Bytes int
}

// Fault is how an operation fails: with Err, after Short bytes of a write. The zero
// Fault is none. A write with Short and no Err is a short write.
type Fault struct {
	Err   error
	Short int
	// Cut makes a write end after Short bytes.
	Cut bool
	// Late is how long after a failed fsync its caller is told.
	Late time.Duration
}

// FS is a file system in memory. It may be used from several goroutines.
type FS struct {
	// Hook, if set, is called before every operation, without a lock. It is set
	// before the first one.
	Hook func(Op) Fault

	mu sync.Mutex
	// live and lasting are the names now and those that survive the loss of
	// power; moves are the changes of names between the two.
	live, lasting map[string]*node
	moves         []move
}

// node is a file or directory.
type node struct {
	dir bool
	// data is the content now, lasting the content that is on the disk, changes
	// lead from there to data.
	data, lasting []byte
	changes       []change
}

// change is a write at the end, or, if cut, a new length.
type change struct {
	at   int
	data []byte
	cut  bool
	// doomed: an fsync failed that was about it; the system believes it written.
	doomed bool
}

// move is a change of names: from, if not empty, goes away; to, if not empty, is
// what then.
type move struct {
	from, to string
	node     *node
}

// New returns an empty file system with the directory root.
func New(root string) *FS {
	d := &node{dir: true}
	root = filepath.Clean(root)
	return &FS{live: map[string]*node{root: d}, lasting: map[string]*node{root: d}}
}

func (f *FS) before(kind, path string, bytes int) Fault {
	if f.Hook == nil {
		return Fault{}
	}
	return f.Hook(Op{kind, path, bytes})
}

func fail(kind, path string, err error) error { return &fs.PathError{Op: kind, Path: path, Err: err} }

// enter is before, the lock, and the error that the hook asks for.
func (f *FS) enter(kind, path string) error {
	fault := f.before(kind, path, 0)
	f.mu.Lock()
	if fault.Err != nil {
		return fail(kind, path, fault.Err)
	}
	return nil
}

// Open implements persist.FS.
func (f *FS) Open(path string) (persist.File, error) {
	err := f.enter("open", path)
	defer f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	n := f.live[filepath.Clean(path)]
	if n == nil || n.dir {
		return nil, fail("open", path, fs.ErrNotExist)
	}
	return &file{fs: f, path: path, node: n, readable: true}, nil
}

// Create implements persist.FS.
func (f *FS) Create(path string) (persist.File, error) {
	return f.openWrite("create", path, true)
}

// Append implements persist.FS.
func (f *FS) Append(path string) (persist.File, error) {
	return f.openWrite("append", path, false)
}

func (f *FS) openWrite(kind, path string, truncate bool) (persist.File, error) {
	err := f.enter(kind, path)
	defer f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	path = filepath.Clean(path)
	if d := f.live[filepath.Dir(path)]; d == nil || !d.dir {
		return nil, fail(kind, path, fs.ErrNotExist)
	}
	n := f.live[path]
	switch {
	case n == nil:
		n = &node{}
		f.live[path] = n
		f.moves = append(f.moves, move{to: path, node: n})
	case n.dir:
		return nil, fail(kind, path, syscall.EISDIR)
	case truncate:
		n.truncate(0)
	}
	return &file{fs: f, path: path, node: n}, nil
}

func (n *node) truncate(size int) {
	if size == len(n.data) {
		return
	}
	n.data = append(n.data[:min(size, len(n.data))], make([]byte, max(size-len(n.data), 0))...)
	n.changes = append(n.changes, change{at: size, cut: true})
}

// Rename implements persist.FS.
func (f *FS) Rename(from, to string) error {
	err := f.enter("rename", from)
	defer f.mu.Unlock()
	if err != nil {
		return err
	}
	from, to = filepath.Clean(from), filepath.Clean(to)
	n := f.live[from]
	if n == nil {
		return fail("rename", from, fs.ErrNotExist)
	}
	delete(f.live, from)
	f.live[to] = n
	f.moves = append(f.moves, move{from: from, to: to, node: n})
	return nil
}

// Remove implements persist.FS.
func (f *FS) Remove(path string) error {
	err := f.enter("remove", path)
	defer f.mu.Unlock()
	if err != nil {
		return err
	}
	path = filepath.Clean(path)
	if f.live[path] == nil {
		return fail("remove", path, fs.ErrNotExist)
	}
	delete(f.live, path)
	f.moves = append(f.moves, move{from: path})
	return nil
}

// Mkdir implements persist.FS.
func (f *FS) Mkdir(path string) error {
	err := f.enter("mkdir", path)
	defer f.mu.Unlock()
	if err != nil {
		return err
	}
	path = filepath.Clean(path)
	if n := f.live[path]; n != nil {
		if n.dir {
			return nil
		}
		return fail("mkdir", path, fs.ErrExist)
	}
	n := &node{dir: true}
	f.live[path] = n
	f.moves = append(f.moves, move{to: path, node: n})
	return nil
}

// SyncDir implements persist.FS.
func (f *FS) SyncDir(path string) error {
	err := f.enter("syncdir", path)
	defer f.mu.Unlock()
	if err != nil {
		return err
	}
	path = filepath.Clean(path)
	if n := f.live[path]; n == nil || !n.dir {
		return fail("syncdir", path, fs.ErrNotExist)
	}
	f.moves = slices.DeleteFunc(f.moves, func(m move) bool {
		if filepath.Dir(m.from) != path && filepath.Dir(m.to) != path {
			return false
		}
		m.apply(f.lasting)
		return true
	})
	return nil
}

func (m move) apply(names map[string]*node) {
	if m.from != "" {
		delete(names, m.from)
	}
	if m.to != "" {
		names[m.to] = m.node
	}
}

// List implements persist.FS.
func (f *FS) List(path string) ([]string, error) {
	err := f.enter("list", path)
	defer f.mu.Unlock()
	if err != nil {
		return nil, err
	}
	path = filepath.Clean(path)
	if f.live[path] == nil {
		return nil, fail("list", path, fs.ErrNotExist)
	}
	var names []string
	for name := range f.live {
		if filepath.Dir(name) == path && name != path {
			names = append(names, filepath.Base(name))
		}
	}
	sort.Strings(names)
	return names, nil
}

// Size implements persist.FS.
func (f *FS) Size(path string) (int64, error) {
	err := f.enter("size", path)
	defer f.mu.Unlock()
	if err != nil {
		return 0, err
	}
	n := f.live[filepath.Clean(path)]
	if n == nil {
		return 0, fail("size", path, fs.ErrNotExist)
	}
	return int64(len(n.data)), nil
}

// file is an open file.
type file struct {
	fs       *FS
	path     string
	node     *node
	readable bool
	pos      int
	closed   bool
}

func (o *file) Read(b []byte) (int, error) {
	o.fs.mu.Lock()
	defer o.fs.mu.Unlock()
	if o.closed || !o.readable {
		return 0, fail("read", o.path, fs.ErrClosed)
	}
	if o.pos >= len(o.node.data) {
		return 0, io.EOF
	}
	n := copy(b, o.node.data[o.pos:])
	o.pos += n
	return n, nil
}

func (o *file) Write(b []byte) (int, error) {
	fault := o.fs.before("write", o.path, len(b))
	o.fs.mu.Lock()
	defer o.fs.mu.Unlock()
	if o.closed {
		return 0, fail("write", o.path, fs.ErrClosed)
	}
	n := len(b)
	if fault.Err != nil || fault.Cut {
		n = min(fault.Short, n)
	}
	if n > 0 {
		own := slices.Clone(b[:n])
		o.node.changes = append(o.node.changes, change{at: len(o.node.data), data: own})
		o.node.data = append(o.node.data, own...)
	}
	if fault.Err != nil {
		return n, fail("write", o.path, fault.Err)
	}
	return n, nil
}

// Sync makes everything written lasting. When it fails, the system takes what it
// was about for written all the same: later calls do nothing for that.
func (o *file) Sync() error {
	fault := o.fs.before("sync", o.path, 0)
	defer func() {
		if fault.Err != nil {
			time.Sleep(fault.Late)
		}
	}()
	o.fs.mu.Lock()
	defer o.fs.mu.Unlock()
	if o.closed {
		return fail("sync", o.path, fs.ErrClosed)
	}
	n := o.node
	if fault.Err != nil {
		for i := range n.changes {
			n.changes[i].doomed = true
		}
		return fail("sync", o.path, fault.Err)
	}
	n.lasting = apply(n.lasting, n.changes)
	n.changes = nil
	return nil
}

// apply returns base after changes; the doomed ones have left nothing but room.
func apply(base []byte, changes []change) []byte {
	data := slices.Clone(base)
	for _, c := range changes {
		end := c.at + len(c.data)
		if c.cut {
			end = c.at
		}
		if len(data) < end {
			data = append(data, make([]byte, end-len(data))...)
		}
		switch {
		case c.cut:
			data = data[:end]
		case !c.doomed:
			copy(data[c.at:], c.data)
		}
	}
	return data
}

func (o *file) Truncate(size int64) error {
	fault := o.fs.before("truncate", o.path, 0)
	o.fs.mu.Lock()
	defer o.fs.mu.Unlock()
	if fault.Err != nil {
		return fail("truncate", o.path, fault.Err)
	}
	if o.closed {
		return fail("truncate", o.path, fs.ErrClosed)
	}
	o.node.truncate(int(size))
	return nil
}

func (o *file) Close() error {
	o.fs.mu.Lock()
	defer o.fs.mu.Unlock()
	if o.closed {
		return fail("close", o.path, fs.ErrClosed)
	}
	o.closed = true
	return nil
}

// Crash is a kind of crash.
type Crash uint8

const (
	// Kill: the process ends, the system lives on.
	Kill Crash = iota
	// LoseAll: the power goes, and nothing is there that was not fsynced.
	LoseAll
	// LoseSome: of each file any part at the end is missing, and any changes of
	// names.
	LoseSome
	// Tear is LoseSome with a last write that is there in part.
	Tear
	// ZeroFill is Tear with zeros in the place of the missing part.
	ZeroFill
	// Crashes is how many kinds there are.
	Crashes
)

func (c Crash) String() string {
	return [...]string{"kill", "lose all", "lose some", "tear", "zero-fill"}[c]
}

// Image returns what is found after a crash now.
func (f *FS) Image(c Crash, random *rand.Rand) *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	after := &FS{live: make(map[string]*node), lasting: make(map[string]*node)}
	names := f.live
	if c != Kill {
		names = make(map[string]*node)
		for path, n := range f.lasting {
			names[path] = n
		}
		if c != LoseAll {
			// Half the time those up to some point, as journals of file systems
			// do, else any.
			upTo, ordered := random.IntN(len(f.moves)+1), random.IntN(2) == 0
			for i, m := range f.moves {
				if ordered && i < upTo || !ordered && random.IntN(2) == 0 {
					m.apply(names)
				}
			}
		}
	}
	paths := make([]string, 0, len(names))
	for path := range names {
		paths = append(paths, path)
	}
	sort.Strings(paths)
	for _, path := range paths {
		n := names[path]
		if parent := filepath.Dir(path); parent != path && strings.Count(path, "/") > 1 && names[parent] == nil && len(paths) > 1 && f.live[parent] != nil {
			continue // its directory was lost
		}
		var data []byte
		if !n.dir {
			data = n.after(c, random)
		}
		copied := &node{dir: n.dir, data: data, lasting: slices.Clone(data)}
		after.live[path], after.lasting[path] = copied, copied
	}
	return after
}

// after returns what is left of a file.
func (n *node) after(c Crash, random *rand.Rand) []byte {
	switch c {
	case Kill:
		return slices.Clone(n.data)
	case LoseAll:
		return slices.Clone(n.lasting)
	}
	upTo := random.IntN(len(n.changes) + 1)
	if random.IntN(2) == 0 { // the latest are the most interesting
		upTo = max(len(n.changes)-random.IntN(3), 0)
	}
	data := apply(n.lasting, n.changes[:upTo])
	if c == LoseSome || upTo == len(n.changes) {
		return data
	}
	torn := n.changes[upTo]
	if torn.cut {
		return data
	}
	keep := random.IntN(len(torn.data) + 1)
	part := slices.Clone(torn.data[:keep])
	if c == ZeroFill {
		part = append(part, make([]byte, len(torn.data)-keep)...)
	}
	return apply(data, []change{{at: torn.at, data: part, doomed: torn.doomed}})
}

// Content returns what a file holds now, nil if there is none.
func (f *FS) Content(path string) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.live[filepath.Clean(path)]
	if n == nil {
		return nil
	}
	return slices.Clone(n.data)
}

// Put makes a file, lastingly.
func (f *FS) Put(path string, content []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := &node{data: slices.Clone(content), lasting: slices.Clone(content)}
	path = filepath.Clean(path)
	f.live[path], f.lasting[path] = n, n
}
