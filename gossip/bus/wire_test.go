package bus

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slotmesh/gossip"
	"slotmesh/slots"
)

func keysOf(t testing.TB, texts ...string) *keyset {
	var o Options
	secret(texts...)(&o)
	keys, err := newKeyset(o.Keys)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func manySecrets(count int) string {
	var text strings.Builder
	for i := range count {
		fmt.Fprintf(&text, "%064x\n", i)
	}
	return text.String()
}

func TestLoadSecret(t *testing.T) {
	tests := []struct {
		name, text string
		keys       int
		want       string // in the error
	}{
		{"passphrase", "correct horse battery staple\n", 1, ""},
		{"hex", strings.Repeat("0aF1", 16) + "\n", 1, ""},
		{"rotation", "# new\n\n  first passphrase here \r\nsecond passphrase here", 2, ""},
		{"empty", "# nothing\n\n", 0, "no secret in it"},
		{"short", "a passphrase that is long\nshort\n", 0, "line 2: a secret of 5 bytes is too short, it needs 16"},
		{"twice", "a passphrase that is long\n a passphrase that is long\n", 0, "line 2: the same secret twice"},
		{"many", manySecrets(maxKeys), maxKeys, ""},
		{"too many", manySecrets(maxKeys + 1), 0, "line 9: more than 8 secrets"},
		{"huge", strings.Repeat("#\n", maxSecretFile), 0, "longer than"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "secret")
			if err := os.WriteFile(path, []byte(test.text), 0o600); err != nil {
				t.Fatal(err)
			}
			keys, err := LoadSecret(path)
			if test.want != "" {
				if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), path) {
					t.Errorf("error %v, want one with %q and the path", err, test.want)
				}
				return
			}
			if err != nil || len(keys) != test.keys {
				t.Errorf("%d keys, %v", len(keys), err)
			}
			for _, k := range keys {
				if len(k) != keyBytes {
					t.Errorf("key of %d bytes", len(k))
				}
			}
		})
	}
	same, err := parseSecret([]byte("  first passphrase here "))
	again, err2 := parseSecret([]byte("first passphrase here\n"))
	if err != nil || err2 != nil || !bytes.Equal(same[0], again[0]) {
		t.Error("blanks around a secret make another key")
	}
	if _, err := LoadSecret(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}

// readerOf returns a frameReader of text with the key of w.
func readerOf(text []byte, w *frameWriter) *frameReader {
	return &frameReader{r: bufio.NewReader(bytes.NewReader(text)), aead: w.aead, limit: MaxMessage}
}

func TestFrames(t *testing.T) {
	for _, sealed := range []bool{false, true} {
		w := &frameWriter{}
		if sealed {
			w.aead = newAEAD(make([]byte, keyBytes))
		}
		var text []byte
		payloads := [][]byte{nil, []byte("a"), bytes.Repeat([]byte("long"), 100_000), make([]byte, MaxMessage)}
		ends := []int{0}
		for _, p := range payloads {
			text = w.append(text, frameMessage, p)
			ends = append(ends, len(text))
		}
		r := readerOf(text, w)
		for _, p := range payloads {
			kind, got, err := r.next()
			if err != nil || kind != frameMessage || !bytes.Equal(got, p) {
				t.Fatalf("sealed %v: frame of %d bytes: %d bytes, %v", sealed, len(p), len(got), err)
			}
		}
		if _, _, err := r.next(); err != io.EOF {
			t.Errorf("after the last: %v", err)
		}
		for _, cut := range []int{1, 4, ends[1] - 1, ends[2] + 20} {
			r := readerOf(text[:cut], w)
			for {
				if _, _, err := r.next(); err != nil {
					if !isEOF(err) {
						t.Errorf("cut at %d: %v", cut, err)
					}
					break
				}
			}
		}
		for _, size := range []uint32{0, MaxMessage + 18, 1 << 31, 1<<32 - 1} {
			huge := binary.BigEndian.AppendUint32(nil, size)
			if _, _, err := readerOf(append(huge, make([]byte, 100)...), w).next(); err == nil || isEOF(err) {
				t.Errorf("sealed %v: frame of %d bytes: %v", sealed, size, err)
			}
		}
		if !sealed {
			continue
		}
		// What is repeated, left out or changed does not open.
		for name, bad := range map[string][]byte{
			"repeated": append(bytes.Clone(text[:ends[1]]), text[:ends[1]]...),
			"left out": text[ends[1]:],
			"changed":  append([]byte{0, 0, 0, 18, text[4], text[5] ^ 1}, text[6:ends[2]]...),
		} {
			r := readerOf(bad, w)
			var err error
			for err == nil {
				_, _, err = r.next()
			}
			if isEOF(err) {
				t.Errorf("frame that is %s opens", name)
			}
		}
	}
}

func TestSlowFramesAreBounded(t *testing.T) {
	var n node
	n.bus = &Bus{}
	w := &frameWriter{}
	text := w.append(nil, frameMessage, make([]byte, MaxMessage))
	r := readerOf(text[:len(text)-1], w)
	r.budget = &n.bus.memory
	n.bus.memory.Store(maxHeld - MaxMessage/2)
	if _, _, err := r.next(); !errors.Is(err, errMemory) {
		t.Errorf("beyond the budget: %v", err)
	}
	r.settle()
	if got := n.bus.memory.Load(); got != maxHeld-MaxMessage/2 {
		t.Errorf("%d bytes are not given back", got-maxHeld+MaxMessage/2)
	}
}

func TestPackets(t *testing.T) {
	alice, bob := testID(1), testID(2)
	var w packetWriter
	w.self, w.run = alice, 99
	r := packetReader{self: bob}
	for _, sealed := range []bool{false, true} {
		keys, other := &keyset{}, keysOf(t, "other")
		if sealed {
			keys = keysOf(t, "one", "two")
		}
		w.setKeys(keys)
		r.setKeys(keys)
		text := w.append(nil, bob, packetGossip, []byte("body"))
		if len(text) > packetOverhead+4 {
			t.Errorf("overhead of %d bytes", len(text)-4)
		}
		from, kind, body, err := r.open(bytes.Clone(text))
		if err != nil || from != alice || kind != packetGossip || string(body) != "body" {
			t.Fatalf("sealed %v: %s %d %q %v", sealed, from, kind, body, err)
		}
		foreign := w.append(nil, testID(3), packetGossip, []byte("body"))
		if _, _, _, err := r.open(foreign); !errors.Is(err, errNotForUs) {
			t.Errorf("packet for another node: %v", err)
		}
		for cut := range len(text) {
			if _, _, body, err := r.open(bytes.Clone(text[:cut])); err == nil && (sealed || cut < packetHeader) {
				t.Errorf("sealed %v: cut at %d: %q", sealed, cut, body)
			}
		}
		if !sealed {
			continue
		}
		if _, _, _, err := r.open(bytes.Clone(text)); !errors.Is(err, errReplayed) {
			t.Errorf("packet that came before: %v", err)
		}
		fresh := w.append(nil, bob, packetGossip, []byte("body"))
		for i := range fresh {
			bad := bytes.Clone(fresh)
			bad[i] ^= 1
			if _, _, _, err := r.open(bad); err == nil {
				t.Errorf("packet opens with byte %d changed", i)
			}
		}
		w.setKeys(other)
		if _, _, _, err := r.open(w.append(nil, bob, packetGossip, []byte("body"))); !errors.Is(err, errSealed) {
			t.Errorf("other secret: %v", err)
		}
		w.setKeys(&keyset{})
		if _, _, _, err := r.open(w.append(nil, bob, packetGossip, []byte("body"))); !errors.Is(err, errSealed) {
			t.Errorf("no secret: %v", err)
		}
	}
}

func TestWindow(t *testing.T) {
	var w window
	for _, step := range []struct {
		n    uint64
		want bool
	}{
		{1, true},
		{1, false},
		{3, true},
		{2, true},
		{2, false},
		{1000, true},
		{4, true},
		{3, false},
		{1100, true},
		{77, true},
		{76, false},
		{1050, true},
		{1050, false},
		{1 << 40, true},
		{1100, false},
		{1<<40 - 1023, true},
		{1<<40 - 1024, false},
	} {
		if got := w.take(step.n); got != step.want {
			t.Errorf("take(%d) = %v", step.n, got)
		}
	}
}

func TestVet(t *testing.T) {
	compound := []byte{mlCompound, 2, 0, 3, 0, 2, mlPing, 1, 2, mlDead, 9}
	for _, good := range [][]byte{{mlPing, 0x80}, {mlAlive, 0x80}, compound, append([]byte{mlChecked, 1, 2, 3, 4}, compound...)} {
		if err := vetPacket(good); err != nil {
			t.Errorf("%v: %v", good, err)
		}
	}
	for name, bad := range map[string][]byte{
		"empty": {}, "compressed": {9, 1, 2, 3}, "encrypted": {10, 1}, "push/pull": {6, 1}, "label": {244, 1, 1},
		"compressed inside": {mlCompound, 1, 0, 2, 9, 1}, "compound inside": {mlCompound, 1, 0, 2, mlCompound, 0},
		"compressed behind checksum": {mlChecked, 1, 2, 3, 4, 9, 9}, "truncated": {mlCompound, 200, 0, 1},
		"truncated part": {mlCompound, 1, 0, 9, mlPing}, "empty part": {mlCompound, 1, 0, 0, mlPing},
	} {
		if vetPacket(bad) == nil {
			t.Errorf("packet %s passes", name)
		}
	}
	header := func(nodes, state string) []byte {
		return []byte("\x06\x83\xa5Nodes" + nodes + "\xacUserStateLen" + state + "\xa4Join\xc3")
	}
	if enough, err := vetStream(header("\x07", "\xd1\x10\x00")); !enough || err != nil {
		t.Errorf("good header: %v, %v", enough, err)
	}
	full := header("\x07", "\xd1\x10\x00")
	for cut := range full {
		if enough, err := vetStream(full[:cut]); enough || err != nil {
			t.Errorf("cut at %d: %v, %v", cut, enough, err)
		}
	}
	for name, bad := range map[string][]byte{
		"a million nodes": header("\xd2\x00\x10\x00\x00", "\x00"), "20 MiB": header("\x01", "\xd2\x01\x40\x00\x00"),
		"negative": header("\xff", "\x00"), "unsigned": header("\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "\x00"),
		"compressed": {9, 1}, "encrypted": {10}, "user message": {8}, "list": []byte("\x06\x93\x01\x01\xc3"),
		"other name": []byte("\x06\x83\xa5nodes\x01"), "endless": append([]byte("\x06\x83\xbf"), make([]byte, 70)...),
	} {
		if enough, err := vetStream(bad); err == nil {
			t.Errorf("stream of %s passes: %v", name, enough)
		}
	}
}

func TestSpread(t *testing.T) {
	members := func() int { return 3 }
	a, b := newSpread(testID(1), 5, retransmits, members), newSpread(testID(2), 6, retransmits, members)
	first, second := a.start("key", []byte("first")), a.start("key", []byte("second"))
	other := a.start("other", []byte("other"))
	if got := a.queue.NumQueued(); got != 2 {
		t.Errorf("%d broadcasts queued, want the younger of each key", got)
	}
	for _, text := range [][]byte{second, first, other} {
		if origin, message, fresh, err := b.receive(text); origin != testID(1) || !fresh || err != nil {
			t.Errorf("%q: %s %v %v", message, origin, fresh, err)
		}
		if _, _, fresh, _ := b.receive(text); fresh {
			t.Error("fresh a second time")
		}
	}
	if _, _, fresh, err := a.receive(first); fresh || err != nil {
		t.Errorf("own broadcast: %v, %v", fresh, err)
	}
	for _, bad := range [][]byte{nil, first[:broadcastHeader-1], append([]byte{2}, first[1:]...), append(bytes.Clone(first), make([]byte, gossip.MaxBroadcast)...)} {
		if _, _, _, err := b.receive(bad); err == nil {
			t.Errorf("%d bytes of garbage pass", len(bad))
		}
	}
	// What goes out is what was queued, the largest included, until it was sent
	// often enough.
	largest := a.start("largest", make([]byte, gossip.MaxBroadcast))
	sent := map[string]int{}
	for body := a.next(); body != nil; body = a.next() {
		if len(body) > membershipPacket {
			t.Fatalf("body of %d bytes", len(body))
		}
		if err := splitSpread(body, func(text []byte) { sent[string(text)]++ }); err != nil {
			t.Fatal(err)
		}
		if splitSpread(body[:len(body)-1], func([]byte) {}) == nil || splitSpread(append(body, 0), func([]byte) {}) == nil {
			t.Error("a truncated body passes")
		}
	}
	for _, text := range [][]byte{second, other, largest} {
		if got := sent[string(text)]; got != retransmits {
			t.Errorf("sent %d times", got)
		}
	}
}

// handshake runs both sides over a pipe.
func handshake(t testing.TB, dialling, accepting greeting) (*session, *session, error, error) {
	c, s := net.Pipe()
	deadline := time.Now().Add(5 * time.Second)
	_ = c.SetDeadline(deadline)
	_ = s.SetDeadline(deadline)
	t.Cleanup(func() { c.Close(); s.Close() })
	type result struct {
		s   *session
		err error
	}
	served := make(chan result)
	go func() {
		in, err := welcome(s, accepting, func(slots.NodeID, purpose, bool) status { return statusWelcome })
		if err != nil {
			s.Close()
		}
		served <- result{in, err}
	}()
	out, err := greet(c, dialling)
	if err != nil {
		c.Close()
	}
	in := <-served
	return out, in.s, err, in.err
}

func greetingOf(number int, keys *keyset) greeting {
	return greeting{
		self: testID(number), version: WireVersion, keys: keys, purpose: forLink,
		identity: appendIdentity(nil, mustAddr("127.0.0.1:1"), []byte("meta")),
	}
}

func TestHandshakeKeys(t *testing.T) {
	out, in, err, err2 := handshake(t, greetingOf(1, keysOf(t, "a", "b")), greetingOf(2, keysOf(t, "c", "b")))
	if err != nil || err2 != nil || out.peer != testID(2) || in.peer != testID(1) || string(in.meta()) != "meta" || out.addr() != mustAddr("127.0.0.1:1") {
		t.Fatalf("%v, %v", err, err2)
	}
	_, in2, err, err2 := handshake(t, greetingOf(1, keysOf(t, "b")), greetingOf(2, keysOf(t, "b")))
	if err != nil || err2 != nil {
		t.Fatalf("%v, %v", err, err2)
	}
	// Each session and direction has a key of its own.
	text := out.writer.append(nil, frameMessage, []byte("x"))
	in2.reader.r.Reset(bytes.NewReader(text))
	if _, _, err := in2.reader.next(); err == nil {
		t.Error("a frame opens in another session")
	}
	back := out.reader
	back.r = bufio.NewReader(bytes.NewReader(text))
	if _, _, err := back.next(); err == nil {
		t.Error("a frame opens in the other direction")
	}
}

// TestHandshakeNeedsTheSecret has sides that know everything but the secret:
// they claim the tag, and fail at the proof.
func TestHandshakeNeedsTheSecret(t *testing.T) {
	right, wrong := keysOf(t, "right"), keysOf(t, "wrong")
	forged := &keyset{keys: []*key{{hello: wrong.keys[0].hello, session: right.keys[0].session, packet: right.keys[0].packet}}}
	if _, _, err, err2 := handshake(t, greetingOf(1, forged), greetingOf(2, right)); !errors.Is(err, ErrRefused) || !errors.Is(err2, ErrRefused) {
		t.Errorf("%v, %v", err, err2)
	}
	// A server that echoes the client's tag and guesses the proof.
	c, s := net.Pipe()
	defer c.Close()
	defer s.Close()
	go func() {
		hello := make([]byte, prefaceBytes+offerBytes+tagBytes)
		_, _ = io.ReadFull(s, hello)
		answer := append(appendPreface(nil, testID(2), WireVersion), make([]byte, answerBytes)...)
		_, _ = s.Write(answer)
	}()
	if _, err := greet(c, greetingOf(1, right)); !errors.Is(err, errProof) {
		t.Errorf("a server without the secret passes: %v", err)
	}
}

func TestQuietLog(t *testing.T) {
	var out bytes.Buffer
	q := newQuietLog(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))
	for range 10 {
		q.line(slog.LevelWarn, "a", "first")
		_, _ = q.Write([]byte("[ERR] memberlist: Failed to receive: \xff from=1.2.3.4\n"))
	}
	if got := strings.Count(out.String(), "\n"); got != 2 {
		t.Errorf("%d lines, want one of each class:\n%s", got, out.String())
	}
	q.mu.Lock()
	q.classes["a"].last = time.Now().Add(-quietFor)
	q.mu.Unlock()
	q.line(slog.LevelWarn, "a", "first")
	if !strings.Contains(out.String(), "suppressed=9") {
		t.Errorf("it is not said how many were suppressed:\n%s", out.String())
	}
	for i := range 10 * maxClasses {
		q.line(slog.LevelWarn, fmt.Sprint("class ", i), "invented")
	}
	if got := strings.Count(out.String(), "\n"); got > quietLines+1 {
		t.Errorf("invented classes make %d lines", got)
	}
}

func TestBroadcastQueueIsBounded(t *testing.T) {
	s := newSpread(testID(1), 1, retransmits, func() int { return 3 })
	for i := range 3 * maxQueue {
		s.start(fmt.Sprint(i), []byte("flood"))
	}
	if got := s.queue.NumQueued(); got > maxQueue {
		t.Errorf("%d broadcasts queued", got)
	}
}
