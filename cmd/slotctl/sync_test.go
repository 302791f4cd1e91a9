package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"slotmesh/node/rdb"
	"slotmesh/slots"
)

// rdbFile returns a file with n keys.
func rdbFile(t *testing.T, n int) string {
	t.Helper()
	var out bytes.Buffer
	w := rdb.NewWriter(&out, rdb.Header{Checksum: true})
	for i := range n {
		key := fmt.Sprintf("key %d", i)
		v, _, err := rdb.ParseDump([]byte("\x00\x05hello\n\x00cr\xdfve4 \n"), rdb.Target{})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Entry(rdb.Entry{Slot: slots.Of([]byte(key)), Key: []byte(key), Value: v, IdleSec: -1, Freq: -1}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestFetch takes what nodes send in place of a file.
func TestFetch(t *testing.T) {
	whole := rdbFile(t, 3)
	flipped := []byte(whole)
	flipped[len(flipped)/2] ^= 1
	mark := strings.Repeat("0123456789", 4)
	head := "+FULLRESYNC 8de1787ba490483314a4d30f1c628bc5025eb761 42\r\n\n\n"
	length := func(content string) string { return fmt.Sprintf("$%d\r\n%s", len(content), content) }
	for _, c := range []struct{ name, sent, fails string }{
		{"with a length", head + length(whole), ""},
		{"with a mark", head + "$EOF:" + mark + "\r\n" + whole + mark, ""},
		{"less than announced", head + "$1000000\r\n" + whole, "EOF"},
		{"half a file", head + "$1000000\r\n" + whole[:len(whole)/2], "EOF"},
		{"no mark", head + "$EOF:" + mark + "\r\n" + whole, "EOF"},
		{"more than the file", head + length(whole+"more"), "4 bytes follow the end"},
		{"half a file with a mark", head + "$EOF:" + mark + "\r\n" + whole[:len(whole)/2] + mark, "data end too early"},
		{"damage", head + length(string(flipped)), "rdb: at byte"},
		{"no length", head + "$-1\r\n", "announces no file"},
		{"an error", "-NOMASTERLINK Can't SYNC while not connected with my master\r\n", "NOMASTERLINK"},
		{"a continuation", "+CONTINUE\r\n", "CONTINUE"},
		{"nonsense", "+FULLRESYNC id offset\r\n", "FULLRESYNC id offset"},
	} {
		node := startRaw(t, func(request string) (string, bool) {
			if strings.HasPrefix(request, "PSYNC") {
				return c.sent, true
			}
			return "+OK\r\n", false
		})
		targets, err := space(1)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		var seen int64
		got, err := fetch(context.Background(), node.addr, allSlots(), &out, targets[0], options{timeout: 2 * time.Second}, func(n int64) { seen += n })
		if c.fails != "" {
			if err == nil || !strings.Contains(err.Error(), c.fails) {
				t.Errorf("%s: %v, want %q", c.name, err, c.fails)
			}
			continue
		}
		if err != nil || out.String() != whole || got.keys != 3 || seen != 3 || got.offset != 42 || got.outside != 0 {
			t.Errorf("%s: %+v, %v", c.name, got, err)
		}
	}
}
