package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

const (
	partial   = ".partial"
	extension = ".rdb"
)

// pendingFile is a file that gets its name when it is whole and on the disk.
type pendingFile struct {
	*os.File
	path  string
	sum   hash.Hash
	bytes int64
}

// createFile begins the file at path, under a temporary name beside it.
func createFile(path string) (*pendingFile, error) {
	f, err := os.OpenFile(path+partial, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	return &pendingFile{File: f, path: path, sum: sha256.New()}, nil
}

func (p *pendingFile) Write(b []byte) (int, error) {
	n, err := p.File.Write(b)
	p.sum.Write(b[:n])
	p.bytes += int64(n)
	return n, err
}

func (p *pendingFile) checksum() string { return hex.EncodeToString(p.sum.Sum(nil)) }

// commit makes the content durable and then gives the file its name; the name
// is durable after syncDir.
func (p *pendingFile) commit() error {
	err := p.Sync()
	if closing := p.Close(); err == nil {
		err = closing
	}
	if err == nil {
		err = os.Rename(p.path+partial, p.path)
	}
	return err
}

// abandon removes what there is; after commit it does nothing.
func (p *pendingFile) abandon() {
	p.Close()
	_ = os.Remove(p.path + partial)
}

// syncDir makes the names in dir durable. File systems that cannot do so say EINVAL,
// which is no failure of the disk.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) {
		err = nil
	}
	if closing := d.Close(); err == nil {
		err = closing
	}
	return err
}

// claimDir makes dir, if it is not there, and keeps other backups out of it until
// release or the end of the process: each would take the files of the other for
// leftovers.
func claimDir(dir string) (release func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := syncDir(filepath.Dir(filepath.Clean(dir))); err != nil {
		return nil, err
	}
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if taken(d) {
		d.Close()
		return nil, refuse("another slotctl writes a backup into %s", dir)
	}
	return func() { d.Close() }, nil
}

// prepareDir looks at dir before a backup. It returns the names of what an
// earlier one left there, which are to go when the new one is complete.
func prepareDir(dir string, replace bool) (old []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) == 0 {
		return nil, err
	}
	m, err := readManifest(dir)
	whole := err == nil
	if !whole && !errors.Is(err, fs.ErrNotExist) && !replace {
		return nil, err
	}
	for _, entry := range entries {
		name := entry.Name()
		ours := ourName(name) || whole && slices.Contains(m.names(), name)
		switch {
		case name == manifestName || name == manifestName+partial: // writeManifest replaces both
		case !ours:
			return nil, refuse("%s holds %s, which is not of a backup: choose an empty directory", dir, name)
		default:
			old = append(old, name)
		}
	}
	switch {
	case replace:
		return old, nil
	case whole:
		return nil, refuse("%s holds the backup of %s: choose another directory, or --replace it", dir, m.Date.Format("2006-01-02 15:04:05 MST"))
	}
	return nil, refuse("%s holds a backup that did not come to its end: choose another directory, or --replace it", dir)
}

// ourName reports whether backup gives files such names; see fileName.
func ourName(name string) bool {
	name = strings.TrimSuffix(name, partial)
	return name == manifestName || strings.HasPrefix(name, "backup-") && strings.HasSuffix(name, extension)
}

// verifyFile refuses a file that is not what the manifest says. seen is told of
// bytes as they are read.
func verifyFile(ctx context.Context, dir string, f file, seen func(int64)) error {
	path := filepath.Join(dir, f.Name)
	in, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return refuse("the backup is incomplete: %w", err)
	}
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	if info.Size() != f.Bytes {
		return refuse("%s is damaged: it has %d bytes, the manifest says %d", path, info.Size(), f.Bytes)
	}
	sum := sha256.New()
	piece := make([]byte, 256<<10)
	for {
		n, err := in.Read(piece)
		sum.Write(piece[:n])
		seen(int64(n))
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	if is := hex.EncodeToString(sum.Sum(nil)); is != f.Checksum {
		return refuse("%s is damaged: its SHA-256 is %s, the manifest says %s", path, is, f.Checksum)
	}
	return nil
}
