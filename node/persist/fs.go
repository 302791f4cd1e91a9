package persist

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// FS is what the package needs of a file system. Errors are those of the
// system (errors.Is with fs.ErrNotExist, syscall.ENOSPC, …), wrapped with the
// operation and the path.
//
// The rules that callers keep, and that MemFS checks by losing power: the bytes
// of a file are on the disk after its Sync, a file's name, its rename or its
// removal after SyncDir of its directory.
type FS interface {
	// Open opens an existing file for reading.
	Open(path string) (File, error)
	// Create makes an empty file for writing, in the place of one that exists.
	Create(path string) (File, error)
	// Append opens a file for writing at its end and makes it if need be.
	Append(path string) (File, error)
	// Rename gives a file another name, in the place of one that has it.
	Rename(from, to string) error
	Remove(path string) error
	// Mkdir makes a directory; one that exists is no error.
	Mkdir(path string) error
	// SyncDir makes the names in a directory as lasting as its files.
	SyncDir(path string) error
	// List returns the names in a directory, sorted.
	List(path string) ([]string, error)
	// Size returns how long a file is; fs.ErrNotExist when there is none.
	Size(path string) (int64, error)
}

// File is an open file.
type File interface {
	io.Reader
	io.Writer
	io.Closer
	// Sync returns when everything written is on the disk.
	Sync() error
	// Truncate makes the file size bytes long; what is appended later follows
	// there.
	Truncate(size int64) error
}

// OS is the file system of the machine.
type OS struct{}

var _ FS = OS{}

// osFile is a file of OS.
type osFile struct{ *os.File }

// Sync leaves out what does not matter for reading the file back, such as when
// it was written last.
func (f osFile) Sync() error { return dataSync(f.File) }

func file(f *os.File, err error) (File, error) {
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// Open implements FS.
func (OS) Open(path string) (File, error) { return file(os.Open(path)) }

// Create implements FS.
func (OS) Create(path string) (File, error) {
	return file(os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o644))
}

// Append implements FS.
func (OS) Append(path string) (File, error) {
	return file(os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644))
}

// Rename implements FS.
func (OS) Rename(from, to string) error { return os.Rename(from, to) }

// Remove implements FS.
func (OS) Remove(path string) error { return os.Remove(path) }

// Mkdir implements FS.
func (OS) Mkdir(path string) error {
	err := os.Mkdir(path, 0o755)
	if errors.Is(err, os.ErrExist) {
		if info, statErr := os.Stat(path); statErr == nil && info.IsDir() {
			return nil
		}
	}
	return err
}

// SyncDir implements FS. File systems that cannot sync a directory say EINVAL,
// which is no failure of the disk.
func (OS) SyncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	err = dir.Sync()
	if errors.Is(err, syscall.EINVAL) {
		err = nil
	}
	if closeErr := dir.Close(); err == nil {
		err = closeErr
	}
	return err
}

// List implements FS.
func (OS) List(path string) ([]string, error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

// Size implements FS.
func (OS) Size(path string) (int64, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// replaceFile writes content so that path has, whatever happens, either what it
// had before or all of content: to another name, fsynced, renamed, and the
// directory fsynced. renamed with an error means that the last step failed.
func replaceFile(fsys FS, path string, content []byte) (renamed bool, err error) {
	temporary := filepath.Join(filepath.Dir(path), "temp-"+filepath.Base(path))
	f, err := fsys.Create(temporary)
	if err != nil {
		return false, err
	}
	err = writeAll(f, content)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = fsys.Rename(temporary, path)
	}
	if err != nil {
		fsys.Remove(temporary)
		return false, err
	}
	return true, fsys.SyncDir(filepath.Dir(path))
}

// writeAll is f.Write for files that may take only a part.
func writeAll(f io.Writer, b []byte) error {
	n, err := f.Write(b)
	if err == nil && n < len(b) {
		err = fmt.Errorf("%d of %d bytes: %w", n, len(b), io.ErrShortWrite)
	}
	return err
}
