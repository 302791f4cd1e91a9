package node

import (
	"os"
	"path/filepath"
	"testing"
)

// TestFileWithWrongChecksum: rdbchecksum no loads what a damaged checksum refuses, from
// an RDB file and from the base of an append only file.
func TestFileWithWrongChecksum(t *testing.T) {
	for _, appendOnly := range []string{"no", "yes"} {
		dir := t.TempDir()
		options := []string{"--dir", dir, "--appendonly", appendOnly}
		_, dial, ended := startNode(t, options...)
		c := dial()
		c.do("SET", "k", "v")
		path := filepath.Join(dir, "dump.rdb")
		if appendOnly == "yes" {
			path = filepath.Join(dir, "appendonlydir", "appendonly.aof.2.base.rdb")
			c.do("BGREWRITEAOF")
			waitFor(t, "the rewrite", func() bool {
				v, _ := infoField(string(c.do("INFO", "persistence").Text), "aof_rewrites")
				return v == "1"
			})
		}
		stopNode(t, c, ended, "save")
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		content[len(content)-1] ^= 1
		writeFile(t, path, string(content))
		if err := runToEnd(t, options...); err == nil {
			t.Errorf("appendonly %s: a wrong checksum is taken", appendOnly)
		}
		_, dial, _ = startNode(t, append(options, "--rdbchecksum", "no")...)
		c = dial()
		waitFor(t, "the data", func() bool { return c.ask("GET", "k") == `$"v"` })
	}
}
