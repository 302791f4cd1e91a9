package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"slotmesh/node/rdb"
	"slotmesh/node/store/arena"
	"slotmesh/node/store/tree"
)

// together runs fn for 0 to n-1 at the same time and returns the first error,
// which ends the context of the others.
func together(ctx context.Context, n int, fn func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wait sync.WaitGroup
	for i := range n {
		wait.Go(func() {
			if err := fn(ctx, i); err != nil {
				cancel(err)
			}
		})
	}
	wait.Wait()
	return context.Cause(ctx)
}

// space is where values lie while they pass, a heap for each of n files.
func space(n int) ([]rdb.Target, error) {
	memory, err := arena.New(arena.Options{Heaps: n, SmallPages: true})
	if err != nil {
		return nil, err
	}
	limits := rdb.DefaultLimits()
	targets := make([]rdb.Target, n)
	for i := range targets {
		targets[i] = rdb.Target{Space: tree.Space{Heap: memory.Heap(i), Version: 1}, Limits: &limits}
	}
	return targets, nil
}

// backup writes the state of every primary into o.dir. The manifest's rename is
// what makes it a backup; before that, and after any error, what was there
// before is as it was.
func backup(ctx context.Context, o options) error {
	before, err := readTopology(ctx, o.addr, o)
	if err != nil {
		return err
	}
	open, err := before.openSlot(ctx, o)
	if err != nil {
		return err
	}
	if open != "" {
		return refuse("slots are being moved, so that their keys are in two places: %s", open)
	}
	counts, err := before.keys(ctx, o)
	if err != nil {
		return err
	}
	targets, err := space(len(before))
	if err != nil {
		return err
	}
	release, err := claimDir(o.dir)
	if err != nil {
		return err
	}
	defer release()
	old, err := prepareDir(o.dir, o.replace)
	if err != nil {
		return err
	}

	began := time.Now()
	m := manifest{Version: manifestVersion, Tool: "slotctl", Date: began.UTC(), Files: make([]file, len(before))}
	for i := range before {
		m.Files[i].Name = fileName(began, i)
	}
	whole := false
	defer func() {
		if !whole {
			discard(o.dir, m)
		}
	}()
	var total int64
	for _, n := range counts {
		total += n
	}
	p := progress{quiet: o.quiet}
	work := p.begin("backup", total, keys)
	err = together(ctx, len(before), func(ctx context.Context, i int) error {
		return before[i].save(ctx, o, &m.Files[i], targets[i], work)
	})
	work.end()
	if err != nil {
		return err
	}
	after, err := readTopology(ctx, o.addr, o)
	if err != nil {
		return err
	}
	if !before.sameOwners(after) {
		return fmt.Errorf("slots or primaries changed during the backup, nothing is kept: run it again")
	}
	if open, err = after.openSlot(ctx, o); err != nil {
		return err
	}
	if open != "" {
		return fmt.Errorf("slots began to move during the backup, nothing is kept: %s", open)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := syncDir(o.dir); err != nil {
		return err
	}
	if whole, err = writeManifest(o.dir, m); err != nil {
		return err
	}
	for _, name := range old {
		if err := os.Remove(filepath.Join(o.dir, name)); err != nil {
			return fmt.Errorf("the backup is complete; remove what was there before: %w", err)
		}
	}
	var bytes, count int64
	for _, f := range m.Files {
		bytes, count = bytes+f.Bytes, count+f.Keys
	}
	p.say("%d keys of %d primaries in %s (%d bytes, %.1f s)", count, len(before), o.dir, bytes, time.Since(began).Seconds())
	return nil
}

// fileName is unique to a run, so that a new backup can be written beside the
// one that it replaces.
func fileName(began time.Time, i int) string {
	stamp := strings.Replace(began.UTC().Format("20060102-150405.000"), ".", "-", 1)
	return fmt.Sprintf("backup-%s-%d%s", stamp, i, extension)
}

// writeManifest makes the backup one. named is true as soon as readers see it.
func writeManifest(dir string, m manifest) (named bool, err error) {
	text, err := m.encode()
	if err != nil {
		return false, err
	}
	path := filepath.Join(dir, manifestName)
	// What an interrupted run left under the temporary name means nothing.
	_ = os.Remove(path + partial)
	out, err := createFile(path)
	if err != nil {
		return false, err
	}
	if _, err = out.Write(text); err == nil {
		err = out.commit()
	}
	if err != nil {
		out.abandon()
		return false, err
	}
	return true, syncDir(dir)
}

// discard removes the files of a backup that has no manifest.
func discard(dir string, m manifest) {
	for _, f := range m.Files {
		path := filepath.Join(dir, f.Name)
		_ = os.Remove(path)
		_ = os.Remove(path + partial)
	}
}

// save writes the state of s to the file that f names and completes f.
func (s shard) save(ctx context.Context, o options, f *file, to rdb.Target, work *task) error {
	source, err := s.source(ctx, o, work)
	if err != nil {
		return err
	}
	out, err := createFile(filepath.Join(o.dir, f.Name))
	if err != nil {
		return err
	}
	state, err := fetch(ctx, source, s.Slots, out, to, o, work.add)
	if err == nil {
		err = out.commit()
	}
	if err != nil {
		out.abandon()
		return err
	}
	f.Slots, f.Node, f.Source = rangesOf(s.Slots), s.ID, source
	f.ReplID, f.Offset, f.Keys = state.replID, state.offset, state.keys
	f.Bytes, f.Checksum = out.bytes, out.checksum()
	if state.outside > 0 {
		work.note("%s sent %d keys of slots that it does not serve: restore will leave them out", source, state.outside)
	}
	return nil
}

// source returns the node to read from: the primary, or, when asked for, the
// first replica that is in step.
func (s shard) source(ctx context.Context, o options, work *task) (string, error) {
	if !o.fromReplicas {
		return s.Addr, nil
	}
	for _, addr := range s.Replicas {
		l, err := dial(ctx, addr, o)
		if err != nil {
			if ctx.Err() != nil {
				return "", err
			}
			continue
		}
		reply, err := l.do("INFO", "replication")
		l.close()
		if err == nil && field(reply.Text, "role") == "slave" && field(reply.Text, "master_link_status") == "up" {
			return addr, nil
		}
	}
	work.note("no replica of %s is in step: the primary itself is read", s.Addr)
	return s.Addr, nil
}
