package bus

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"

	"slotmesh/gossip"
	"slotmesh/slots"
)

func mustAddr(text string) netip.AddrPort { return netip.MustParseAddrPort(text) }

// closedSoon reports whether the peer closes conn; what it says is ignored.
func closedSoon(conn net.Conn) bool {
	_ = conn.SetReadDeadline(time.Now().Add(handshakeTimeout + 5*time.Second))
	_, err := io.Copy(io.Discard, conn)
	var network net.Error
	return err == nil || !(asError(err, &network) && network.Timeout())
}

func asError(err error, target *net.Error) bool {
	e, ok := err.(net.Error)
	if ok {
		*target = e
	}
	return ok
}

func TestGarbageOnTheBusPort(t *testing.T) {
	for _, mode := range []struct {
		name string
		tune func(*Options)
	}{{"open", nil}, {"secured", secret("one")}} {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			nodes := cluster(t, 2, mode.tune)
			victim := nodes[0]
			addr := victim.bus.Address()
			random := rand.New(rand.NewPCG(1, 2))
			noise := func(size int) []byte {
				b := make([]byte, size)
				for i := range b {
					b[i] = byte(random.Uint32())
				}
				return b
			}
			preface := appendPreface(nil, testID(50), WireVersion)
			offer := append(bytes.Clone(preface), byte(forLink), 0)
			offer = append(offer, make([]byte, 20+nonceBytes)...)
			texts := [][]byte{
				noise(1), noise(100), noise(1 << 20), []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), []byte("PING\r\n"),
				preface, append(bytes.Clone(preface), 9), append(bytes.Clone(offer), 255),
				append(append(bytes.Clone(offer), 0), 0xff, 0xff, 0xff, 0xff),
				append(append(bytes.Clone(offer), 0), noise(5000)...),
				// What memberlist would have listened to.
				{mlPushPull, 0x83, 0xa5, 'N', 'o', 'd', 'e', 's', 0xd2, 0x7f, 0xff, 0xff, 0xff},
				{244, 255},
				{10, 0xff, 0xff, 0xff, 0xff},
				{9, 0xc7},
			}
			for _, text := range texts {
				conn, err := net.Dial("tcp", addr.String())
				if err != nil {
					t.Fatal(err)
				}
				_, _ = conn.Write(text)
				_ = conn.(*net.TCPConn).CloseWrite()
				if !closedSoon(conn) {
					t.Errorf("%.20q keeps its connection", text)
				}
				conn.Close()
			}
			// One that says nothing, and one that says it slowly.
			silent, err := net.Dial("tcp", addr.String())
			if err != nil {
				t.Fatal(err)
			}
			defer silent.Close()
			if !closedSoon(silent) {
				t.Error("a silent connection stays")
			}

			udp, err := net.Dial("udp", addr.String())
			if err != nil {
				t.Fatal(err)
			}
			defer udp.Close()
			honest := nodes[1].bus.packets.append(nil, victim.id, packetGossip, []byte{9, 9, 9})
			for range 200 {
				_, _ = udp.Write(noise(1 + int(random.Uint32()%2000)))
				bad := bytes.Clone(honest)
				bad[random.IntN(len(bad))] ^= byte(1 + random.IntN(255))
				_, _ = udp.Write(bad[:1+random.IntN(len(bad))])
				_, _ = udp.Write(append(bytes.Clone(honest[:packetHeader]), noise(60)...))
			}
			// And a member that has lost its mind: its packets open.
			kinds := []byte{mlPing, mlIndirectPing, mlAck, mlSuspect, mlAlive, mlDead, 8, mlNack, mlChecked, mlCompound, mlPushPull, 9, 10, 244}
			for i := range 3000 {
				body := append([]byte{kinds[i%len(kinds)]}, noise(random.IntN(80))...)
				if i%3 == 0 && len(body) > 1 {
					body[1] = 0x80 | body[1]&0x0f // a msgpack map
				}
				_, _ = udp.Write(nodes[1].bus.packets.append(nil, victim.id, packetGossip, body))
			}
			// It still works, and has said little.
			// The flood may have driven out packets that a busy machine had no
			// time to read: the membership mends that, and what was lost is said
			// again.
			nodes[1].send(victim, "still there")
			until(t, "messages still arrive", func() bool { return victim.hasReceived(gossip.ByLink, "still there") })
			until(t, "broadcasts still arrive", func() bool {
				nodes[1].bus.Broadcast("k", []byte("still there"))
				return victim.hasReceived(gossip.ByBroadcast, "still there")
			})
			if victim.bus.Stats().Refused == 0 {
				t.Error("nothing was counted")
			}
			if lines := bytes.Count([]byte(victim.logged.String()), []byte("\n")); lines > 60 {
				t.Errorf("%d lines logged", lines)
			}
			until(t, "the membership is what it was", func() bool {
				return victim.bus.Stats().Members == 1 && nodes[1].bus.Stats().Members == 1
			})
		})
	}
}

func TestHalfOpenConnectionsAreBounded(t *testing.T) {
	nodes := cluster(t, 2, nil)
	var held []net.Conn
	defer func() {
		for _, c := range held {
			c.Close()
		}
	}()
	for range maxHalfOpenFrom + 20 {
		conn, err := net.Dial("tcp", nodes[0].bus.Address().String())
		if err != nil {
			break
		}
		held = append(held, conn)
	}
	until(t, "those beyond the limit are closed", func() bool { return nodes[0].bus.Stats().Refused >= 20 })
	nodes[0].bus.mu.Lock()
	if nodes[0].bus.halfAll > maxHalfOpenFrom {
		t.Errorf("%d connections are held", nodes[0].bus.halfAll)
	}
	nodes[0].bus.mu.Unlock()
	nodes[1].send(nodes[0], "let me through")
	until(t, "the bus is reached when they have timed out", func() bool {
		nodes[1].send(nodes[0], "let me through")
		return nodes[0].hasReceived(gossip.ByLink, "let me through")
	})
	until(t, "nothing stays counted", func() bool {
		nodes[0].bus.mu.Lock()
		defer nodes[0].bus.mu.Unlock()
		return nodes[0].bus.halfAll == 0 && len(nodes[0].bus.halfOpen) == 0
	})
}

// scripted is a connection whose peer has said everything already.
type scripted struct {
	net.Conn
	in *bytes.Reader
}

func (c scripted) Read(p []byte) (int, error)  { return c.in.Read(p) }
func (c scripted) Write(p []byte) (int, error) { return len(p), nil }

// FuzzWelcome gives the accepting side of the handshake any bytes.
func FuzzWelcome(f *testing.F) {
	open := greetingOf(1, &keyset{})
	secured := greetingOf(1, keysOf(f, "one", "two"))
	hello := append(appendPreface(nil, testID(2), WireVersion), byte(forLink), flagMeet)
	hello = append(hello, make([]byte, 20+nonceBytes+1)...)
	f.Add(hello)
	f.Add((&frameWriter{}).append(bytes.Clone(hello), frameIdentity, open.identity))
	f.Add(appendPreface(nil, testID(2), 9))
	f.Fuzz(func(t *testing.T, text []byte) {
		admit := func(slots.NodeID, purpose, bool) status { return statusWelcome }
		if s, err := welcome(scripted{in: bytes.NewReader(text)}, secured, admit); err == nil {
			t.Errorf("%s came in without the secret", s.peer)
		}
		s, err := welcome(scripted{in: bytes.NewReader(text)}, open, admit)
		if err == nil && (s.peer.IsZero() || len(s.meta()) > 512) {
			t.Errorf("session with %s, meta of %d bytes", s.peer, len(s.meta()))
		}
		if s, err := greet(scripted{in: bytes.NewReader(text)}, secured); err == nil {
			t.Errorf("%s was believed without the secret", s.peer)
		}
	})
}

// FuzzFrames reads any bytes as frames, and what it reads is written the same.
func FuzzFrames(f *testing.F) {
	f.Add((&frameWriter{}).append(nil, frameMessage, []byte("hello")))
	f.Add(binary.BigEndian.AppendUint32(nil, 1<<31))
	f.Fuzz(func(t *testing.T, text []byte) {
		r := &frameReader{r: bufio.NewReader(bytes.NewReader(text)), limit: MaxMessage}
		var again []byte
		for {
			kind, payload, err := r.next()
			if err != nil {
				break
			}
			again = (&frameWriter{}).append(again, kind, payload)
		}
		if !bytes.HasPrefix(text, again) {
			t.Errorf("frames of %q are %q", text, again)
		}
		sealed := &frameReader{r: bufio.NewReader(bytes.NewReader(text)), limit: MaxMessage, aead: newAEAD(make([]byte, keyBytes))}
		if _, _, err := sealed.next(); err == nil {
			t.Error("garbage opens")
		}
	})
}

// FuzzPacket gives every decoder of packets any bytes.
func FuzzPacket(f *testing.F) {
	w := packetWriter{self: testID(2), run: 1}
	f.Add(w.append(nil, testID(1), packetGossip, []byte{mlCompound, 1, 0, 2, mlPing, 0x80}))
	f.Add(newSpread(testID(2), 1, 1, func() int { return 1 }).start("k", []byte("m")))
	f.Add([]byte("\x06\x83\xa5Nodes\x07\xacUserStateLen\xd1\x10\x00\xa4Join\xc3"))
	f.Fuzz(func(t *testing.T, text []byte) {
		open := packetReader{self: testID(1), keys: &keyset{}, runs: map[runName]*senderRun{}}
		if _, _, body, err := open.open(bytes.Clone(text)); err == nil {
			_ = vetPacket(body)
		}
		sealed := packetReader{self: testID(1), keys: keysOf(t, "one"), runs: map[runName]*senderRun{}}
		if _, _, _, err := sealed.open(bytes.Clone(text)); err == nil || len(sealed.runs) > 0 {
			t.Error("garbage opens")
		}
		_ = vetPacket(text)
		if enough, err := vetStream(text); !enough && err == nil && len(text) >= 64 {
			t.Error("a stream is never vetted")
		}
		s := newSpread(testID(1), 1, 1, func() int { return 1 })
		_, _, _, _ = s.receive(text)
		_ = splitSpread(text, func(part []byte) { _, _, _, _ = s.receive(part) })
	})
}
