package command

import "slotmesh/node/resp"

// commandDocs is COMMAND DOCS.
func commandDocs(c *Call) error {
	t := c.engine.table
	var found []*Spec
	if len(c.Args) == 2 {
		for s := range t.top {
			found = append(found, s)
		}
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
	flags := s.DocFlags
	if s.Deprecated != "" {
		flags = append([]string{"deprecated"}, flags...)
	}
	texts := [][2]string{
		{"summary", s.Summary}, {"since", s.Since}, {"group", group}, {"complexity", s.Complexity},
	}
	if s.Deprecated != "" {
		texts = append(texts, [2]string{"deprecated_since", s.Deprecated}, [2]string{"replaced_by", s.ReplacedBy})
	}
	fields := 0
	for _, text := range texts {
		if text[1] != "" {
			fields++
		}
	}
	for _, there := range []bool{len(flags) > 0, len(s.args) > 0, len(s.Sub) > 0} {
		if there {
			fields++
		}
	}
	w.Map(fields)
	for _, text := range texts {
		if text[1] != "" {
			w.BulkString(text[0])
			w.BulkString(text[1])
		}
	}
	if len(flags) > 0 {
		w.BulkString("doc_flags")
		replyWords(w, flags)
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

func replyArgs(w *resp.Writer, args []Arg) {
	w.Array(len(args))
	for i := range args {
		replyArg(w, &args[i])
	}
}

func replyArg(w *resp.Writer, a *Arg) {
	var flags []string
	for _, f := range []struct {
		set  bool
		name string
	}{{a.Optional, "optional"}, {a.Multiple, "multiple"}, {a.MultipleToken, "multiple_token"}} {
		if f.set {
			flags = append(flags, f.name)
		}
	}
	fields := 2
	for _, there := range []bool{a.KeySpec >= 0, a.HasToken, len(flags) > 0, len(a.Args) > 0} {
		if there {
			fields++
		}
	}
	w.Map(fields)
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
	if len(flags) > 0 {
		w.BulkString("flags")
		replyWords(w, flags)
	}
	if len(a.Args) > 0 {
		w.BulkString("arguments")
		replyArgs(w, a.Args)
	}
}
