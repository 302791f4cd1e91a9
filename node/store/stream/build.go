package stream

// This file is what files and dumps are written from and read into: blocks as
// they are, and all that is known beside them.

// Errors of data that contradict themselves.
const (
	ErrOrder    blockError = "block is not after the one before"
	ErrLength   blockError = "length of a stream without entries"
	ErrTwice    blockError = "group, consumer or pending entry is there twice"
	ErrPending  blockError = "pending entry has no owner, or its owner's entry is not pending"
	ErrDelivery blockError = "consumer owns an entry that another one owns"
)

// Blocks walks the blocks of a stream.
type Blocks struct {
	// ID is the block's own id, Listpack a view of its bytes.
	ID       ID
	Listpack []byte
	place    place
	begun    bool
}

// EachBlock returns a walk over the blocks, in order.
func (r *Reader) EachBlock() Blocks { return Blocks{place: r.firstBlock()} }

// Next goes to the next block.
func (it *Blocks) Next() bool {
	if it.begun {
		it.place.next()
	}
	it.begun = true
	if !it.place.valid() {
		return false
	}
	it.ID, it.Listpack = it.place.id(), it.place.listpack()
	return true
}

// AppendBlock adds a block as it is to a stream that is being built, behind those that
// are there; behind the last one comes none. It looks at every byte, and counts its
// entries as the stream's.
func (s *Stream) AppendBlock(id ID, lp []byte, last bool) error {
	count, err := ValidateBlock(lp)
	if err != nil {
		return err
	}
	t := s.tree(treeBlocks)
	if n := t.Len(); n > 0 || s.tail != nil {
		if c := t.At(n - 1); s.tail != nil || !(ID{c.Prefix(), itemSeq(c.Item())}).Less(id) {
			return ErrOrder
		}
	}
	if last && len(lp) <= maxTail {
		copy(s.replaceTail(id, len(lp)), lp)
	} else {
		putBlock(&t, id, len(lp), lp)
		s.roots[treeBlocks] = t.Root
	}
	s.meta.length += uint64(count)
	return nil
}

// Facts are what a file tells of a stream beside its entries and groups.
type Facts struct {
	Length, Added           uint64
	Last, First, MaxDeleted ID
}

// Facts returns those of the stream.
func (r *Reader) Facts() Facts {
	m := &r.meta
	return Facts{m.length, m.added, m.last, m.first, m.maxDeleted}
}

// SetFacts ends the blocks of a stream that is being built. The entries that are
// there count, whatever length is told: Redis 5 could miscount when it trimmed,
// and its successors load what it wrote then.
func (s *Stream) SetFacts(f Facts) error {
	if f.Length != 0 && s.meta.length == 0 {
		return ErrLength
	}
	s.meta.added, s.meta.last, s.meta.first, s.meta.maxDeleted = f.Added, f.Last, f.First, f.MaxDeleted
	s.meta.nodes = s.radixOfLast(s.Blocks())
	return nil
}

// SetOldFacts is SetFacts for files from before Redis 7.0, which tell less.
func (s *Stream) SetOldFacts(length uint64, last ID) error {
	f := Facts{Length: length, Added: length, Last: last}
	f.First, _ = s.Edge(false, true) // the greatest id without any entries, as there
	return s.SetFacts(f)
}

// AddGroup makes a group, AddConsumer a consumer.
func (s *Stream) AddGroup(name []byte, last ID, entriesRead int64) (Group, error) {
	g, ok := s.CreateGroup(name, last, entriesRead)
	if !ok {
		return g, ErrTwice
	}
	return g, nil
}

func (s *Stream) AddConsumer(g *Group, name []byte, seenMs int64) (Consumer, error) {
	c, ok := s.CreateConsumer(g, name, seenMs)
	if !ok {
		return c, ErrTwice
	}
	return c, nil
}

// AddPending makes an entry pending in a group, as yet without a consumer.
func (s *Stream) AddPending(group uint32, d Delivery) error {
	if _, found := s.findPending(group, d.ID); found {
		return ErrTwice
	}
	d.Consumer = 0
	s.Deliver(group, d)
	return nil
}

// Assign gives a pending entry of a group its consumer.
func (s *Stream) Assign(group, consumer uint32, id ID) error {
	d, ok := s.Delivery(group, id)
	switch {
	case !ok:
		return ErrPending
	case d.Consumer == consumer:
		return ErrTwice
	case d.Consumer != 0:
		return ErrDelivery
	}
	d.Consumer = consumer
	s.Deliver(group, d)
	return nil
}

// CheckGroup ends a group that is being built: all that is pending has a
// consumer now.
func (s *Stream) CheckGroup(group uint32) error {
	owned := 0
	it := s.Consumers(group)
	for it.Next() {
		owned += s.PendingCount(it.Consumer.Number)
	}
	if owned != s.PendingCount(group) {
		return ErrPending
	}
	return nil
}
