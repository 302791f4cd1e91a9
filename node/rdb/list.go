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

func (d *decoder) readList(t Type, c *value.Draft) error {
	l := list.Open(&c.Cell)
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

func appendList(b []byte, v value.Value, seen lzfTable, w *Writer) []byte {
	r := list.Read(v)
	b = appendLen(b, uint64(r.PackCount()))
	r.Packs(func(lp []byte) bool {
		b = appendLen(b, nodePacked)
		b = w.spill(appendString(b, lp, seen))
		return true
	})
	return b
}
