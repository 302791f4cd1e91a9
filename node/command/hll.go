package command

import (
	"fmt"
	"slices"

	"slotmesh/node/resp"
	"slotmesh/node/store"
	"slotmesh/node/store/hll"
	"slotmesh/node/store/value"
)

// HyperLogLogs are the rows of strings that count distinct elements.
func HyperLogLogs() []Spec {
	return inGroup("hyperloglog", []Spec{
		{
			Name: "pfadd", Syntax: "key [element [element ...]]", Arity: -2, Flags: Write | DenyOOM | Fast, Keys: insertsKey,
			Since: "2.8.9", Complexity: "O(1) for each element.",
			Summary: "Counts elements, each once.", Run: runPFAdd, Heavy: manyArgs,
		},
		{
			Name: "pfcount", Syntax: "key [key ...]", Arity: -2, Flags: ReadOnly | MayReplicate,
			Keys: []KeySpec{{
				Flags: KeyRW | KeyAccess, Notes: "a count that was worked out is kept, on replicas too",
				Begin: 1, Last: -1, Step: 1,
			}},
			Since: "2.8.9", Complexity: "O(1) for a key whose count is known, else O(N) where N is the number of keys.",
			Summary: "Estimates how many different elements were counted.", Run: runPFCount, Heavy: manyHLLs,
		},
		{
			Name: "pfdebug", Syntax: "subcommand key", Arity: 3, Flags: Write | DenyOOM | Admin,
			Keys:  []KeySpec{{Flags: KeyRW | KeyAccess, Begin: 2, Step: 1}},
			Since: "2.8.9", Complexity: "N/A", Summary: "Shows how a HyperLogLog is kept.", DocFlags: []string{"syscmd"},
			Run: runPFDebug, Heavy: func(c *Call) bool { return len(c.Args) > 1 && IsWord(c.Args[1], "getreg") },
		},
		{
			Name: "pfmerge", Syntax: "destkey:key sourcekey:key [sourcekey ...]", Arity: -2, Flags: Write | DenyOOM,
			Keys: []KeySpec{
				{Flags: KeyRW | KeyAccess | KeyInsert, Begin: 1, Step: 1},
				{Flags: KeyRO | KeyAccess, Begin: 2, Last: -1, Step: 1},
			},
			Since: "2.8.9", Complexity: "O(N) where N is the number of keys.",
			Summary: "Merges HyperLogLogs into one.", Run: runPFMerge, Heavy: manyHLLs,
		},
		{
			Name: "pfselftest", Arity: 1, Flags: Admin,
			Since: "2.8.9", Complexity: "N/A", Summary: "Tests that the counting of elements works.", DocFlags: []string{"syscmd"},
			Run: runPFSelfTest, Heavy: Always,
		},
	})
}

// manyHLLs is the Heavy of commands that go through the registers of all keys.
func manyHLLs(c *Call) bool { return len(c.Args) > 8 }

const (
	errNoHLL      resp.Error = "WRONGTYPE Key is not a valid HyperLogLog string value."
	errHLLCorrupt resp.Error = "INVALIDOBJ Corrupted HLL object detected"
)

// hllOf returns the bytes of a HyperLogLog that was found.
func hllOf(ref store.Ref) ([]byte, error) {
	if err := isKind(ref, value.KindString); err != nil {
		return nil, err
	}
	v := ref.Value()
	if v.Enc == value.EncInt || !hll.Valid(v.Bytes) {
		return nil, errNoHLL
	}
	return v.Bytes, nil
}

// hllEdit is a HyperLogLog that a command may change: a view of the store first,
// of which a copy is made for the first change that may move bytes.
type hllEdit struct {
	ref    store.Ref
	view   []byte
	editor hll.Editor
	copied bool
}

// editHLL opens what Write found for key, which is made if need be.
func (c *Call) editHLL(key []byte, ref store.Ref) (e hllEdit, err error) {
	e.editor.Limit = c.Limits().HLLSparseBytes
	if !ref.OK() {
		var room [32]byte
		ref = c.Put(key, value.RawValue(hll.AppendNew(room[:0])), false)
	}
	if _, err = hllOf(ref); err != nil {
		return e, err
	}
	if ref.Encoding() != value.EncRaw {
		ref.Extend(0)
	}
	e.ref, e.view = ref, ref.Value().Bytes
	return e, nil
}

// raise makes a register count if it is less.
func (e *hllEdit) raise(c *Call, register int, count uint8) (bool, error) {
	if !e.copied {
		now, err := hll.Lookup(e.view, register)
		if err != nil || now >= count {
			return false, err
		}
		e.open(c)
	}
	return e.editor.Raise(register, count)
}

// open makes the bytes ones that may be changed.
func (e *hllEdit) open(c *Call) {
	e.copied = true
	if hll.IsDense(e.view) {
		// Nothing moves.
		e.editor.Bytes = e.ref.Edit()
		return
	}
	const room = 64
	from, size := len(c.arena), len(e.view)
	c.arena = slices.Grow(c.arena, size+room)[:from+size+room]
	e.editor.Bytes = c.arena[from : from+size : from+size+room]
	copy(e.editor.Bytes, e.view)
}

// close keeps what became of it. Its count is not right any more.
func (e *hllEdit) close() {
	if !e.copied {
		hll.Invalidate(e.ref.Edit())
		return
	}
	hll.Invalidate(e.editor.Bytes)
	if !hll.IsDense(e.view) {
		e.ref.SetValue(value.RawValue(e.editor.Bytes))
	}
}

func runPFAdd(c *Call) error {
	key := c.Args[1]
	ref := c.Write(key)
	updated := int(1 - oneIf(ref.OK()))
	e, err := c.editHLL(key, ref)
	if err != nil {
		return err
	}
	for i, element := range c.Args[2:] {
		register, count := hll.Hash(element)
		changed, err := e.raise(c, register, count)
		if err != nil {
			if updated > 0 {
				// What was counted before stays, as in the reference.
				e.close()
				c.changedBy(key, updated)
				c.Effect(c.Args[:2+i]...)
			}
			return errHLLCorrupt
		}
		if changed {
			updated++
		}
	}
	if updated > 0 {
		e.close()
		c.changedBy(key, updated)
	}
	c.Reply.Int(min(int64(updated), 1))
	return nil
}

func runPFCount(c *Call) error {
	if len(c.Args) > 2 {
		return countUnion(c)
	}
	key := c.Args[1]
	ref := c.Read(key)
	if !ref.OK() {
		c.Reply.Int(0)
		return nil
	}
	b, err := hllOf(ref)
	if err != nil {
		return err
	}
	// A replica's clients change nothing: it is told by its primary.
	mayKeep := c.Applied || !c.engine.replica.Load()
	if mayKeep && ref.Encoding() != value.EncRaw {
		b = ref.Extend(0)
	}
	n, ok := hll.Cached(b)
	if !ok {
		if n, ok = hll.Count(b); !ok {
			return errHLLCorrupt
		}
		if mayKeep {
			hll.SetCached(ref.Edit(), n)
			c.Changed(key)
		}
	}
	c.Reply.Int(int64(n))
	return nil
}

// mergeHLLs merges the HyperLogLogs of keys into values.
func (c *Call) mergeHLLs(values *hll.Values, keys [][]byte) (dense bool, err error) {
	for _, key := range keys {
		ref := c.Read(key)
		if !ref.OK() {
			continue
		}
		b, err := hllOf(ref)
		if err != nil {
			return false, err
		}
		if !values.Merge(b) {
			return false, errHLLCorrupt
		}
		dense = dense || hll.IsDense(b)
	}
	return dense, nil
}

func countUnion(c *Call) error {
	var values hll.Values
	if _, err := c.mergeHLLs(&values, c.Args[1:]); err != nil {
		return err
	}
	c.Reply.Int(int64(values.Count()))
	return nil
}

func runPFMerge(c *Call) error {
	key := c.Args[1]
	var values hll.Values
	dense, err := c.mergeHLLs(&values, c.Args[1:])
	if err != nil {
		return err
	}
	e, err := c.editHLL(key, c.Write(key))
	if err != nil {
		return err
	}
	if dense {
		// All registers of the target are in values.
		e.ref.SetValue(value.RawValue(values.AppendDense(make([]byte, 0, hll.DenseSize), e.view)))
		e.view = e.ref.Value().Bytes
	} else {
		// In memory of its own an ascending walk does not begin anew each time.
		e.open(c)
		for register := values.Next(0); register < hll.Registers; register = values.Next(register + 1) {
			if _, err := e.raise(c, register, values[register]); err != nil {
				return errHLLCorrupt
			}
		}
	}
	e.close()
	c.Changed(key)
	c.Reply.OK()
	return nil
}

func runPFDebug(c *Call) error {
	key := c.Args[2]
	ref := c.Write(key)
	if !ref.OK() {
		return resp.Error("ERR The specified key does not exist")
	}
	e, err := c.editHLL(key, ref)
	if err != nil {
		return err
	}
	switch sub := c.Args[1]; {
	case IsWord(sub, "getreg"):
		if _, err := c.makeDense(key, &e); err != nil {
			return err
		}
		c.Reply.Array(hll.Registers)
		for register := range hll.Registers {
			c.Reply.Int(int64(hll.Register(e.view, register)))
		}
	case IsWord(sub, "decode"):
		if hll.IsDense(e.view) {
			return resp.Error("ERR HLL encoding is not sparse")
		}
		c.Reply.Bulk(hll.AppendRuns(nil, e.view))
	case IsWord(sub, "encoding"):
		form := "sparse"
		if hll.IsDense(e.view) {
			form = "dense"
		}
		c.Reply.Simple(form)
	case IsWord(sub, "todense"):
		changed, err := c.makeDense(key, &e)
		if err != nil {
			return err
		}
		c.Reply.Int(oneIf(changed))
	default:
		return resp.Errf("ERR Unknown PFDEBUG subcommand '", string(sub), "'")
	}
	return nil
}

// makeDense gives a HyperLogLog the dense form, if it has not got it.
func (c *Call) makeDense(key []byte, e *hllEdit) (changed bool, err error) {
	if hll.IsDense(e.view) {
		return false, nil
	}
	dense, err := hll.ToDense(make([]byte, 0, hll.DenseSize), e.view)
	if err != nil {
		return false, errHLLCorrupt
	}
	e.ref.SetValue(value.RawValue(dense))
	e.view = e.ref.Value().Bytes
	c.Changed(key)
	return true, nil
}

// runPFSelfTest counts known numbers of elements in both forms. They must agree,
// and be wrong by not much more than the standard error, 1.04/√16384.
func runPFSelfTest(c *Call) error {
	failed := func(what string, n, estimate uint64) error {
		return resp.Error(fmt.Sprintf("ERR TESTFAILED %s: %d elements, %d counted", what, n, estimate))
	}
	sparse := hll.Editor{Bytes: hll.AppendNew(nil), Limit: 3000}
	dense := hll.Editor{Bytes: hll.AppendNew(nil)}
	const (
		most      = 1_000_000
		tolerance = 6 * 1.04 / 128
	)
	checkpoint := uint64(1)
	for n := uint64(1); n <= most; n++ {
		register, count := hll.Hash(fmt.Append(nil, "element:", n))
		a, err := sparse.Raise(register, count)
		if err != nil {
			return errHLLCorrupt
		}
		b, err := dense.Raise(register, count)
		if err != nil {
			return errHLLCorrupt
		}
		if a != b {
			return failed("the forms disagree", n, 0)
		}
		if n != checkpoint {
			continue
		}
		checkpoint *= 10
		estimate, _ := hll.Count(sparse.Bytes)
		if other, _ := hll.Count(dense.Bytes); other != estimate {
			return failed("the forms disagree", estimate, other)
		}
		if wrong := float64(estimate) - float64(n); max(wrong, -wrong) > tolerance*float64(n)+1 {
			return failed("too large an error", n, estimate)
		}
	}
	c.Reply.OK()
	return nil
}
