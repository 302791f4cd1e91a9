package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// stateFileError says that the cluster config file cannot be used. The node
// refuses to start: guessing about votes and claims can lose data.
type stateFileError struct {
	path string
	err  error
}

func (e *stateFileError) Error() string {
	return fmt.Sprintf("cluster config file %s: %v; the generation before it is %s", e.path, e.err, previousGeneration(e.path))
}

func (e *stateFileError) Unwrap() error { return e.err }

// previousGeneration is where the last but one state is kept.
func previousGeneration(path string) string { return path + ".prev" }

// readStateFile returns the saved state, or nil when there is none yet.
func readStateFile(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	switch {
	case err == nil:
		return data, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	default:
		return nil, fmt.Errorf("cluster config file: %w", err)
	}
}

// writeStateFile replaces the state durably: when it returns nil, a crash of
// the machine leaves this state or a later one. The generation before is kept
// beside it.
func writeStateFile(path string, data []byte) error {
	return replaceStateFile(path, data, true)
}

// writeStateFileSoftly replaces the state so that a crash of the process leaves
// it, and a crash of the machine this state or the one before.
func writeStateFileSoftly(path string, data []byte) error {
	return replaceStateFile(path, data, false)
}

func replaceStateFile(path string, data []byte, durably bool) error {
	temp := path + ".tmp"
	if err := writeSynced(temp, data); err != nil {
		return fmt.Errorf("cluster config file: %w", err)
	}
	if !durably {
		if err := os.Rename(temp, path); err != nil {
			return fmt.Errorf("cluster config file: %w", err)
		}
		return nil
	}
	prev := previousGeneration(path)
	if err := os.Remove(prev); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cluster config file: %w", err)
	}
	if err := os.Link(path, prev); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cluster config file: %w", err)
	}
	if err := os.Rename(temp, path); err != nil {
		return fmt.Errorf("cluster config file: %w", err)
	}
	return syncDir(filepath.Dir(path))
}

func writeSynced(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}
