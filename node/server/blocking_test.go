package server

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"slotmesh/node/e2e/harness"
	"slotmesh/node/resp"
)

// TestBlockingAgrees plays the scripts testdata/blocking*.txt to a server and to
// the reference, with several connections each, and compares every reply, in
// RESP2 and RESP3.
func TestBlockingAgrees(t *testing.T) {
	files, err := filepath.Glob("testdata/blocking*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, file := range files {
		for _, proto := range []string{"2", "3"} {
			t.Run(filepath.Base(file)+"/RESP"+proto, func(t *testing.T) { playBoth(t, file, proto) })
		}
	}
}

func playBoth(t *testing.T, file, proto string) {
	reference := harness.StartReference(t)
	script, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	ours := &player{t: t, address: newRig(t, nil).address, proto: proto, clients: map[string]*client{}}
	theirs := &player{t: t, address: reference.Addr(), proto: proto, clients: map[string]*client{}}
	compared := 0
	lines := bufio.NewScanner(strings.NewReader(string(script)))
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		our, their := ours.play(line), theirs.play(line)
		if our != their {
			t.Fatalf("line %d: %s\n ours:   %s\n theirs: %s", number, line, our, their)
		}
		if our != "" {
			compared++
		}
	}
	t.Logf("%d replies compared", compared)
}

// player is one side of a script.
type player struct {
	t       *testing.T
	address string
	// proto is what every connection but "control" begins with.
	proto   string
	clients map[string]*client
	before  string
}

func (p *player) client(name string) *client {
	c := p.clients[name]
	if c == nil {
		c = dialAt(p.t, "tcp", p.address)
		p.clients[name] = c
		if name != "control" {
			c.do("HELLO " + p.proto)
		}
	}
	return c
}

func (p *player) id(name string) string { return p.clients[name].conn.LocalAddr().String() }

// idOf is the client id of a connection that may be blocked.
func (p *player) idOf(name string) string {
	for line := range strings.Lines(p.client("control").do("CLIENT LIST")) {
		if strings.Contains(line, "addr="+p.id(name)+" ") {
			return strings.TrimPrefix(strings.Fields(line)[0], "id=")
		}
	}
	return "0"
}

func (p *player) blocked() (n int) {
	for line := range strings.Lines(p.client("control").do("CLIENT LIST")) {
		for _, field := range strings.Fields(line) {
			if flags, is := strings.CutPrefix(field, "flags="); is && strings.Contains(flags, "b") {
				n++
			}
		}
	}
	return n
}

// play is one line. It returns the reply, if there is one.
func (p *player) play(line string) string {
	who, what, _ := strings.Cut(line, " ")
	defer func() { p.before = line }()
	switch who {
	case "wait":
		until(p.t, fmt.Sprintf("%q after %q", line, p.before), func() bool { return fmt.Sprint(p.blocked()) == what })
	case "unblock":
		name, reason, _ := strings.Cut(what, " ")
		return p.client("control").do("CLIENT UNBLOCK " + p.idOf(name) + " " + reason)
	case "kill":
		return p.client("control").do("CLIENT KILL ADDR " + p.id(what))
	case "close":
		p.client(what).conn.Close()
	case "closed":
		return fmt.Sprint(p.client(what).closed())
	case "sleep":
		time.Sleep(20 * time.Millisecond) // for keys to expire, which nobody tells
	default:
		c := p.client(who[:1])
		switch who[1:] {
		case "!":
			c.send(what + "\r\n")
		case "?":
			return c.exactReply()
		case "~":
			c.do(what)
		default:
			c.send(what + "\r\n")
			return c.exactReply()
		}
	}
	return ""
}

// exactReply reads one reply and writes it with the types of all its parts.
func (c *client) exactReply() string {
	c.t.Helper()
	r, err := resp.NewReplyReader(c.in, resp.ReplyLimits{}).Read()
	if err != nil {
		return "<" + err.Error() + ">"
	}
	return exact(r)
}

func exact(r resp.Reply) string {
	text := string(r.Kind) + string(r.Text)
	switch {
	case r.Null:
		text += "null"
	case r.Kind == ':' || r.Kind == '#':
		text += fmt.Sprint(r.Int)
	}
	for _, e := range r.Elements {
		text += " (" + exact(e) + ")"
	}
	return text
}
