package rdb

import (
	"encoding/binary"
	"errors"
	"math"

	"slotmesh/node/store/stream"
	"slotmesh/node/store/value"
)

var errStreamID = errors.New("stream id is not 16 bytes")

// streamID reads an id as it names blocks and pending entries.
func (d *decoder) streamID() (stream.ID, error) {
	b, err := d.fixed(16)
	if err != nil {
		return stream.ID{}, err
	}
	return parseStreamID(b), nil
}

func parseStreamID(b []byte) stream.ID {
	return stream.ID{Ms: binary.BigEndian.Uint64(b), Seq: binary.BigEndian.Uint64(b[8:])}
}

func appendStreamID(b []byte, id stream.ID) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b, id.Ms), id.Seq)
}

// lengthsID reads an id as it stands among the facts: two lengths.
func (d *decoder) lengthsID() (id stream.ID, err error) {
	if id.Ms, err = d.plainLength(); err == nil {
		id.Seq, err = d.plainLength()
	}
	return id, err
}

func appendLengthsID(b []byte, id stream.ID) []byte { return appendLen(appendLen(b, id.Ms), id.Seq) }

func (d *decoder) milliseconds() (int64, error) {
	b, err := d.fixed(8)
	if err != nil {
		return 0, err
	}
	return int64(binary.LittleEndian.Uint64(b)), nil
}

// times reads a number and calls read that often.
func (d *decoder) times(read func() error) error {
	n, err := d.plainLength()
	if err != nil {
		return err
	}
	for range n {
		if err := read(); err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder) readStream(t Type, b *build) error {
	s := stream.Open(b.cell())
	// What was read so far is the draft's, to be discarded with it on an error.
	defer s.Save()
	blocks, err := d.plainLength()
	if err != nil {
		return err
	}
	for ; blocks > 0; blocks-- {
		name, err := d.element(&d.first)
		if err != nil {
			return err
		}
		if len(name) != 16 {
			return errStreamID
		}
		id := parseStreamID(name)
		lp, err := d.element(&d.first)
		if err != nil {
			return err
		}
		if err := s.AppendBlock(id, lp, blocks == 1); err != nil {
			return err
		}
	}
	if err := d.readStreamFacts(t, &s); err != nil {
		return err
	}
	return d.times(func() error { return d.readGroup(t, &s) })
}

func (d *decoder) readStreamFacts(t Type, s *stream.Stream) (err error) {
	var f stream.Facts
	if f.Length, err = d.plainLength(); err != nil {
		return err
	}
	if f.Last, err = d.lengthsID(); err != nil {
		return err
	}
	if t == typeStream1 {
		return s.SetOldFacts(f.Length, f.Last)
	}
	if f.First, err = d.lengthsID(); err != nil {
		return err
	}
	if f.MaxDeleted, err = d.lengthsID(); err != nil {
		return err
	}
	if f.Added, err = d.plainLength(); err != nil {
		return err
	}
	return s.SetFacts(f)
}

func (d *decoder) readGroup(t Type, s *stream.Stream) error {
	name, err := d.content()
	if err != nil {
		return err
	}
	last, err := d.lengthsID()
	if err != nil {
		return err
	}
	read := uint64(math.MaxUint64) // not known, as an int64
	if t != typeStream1 {
		if read, err = d.plainLength(); err != nil {
			return err
		}
	} else if n := s.Reader.CountUpTo(last); n >= 0 {
		read = uint64(n)
	}
	g, err := s.AddGroup(name, last, int64(read))
	if err != nil {
		return err
	}
	err = d.times(func() error {
		id, err := d.streamID()
		if err != nil {
			return err
		}
		at, err := d.milliseconds()
		if err != nil {
			return err
		}
		count, err := d.plainLength()
		if err != nil {
			return err
		}
		return s.AddPending(g.Number, stream.Delivery{ID: id, TimeMs: at, Count: count})
	})
	if err != nil {
		return err
	}
	if err := d.times(func() error { return d.readConsumer(t, s, &g) }); err != nil {
		return err
	}
	return s.CheckGroup(g.Number)
}

func (d *decoder) readConsumer(t Type, s *stream.Stream, g *stream.Group) error {
	name, err := d.content()
	if err != nil {
		return err
	}
	seen, err := d.milliseconds()
	if err != nil {
		return err
	}
	if t == typeStream3 {
		// When it last got something: not kept.
		if _, err := d.milliseconds(); err != nil {
			return err
		}
	}
	consumer, err := s.AddConsumer(g, name, seen)
	if err != nil {
		return err
	}
	return d.times(func() error {
		id, err := d.streamID()
		if err != nil {
			return err
		}
		return s.Assign(g.Number, consumer.Number, id)
	})
}

func appendStream(b []byte, v value.Value, tmp *scratch, w *Writer) []byte {
	r := stream.Read(v)
	b = appendLen(b, uint64(r.Blocks()))
	var name [16]byte
	it := r.EachBlock()
	for it.Next() {
		b = appendString(b, appendStreamID(name[:0], it.ID), tmp)
		b = w.spill(appendString(b, it.Listpack, tmp))
	}
	f := r.Facts()
	b = appendLen(b, f.Length)
	b = appendLengthsID(b, f.Last)
	b = appendLengthsID(b, f.First)
	b = appendLengthsID(b, f.MaxDeleted)
	b = appendLen(b, f.Added)
	b = appendLen(b, uint64(r.GroupCount()))
	groups := r.Groups()
	for groups.Next() {
		number := groups.Group.Number
		b = appendString(b, groups.Name, tmp)
		b = appendLengthsID(b, groups.Group.LastID)
		b = appendLen(b, uint64(groups.Group.EntriesRead))
		b = appendLen(b, uint64(r.PendingCount(number)))
		for p := r.Pending(number, stream.ID{}); p.Next(); {
			b = appendStreamID(b, p.ID)
			b = binary.LittleEndian.AppendUint64(b, uint64(p.TimeMs))
			b = w.spill(appendLen(b, p.Count))
		}
		b = appendLen(b, uint64(r.ConsumerCount(number)))
		consumers := r.Consumers(number)
		for consumers.Next() {
			b = appendString(b, consumers.Name, tmp)
			b = binary.LittleEndian.AppendUint64(b, uint64(consumers.Consumer.SeenMs))
			b = appendLen(b, uint64(r.PendingCount(consumers.Consumer.Number)))
			for p := r.Owned(consumers.Consumer.Number, stream.ID{}); p.Next(); {
				b = w.spill(appendStreamID(b, p.ID))
			}
		}
	}
	return b
}
