package command

import (
	"slotmesh/node/resp"
	"slotmesh/node/store"
	"slotmesh/node/store/value"
)

// ReadKind looks up a key of a kind for a command that reads it, as Read does. A
// key of another kind is an error.
func (c *Call) ReadKind(key []byte, kind value.Kind) (store.Ref, error) {
	ref := c.Read(key)
	return ref, isKind(ref, kind)
}

// WriteKind looks up a key of a kind for a command that is going to change it.
func (c *Call) WriteKind(key []byte, kind value.Kind) (store.Ref, error) {
	ref := c.Write(key)
	return ref, isKind(ref, kind)
}

// isKind checks that ref, if there, is of a kind.
func isKind(ref store.Ref, kind value.Kind) error {
	if ref.OK() && ref.Kind() != kind {
		return resp.ErrWrongType
	}
	return nil
}

// Create makes key, which does not exist, an empty collection. The caller fills
// it.
func (c *Call) Create(key []byte, kind value.Kind, enc value.Encoding) store.Ref {
	return c.Put(key, value.Value{Kind: kind, Enc: enc}, false)
}

// Draft returns an empty value that can become that of key: see PutDraft.
func (c *Call) Draft(key []byte, kind value.Kind, enc value.Encoding) *value.Draft {
	return value.NewDraft(c.engine.store.DraftSpace(c.slotOf(key)), kind, enc)
}

// PutDraft makes d the value of key, whatever it was before. d is of no use
// afterwards.
func (c *Call) PutDraft(key []byte, d *value.Draft, keepTTL bool) store.Ref {
	ref := c.Put(key, d.Value(), keepTTL)
	d.Close()
	return ref
}
