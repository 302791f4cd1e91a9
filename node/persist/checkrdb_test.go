package persist

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheckRDB(t *testing.T) {
	dir := t.TempDir()
	whole := "REDIS0010\xfe\x00\xfc\x01\x00\x00\x00\x00\x00\x00\x00\x00\x01a\x011\x02\x01s\x01\x01m\xff\x00\x00\x00\x00\x00\x00\x00\x00"
	for _, c := range []struct {
		name, content string
		code          int
		want          []string
	}{
		{"whole", whole, 0, []string{"RDB looks OK", "[info] 2 keys read", "[info] 1 expires", "[info] 1 already expired"}},
		{"cut", whole[:len(whole)-9], 1, []string{"RDB ERROR DETECTED", "byte", "[info] 2 keys read"}},
		{"cut in a value", whole[:len(whole)-11], 1, []string{"RDB ERROR DETECTED", "[info] 1 keys read"}},
		{"foreign", "hello, world", 1, []string{"wrong signature"}},
	} {
		path := filepath.Join(dir, c.name)
		if err := os.WriteFile(path, []byte(c.content), 0o644); err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		if code := CheckRDB([]string{path}, 1000, &out); code != c.code {
			t.Errorf("%s: exit code %d, want %d", c.name, code, c.code)
		}
		for _, want := range c.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: no %q in\n%s", c.name, want, out.String())
			}
		}
	}
	var out strings.Builder
	if CheckRDB(nil, 0, &out) != 1 || CheckRDB([]string{filepath.Join(dir, "none")}, 0, &out) != 1 {
		t.Error("no file, and exit code 0")
	}
}
