package command

import "slotmesh/node/store/value"

// listBlockingRows are the rows of lists that wait for an element.
func listBlockingRows() []Spec {
	const flags = Write | NoScript | Blocking
	everyKey := []KeySpec{{Flags: KeyRW | KeyAccess | KeyDelete, Begin: 1, Last: -2, Step: 1}}
	return []Spec{
		{
			Name: "blmove", Syntax: "source destination <LEFT | RIGHT> <LEFT | RIGHT> timeout:double", Arity: 6, Flags: flags | DenyOOM, Keys: movesKeys,
			Since: "6.2.0", Complexity: "O(1)", Summary: "LMOVE that waits for an element.", Run: runBLMove,
		},
		{
			Name: "blmpop", Syntax: "timeout:double numkeys key [key ...] <LEFT | RIGHT> [COUNT count]", Arity: -5, Flags: Write | Blocking | MovableKeys,
			Keys:  []KeySpec{{Flags: KeyRW | KeyAccess | KeyDelete, Begin: 2, KeyNum: true, FirstKey: 1, Step: 1}},
			Since: "7.0.0", Complexity: "O(N+M) where N is the number of keys and M the number of elements returned.",
			Summary: "LMPOP that waits for elements.", Run: runBLMPop, Heavy: longPops, Ahead: func(c *Call) { popsAhead(c, 2) },
		},
		{
			Name: "blpop", Syntax: "key [key ...] timeout:double", Arity: -3, Flags: flags, Keys: everyKey,
			Since: "2.0.0", Complexity: "O(N) where N is the number of keys.", Summary: "Removes the first element of the first list that has any and returns it, or waits for one.",
			Run: func(c *Call) error { return blockingPop(c, true) }, Heavy: manyArgs,
		},
		{
			Name: "brpop", Syntax: "key [key ...] timeout:double", Arity: -3, Flags: flags, Keys: everyKey,
			Since: "2.0.0", Complexity: "O(N) where N is the number of keys.", Summary: "Removes the last element of the first list that has any and returns it, or waits for one.",
			Run: func(c *Call) error { return blockingPop(c, false) }, Heavy: manyArgs,
		},
		{
			Name: "brpoplpush", Syntax: "source destination timeout:double", Arity: 4, Flags: flags | DenyOOM, Keys: movesKeys,
			Since: "2.2.0", Complexity: "O(1)", Summary: "RPOPLPUSH that waits for an element.",
			Deprecated: "6.2.0", ReplacedBy: "`BLMOVE` with the `RIGHT` and `LEFT` arguments",
			Run: func(c *Call) error {
				return blockingMove(c, c.Args[3], false, true, func(c *Call) { c.Effect(wordRPopLPush, c.Args[1], c.Args[2]) })
			},
		},
	}
}

// popOne answers with key and an element from an end of its list, and removes
// that. It reports whether there was any.
func popOne(c *Call, key []byte, front bool) (popped bool, err error) {
	ref, err := openList(c, key)
	if err != nil || !ref.OK() {
		return false, err
	}
	c.Reply.Array(2)
	c.Reply.Bulk(key)
	c.Reply.Bulk(takeEnd(c, key, &ref, front))
	c.Changed(key)
	c.Effect(popWord(front), key)
	return true, nil
}

func blockingPop(c *Call, front bool) error {
	timeout, err := ParseTimeout(c.Args[len(c.Args)-1])
	if err != nil {
		return err
	}
	keys := c.Args[1 : len(c.Args)-1]
	for _, key := range keys {
		if popped, err := popOne(c, key, front); popped || err != nil {
			return err
		}
	}
	return c.Wait(Wait{
		Keys: keys, Kind: value.KindList, Timeout: timeout,
		Serve: func(c *Call, key []byte) (bool, error) { return popOne(c, key, front) },
	})
}

func runBLMPop(c *Call) error {
	p, err := parsePops(c.Args[2:])
	if err != nil {
		return err
	}
	timeout, err := ParseTimeout(c.Args[1])
	if err != nil {
		return err
	}
	if popped, err := popElements(c, p); popped || err != nil {
		return err
	}
	front, count := p.front, p.count
	return c.Wait(Wait{
		Keys: p.keys, Kind: value.KindList, Timeout: timeout,
		Serve: func(c *Call, key []byte) (bool, error) {
			return popElements(c, popRequest{[][]byte{key}, front, count})
		},
	})
}

func runBLMove(c *Call) error {
	from, err := isFront(c.Args[3])
	if err != nil {
		return err
	}
	to, err := isFront(c.Args[4])
	if err != nil {
		return err
	}
	return blockingMove(c, c.Args[5], from, to, func(c *Call) { c.Effect(wordLMove, c.Args[1], c.Args[2], c.Args[3], c.Args[4]) })
}

// blockingMove is moveElement that waits. effect journals the command that does not.
func blockingMove(c *Call, timeoutText []byte, from, to bool, effect func(*Call)) error {
	timeout, err := ParseTimeout(timeoutText)
	if err != nil {
		return err
	}
	step := func(c *Call) (bool, error) {
		moved, err := moveElement(c, from, to)
		if moved {
			effect(c)
		}
		return moved, err
	}
	if moved, err := step(c); moved || err != nil {
		return err
	}
	if c.InExec || c.Conn == nil {
		// Not the null array of one who waited.
		c.Reply.Null()
		return nil
	}
	return c.Wait(Wait{
		Keys: c.Args[1:2], To: c.Args[2:3], Kind: value.KindList, Timeout: timeout,
		Serve: func(c *Call, _ []byte) (bool, error) { return step(c) },
	})
}
