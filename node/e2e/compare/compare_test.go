package compare

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"slotmesh/node/e2e/harness"
	"slotmesh/slots"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// patience is how long an answer may take on a busy machine.
const patience = 20 * time.Second

// TestScripts runs every script in both protocols, each time on two fresh
// servers.
func TestScripts(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.script")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	replies, different := 0, 0
	for _, path := range paths {
		s, err := parseScript(path)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(path), ".script")
		for _, proto := range []int{2, 3} {
			t.Run(name+"/resp"+strconv.Itoa(proto), func(t *testing.T) {
				replies += len(s.lines)
				different += runScript(t, s, proto)
			})
		}
	}
	t.Logf("%d replies compared, %d differ", replies, different)
}

// runScript returns how many replies differ.
func runScript(t *testing.T, s script, proto int) (differ int) {
	t.Helper()
	ours := startOracle(t, harness.UnderTest(t), s.cluster, proto)
	reference := startOracle(t, harness.Reference(t), s.cluster, proto)
	for _, l := range s.lines {
		got, want := ours.run(l), reference.run(l)
		if got != want {
			differ++
			t.Errorf("line %d: %s\n  node:      %s\n  reference: %s", l.number, l.text, clip(got), clip(want))
		}
	}
	return differ
}

func clip(text string) string {
	const most = 1500
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}

// oracle is a server that answers lines of a script.
type oracle struct {
	t       *testing.T
	process *harness.Process
	proto   int
	conns   map[string]*harness.Conn
}

func startOracle(t *testing.T, server harness.Server, cluster bool, proto int) *oracle {
	t.Helper()
	rig := harness.New(t, server)
	p := rig.Start(harness.Options{Name: server.String(), Cluster: cluster})
	if cluster {
		p.Do("CLUSTER", "ADDSLOTSRANGE", "0", strconv.Itoa(slots.Count-1))
		rig.ClusterOf(p).WaitOK(patience)
	}
	return &oracle{t: t, process: p, proto: proto, conns: make(map[string]*harness.Conn)}
}

// run sends the line and returns its answer in comparable form.
func (o *oracle) run(l line) string {
	o.t.Helper()
	conn := o.conns[l.conn]
	if conn == nil {
		conn = o.process.Connect()
		o.conns[l.conn] = conn
		if o.proto == 3 {
			if _, err := conn.Do("HELLO", "3"); err != nil {
				o.t.Fatalf("%s: HELLO 3: %v", o.process.Name, err)
			}
		}
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err.Error()
	}
	var err error
	if l.isRaw {
		_, err = conn.Write([]byte(l.raw))
	} else {
		err = conn.Send(l.args...)
	}
	var reply harness.Reply
	if err == nil {
		reply, err = conn.Receive()
	}
	if err != nil {
		// The next line on this name gets a new connection, on both sides.
		conn.Close()
		delete(o.conns, l.conn)
		if closed(err) {
			return "the connection was closed"
		}
		return err.Error()
	}
	switch {
	case l.shape:
		return shape(reply)
	case l.prefix && reply.IsError():
		first, _, _ := strings.Cut(reply.Text, " ")
		return "-" + first
	case l.unordered:
		texts := make([]string, len(reply.Elems))
		for i, e := range reply.Elems {
			texts[i] = e.String()
		}
		slices.Sort(texts)
		return string(reply.Kind) + strings.Join(texts, " ")
	}
	return reply.String()
}

// shape is the kinds of the values of a reply, with the length of aggregates.
func shape(r harness.Reply) string {
	text := string(r.Kind)
	if r.Null {
		text += "null"
	}
	if len(r.Elems) > 0 {
		text += "["
		for _, e := range r.Elems {
			text += shape(e)
		}
		text += "]"
	}
	return text
}

func closed(err error) bool {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return false
	}
	return true
}

// silences are how long a server may take to answer malformed input or to hang
// up: one that says nothing for so long says nothing. Where the servers differ
// the next one decides, for either may have been kept from the processor.
var silences = []time.Duration{150 * time.Millisecond, time.Second, 5 * time.Second}

// TestMalformed sends what is no request and compares what comes back.
func TestMalformed(t *testing.T) {
	file, err := os.Open("testdata/malformed")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	ours := harness.New(t, harness.UnderTest(t)).Start(harness.Options{Name: "node"})
	reference := harness.New(t, harness.Reference(t)).Start(harness.Options{Name: "reference"})
	scanner := bufio.NewScanner(file)
	inputs := 0
	for number := 1; scanner.Scan(); number++ {
		text := strings.TrimSpace(scanner.Text())
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		input, err := strconv.Unquote(text)
		if err != nil {
			t.Fatalf("testdata/malformed:%d: %v", number, err)
		}
		inputs++
		var got, want string
		for _, silence := range silences {
			wanted := make(chan string)
			go func() { wanted <- outcome(reference, input, silence) }()
			got = outcome(ours, input, silence)
			if want = <-wanted; got == want {
				break
			}
		}
		if got != want {
			t.Errorf("line %d: %s\n  node:      %s\n  reference: %s", number, clip(text), clip(got), clip(want))
		}
		if _, err := ours.TryDo(patience, "PING"); err != nil {
			t.Fatalf("line %d: %s: the node does not serve any more: %v", number, clip(text), err)
		}
	}
	if err := scanner.Err(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d inputs compared", inputs)
}

// outcome returns what p answers to input and whether it hangs up before it has
// said nothing for as long as silence.
func outcome(p *harness.Process, input string, silence time.Duration) string {
	conn, err := harness.Dial(p.Addr(), patience)
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(input)); err != nil {
		return "hangs up while it is written to"
	}
	var answer []byte
	chunk := make([]byte, 4096)
	for {
		if err := conn.SetReadDeadline(time.Now().Add(silence)); err != nil {
			return err.Error()
		}
		n, err := conn.Read(chunk)
		answer = append(answer, chunk[:n]...)
		switch {
		case err == nil:
		case errors.Is(err, io.EOF) || closed(err):
			return strconv.Quote(string(answer)) + ", then it hangs up"
		default:
			return strconv.Quote(string(answer)) + ", and it waits for more"
		}
	}
}
