package rdb

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"slotmesh/node/store"
)

// TestSamples reads files that others wrote. Those up to version 10 are loaded
// into the reference too and compared key by key; of the others the content is
// pinned.
func TestSamples(t *testing.T) {
	files, err := filepath.Glob("testdata/samples/*.rdb")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d samples, %v", len(files), err)
	}
	refused := map[string]string{
		"redis_40_with_module.rdb":     "key \"foo\" is data of module \"ReJSON-RL\"",
		"redis_60_with_module_aux.rdb": "data of module \"test__rdb\"",
		"redis-corrupt_ziplist.rdb":    "broken ziplist",
	}
	pinned := pinnedSamples()
	ref := startReference(t)
	compared := 0
	for _, file := range files {
		name := filepath.Base(file)
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		r, entries, err := readFile(bytes.NewReader(raw))
		if want := refused[name]; want != "" {
			if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "at byte") {
				t.Errorf("%s: %v, want an error with %q", name, err, want)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if want, ok := pinned[name]; ok {
			if got := listing(entries); !slices.Equal(got, want) {
				t.Errorf("%s holds\n%q, want\n%q", name, got, want)
			}
			continue
		}
		if r.Version() > Version {
			t.Errorf("%s has version %d and nothing pinned:\n%q", name, r.Version(), listing(entries))
			continue
		}
		compared += compareSample(t, ref, name, raw, entries)
	}
	t.Logf("%d files, %d keys compared with the reference", len(files), compared)
}

// listing is what entries hold, sorted.
func listing(entries []store.Entry) (lines []string) {
	for _, e := range entries {
		line := fmt.Sprintf("%d/%q %s", e.DB, e.Key, contentOf(e.Value))
		if e.ExpireAtMs != 0 {
			line += fmt.Sprintf(" until %d", e.ExpireAtMs)
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	return lines
}

// compareSample loads raw into the reference and compares its keys with entries.
func compareSample(t *testing.T, ref *reference, name string, raw []byte, entries []store.Entry) (compared int) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(ref.dir, "dump.rdb"), raw, 0o600); err != nil {
		t.Fatal(err)
	}
	ref.do("FUNCTION", "FLUSH")
	ref.do("DEBUG", "RELOAD", "NOSAVE")
	found := 0
	for db := range 16 {
		ref.do("SELECT", number(db))
		found += int(ref.do("DBSIZE").Int)
	}
	if found != len(entries) {
		t.Errorf("%s: %d keys, the reference has %d", name, len(entries), found)
	}
	for _, e := range entries {
		ref.do("SELECT", number(e.DB))
		key, ours := string(e.Key), contentOf(e.Value)
		if ttl := ref.do("PEXPIRETIME", key).Int; ttl != e.ExpireAtMs && !(ttl == -1 && e.ExpireAtMs == 0) {
			t.Errorf("%s: %q expires at %d, there at %d", name, key, e.ExpireAtMs, ttl)
		}
		dump := ref.do("DUMP", key).Text
		v, err := parseDump(dump)
		if err != nil {
			t.Errorf("%s: the reference's dump of %q: %v", name, key, err)
			continue
		}
		if theirs := contentOf(v); theirs != ours {
			t.Errorf("%s: %q holds\n%.2000s, there\n%.2000s", name, key, ours, theirs)
		}
		ref.do("RESTORE", "copy of "+key, "0", string(AppendDump(nil, e.Value)))
		tell := ref.told
		if key == "trim" || key == "zipmap_with_big_values" {
			// The one has two entries fewer than its length says, which we put right;
			// the other is a ziplist that is too large for a small hash nowadays.
			tell = func(key string) string { return ref.ask("DEBUG", "DIGEST-VALUE", key) }
		}
		if a, b := tell("copy of "+key), tell(key); a != b {
			t.Errorf("%s: our copy of %q is\n%.2000s, want\n%.2000s", name, key, a, b)
		}
		compared++
	}
	return compared
}

func pinnedSamples() map[string][]string {
	return map[string][]string{
		// Keys that the reference drops, for their time is over.
		"expiration.rdb":       {`0/"expired" string: "1" until 1751792339236`, `0/"noexpire" string: "1"`},
		"keys_with_expiry.rdb": {`0/"expires_ms_precision" string: "2022-12-25 10:11:12.573 UTC" until 1671963072573`},
		"function.rdb":         nil,
		"set_listpack.rdb":     {`0/"s" set: "a" "b" "c" "d"`},
		"hash_as_listpack_with_hfe.rdb": {
			`0/"listpack-hfe" hash: "F1"="V1"@2755482478325 "F2"="V2" "F3"="V3"@2755484483878`,
		},
		"hash_with_hfe.rdb": {
			`0/"hash-hfe" hash: "F1"="V1"@2755482424661 "F2"="V2"@2755483429282 "F3"="V3"@2755484433842` +
				` "F4"="V4" "F5"="V5" "F6"="V6" "F7"="V7" "F8"="V8"`,
		},
		"valkey_hash2_with_hfe.rdb": {`0/"hash2-hfe" hash: "F1"="V1"@2715785640000 "F2"="V2"@2400425640000 "F3"="V3"`},
		"stream_listoacks_3.rdb": {
			`0/"mystream" stream: length=1 last=1704557973866-0 first=1704557973866-0 deleted=0-0 added=1` +
				` 1704557973866-0 "name"="Sara" "surname"="OConnor"` +
				`; group "consumer-group-name" last=1704557973866-0 read=1 1704557973866-0*1@1704557998397:"consumer-name"` +
				`, consumer "consumer-name"@1704557998397 1704557973866-0`,
		},
	}
}
