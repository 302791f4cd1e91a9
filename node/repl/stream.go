package repl

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"

	"slotmesh/node/journal"
	"slotmesh/node/resp"
	"slotmesh/slots"
)

const (
	// firstInput is the input buffer; it grows with the longest command.
	firstInput = 64 << 10
	// keepInput is the largest buffer that is kept when it is empty.
	keepInput = 1 << 20
	// maxBulk and maxGroup bound one argument and one transaction of the stream.
	maxBulk  = 4 << 30
	maxGroup = 8 << 30
)

// follow applies the stream until the link ends.
func (l *link) follow() error {
	ctx, cancel := context.WithCancel(context.Background())
	var ending sync.WaitGroup
	ending.Go(func() { l.keepAcknowledging(ctx) })
	defer ending.Wait()
	defer cancel()
	defer func() {
		if l.forget != nil {
			l.forget()
		}
	}()

	s := &stream{l: l, scanner: resp.Scanner{MaxBulk: maxBulk}, db: max(l.r.o.Journal.StreamDB(), 0)}
	buf := make([]byte, 0, firstInput)
	start := 0 // unread input is buf[start:]
	for {
		for {
			args, used, err := s.scanner.Next(buf[start:])
			if err != nil {
				return fmt.Errorf("repl: protocol error from master: %w", err)
			}
			if used == 0 {
				break
			}
			if err := s.take(args, buf[start:start+used]); err != nil {
				return err
			}
			start += used
			if s.sinceYield += used; s.sinceYield >= yieldBytes {
				s.sinceYield = 0
				runtime.Gosched()
			}
		}
		if start == len(buf) && cap(buf) > keepInput {
			buf = make([]byte, 0, firstInput)
		} else {
			buf = buf[:copy(buf, buf[start:])]
		}
		start = 0
		if len(buf) == cap(buf) {
			buf = slices.Grow(buf, len(buf))
		}
		n, err := l.in.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err != nil {
			return err
		}
	}
}

// keepAcknowledging tells the primary each second how far this node is.
func (l *link) keepAcknowledging(ctx context.Context) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		if err := l.acknowledge(); err != nil {
			l.conn.Close()
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-l.lasting:
		}
	}
}

// acknowledge tells the primary what of the stream is here, and, as Redis 7.2
// does, what of it is on the disk.
func (l *link) acknowledge() error {
	lasting := int64(-1)
	if disk := l.disk(); disk != nil {
		lasting = disk.Position()
	}
	offset := l.r.o.Journal.Offset()
	words := []string{"REPLCONF", "ACK", strconv.FormatInt(offset, 10)}
	// A watermark beyond the stream is that of a file that was closed.
	if lasting >= 0 && lasting <= offset {
		words = append(words, "FACK", strconv.FormatInt(lasting, 10))
	}
	return l.send(words...)
}

// disk is ReplicaOptions.Disk.
func (l *link) disk() *journal.Watermark {
	if l.r.o.Disk == nil {
		return nil
	}
	return l.r.o.Disk()
}

// answerGetAck acknowledges what the primary asks for: at once what is here, and
// again when that is on the disk.
func (l *link) answerGetAck() error {
	if err := l.acknowledge(); err != nil {
		return err
	}
	// What only counts as bytes never gets to the disk.
	offset := l.r.o.Journal.EffectOffset()
	disk := l.disk()
	if disk == nil || disk.Reached(offset) || l.awaiting.Swap(true) {
		return nil
	}
	l.forget = disk.Notify(offset, func() {
		l.awaiting.Store(false)
		select {
		case l.lasting <- struct{}{}:
		default:
		}
	})
	return nil
}

// stream turns commands into steps: one command, or one transaction.
type stream struct {
	l          *link
	scanner    resp.Scanner
	db         int
	sinceYield int
	one        [1]Command

	// A transaction that has begun: its commands, and its bytes from MULTI on.
	inGroup bool
	group   []Command
	raw     []byte
}

// take handles one command of the stream, whose bytes are raw. Nothing of args
// and raw is kept.
func (s *stream) take(args [][]byte, raw []byte) error {
	if s.inGroup {
		return s.gather(args, raw)
	}
	if len(args) == 0 { // a line feed
		return s.note(raw, journal.SlotControl)
	}
	switch name := args[0]; {
	case is(name, "ping"):
		return s.note(raw, journal.SlotControl)
	case is(name, "select"):
		if err := s.selectDB(args); err != nil {
			return err
		}
		return s.note(raw, journal.SlotSelect)
	case is(name, "replconf"):
		if err := s.note(raw, journal.SlotControl); err != nil {
			return err
		}
		if len(args) > 1 && is(args[1], "getack") {
			return s.l.answerGetAck()
		}
		return nil
	case is(name, "multi"):
		s.inGroup, s.raw = true, append(s.raw[:0], raw...)
		return nil
	}
	s.one[0] = Command{DB: s.db, Args: args}
	return s.apply(s.one[:], raw)
}

// gather adds to the transaction that has begun.
func (s *stream) gather(args [][]byte, raw []byte) error {
	if len(s.raw)+len(raw) > maxGroup {
		return errors.New("repl: a transaction of the stream is too large")
	}
	s.raw = append(s.raw, raw...)
	switch {
	case len(args) == 0:
		return nil
	case is(args[0], "exec"):
		err := s.apply(s.group, s.raw)
		s.inGroup = false
		clear(s.group)
		s.group = s.group[:0]
		if cap(s.raw) > keepInput {
			s.raw = nil
		}
		return err
	case is(args[0], "select"):
		return s.selectDB(args)
	}
	own := make([][]byte, len(args))
	for i, arg := range args {
		own[i] = bytes.Clone(arg)
	}
	s.group = append(s.group, Command{DB: s.db, Args: own})
	return nil
}

func (s *stream) selectDB(args [][]byte) error {
	if len(args) != 2 {
		return fmt.Errorf("repl: SELECT with %d arguments in the stream", len(args)-1)
	}
	db, err := strconv.ParseUint(string(args[1]), 10, 31)
	if err != nil {
		return fmt.Errorf("repl: SELECT of database %q in the stream", args[1])
	}
	s.db = int(db)
	return nil
}

// note journals bytes that change nothing.
func (s *stream) note(raw []byte, slot slots.Slot) error {
	r := s.l.r
	r.applying.Lock()
	defer r.applying.Unlock()
	if r.halted {
		return errHalted
	}
	r.o.Journal.AppendVerbatim(raw, slot, s.db)
	return nil
}

// apply runs commands and journals their bytes.
func (s *stream) apply(commands []Command, raw []byte) error {
	r := s.l.r
	r.applying.Lock()
	defer r.applying.Unlock()
	if r.halted {
		return errHalted
	}
	err := r.o.Target.Apply(commands, func(slot slots.Slot) {
		r.o.Journal.AppendVerbatim(raw, slot, s.db)
	})
	if err != nil {
		return unusableError{fmt.Errorf("repl: apply the stream: %w", err)}
	}
	return nil
}

// is reports whether word is name, which is lower case, in any case.
func is(word []byte, name string) bool {
	if len(word) != len(name) {
		return false
	}
	for i := range len(name) {
		if word[i]|0x20 != name[i] {
			return false
		}
	}
	return true
}
