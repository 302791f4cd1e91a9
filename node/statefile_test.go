package node

import (
	"os"
	"path/filepath"
	"testing"
)

func TestStateFileKeepsTheGenerationBefore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "nodes.conf")
	if data, err := readStateFile(path); data != nil || err != nil {
		t.Fatalf("a new node read %q, %v", data, err)
	}
	for _, text := range []string{"first", "second", "third"} {
		if err := writeStateFile(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := writeStateFileAgain(path, []byte("third")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{path: "third", previousGeneration(path): "second"} {
		if got, err := os.ReadFile(name); err != nil || string(got) != want {
			t.Errorf("%s holds %q, %v; want %q", filepath.Base(name), got, err, want)
		}
	}
}

func TestStateFileThatCannotBeReadIsAnError(t *testing.T) {
	dir := t.TempDir()
	if _, err := readStateFile(dir); err == nil {
		t.Fatal("a directory was taken for a new node's missing file")
	}
	if err := writeStateFile(filepath.Join(dir, "missing", "nodes.conf"), nil); err == nil {
		t.Fatal("a save into a missing directory succeeded")
	}
}
