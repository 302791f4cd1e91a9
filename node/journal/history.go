package journal

// NoID stands for "no history" where the reference shows an id.
const NoID = "0000000000000000000000000000000000000000"

// history names the stream: its id, and the id that it had before the last
// change with the offset up to which both name the same bytes.
type history struct {
	id, former string
	// shared is the offset of the change; -1 when there is no former id.
	shared int64
}

func newHistory(id string) history { return history{id: id, former: NoID, shared: -1} }

// covers reports whether a follower of history id that has everything before
// from has the same bytes as this stream.
func (h history) covers(id string, from int64) bool {
	return id == h.id || (h.shared >= 0 && id == h.former && from <= h.shared)
}

// IDs returns the history id, the former one (NoID when there is none) and, as
// the reference counts in second_repl_offset, the first offset that they do not
// share, or -1.
func (j *Journal) IDs() (id, former string, second int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.history.shared < 0 {
		return j.history.id, NoID, -1
	}
	return j.history.id, j.history.former, j.history.shared + 1
}

// Promote goes on under newID from here. The old id stays known up to this
// offset, so that its followers can go on without a full sync; readers are cut,
// for their followers must learn the new id. A replica that becomes a primary
// calls it, and one whose primary tells a new id.
func (j *Journal) Promote(newID string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.history = history{id: newID, former: j.history.id, shared: j.end.Load()}
	j.db = -1
	j.cutAll(ErrHistory)
}

// Rename is Promote for a follower whose primary goes on under newID: the
// stream stays the primary's, the selected database included.
func (j *Journal) Rename(newID string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.history = history{id: newID, former: j.history.id, shared: j.end.Load()}
	j.cutAll(ErrHistory)
}

// Adopt takes over history id at offset, with nothing before it; db is the
// database its stream has selected there, or -1. A replica calls it when its
// full sync is loaded. The journal is active afterwards and its readers are
// cut.
func (j *Journal) Adopt(id string, offset int64, db int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.history = newHistory(id)
	j.reset(offset)
	j.db = db
	j.active.Store(true)
	j.cutAll(ErrHistory)
}

// ForgetFormer ends the promise that Promote made about the former id.
func (j *Journal) ForgetFormer() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.history = newHistory(j.history.id)
}
