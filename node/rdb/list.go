package rdb

import (
	"errors"
	"fmt"

	"slotmesh/node/store/list"
	"slotmesh/node/store/value"
)

// Containers of a quicklist's nodes.
const (
	nodePlain  = 1
	nodePacked = 2
)

var errContainer = errors.New("quicklist node of an unknown kind")

func (d *decoder) readList(t Type, b *build) error {
	if t == typeQuicklist2 && d.lends && d.onePack() {
		lp, err := d.pack()
		if err == nil && list.Packed(lp) {
			b.finish(value.EncQuicklist, lp)
			return nil
		}
		l := list.Open(b.cell())
		if err == nil {
			l.PushPack(lp)
		}
		return err
	}
	l := list.Open(b.cell())
	if t == typeZiplist {
		lp, err := d.ziplist()
		if err != nil {
			return err
		}
		l.PushPack(lp)
		return nil
	}
	err := d.elements(func() error {
		switch t {
		case typeQuicklist:
			lp, err := d.ziplist()
			if err == errEmpty {
				return nil
			}
			if err != nil {
				return err
			}
			l.PushPack(lp)
			return nil
		case typeQuicklist2:
			container, err := d.plainLength()
			if err != nil {
				return err
			}
			switch container {
			case nodePlain:
			case nodePacked:
				lp, err := d.pack()
				if err == errEmpty {
					return nil
				}
				if err != nil {
					return err
				}
				l.PushPack(lp)
				return nil
			default:
				return fmt.Errorf("%w: %d", errContainer, container)
			}
		}
		text, err := d.element(&d.first)
		if err != nil {
			return err
		}
		l.Push(text, false)
		return nil
	})
	if err == nil && l.Len() == 0 {
		return errEmpty
	}
	return err
}

// onePack reports whether the list is one packed node, and goes on to that.
func (d *decoder) onePack() bool {
	rest := d.buf[d.pos:]
	if len(rest) < 2 || rest[0] != 1 || rest[1] != nodePacked {
		return false
	}
	d.pos += 2
	return true
}

func appendList(b []byte, v value.Value, tmp *scratch, w *Writer) []byte {
	r := list.Read(v)
	b = appendLen(b, uint64(r.PackCount()))
	r.Packs(func(lp []byte) bool {
		b = appendLen(b, nodePacked)
		b = w.spill(appendString(b, lp, tmp))
		return true
	})
	return b
}
