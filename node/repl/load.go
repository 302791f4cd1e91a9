package repl

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"slotmesh/node/rdb"
)

// load receives a snapshot and puts it in the place of the keyspace.
func (l *link) load(answer answer) error {
	snapshot, err := l.openSnapshot()
	if err != nil {
		return err
	}
	l.r.o.Log.Info("MASTER <-> REPLICA sync: Loading DB in memory")
	load, err := l.r.o.Target.Load()
	if err != nil {
		return unusableError{err}
	}
	committed := false
	defer func() {
		if !committed {
			load.Abort()
		}
	}()
	file := rdb.NewReader(io.TeeReader(snapshot, load), load.Target)
	file.Notice = func(text string) { l.r.o.Log.Info("MASTER <-> REPLICA sync: " + text) }
	if err := l.fill(load, file); err != nil {
		return err
	}
	if err := snapshot.finish(file.ReadAhead()); err != nil {
		return err
	}
	at, _ := file.Position()
	known := at.ID == answer.id && at.Offset == answer.offset
	if !known {
		// A reference primary always says so; without it the stream begins with
		// SELECT all the same.
		at.StreamDB = 0
	}
	load.Seal(file.Version(), at, known)
	r := l.r
	r.applying.Lock()
	defer r.applying.Unlock()
	if r.halted {
		return errHalted
	}
	err = load.Commit(func() { r.o.Journal.Adopt(answer.id, answer.offset, at.StreamDB) })
	if err != nil {
		return err
	}
	committed = true
	if r.o.OnHistory != nil {
		r.o.OnHistory()
	}
	if r.o.OnSynced != nil {
		r.o.OnSynced()
	}
	r.o.Log.Info("MASTER <-> REPLICA sync: Finished with success")
	// The primary of a diskless sync waits for this before it goes on.
	return l.acknowledge()
}

// fill reads the file's entries into load.
func (l *link) fill(load Load, file *rdb.Reader) error {
	alive := time.Now()
	insert := func(entries []rdb.Entry) (int, error) {
		n, err := load.Insert(entries)
		if err != nil {
			err = unusableError{fmt.Errorf("repl: load key: %w", err)}
		}
		return n, err
	}
	advanced := func(at int64) error {
		l.r.loadRead.Store(at)
		now := time.Now()
		if now.Sub(alive) < time.Second {
			return nil
		}
		// A sign of life for a primary that would otherwise hear nothing during a
		// long load.
		alive = now
		return l.sendRaw([]byte("\n"))
	}
	err := file.Load(rdb.LoadOptions{Serving: true, Insert: insert, Advanced: advanced, Stop: func() { l.conn.Close() }})
	l.r.loadRead.Store(file.Offset())
	if err == nil {
		return nil
	}
	var refused *rdb.TypeError
	if errors.As(err, &refused) {
		return unusableError{err}
	}
	return fmt.Errorf("repl: load snapshot: %w", err)
}

// snapshotStream is the snapshot's bytes; finish checks that nothing is left of
// them and their framing but ahead, which the file's reader took already.
type snapshotStream interface {
	io.Reader
	finish(ahead []byte) error
}

// openSnapshot reads how the snapshot is framed: by its length, or by a mark
// after it.
func (l *link) openSnapshot() (snapshotStream, error) {
	head, err := l.line()
	if err != nil {
		return nil, err
	}
	l.r.loadRead.Store(0)
	const markSize = 40
	if mark, found := strings.CutPrefix(head, "$EOF:"); found {
		if len(mark) != markSize {
			return nil, fmt.Errorf("repl: malformed end mark %q", mark)
		}
		l.r.loadTotal.Store(-1)
		l.r.o.Log.Info("MASTER <-> REPLICA sync: receiving streamed RDB from master with EOF to parser")
		return &marked{in: l.in, mark: []byte(mark)}, nil
	}
	size, err := strconv.ParseInt(strings.TrimPrefix(head, "$"), 10, 64)
	if err != nil || head[0] != '$' || size < 0 {
		return nil, fmt.Errorf("repl: bad protocol from MASTER, expected the snapshot's length, got %q", head)
	}
	l.r.loadTotal.Store(size)
	l.r.o.Log.Info(fmt.Sprintf("MASTER <-> REPLICA sync: receiving %d bytes from master to parser", size))
	return &counted{io.LimitedReader{R: l.in, N: size}}, nil
}

type counted struct{ io.LimitedReader }

func (c *counted) finish(ahead []byte) error {
	if len(ahead) > 0 || c.N > 0 {
		return fmt.Errorf("repl: %d bytes after the snapshot's end", int64(len(ahead))+c.N)
	}
	return nil
}

// marked reads up to a mark that nobody could have guessed. It never hands out
// bytes that may turn out to be the mark.
type marked struct {
	in interface {
		Peek(int) ([]byte, error)
		Discard(int) (int, error)
		Buffered() int
	}
	mark []byte
	done bool
}

func (m *marked) Read(b []byte) (int, error) {
	if m.done {
		return 0, io.EOF
	}
	head, err := m.in.Peek(len(m.mark))
	if err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return 0, err
	}
	if bytes.Equal(head, m.mark) {
		m.done = true
		_, err := m.in.Discard(len(m.mark))
		if err != nil {
			return 0, err
		}
		return 0, io.EOF
	}
	// Everything buffered up to the mark, or up to what may be its beginning.
	view, err := m.in.Peek(m.in.Buffered())
	if err != nil {
		return 0, err
	}
	end := bytes.Index(view, m.mark)
	if end < 0 {
		end = len(view) - len(m.mark) + 1
	}
	n := copy(b, view[:end])
	_, err = m.in.Discard(n)
	return n, err
}

func (m *marked) finish(ahead []byte) error {
	if len(ahead) > 0 {
		return fmt.Errorf("repl: %d bytes after the snapshot's end", len(ahead))
	}
	n, err := m.Read(make([]byte, 1))
	switch {
	case n > 0:
		return errors.New("repl: bytes after the snapshot's end")
	case err != io.EOF:
		return err
	}
	return nil
}
