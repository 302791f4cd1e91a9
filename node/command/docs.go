package command

import (
	"slices"

	"slotmesh/node/resp"
)

// commandDocs is COMMAND DOCS.
func commandDocs(c *Call) error {
	t := c.engine.table
	var room [16]*Spec
	found := room[:0]
	if len(c.Args) == 2 {
		found = slices.AppendSeq(found, t.top)
	}
	for _, name := range c.Args[2:] {
		if s := t.Resolve(name); s != nil {
			found = append(found, s)
		}
	}
	c.Reply.Map(len(found))
	for _, s := range found {
		c.Reply.BulkString(s.fullName)
		replyDocs(c.Reply, s)
	}
	return nil
}

// replyDocs writes the documentation of s: only the fields that it has.
func replyDocs(w *resp.Writer, s *Spec) {
	group := s.Group
	if s.DocGroup != "" {
		group = s.DocGroup
	}
	texts := [...][2]string{
		{"summary", s.Summary},
		{"since", s.Since},
		{"group", group},
		{"complexity", s.Complexity},
		{"deprecated_since", s.Deprecated},
		{"replaced_by", s.ReplacedBy},
	}
	fields := 0
	for i := range texts {
		fields += one(texts[i][1] != "")
	}
	deprecated := one(s.Deprecated != "")
	flags := deprecated + len(s.DocFlags)
	w.Map(fields + one(flags > 0) + one(len(s.args) > 0) + one(len(s.Sub) > 0))
	for i := range texts {
		if texts[i][1] != "" {
			w.BulkString(texts[i][0])
			w.BulkString(texts[i][1])
		}
	}
	if flags > 0 {
		w.BulkString("doc_flags")
		w.Set(flags)
		if deprecated > 0 {
			w.Simple("deprecated")
		}
		for _, flag := range s.DocFlags {
			w.Simple(flag)
		}
	}
	if len(s.args) > 0 {
		w.BulkString("arguments")
		replyArgs(w, s.args)
	}
	if len(s.Sub) > 0 {
		w.BulkString("subcommands")
		w.Map(len(s.Sub))
		for i := range s.Sub {
			w.BulkString(s.Sub[i].fullName)
			replyDocs(w, &s.Sub[i])
		}
	}
}

// one counts what is there.
func one(there bool) int {
	if there {
		return 1
	}
	return 0
}

func replyArgs(w *resp.Writer, args []Arg) {
	w.Array(len(args))
	for i := range args {
		replyArg(w, &args[i])
	}
}

// argFlags are the facts of an argument, in the order in which they are told.
const (
	argOptional uint16 = 1 << iota
	argMultiple
	argMultipleToken
)

var argFlagNames = []named[uint16]{
	{argOptional, "optional"},
	{argMultiple, "multiple"},
	{argMultipleToken, "multiple_token"},
}

func replyArg(w *resp.Writer, a *Arg) {
	var flags uint16
	if a.Optional {
		flags |= argOptional
	}
	if a.Multiple {
		flags |= argMultiple
	}
	if a.MultipleToken {
		flags |= argMultipleToken
	}
	w.Map(2 + one(a.KeySpec >= 0) + one(a.HasToken) + one(flags != 0) + one(len(a.Args) > 0))
	w.BulkString("name")
	w.BulkString(a.Name)
	w.BulkString("type")
	w.BulkString(a.Type)
	if a.KeySpec >= 0 {
		w.BulkString("key_spec_index")
		w.Int(int64(a.KeySpec))
	}
	if a.HasToken {
		w.BulkString("token")
		w.BulkString(a.Token)
	}
	if flags != 0 {
		w.BulkString("flags")
		replyNames(w, argFlagNames, flags)
	}
	if len(a.Args) > 0 {
		w.BulkString("arguments")
		replyArgs(w, a.Args)
	}
}
