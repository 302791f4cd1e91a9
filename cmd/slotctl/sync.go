package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"slotmesh/node/rdb"
	"slotmesh/node/resp"
	"slotmesh/slots"
)

// snapshot is what a node sent of its state.
type snapshot struct {
	replID string
	offset int64
	keys   int64
	// outside counts the keys of slots that are not the shard's.
	outside int64
}

// fetch has the node at addr send its state as it would to a new replica, and
// writes it to out while reading it: what comes is known to be a whole file
// that restore can read. seen is told of keys as they pass.
//
// Source: the reference's replication of disk-less replicas, and redis-cli's
// --rdb, which asks in the same way.
func fetch(ctx context.Context, addr string, owned slots.Set, out io.Writer, to rdb.Target, o options, seen func(int64)) (snapshot, error) {
	l, err := dial(ctx, addr, o)
	if err != nil {
		return snapshot{}, err
	}
	defer l.close()
	s, err := l.receive(owned, out, to, seen)
	switch {
	case ctx.Err() != nil:
		return s, context.Cause(ctx)
	case err != nil:
		return s, fmt.Errorf("read the state of %s: %w", addr, err)
	}
	return s, nil
}

func (l *link) receive(owned slots.Set, out io.Writer, to rdb.Target, seen func(int64)) (snapshot, error) {
	var s snapshot
	if _, err := l.do("REPLCONF", "capa", "eof"); err != nil {
		return s, fmt.Errorf("REPLCONF: %w", err)
	}
	// Servers before 7.0 do not know it and take this connection for a replica,
	// which it stays until the file is here.
	if _, err := l.do("REPLCONF", "rdb-only", "1"); err != nil && !errors.As(err, new(resp.Error)) {
		return s, fmt.Errorf("REPLCONF: %w", err)
	}
	if err := l.send(resp.AppendCommand(nil, "PSYNC", "?", "-1")); err != nil {
		return s, err
	}
	line, err := l.awaitLine()
	if err != nil {
		return s, err
	}
	words := strings.Fields(line)
	if len(words) != 3 || words[0] != "+FULLRESYNC" {
		return s, fmt.Errorf("PSYNC is answered with %.200q", line)
	}
	s.replID = words[1]
	if s.offset, err = strconv.ParseInt(words[2], 10, 64); err != nil {
		return s, fmt.Errorf("PSYNC is answered with %.200q", line)
	}
	if line, err = l.awaitLine(); err != nil {
		return s, err
	}
	source, err := l.payload(line)
	if err != nil {
		return s, err
	}
	reader := rdb.NewReader(io.TeeReader(source, out), func(slots.Slot) rdb.Target { return to })
	for {
		e, err := reader.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return s, err
		}
		if e.Draft != nil {
			e.Draft.Discard()
		}
		switch {
		case e.DB != 0:
			return s, fmt.Errorf("database %d has keys: only database 0 of a cluster can be backed up", e.DB)
		case owned.Has(e.Slot):
			s.keys++
		default:
			s.outside++
		}
		seen(1)
	}
	rest := len(reader.ReadAhead())
	if rest == 0 {
		n, err := io.Copy(io.Discard, source)
		if err != nil {
			return s, err
		}
		rest = int(n)
	}
	if rest > 0 {
		return s, fmt.Errorf("%d bytes follow the end of the file", rest)
	}
	return s, nil
}

// awaitLine returns the next line that is not empty: empty ones say that the
// node is still preparing its file.
func (l *link) awaitLine() (string, error) {
	for {
		line, err := l.replies.Line()
		if err != nil {
			return "", err
		}
		if len(line) == 0 {
			continue
		}
		if line[0] == '-' {
			return "", resp.Error(line[1:])
		}
		return string(line), nil
	}
}

const markBytes = 40

// payload returns the file that head announces: its length, or the mark that
// ends it.
func (l *link) payload(head string) (io.Reader, error) {
	text, found := strings.CutPrefix(head, "$")
	if mark, marked := strings.CutPrefix(text, "EOF:"); found && marked && len(mark) == markBytes {
		return &markedReader{in: l.in, mark: []byte(mark)}, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if !found || err != nil || n < 0 {
		return nil, fmt.Errorf("%.200q announces no file", head)
	}
	return &wholeReader{in: l.in, left: n}, nil
}

// wholeReader reads as many bytes as were announced, or fails.
type wholeReader struct {
	in   io.Reader
	left int64
}

func (w *wholeReader) Read(b []byte) (int, error) {
	if w.left == 0 {
		return 0, io.EOF
	}
	n, err := w.in.Read(b[:min(int64(len(b)), w.left)])
	w.left -= int64(n)
	if err == io.EOF && w.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// markedReader reads up to a mark, which is the last thing that the node sends
// before it waits. Source: the reference's readSyncBulkPayload.
type markedReader struct {
	in   io.Reader
	mark []byte
	// held are bytes that were read and may belong to the mark.
	held  []byte
	ended bool
}

func (m *markedReader) Read(b []byte) (int, error) {
	for {
		ready := len(m.held)
		if !m.ended {
			ready -= markBytes
		}
		if ready > 0 {
			n := copy(b, m.held[:ready])
			m.held = append(m.held[:0], m.held[n:]...)
			return n, nil
		}
		if m.ended {
			return 0, io.EOF
		}
		at := len(m.held)
		m.held = append(m.held, make([]byte, linkBuffer)...)
		n, err := m.in.Read(m.held[at:])
		m.held = m.held[:at+n]
		if err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return 0, err
		}
		if bytes.HasSuffix(m.held, m.mark) {
			m.held = m.held[:len(m.held)-markBytes]
			m.ended = true
		}
	}
}
