package persist

import (
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"
	"time"

	"slotmesh/node/rdb"
)

// LoadOptions say how an RDB file is read.
type LoadOptions struct {
	Path string
	// Expired, if not nil, says of a key's deadline that it has passed: the key is
	// loaded as the others are, and counted apart.
	Expired func(atMs int64) bool
	// AnyChecksum is rdbchecksum no: one that does not fit is a notice.
	AnyChecksum bool
	// KeyDelay slows the loading down, for tests.
	KeyDelay time.Duration
	// Progress, if not nil, is kept up to date.
	Progress *Progress
	// Notice, if not nil, is told of what is left out, and of the file's version.
	Notice func(text string)
}

// LoadedRDB is what a file held. Keys leaves out those that have expired.
type LoadedRDB struct {
	Keys, Expired int64
	// At is where in a replication history the data stand, if Known.
	At    rdb.Position
	Known bool
}

// HasRDB reports whether there is a file.
func HasRDB(fsys FS, path string) (bool, error) {
	_, err := fsys.Size(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// LoadRDB gives a file's content to t. An error names the file and the byte.
func LoadRDB(fsys FS, o LoadOptions, t Target) (loaded LoadedRDB, err error) {
	fail := func(err error) (LoadedRDB, error) {
		return loaded, fmt.Errorf("load %s: %w", o.Path, err)
	}
	size, err := fsys.Size(o.Path)
	if err != nil {
		return fail(err)
	}
	f, err := fsys.Open(o.Path)
	if err != nil {
		return fail(err)
	}
	defer f.Close()
	p := o.Progress
	if p == nil {
		p = new(Progress)
	}
	p.Total.Add(size)
	r := rdb.NewReader(f, t.Target)
	if o.Notice != nil {
		r.Notice = o.Notice
	}
	r.AnyChecksum = o.AnyChecksum
	r.OnResize = expectKeys(t, size)
	in := &counting{target: t, expired: o.Expired, delay: o.KeyDelay, progress: p}
	workers := t.Workers()
	if o.KeyDelay > 0 {
		workers = 1
	}
	done := int64(0)
	err = r.Load(rdb.LoadOptions{Workers: workers, Insert: in.insert, Advanced: func(at int64) error {
		p.Done.Add(at - done)
		done = at
		return nil
	}})
	if err != nil {
		return fail(err)
	}
	p.Done.Add(size - done)
	loaded.Keys, loaded.Expired = in.keys.Load(), in.gone.Load()
	loaded.At, loaded.Known = r.Position()
	return loaded, nil
}

// counting inserts, and counts what it inserts.
type counting struct {
	target     Target
	expired    func(atMs int64) bool
	delay      time.Duration
	progress   *Progress
	keys, gone atomic.Int64
}

func (c *counting) insert(entries []rdb.Entry) (taken int, err error) {
	for taken < len(entries) && err == nil {
		n := len(entries) - taken
		if c.delay > 0 {
			n = 1
		}
		gone := 0
		for i := range entries[taken : taken+n] {
			if c.passed(&entries[taken+i]) {
				gone++
			}
		}
		if n, err = c.target.Insert(entries[taken : taken+n]); err == nil {
			c.gone.Add(int64(gone))
			c.keys.Add(int64(n - gone))
		}
		c.progress.Keys.Add(int64(n))
		taken += n
		time.Sleep(c.delay)
	}
	return taken, err
}

func (c *counting) passed(e *rdb.Entry) bool {
	return c.expired != nil && e.ExpireAtMs != 0 && c.expired(e.ExpireAtMs)
}

// expectKeys tells t what a file of that size says about its databases, as far as
// it can be true.
func expectKeys(t Target, size int64) func(db int, keys, expires uint64) {
	const leastEntry = 4 // type, key, value
	return func(db int, keys, _ uint64) { t.Expect(db, int64(min(keys, uint64(size)/leastEntry))) }
}
