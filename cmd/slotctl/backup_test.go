package main

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"slotmesh/node/resp"
)

// TestMarkedReader cuts the stream in every way: the mark may come in pieces.
func TestMarkedReader(t *testing.T) {
	mark := strings.Repeat("m", markBytes-1) + "!"
	for _, content := range []string{"", "x", strings.Repeat("m", 100), strings.Repeat("content ", 20_000)} {
		for name, cut := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r }, "bytes": iotest.OneByteReader, "halves": iotest.HalfReader,
		} {
			if name == "bytes" && len(content) > 1000 {
				continue
			}
			got, err := io.ReadAll(&markedReader{in: cut(strings.NewReader(content + mark)), mark: []byte(mark)})
			if err != nil || string(got) != content {
				t.Errorf("%s: %d bytes of %d, %v", name, len(got), len(content), err)
			}
			_, err = io.ReadAll(&markedReader{in: cut(strings.NewReader(content + mark[:markBytes-1])), mark: []byte(mark)})
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s: without the mark: %v", name, err)
			}
		}
	}
}

func TestWholeReader(t *testing.T) {
	got, err := io.ReadAll(&wholeReader{in: strings.NewReader("content and more"), left: 7})
	if err != nil || string(got) != "content" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err = io.ReadAll(&wholeReader{in: strings.NewReader("cont"), left: 7}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a short file: %v", err)
	}
}

// TestManifest flips every byte: what reads well says what it said before.
func TestManifest(t *testing.T) {
	m := manifest{Version: manifestVersion, Tool: "slotctl", Date: time.Unix(1_700_000_000, 123_000_000).UTC(), Files: []file{
		{Name: "backup-1.rdb", Slots: []string{"0-99", "200-16383"}, Node: "n1", Source: "h:1", ReplID: "r", Offset: 5, Keys: 6, Bytes: 7, Checksum: "c"},
		{Name: "backup-2.rdb", Slots: []string{"100-199"}},
	}}
	text, err := m.encode()
	if err != nil {
		t.Fatal(err)
	}
	same := func(got manifest) bool {
		again, err := got.encode()
		return err == nil && bytes.Equal(again, text)
	}
	if got, err := decodeManifest(text); err != nil || !same(got) {
		t.Fatalf("%+v, %v", got, err)
	}
	for i := range text {
		for _, flip := range []byte{1, 0x20, 0x80} {
			text[i] ^= flip
			got, err := decodeManifest(text)
			text[i] ^= flip
			if err == nil && !same(got) {
				t.Fatalf("byte %d with %#x flipped reads as %+v", i, flip, got)
			}
		}
		if got, err := decodeManifest(text[:i]); err == nil && !same(got) {
			t.Fatalf("%d bytes read as %+v", i, got)
		}
	}
	for name, spoil := range map[string]func(*manifest){
		"no file has the slots 200-16383": func(m *manifest) { m.Files[0].Slots = m.Files[0].Slots[:1] },
		"two files have the slots 99":     func(m *manifest) { m.Files[1].Slots = []string{"99-199"} },
		"is not the name of a file":       func(m *manifest) { m.Files[1].Name = "../backup-2.rdb" },
		"it is of version 2":              func(m *manifest) { m.Version = 2 },
	} {
		bad := m
		bad.Files = append([]file(nil), m.Files...)
		spoil(&bad)
		text, err := bad.encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := decodeManifest(text); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v, want %q", err, name)
		}
	}
}

func TestTopology(t *testing.T) {
	bulk := func(text string) resp.Reply { return resp.Reply{Kind: '$', Text: []byte(text)} }
	number := func(n int64) resp.Reply { return resp.Reply{Kind: ':', Int: n} }
	array := func(e ...resp.Reply) resp.Reply { return resp.Reply{Kind: '*', Elements: e} }
	got, err := parseTopology(array(
		array(number(8), number(9), array(bulk("10.0.0.2"), number(7001), bulk("two"))),
		array(number(5), number(5), array(bulk(""), number(7000), bulk("one")), array(bulk("10.0.0.3"), number(7002), bulk("three"))),
		array(number(0), number(4), array(bulk("10.0.0.2"), number(7001), bulk("two"))),
	), "::1")
	if err != nil || len(got) != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	if got[0].Addr != "10.0.0.2:7001" || got[0].Slots.String() != "0-4 8-9" || got[1].Addr != "[::1]:7000" || got[1].Replicas[0] != "10.0.0.3:7002" {
		t.Errorf("%+v", got)
	}
	for _, bad := range []resp.Reply{
		array(number(1)), array(array(number(1), number(2))), array(array(number(1), number(16384), array(bulk("h"), number(1), bulk("id")))),
		array(array(number(2), number(1), array(bulk("h"), number(1), bulk("id")))), array(array(number(1), number(2), array(bulk("h")))),
	} {
		if got, err := parseTopology(bad, "h"); err == nil {
			t.Errorf("%+v reads as %+v", bad, got)
		}
	}
}

func TestOptions(t *testing.T) {
	t.Setenv("SLOTCTL_USER", "operator")
	t.Setenv("SLOTCTL_PASS", "")
	t.Setenv("REDISCLI_AUTH", "from redis-cli")
	o, err := parseOptions("restore", []string{"--replace", "h:1", "--timeout", "3s", "dir", "--connections=7"})
	if err != nil || o.addr != "h:1" || o.dir != "dir" || !o.replace || o.timeout != 3*time.Second || o.connections != 7 || o.user != "operator" || o.pass != "from redis-cli" {
		t.Errorf("%+v, %v", o, err)
	}
	for _, bad := range [][]string{
		{"h:1"}, {"h", "dir"}, {"h:1", "dir", "more"}, {"h:1", ""}, {"--unknown", "h:1", "dir"}, {"--timeout", "0", "h:1", "dir"}, {"--connections", "-1", "h:1", "dir"},
	} {
		if _, err := parseOptions("restore", bad); !errors.As(err, new(usageError)) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := parseOptions("backup", []string{"--connections", "2", "h:1", "dir"}); err == nil {
		t.Error("backup takes --connections")
	}
}
