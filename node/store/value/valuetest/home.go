package valuetest

import (
	"testing"

	"slotmesh/node/store/arena"
	"slotmesh/node/store/tree"
	"slotmesh/node/store/value"
)

// NewMemory returns an empty memory that grows to 4 GiB.
func NewMemory(t testing.TB) *arena.Memory {
	t.Helper()
	m, err := arena.New(arena.Options{Reserve: 4 << 30})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// Home is the keyspace of one record. M is what the test knows of its value.
type Home[M any] struct {
	Cell value.Cell
	// ExpireAt is when its first field expires, as it was told; 0 for never.
	ExpireAt int64

	space   tree.Space
	cuts    []*cut[M]
	retired []arena.Ref
}

// cut is the value as of a snapshot: kept once it was handed over.
type cut[M any] struct {
	kept  *value.Value
	model M
}

// NewHome returns the Home of a new record with the value v.
func NewHome[M any](heap *arena.Heap, v value.Value) *Home[M] {
	h := &Home[M]{space: tree.Space{Heap: heap, Version: 1}}
	h.space.Retirer = h
	h.Cell = value.Open(h, heap, value.NewRecord(heap, []byte("key"), &v, h.space.Version, 0))
	return h
}

// Preserve implements value.Home.
func (h *Home[M]) Preserve(at arena.Ref) {
	m := h.Cell.Memory()
	if !h.space.Frozen || value.Version(m, at) > h.space.Floor {
		return
	}
	for _, c := range h.cuts {
		if c.kept == nil {
			v := h.Cell.Value().Detach()
			c.kept = &v
		}
	}
	value.SetVersion(m, at, h.space.Version)
}

// Moved implements value.Home.
func (h *Home[M]) Moved(_, _ arena.Ref) {}

// Retire implements value.Home.
func (h *Home[M]) Retire(block arena.Ref) { h.retired = append(h.retired, block) }

// Space implements value.Home.
func (h *Home[M]) Space() tree.Space { return h.space }

// FieldsExpire implements value.Home.
func (h *Home[M]) FieldsExpire(at arena.Ref, ms int64) arena.Ref {
	h.ExpireAt = ms
	return at
}

// Cut opens a snapshot, in which the value is as model says.
func (h *Home[M]) Cut(model M) {
	h.cuts = append(h.cuts, &cut[M]{model: model})
	h.space.Floor = h.space.Version
	h.space.Version++
	h.space.Frozen = true
}

// Cuts is how many snapshots are open.
func (h *Home[M]) Cuts() int { return len(h.cuts) }

// Close gives check each open snapshot and its model, closes them, and frees what
// was kept for them.
func (h *Home[M]) Close(check func(v value.Value, model M)) {
	for _, c := range h.cuts {
		v := h.Cell.Value()
		if c.kept != nil {
			v = *c.kept
		}
		check(v, c.model)
	}
	h.cuts, h.space.Frozen = nil, false
	for _, block := range h.retired {
		h.space.Heap.Free(block)
	}
	h.retired = nil
}

// Free frees the record and what belongs to it.
func (h *Home[M]) Free() {
	for i := range h.Cell.Roots() {
		t := h.Cell.Tree(i)
		t.Free()
	}
	h.space.Heap.Free(h.Cell.At())
}
