package main

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"strconv"
	"time"

	"slotmesh/node/e2e/harness"
)

// loader sends commands in long pipelines, and counts the answers.
type loader struct {
	b       bench
	socket  net.Conn
	r       *bufio.Reader
	out     []byte
	pending int
}

func (b bench) loader(p *harness.Process) *loader {
	socket, err := net.Dial("tcp", p.Addr())
	if err != nil {
		b.console.Fatalf("connect to %s: %v", p.Name, err)
	}
	return &loader{b: b, socket: socket, r: bufio.NewReaderSize(socket, 1<<16)}
}

func (l *loader) close() { l.socket.Close() }

// send adds a command to the pipeline.
func (l *loader) send(args ...string) {
	out := append(l.out, '*')
	out = strconv.AppendInt(out, int64(len(args)), 10)
	out = append(out, '\r', '\n')
	for _, a := range args {
		out = append(out, '$')
		out = strconv.AppendInt(out, int64(len(a)), 10)
		out = append(out, '\r', '\n')
		out = append(out, a...)
		out = append(out, '\r', '\n')
	}
	l.out = out
	if l.pending++; l.pending == 500 || len(out) > 1<<18 {
		l.finish()
	}
}

// finish sends what is left and reads all the answers.
func (l *loader) finish() {
	l.flush()
	l.collect()
}

// flush sends what is left.
func (l *loader) flush() {
	if _, err := l.socket.Write(l.out); err != nil {
		l.b.console.Fatalf("load: %v", err)
	}
	l.out = l.out[:0]
}

// collect reads all the answers.
func (l *loader) collect() {
	for ; l.pending > 0; l.pending-- {
		reply, err := harness.ReadReply(l.r)
		if err == nil {
			err = reply.Err()
		}
		if err != nil {
			l.b.console.Fatalf("load: %v", err)
		}
	}
}

// pin binds this program to cores, as taskset names them.
func (b bench) pin(cores string) {
	if out, err := exec.Command("taskset", "-a", "-c", "-p", cores, strconv.Itoa(os.Getpid())).CombinedOutput(); err != nil {
		b.console.Fatalf("taskset: %v\n%s", err, out)
	}
}

// settled waits until the resident memory of p has stopped changing and returns
// it.
func (b bench) settled(p *harness.Process) int64 {
	last := int64(-1)
	for range 20 {
		rss, err := p.RSS()
		if err != nil {
			b.console.Fatalf("memory of %s: %v", p.Name, err)
		}
		if rss == last {
			break
		}
		last = rss
		time.Sleep(250 * time.Millisecond)
	}
	return last
}
