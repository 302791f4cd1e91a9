package command

import (
	"strings"

	"slotmesh/node/resp"
	"slotmesh/node/store"
	"slotmesh/node/store/stream"
	"slotmesh/node/store/value"
)

// This file is XGROUP and XACK; the rows of all that has to do with groups.

func streamGroupRows() []Spec {
	key := func(flags KeyFlags) []KeySpec { return []KeySpec{{Flags: flags, Begin: 2, Step: 1}} }
	help := func(run func(*Call) error) Spec {
		return Spec{
			Name: "help", Arity: 2, Flags: Loading | Stale, Since: "5.0.0", Complexity: "O(1)",
			Summary: "Lists the subcommands.", Categories: []string{"stream"}, Run: run,
		}
	}
	nondeterministic := []string{"nondeterministic_output"}
	return []Spec{
		{
			Name: "xack", Syntax: "key group id [id ...]", Arity: -4, Flags: Write | Fast, Keys: updatesKey,
			Since: "5.0.0", Complexity: "O(log N) for each entry.",
			Summary: "Acknowledges entries, which are then no longer pending in the group.", Run: runXAck, Heavy: manyArgs,
		},
		{
			Name: "xautoclaim", Syntax: "key group consumer min-idle-time start:string [COUNT count] [JUSTID]", Arity: -6,
			Flags: Write | Fast, Keys: []KeySpec{{Flags: KeyRW | KeyDelete, Begin: 1, Step: 1}},
			Since: "6.2.0", Complexity: "O(log N) for each entry looked at.",
			Summary: "Gives entries that are pending for long to another consumer, step by step.",
			Tips:    nondeterministic, Run: runXAutoClaim, Sized: true,
		},
		{
			Name: "xclaim",
			Syntax: "key group consumer min-idle-time:string id [id ...] [IDLE ms:integer] [TIME unix-time-milliseconds]" +
				" [RETRYCOUNT count] [FORCE] [JUSTID] [LASTID id]",
			Arity: -6, Flags: Write | Fast, Keys: updatesKey,
			Since: "5.0.0", Complexity: "O(log N) for each entry.",
			Summary: "Gives pending entries to another consumer.", Tips: nondeterministic, Run: runXClaim, Heavy: manyArgs,
		},
		{
			Name: "xgroup", Arity: -2, Since: "5.0.0", Complexity: "Depends on the subcommand.", Summary: "Manages groups of consumers.",
			Sub: []Spec{
				{
					Name: "create", Syntax: "key groupname <id | $> [MKSTREAM] [ENTRIESREAD entries_read:integer]", Arity: -5,
					Flags: Write | DenyOOM, Keys: key(KeyRW | KeyInsert), Since: "5.0.0", Complexity: "O(log N)",
					Summary: "Makes a group.", Run: xGroupCreate,
				},
				{
					Name: "createconsumer", Syntax: "key groupname consumername", Arity: 5, Flags: Write | DenyOOM,
					Keys: key(KeyRW | KeyInsert), Since: "6.2.0", Complexity: "O(log N)",
					Summary: "Makes a consumer of a group.", Run: xGroupCreateConsumer,
				},
				{
					Name: "delconsumer", Syntax: "key groupname consumername", Arity: 5, Flags: Write,
					Keys: key(KeyRW | KeyDelete), Since: "5.0.0", Complexity: "O(N) where N is the number of entries it has pending.",
					Summary: "Removes a consumer of a group.", Run: xGroupDelConsumer, Sized: true,
				},
				{
					Name: "destroy", Syntax: "key groupname", Arity: 4, Flags: Write, Keys: key(KeyRW | KeyDelete),
					Since: "5.0.0", Complexity: "O(N) where N is the number of entries that are pending.",
					Summary: "Removes a group.", Run: xGroupDestroy, Sized: true,
				},
				help(xGroupHelp),
				{
					Name: "setid", Syntax: "key groupname <id | $> [ENTRIESREAD entries_read:integer]", Arity: -5, Flags: Write,
					Keys: key(KeyRW | KeyUpdate), Since: "5.0.0", Complexity: "O(log N)",
					Summary: "Sets the last id that a group has had.", Run: xGroupSetID,
				},
			},
		},
		{
			Name: "xinfo", Arity: -2, Since: "5.0.0", Complexity: "Depends on the subcommand.", Summary: "Tells about streams.",
			Sub: []Spec{
				{
					Name: "consumers", Syntax: "key groupname", Arity: 4, Flags: ReadOnly, Keys: key(KeyRO | KeyAccess),
					Since: "5.0.0", Complexity: "O(N) where N is the number of consumers.",
					Summary: "Returns the consumers of a group.", Tips: nondeterministic, Run: xInfoConsumers,
				},
				{
					Name: "groups", Syntax: "key", Arity: 3, Flags: ReadOnly, Keys: key(KeyRO | KeyAccess), Since: "5.0.0",
					Complexity: "O(N) where N is the number of groups.", Summary: "Returns the groups of a stream.", Run: xInfoGroups,
				},
				help(xInfoHelp),
				{
					Name: "stream", Syntax: "key [FULL [COUNT count]]", Arity: -3, Flags: ReadOnly, Keys: key(KeyRO | KeyAccess),
					Since: "5.0.0", Complexity: "O(N) with FULL, where N is the number of things returned.",
					Summary: "Tells about a stream.", Run: xInfoStream, Sized: true,
				},
			},
		},
		{
			Name: "xpending", Syntax: "key group [[IDLE min-idle-time:integer] start:string end:string count [consumer]]", Arity: -3,
			Flags: ReadOnly, Keys: readsKey, Since: "5.0.0",
			Complexity: "O(log N + M) where M is the number of entries looked at, or of consumers.",
			Summary:    "Returns what is pending in a group.", Tips: nondeterministic, Run: runXPending, Sized: true,
		},
	}
}

// manyPending is tooLong for all that is pending in a stream.
func (c *Call) manyPending(r *stream.Reader) bool { return c.tooLong(r.Pendings(), 2*heavyEntries) }

func subcommandSyntax(c *Call) error {
	return textErr("ERR unknown subcommand or wrong number of arguments for '", cText(c.Args[1][:min(len(c.Args[1]), 128)]), "'. Try ",
		strings.ToUpper(cText(c.Args[0])), " HELP.")
}

const (
	errEntriesRead resp.Error = "ERR value for ENTRIESREAD must be positive or -1"
	errNoStream    resp.Error = "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use " +
		"the MKSTREAM option to create an empty stream automatically."
	errBusyGroup resp.Error = "BUSYGROUP Consumer Group name already exists"
)

// groupOptions reads what follows the id of XGROUP CREATE and SETID.
func groupOptions(c *Call, isCreate bool) (create bool, read int64, err error) {
	read = stream.NotKnown
	for i := 5; i < len(c.Args); i++ {
		switch {
		case isCreate && IsWord(c.Args[i], "mkstream"):
			create = true
		case i+1 < len(c.Args) && IsWord(c.Args[i], "entriesread"):
			i++
			var ok bool
			if read, ok = value.ParseInt(c.Args[i]); !ok {
				return false, 0, resp.ErrNotInteger
			}
			// On the primary it may have been counted up from the greatest number.
			if read < 0 && read != stream.NotKnown && !c.Applied {
				return false, 0, errEntriesRead
			}
		default:
			return false, 0, subcommandSyntax(c)
		}
	}
	return create, read, nil
}

// groupStream looks up the stream of XGROUP's key, which must be there.
func (c *Call) groupStream() (store.Ref, error) {
	ref, err := c.writeStream(c.Args[2])
	if err == nil && !ref.OK() {
		err = errNoStream
	}
	return ref, err
}

// needGroup returns the group that XGROUP and XINFO name.
func needGroup(c *Call, r *stream.Reader) (stream.Group, error) {
	g, ok := r.Group(c.Args[3])
	if !ok {
		return g, textErr("NOGROUP No such consumer group '", cText(c.Args[3]), "' for key name '", cText(c.Args[2]), "'")
	}
	return g, nil
}

func xGroupCreate(c *Call) error {
	create, read, err := groupOptions(c, true)
	if err != nil {
		return err
	}
	key, name := c.Args[2], c.Args[3]
	ref, err := c.writeStream(key)
	ok := ref.OK()
	switch {
	case err != nil:
		return err
	case !ok && !create:
		return errNoStream
	case len(c.Args) > 8:
		return subcommandSyntax(c)
	}
	var s stream.Stream
	if ok {
		s = stream.Open(&ref.Cell)
	}
	last, err := groupID(c, ok, &s.Reader, stream.ParseID)
	if err != nil {
		return err
	}
	if !ok {
		ref = c.newStream(key)
		s = stream.Open(&ref.Cell)
		c.touch(c.DB, key)
	}
	if _, ok = s.CreateGroup(name, last, read); !ok {
		return errBusyGroup
	}
	s.Save()
	c.dirty++
	c.Reply.OK()
	return nil
}

// groupID reads the id of XGROUP CREATE and SETID.
func groupID(c *Call, ok bool, r *stream.Reader, parse func([]byte, uint64) (stream.ID, bool)) (stream.ID, error) {
	arg := c.Args[4]
	if len(arg) == 1 && arg[0] == '$' {
		if !ok {
			return stream.ID{}, nil
		}
		return r.LastID(), nil
	}
	id, valid := parse(arg, 0)
	if !valid {
		return id, errStreamID
	}
	return id, nil
}

func xGroupSetID(c *Call) error {
	_, read, err := groupOptions(c, false)
	if err != nil {
		return err
	}
	ref, err := c.groupStream()
	if err != nil {
		return err
	}
	s := stream.Open(&ref.Cell)
	g, err := needGroup(c, &s.Reader)
	switch {
	case err != nil:
		return err
	case len(c.Args) > 7:
		return subcommandSyntax(c)
	}
	if g.LastID, err = groupID(c, true, &s.Reader, stream.ParseBound); err != nil {
		return err
	}
	g.EntriesRead = read
	s.SetGroup(c.Args[3], &g)
	s.Save()
	c.dirty++
	c.Reply.OK()
	return nil
}

func xGroupDestroy(c *Call) error {
	key := c.Args[2]
	ref, err := c.groupStream()
	if err != nil {
		return err
	}
	s := stream.Open(&ref.Cell)
	if c.manyPending(&s.Reader) {
		return ErrLong
	}
	if !s.DestroyGroup(c.Args[3]) {
		c.Reply.Int(0)
		return nil
	}
	s.Save()
	c.dirty++
	if c.engine.blocking.clients.Load() > 0 {
		// Its consumers may be waiting.
		c.noteReady(c.DB, c.slotOf(key), key)
	}
	c.Reply.Int(1)
	return nil
}

func xGroupCreateConsumer(c *Call) error {
	ref, err := c.groupStream()
	if err != nil {
		return err
	}
	s := stream.Open(&ref.Cell)
	g, err := needGroup(c, &s.Reader)
	if err != nil {
		return err
	}
	if _, created := s.CreateConsumer(&g, c.Args[4], c.Now); !created {
		c.Reply.Int(0)
		return nil
	}
	s.Save()
	c.dirty++
	c.Effect(c.Args...)
	c.tellSeen(c.Args[2], c.Args[3], c.Args[4])
	c.Reply.Int(1)
	return nil
}

func xGroupDelConsumer(c *Call) error {
	ref, err := c.groupStream()
	if err != nil {
		return err
	}
	s := stream.Open(&ref.Cell)
	g, err := needGroup(c, &s.Reader)
	if err != nil {
		return err
	}
	if c.manyPending(&s.Reader) {
		return ErrLong
	}
	pending, ok := s.DeleteConsumer(&g, c.Args[4])
	if ok {
		s.Save()
		c.dirty++
	}
	c.Reply.Int(int64(pending))
	return nil
}

func xGroupHelp(c *Call) error {
	Help(c.Reply, "XGROUP",
		"CREATE <key> <groupname> <id|$> [option]", "    Make a group. Options are:",
		"    * MKSTREAM", "      Make the stream too, if it is not there.",
		"    * ENTRIESREAD entries_read", "      The number of entries that the group has read (internal).",
		"CREATECONSUMER <key> <groupname> <consumer>", "    Make a consumer of a group.",
		"DELCONSUMER <key> <groupname> <consumer>", "    Remove a consumer of a group.",
		"DESTROY <key> <groupname>", "    Remove a group.",
		"SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]", "    Set the last id that a group has had, and how many entries that were.",
	)
	return nil
}

func runXAck(c *Call) error {
	// Looked up as for reading, as the reference does.
	ref, err := c.ReadKind(c.Args[1], value.KindStream)
	if err != nil {
		return err
	}
	if !ref.OK() {
		c.Reply.Int(0)
		return nil
	}
	s := stream.Open(&ref.Cell)
	g, found := s.Group(c.Args[2])
	if !found {
		c.Reply.Int(0)
		return nil
	}
	var room [8]stream.ID
	ids, err := appendStreamIDs(room[:0], c.Args[3:])
	if err != nil {
		return err
	}
	done := int64(0)
	for _, id := range ids {
		if s.Acknowledge(g.Number, id) {
			done++
		}
	}
	if done > 0 {
		s.Save()
		c.dirty += done
	}
	c.Reply.Int(done)
	return nil
}
