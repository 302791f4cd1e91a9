package backup

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"slotmesh/node/e2e/harness"
)

// damaged restores backups that are not whole into an empty cluster, which must
// stay empty.
func damaged(t *testing.T, whole string, c *harness.Cluster) {
	t.Helper()
	first := readManifest(t, whole).Files[0].Name
	for _, d := range []struct {
		name, text string
		spoil      func(dir string) error
	}{
		{"a changed byte", "SHA-256", func(dir string) error {
			path := filepath.Join(dir, first)
			content, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			content[len(content)/2] ^= 1
			return os.WriteFile(path, content, 0o600)
		}},
		{"a short file", "bytes, the manifest says", func(dir string) error {
			path := filepath.Join(dir, first)
			info, err := os.Stat(path)
			if err != nil {
				return err
			}
			return os.Truncate(path, info.Size()-1)
		}},
		{"a missing file", "incomplete", func(dir string) error { return os.Remove(filepath.Join(dir, first)) }},
		{"no manifest", "not a complete backup", func(dir string) error { return os.Remove(filepath.Join(dir, "manifest.json")) }},
		{"a changed manifest", "manifest.json is damaged", func(dir string) error {
			path := filepath.Join(dir, "manifest.json")
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(path, []byte(strings.Replace(string(text), `"offset": `, `"offset": 1`, 1)), 0o600)
		}},
		{"a torn manifest", "manifest.json is damaged", func(dir string) error { return os.Truncate(filepath.Join(dir, "manifest.json"), 300) }},
	} {
		dir := filepath.Join(t.TempDir(), "copy")
		if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
			t.Fatal(err)
		}
		if err := d.spoil(dir); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"restore", c.Seed().Addr(), dir}, {"restore", "--replace", c.Seed().Addr(), dir}} {
			status, output := run(t, slotctl(args...))
			if status != refused || !strings.Contains(output, d.text) {
				t.Errorf("%s: status %d, want %d with %q:\n%s", d.name, status, refused, d.text, output)
			}
		}
	}
	for _, p := range c.Nodes {
		if n := p.Do("DBSIZE").Int(); n != 0 {
			t.Errorf("%s has %d keys from damaged backups", p.Name, n)
		}
	}
}

// replaced restores over what is there already.
func replaced(t *testing.T, dir string, c *harness.Cluster, to *band) {
	t.Helper()
	tags := harness.Tags()
	text, own := "{"+tags[0]+"}number", "{"+tags[0]+"}not of the backup"
	want := to.image(text)
	to.do("SET", text, "changed")
	to.do("SET", own, "stays")
	expect(t, refused, "the cluster is not empty", "restore", c.Seed().Addr(), dir)
	if is := to.do("GET", text).Text; is != "changed" {
		t.Errorf("a refused restore made it %q", is)
	}
	expect(t, done, " keys of the backup of ", "restore", c.Seed().Addr(), dir, "--replace")
	if is := to.image(text); is != want {
		t.Errorf("--replace left %q, want %q", is, want)
	}
	if is := to.do("GET", own).Text; is != "stays" {
		t.Errorf("--replace made another key %q", is)
	}
}

// password wants slotctl to log in, and to say so when it cannot.
func password(t *testing.T, c *harness.Cluster) {
	for _, p := range c.Nodes {
		p.Do("CONFIG", "SET", "masterauth", "secret")
		p.Do("CONFIG", "SET", "requirepass", "secret")
	}
	dir := filepath.Join(t.TempDir(), "backup")
	expect(t, failed, "NOAUTH", "backup", c.Seed().Addr(), dir)
	expect(t, failed, "WRONGPASS", "backup", "--pass", "wrong", c.Seed().Addr(), dir)
	if _, err := os.Stat(dir); err == nil {
		t.Error("a refused login made the directory")
	}
	expect(t, done, "keys of 3 primaries", "backup", "--user", "default", "--pass", "secret", c.Seed().Addr(), dir)
	cmd := slotctl("backup", "--replace", "--quiet", c.Seed().Addr(), dir)
	cmd.Env = append(cmd.Env, "SLOTCTL_PASS=secret")
	if status, output := run(t, cmd); status != done || output != "" {
		t.Errorf("with the password in the environment: status %d\n%s", status, output)
	}
}

// TestBackupKeepsWhatIsThere is about directories and about being interrupted.
func TestBackupKeepsWhatIsThere(t *testing.T) {
	rig := harness.New(t, harness.UnderTest(t))
	c := form(t, rig, 3)
	b := connect(t, c)
	large := strings.Repeat("0123456789abcdef", 1<<16)
	tags := harness.Tags()
	for i := range 60 {
		b.do("SET", fmt.Sprintf("{%s}%d", tags[i*273], i), large)
	}
	addr := c.Seed().Addr()

	alone := rig.Start(harness.Options{Name: "alone"})
	dir := filepath.Join(rig.Dir(), "backup")
	expect(t, misused, "not 3 arguments", "backup", addr, dir, "more")
	expect(t, misused, "is not host:port", "restore", "nowhere", dir)
	expect(t, misused, "unknown command", "save", addr, dir)
	expect(t, done, "Usage:", "--help")
	expect(t, done, "Usage:", "backup", "--help")
	expect(t, refused, "not a node of a cluster", "backup", alone.Addr(), dir)
	expect(t, failed, "connect to", "backup", "--timeout", "2s", fmt.Sprintf("127.0.0.1:%d", rig.FreePort()), dir)
	if _, err := os.Stat(dir); err == nil {
		t.Error("backups that were refused made the directory")
	}

	// A stranger's file is never in the way of --replace.
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	stranger := filepath.Join(dir, "letter.txt")
	if err := os.WriteFile(stranger, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	expect(t, refused, "letter.txt", "backup", addr, dir)
	expect(t, refused, "letter.txt", "backup", "--replace", addr, dir)
	if err := os.Remove(stranger); err != nil {
		t.Fatal(err)
	}
	expect(t, done, "60 keys of 3 primaries", "backup", addr, dir)
	old := readManifest(t, dir)
	expect(t, refused, "holds the backup of", "backup", addr, dir)
	// What a backup that is killed at its last moment leaves.
	if err := os.WriteFile(filepath.Join(dir, "manifest.json.partial"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	expect(t, refused, "holds the backup of", "backup", addr, dir)
	expect(t, done, "60 keys of 3 primaries", "backup", "--replace", addr, dir)
	expectFiles(t, dir, 4)
	for _, f := range old.Files {
		if _, err := os.Stat(filepath.Join(dir, f.Name)); err == nil {
			t.Errorf("%s of the old backup is still there", f.Name)
		}
	}

	// Another backup has the directory.
	claim, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(claim.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		t.Fatalf("a backup that has ended keeps its directory: %v", err)
	}
	expect(t, refused, "another slotctl writes a backup", "backup", "--replace", addr, dir)
	claim.Close()

	t.Run("killed", func(t *testing.T) { killed(t, c) })
}

// killed kills backups at many moments, in new directories and over a whole
// backup. What is there afterwards is whole, or is refused.
func killed(t *testing.T, c *harness.Cluster) {
	addr := c.Seed().Addr()
	base := t.TempDir()
	over := filepath.Join(base, "over")
	expect(t, done, "", "backup", addr, over)
	began := time.Now()
	expect(t, done, "", "backup", addr, filepath.Join(base, "measured"))
	takes := time.Since(began)

	const rounds = 24
	whole, torn, gone := 0, 0, 0
	for i := range rounds {
		dir := filepath.Join(base, fmt.Sprint(i))
		args := []string{"backup", addr, dir}
		if i%2 == 1 {
			args = []string{"backup", "--replace", addr, over}
			dir = over
		}
		signal := syscall.SIGKILL
		if i%6 == 0 {
			signal = syscall.SIGINT
		}
		cmd := slotctl(args...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(takes*time.Duration(i+1)/rounds, func() { _ = cmd.Process.Signal(signal) })
		ended := cmd.Wait()
		timer.Stop()
		entries, err := os.ReadDir(dir)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		if signal == syscall.SIGINT && ended != nil && len(entries) > 0 {
			t.Errorf("an interrupted backup leaves %v", entries)
		}
		// The cluster holds data: a whole backup is refused for that, and only
		// for that, before its files are looked at; so it is compared by hand.
		_, err = os.Stat(filepath.Join(dir, "manifest.json"))
		switch {
		case err == nil:
			whole++
			for _, f := range readManifest(t, dir).Files {
				if info, err := os.Stat(filepath.Join(dir, f.Name)); err != nil || info.Size() != f.Bytes {
					t.Errorf("a backup that was killed misses %s: %v", f.Name, err)
				}
			}
		case dir == over:
			t.Fatal("the backup that was to be replaced is gone")
		default:
			if len(entries) > 0 {
				torn++
				expect(t, refused, "did not come to its end", "backup", addr, dir)
			} else {
				gone++
			}
			expect(t, refused, "not a complete backup", "restore", "--replace", addr, dir)
		}
	}
	t.Logf("a backup takes %v; of %d that were killed within, %d directories are whole, %d torn, %d empty", takes.Round(time.Millisecond), rounds, whole, torn, gone)
	if torn == 0 || whole == 0 {
		t.Error("the kills did not come at all moments")
	}
	expect(t, done, "", "restore", "--replace", addr, over)
	expect(t, done, "60 keys", "backup", "--replace", addr, over)
	expectFiles(t, over, 4)
}

// expectFiles wants dir to hold n files.
func expectFiles(t *testing.T, dir string, n int) {
	t.Helper()
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != n {
		t.Errorf("%s holds %v, %v: want %d files", dir, entries, err, n)
	}
}
