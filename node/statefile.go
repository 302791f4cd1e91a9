package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"slotmesh/node/persist"
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
	return replaceStateFile(path, data, true, true)
}

// writeStateFileSoftly replaces the state so that a crash of the process leaves
// it, and a crash of the machine this state or the one before.
func writeStateFileSoftly(path string, data []byte) error {
	return replaceStateFile(path, data, false, false)
}

// writeStateFileAgain writes durably what the file holds already. The generation
// before stays what it is.
func writeStateFileAgain(path string, data []byte) error {
	return replaceStateFile(path, data, false, true)
}

func replaceStateFile(path string, data []byte, keep, durably bool) error {
	temp := path + ".tmp"
	err := writeSynced(temp, data)
	if err == nil && keep {
		err = keepGeneration(path)
	}
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err == nil && durably {
		err = persist.OS{}.SyncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("cluster config file: %w", err)
	}
	return nil
}

// keepGeneration gives the file at path, if there is one, its other name.
func keepGeneration(path string) error {
	prev := previousGeneration(path)
	if err := os.Remove(prev); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Link(path, prev); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
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
