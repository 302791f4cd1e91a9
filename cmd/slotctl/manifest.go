package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"slotmesh/slots"
)

const (
	manifestName    = "manifest.json"
	manifestVersion = 1
	// maxManifest is more than a thousand primaries with alternating slots need.
	maxManifest = 256 << 20
)

// manifest says what belongs to a backup.
type manifest struct {
	Version int       `json:"version"`
	Tool    string    `json:"tool"`
	Date    time.Time `json:"date"`
	Files   []file    `json:"files"`
	// Checksum is the SHA-256 of the manifest with an empty Checksum.
	Checksum string `json:"checksum"`
}

// file is the state of one primary.
type file struct {
	Name string `json:"name"`
	// Slots are ranges as "0-5460", ascending.
	Slots []string `json:"slots"`
	// Node is the primary's id and Source the address that the file was read
	// from, the primary's or its replica's.
	Node   string `json:"node"`
	Source string `json:"source"`
	// ReplID and Offset say where in the primary's history the file stands.
	ReplID string `json:"replication_id"`
	Offset int64  `json:"offset"`
	Keys   int64  `json:"keys"`
	Bytes  int64  `json:"bytes"`
	// Checksum is the SHA-256 of the file.
	Checksum string `json:"sha256"`
}

// set returns the slots of the file.
func (f file) set() (slots.Set, error) {
	var s slots.Set
	for _, text := range f.Slots {
		r, err := slots.ParseRange(text)
		if err != nil {
			return s, err
		}
		s.AddRange(r)
	}
	return s, nil
}

func rangesOf(s slots.Set) []string {
	var texts []string
	for _, r := range s.Ranges() {
		texts = append(texts, r.String())
	}
	return texts
}

func (m manifest) encode() ([]byte, error) {
	m.Checksum = ""
	plain, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(plain)
	m.Checksum = hex.EncodeToString(sum[:])
	text, err := json.MarshalIndent(m, "", "  ")
	return append(text, '\n'), err
}

func decodeManifest(text []byte) (manifest, error) {
	var m manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return m, err
	}
	if m.Version != manifestVersion {
		return m, fmt.Errorf("it is of version %d, this slotctl reads version %d", m.Version, manifestVersion)
	}
	stated := m.Checksum
	m.Checksum = ""
	plain, err := json.Marshal(m)
	if err != nil {
		return m, err
	}
	if sum := sha256.Sum256(plain); stated != hex.EncodeToString(sum[:]) {
		return m, errors.New("its checksum does not fit its content")
	}
	var covered slots.Set
	for _, f := range m.Files {
		if f.Name != filepath.Base(f.Name) || f.Name == manifestName || strings.HasPrefix(f.Name, ".") {
			return m, fmt.Errorf("%q is not the name of a file beside it", f.Name)
		}
		own, err := f.set()
		if err != nil {
			return m, fmt.Errorf("file %s: %w", f.Name, err)
		}
		if both := own.Intersect(covered); !both.Empty() {
			return m, fmt.Errorf("two files have the slots %s", both)
		}
		covered = covered.Union(own)
	}
	if missing := allSlots().Minus(covered); !missing.Empty() {
		return m, fmt.Errorf("no file has the slots %s", missing)
	}
	return m, nil
}

// readManifest reads the manifest in dir. Every error but a failing disk's is a
// refusal; fs.ErrNotExist is wrapped if there is none.
func readManifest(dir string) (manifest, error) {
	path := filepath.Join(dir, manifestName)
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return manifest{}, refuse("%s is not a complete backup: %w", dir, err)
	case err != nil:
		return manifest{}, err
	case info.Size() > maxManifest:
		return manifest{}, refuse("%s is damaged: it has %d bytes", path, info.Size())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return manifest{}, err
	}
	m, err := decodeManifest(text)
	if err != nil {
		return manifest{}, refuse("%s is damaged: %w", path, err)
	}
	return m, nil
}

// names returns the names of the manifest's files.
func (m manifest) names() []string {
	var names []string
	for _, f := range m.Files {
		names = append(names, f.Name)
	}
	slices.Sort(names)
	return names
}
