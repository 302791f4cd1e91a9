package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"slotmesh/node/rdb"
	"slotmesh/node/resp"
	"slotmesh/slots"
)

const (
	// perPrimary is how many connections send to a cluster, for each primary.
	perPrimary     = 2
	maxConnections = 256
	// batchBytes and batchKeys end a batch: what is sent before an answer is
	// awaited.
	batchBytes = 256 << 10
	batchKeys  = 256
)

// restore sends the backup in o.dir to the cluster. Nothing is sent before every
// file was found to be what the manifest says.
func restore(ctx context.Context, o options) error {
	m, err := readManifest(o.dir)
	if err != nil {
		return err
	}
	// A cluster that will not do is noticed before the files are read.
	t, err := readTopology(ctx, o.addr, o)
	if err != nil {
		return err
	}
	if err := t.mayReceive(ctx, o); err != nil {
		return err
	}
	p := progress{quiet: o.quiet}
	if err := verify(ctx, o, m, p); err != nil {
		return err
	}
	targets, err := space(len(m.Files))
	if err != nil {
		return err
	}

	began := time.Now()
	var total int64
	for _, f := range m.Files {
		total += f.Keys
	}
	r := &restorer{
		o: o, route: newRouter(t, o), work: p.begin("restore", total, keys),
		batches: make(chan []*item), libraries: make(map[string]bool),
	}
	connections := o.connections
	if connections == 0 {
		connections = min(perPrimary*len(t), maxConnections)
	}
	err = r.run(ctx, m, targets, connections)
	r.work.end()
	if err == nil {
		err = r.loadLibraries(ctx)
	}
	if sent := r.sent(); err != nil {
		return fmt.Errorf("%w (the restore is not complete: %d of %d keys are in the cluster; run it again with --replace)", err, sent, total)
	}
	p.say("%d keys of the backup of %s in %d primaries (%.1f s)", total, m.Date.Format("2006-01-02 15:04:05 MST"), len(t), time.Since(began).Seconds())
	return nil
}

// mayReceive refuses a cluster that holds data, unless told otherwise.
func (t topology) mayReceive(ctx context.Context, o options) error {
	if o.replace {
		return nil
	}
	counts, err := t.keys(ctx, o)
	if err != nil {
		return err
	}
	for i, n := range counts {
		if n > 0 {
			return refuse("the cluster is not empty: %s holds %d keys. With --replace, keys of the backup replace those of the same name", t[i].Addr, n)
		}
	}
	return nil
}

// verify reads every file.
func verify(ctx context.Context, o options, m manifest, p progress) error {
	var total int64
	for _, f := range m.Files {
		total += f.Bytes
	}
	work := p.begin("verify", total, fileBytes)
	defer work.end()
	for _, f := range m.Files {
		if err := verifyFile(ctx, o.dir, f, work.add); err != nil {
			return err
		}
	}
	return nil
}

// restorer is one restore under way: a goroutine for each file makes batches,
// one for each connection delivers them.
type restorer struct {
	o       options
	route   *router
	work    *task
	batches chan []*item

	mu        sync.Mutex // guards the rest
	delivered int64
	libraries map[string]bool
}

func (r *restorer) sent() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.delivered
}

func (r *restorer) run(ctx context.Context, m manifest, targets []rdb.Target, connections int) error {
	var readers sync.WaitGroup
	readers.Add(len(m.Files))
	go func() {
		readers.Wait()
		close(r.batches)
	}()
	return together(ctx, len(m.Files)+connections, func(ctx context.Context, i int) error {
		if i < len(m.Files) {
			defer readers.Done()
			return r.read(ctx, m.Files[i], targets[i])
		}
		return r.deliver(ctx)
	})
}

// read makes batches of the keys in f, each of keys that one primary owns as far
// as is known.
func (r *restorer) read(ctx context.Context, f file, to rdb.Target) error {
	path := filepath.Join(r.o.dir, f.Name)
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	owned, err := f.set()
	if err != nil {
		return err
	}
	collected := make(map[string]*batch)
	reader := rdb.NewReader(in, func(slots.Slot) rdb.Target { return to })
	var count int64
	for {
		e, err := reader.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", path, err)
		}
		if !owned.Has(e.Slot) {
			if e.Draft != nil {
				e.Draft.Discard()
			}
			continue
		}
		count++
		it := newItem(e)
		addr := r.route.owner(it.slot)
		b := collected[addr]
		if b == nil {
			b = new(batch)
			collected[addr] = b
		}
		if b.add(it) {
			if err := r.pass(ctx, b.take()); err != nil {
				return err
			}
		}
	}
	for _, addr := range slices.Sorted(maps.Keys(collected)) {
		if err := r.pass(ctx, collected[addr].take()); err != nil {
			return err
		}
	}
	if count != f.Keys {
		return fmt.Errorf("%s holds %d keys, the manifest says %d", path, count, f.Keys)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, code := range reader.Functions {
		r.libraries[string(code)] = true
	}
	return nil
}

// pass hands items to whichever connection is free.
func (r *restorer) pass(ctx context.Context, items []*item) error {
	if len(items) == 0 {
		return nil
	}
	select {
	case r.batches <- items:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// batch collects keys for one primary.
type batch struct {
	items []*item
	bytes int
}

// add reports whether the batch is full.
func (b *batch) add(it *item) bool {
	b.items = append(b.items, it)
	b.bytes += len(it.key) + len(it.payload)
	return b.bytes >= batchBytes || len(b.items) >= batchKeys
}

func (b *batch) take() []*item {
	items := b.items
	*b = batch{}
	return items
}

// deliver sends batches until there are no more.
func (r *restorer) deliver(ctx context.Context) error {
	c := &courier{route: r.route, o: r.o, links: make(map[string]*link)}
	defer c.close()
	for {
		select {
		case items, more := <-r.batches:
			if !more {
				return nil
			}
			left, err := c.deliver(ctx, items)
			done := int64(len(items) - left)
			r.mu.Lock()
			r.delivered += done
			r.mu.Unlock()
			r.work.add(done)
			if err != nil {
				if ctx.Err() != nil {
					err = context.Cause(ctx)
				}
				return err
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// loadLibraries gives every primary the libraries of functions.
func (r *restorer) loadLibraries(ctx context.Context) error {
	if len(r.libraries) == 0 {
		return nil
	}
	t, err := readTopology(ctx, r.o.addr, r.o)
	if err != nil {
		return err
	}
	load := []string{"FUNCTION", "LOAD"}
	if r.o.replace {
		load = append(load, "REPLACE")
	}
	for _, s := range t {
		l, err := dial(ctx, s.Addr, r.o)
		if err != nil {
			return err
		}
		defer l.close()
		for _, code := range slices.Sorted(maps.Keys(r.libraries)) {
			if _, err := l.do(append(slices.Clone(load), code)...); err != nil {
				if errors.As(err, new(resp.Error)) {
					return fmt.Errorf("%s refuses a library of functions: %w", s.Addr, err)
				}
				return fmt.Errorf("load functions at %s: %w", s.Addr, err)
			}
		}
	}
	return nil
}
