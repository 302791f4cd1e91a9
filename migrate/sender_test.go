package migrate

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// target is a server that answers each command of a script with its line.
func target(t *testing.T, answers ...string) Target {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				in := bufio.NewReader(conn)
				for _, answer := range answers {
					if !readCommand(in) || answer == "hang up" {
						return
					}
					conn.Write([]byte(answer + "\r\n"))
				}
				readCommand(in)
			}()
		}
	}()
	addr := l.Addr().(*net.TCPAddr)
	return Target{Host: "127.0.0.1", Port: addr.Port}
}

// readCommand reads one array of bulk strings without looking at it.
func readCommand(in *bufio.Reader) bool {
	header, err := in.ReadString('\n')
	if err != nil || !strings.HasPrefix(header, "*") {
		return false
	}
	count := 0
	for _, c := range strings.TrimSpace(header[1:]) {
		count = count*10 + int(c-'0')
	}
	for range 2 * count {
		if _, err := in.ReadString('\n'); err != nil {
			return false
		}
	}
	return true
}

func send(t *testing.T, s *Sender, to Target, n int) ([]bool, error) {
	t.Helper()
	items := make([]Item, n)
	for i := range items {
		items[i] = Item{Key: []byte{'k', byte('0' + i)}, Payload: []byte("payload")}
	}
	return s.Send(to, items, Options{Timeout: 5 * time.Second, Asking: true})
}

func TestSendTellsWhichKeysArrived(t *testing.T) {
	tests := []struct {
		name    string
		answers []string
		arrived string
		err     error
	}{
		{"all arrive", []string{"+OK", "+OK", "+OK"}, "111", nil},
		{"one refused, the others arrive", []string{"+OK", "-BUSYKEY Target key name already exists.", "+OK"}, "101", RefusedError("BUSYKEY Target key name already exists.")},
		{"target hangs up in the middle", []string{"+OK", "hang up"}, "100", ErrRead},
		{"nonsense instead of a reply", []string{"+OK", "%$?"}, "100", ErrRead},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := NewSender()
			defer s.Close()
			arrived, err := send(t, s, target(t, test.answers...), 3)
			if got := flags(arrived); got != test.arrived {
				t.Errorf("arrived %s, want %s", got, test.arrived)
			}
			if !errors.Is(err, test.err) {
				t.Errorf("error %v, want %v", err, test.err)
			}
		})
	}
}

func flags(list []bool) string {
	var b strings.Builder
	for _, f := range list {
		if f {
			b.WriteByte('1')
		} else {
			b.WriteByte('0')
		}
	}
	return b.String()
}

func TestKeptConnectionThatDiedIsReplaced(t *testing.T) {
	to := target(t, "+OK", "hang up")
	s := NewSender()
	defer s.Close()
	for range 3 {
		if arrived, err := send(t, s, to, 1); err != nil || !arrived[0] {
			t.Fatalf("arrived %v, error %v; want the key to arrive over a new connection", arrived, err)
		}
	}
}

// TestSlowTargetIsNotAskedTwice: a target that stops answering on a kept connection is
// given its time once, and the keys once.
func TestSlowTargetIsNotAskedTwice(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var connections atomic.Int64
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			t.Cleanup(func() { conn.Close() })
			go func() {
				in := bufio.NewReader(conn)
				if readCommand(in) {
					conn.Write([]byte("+OK\r\n"))
				}
				io.Copy(io.Discard, in)
			}()
		}
	}()
	s := NewSender()
	defer s.Close()
	to := Target{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port}
	for _, want := range []error{nil, ErrRead} {
		arrived, err := s.Send(to, []Item{{Key: []byte("k")}}, Options{Timeout: 250 * time.Millisecond})
		if !errors.Is(err, want) || arrived[0] != (want == nil) {
			t.Errorf("arrived %v, error %v, want %v", arrived, err, want)
		}
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

func TestLoginFailureIsTheTargetsAnswer(t *testing.T) {
	to := target(t, "-WRONGPASS invalid username-password pair or user is disabled.")
	to.Password = "secret"
	s := NewSender()
	defer s.Close()
	_, err := send(t, s, to, 1)
	if !errors.Is(err, RefusedError("WRONGPASS invalid username-password pair or user is disabled.")) {
		t.Fatalf("error %v, want the target's own", err)
	}
}

func TestNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	s := NewSender()
	if _, err := send(t, s, Target{Host: "127.0.0.1", Port: port}, 1); !errors.Is(err, ErrConnect) {
		t.Fatalf("error %v, want ErrConnect", err)
	}
}

// TestTargetThatTakesItsTime sends a large key over a slow way: it arrives, though all
// of it takes longer than the target may be silent.
func TestTargetThatTakesItsTime(t *testing.T) {
	const timeout, pieces = 250 * time.Millisecond, 16
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	payload := make([]byte, pieces<<20)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		conn.(*net.TCPConn).SetReadBuffer(64 << 10)
		for range pieces {
			time.Sleep(timeout / 8)
			if _, err := io.CopyN(io.Discard, conn, 1<<20); err != nil {
				return
			}
		}
		conn.Write([]byte("+OK\r\n"))
		io.Copy(io.Discard, conn)
	}()
	s := NewSender()
	defer s.Close()
	to := Target{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port}
	arrived, err := s.Send(to, []Item{{Key: []byte("k"), Payload: payload}}, Options{Timeout: timeout})
	if err != nil || !arrived[0] {
		t.Errorf("arrived %v, error %v", arrived, err)
	}
}
