package command

import (
	"slotmesh/node/resp"
	"slotmesh/node/store"
	lists "slotmesh/node/store/list"
	"slotmesh/node/store/value"
)

// This file takes elements from the ends of lists, and puts them to other ends.

// parseCount reads a count that must not be negative.
func parseCount(text []byte) (int, error) {
	n, ok := value.ParseInt(text)
	if !ok || n < 0 {
		return 0, resp.ErrNotPositive
	}
	return int(n), nil
}

func popList(c *Call, front bool) error {
	key := c.Args[1]
	count := -1
	switch len(c.Args) {
	case 2:
	case 3:
		var err error
		if count, err = parseCount(c.Args[2]); err != nil {
			return err
		}
	default:
		return resp.WrongArity(c.Spec.FullName())
	}
	ref, err := openList(c, key)
	if err != nil {
		return err
	}
	switch {
	case !ref.OK() && count < 0:
		c.Reply.Null()
	case !ref.OK():
		c.Reply.NullArray()
	case count == 0:
		c.Reply.Array(0)
	case count < 0:
		c.Reply.Bulk(takeEnd(c, key, &ref, front))
		c.Changed(key)
	default:
		replyPopped(c, key, &ref, front, count)
	}
	return nil
}

// replyPopped answers with up to count elements from an end of the list of key
// and removes them.
func replyPopped(c *Call, key []byte, ref *store.Ref, front bool, count int) (n int) {
	r := lists.Read(ref.Value())
	n = min(count, r.Len())
	if u := c.ahead; u == nil || !u.stillOf(*ref) || !u.answered(c) {
		replyEnd(c.Reply, &r, front, n)
	}
	removeEnd(c, key, ref, &r, front, n)
	return n
}

// replyEnd answers with n elements from an end of a list, from the end inwards.
func replyEnd(w *resp.Writer, r *lists.Reader, front bool, n int) {
	w.Array(n)
	if front {
		it := r.At(0)
		for range n {
			replyElement(w, it.Take())
		}
		return
	}
	it := r.Back()
	for range n {
		replyElement(w, it.Text())
		it.Prev()
	}
}

// popAhead writes the answer of an LPOP or RPOP of many elements.
func popAhead(c *Call, front bool) {
	if len(c.Args) != 3 {
		return
	}
	if count, err := parseCount(c.Args[2]); err == nil {
		c.replyPopAhead(c.Args[1], front, count)
	}
}

// popsAhead does so for the first list of an LMPOP or BLMPOP, whose number of keys
// stands at the place number.
func popsAhead(c *Call, number int) {
	p, err := parsePops(c.Args[number:])
	if err != nil {
		return
	}
	if key := c.firstThere(p.keys); key != nil {
		c.replyPopAhead(key, p.front, p.count)
	}
}

func (c *Call) replyPopAhead(key []byte, front bool, count int) {
	c.replyAhead(key, func(ref store.Ref) bool {
		return ref.Kind() == value.KindList && ref.Roots() > 0 && min(count, elementsOf(ref.Value())) >= aheadMembers
	}, func(v value.Value) {
		r := lists.Read(v)
		replyEnd(c.Reply, &r, front, min(count, r.Len()))
	})
}

// removeEnd removes n elements from an end of the list that r reads.
func removeEnd(c *Call, key []byte, ref *store.Ref, r *lists.Reader, front bool, n int) {
	l := lists.Open(&ref.Cell)
	switch {
	case n == r.Len():
		c.Delete(key)
	case front:
		l.DeleteRange(0, n)
	default:
		l.DeleteRange(r.Len()-n, r.Len())
	}
	c.Changed(key)
	c.dirty += int64(n - 1)
}

// isFront reads LEFT and RIGHT.
func isFront(word []byte) (front bool, err error) {
	switch {
	case IsWord(word, "left"):
		return true, nil
	case IsWord(word, "right"):
		return false, nil
	}
	return false, resp.ErrSyntax
}

func runLMove(c *Call) error {
	from, err := isFront(c.Args[3])
	if err != nil {
		return err
	}
	to, err := isFront(c.Args[4])
	if err != nil {
		return err
	}
	return moveOrNull(c, from, to)
}

// moveOrNull moves an element of the first key to the second one, and answers
// with null if there is none.
func moveOrNull(c *Call, from, to bool) error {
	moved, err := moveElement(c, from, to)
	if err == nil && !moved {
		c.Reply.Null()
	}
	return err
}

// moveElement takes the element from one end of the list of the first key, puts it to
// one end of that of the second key, and answers with it. It reports whether
// there was any.
func moveElement(c *Call, from, to bool) (moved bool, err error) {
	source, destination := c.Args[1], c.Args[2]
	ref, err := openList(c, source)
	if err != nil || !ref.OK() {
		return false, err
	}
	if _, err := openList(c, destination); err != nil {
		return false, err
	}
	// Looking up the destination may have deleted it, and moved the source.
	ref = c.Peek(source)
	if string(source) == string(destination) {
		l := lists.Open(&ref.Cell)
		if l.Len() == 1 {
			r := l.Read()
			it := r.At(0)
			replyElement(c.Reply, it.Text())
		} else {
			element := takeEnd(c, source, &ref, from)
			l.Push(element, to)
			c.Reply.Bulk(element)
		}
		c.Changed(source)
		return true, nil
	}
	element := takeEnd(c, source, &ref, from)
	c.Reply.Bulk(element)
	dst := c.Peek(destination)
	if !dst.OK() {
		dst = c.Create(destination, value.KindList, value.EncQuicklist)
	}
	lists.Open(&dst.Cell).Push(element, to)
	c.Changed(destination)
	c.touch(c.DB, source)
	return true, nil
}

// popRequest is what LMPOP and BLMPOP ask for.
type popRequest struct {
	keys  [][]byte
	front bool
	count int
}

// parsePops reads the arguments from the number of keys on.
func parsePops(args [][]byte) (p popRequest, err error) {
	n, ok := value.ParseInt(args[0])
	if !ok || n <= 0 {
		return p, resp.Error("ERR numkeys should be greater than 0")
	}
	if n >= int64(len(args)-1) {
		return p, resp.ErrSyntax
	}
	p.keys = args[1 : 1+n]
	if p.front, err = isFront(args[1+n]); err != nil {
		return p, err
	}
	p.count = 1
	counted := false
	for words := args[2+n:]; len(words) > 0; words = words[2:] {
		if counted || !IsWord(words[0], "count") || len(words) == 1 {
			return p, resp.ErrSyntax
		}
		counted = true
		count, ok := value.ParseInt(words[1])
		if !ok || count <= 0 {
			return p, resp.Error("ERR count should be greater than 0")
		}
		p.count = int(count)
	}
	return p, nil
}

func runLMPop(c *Call) error {
	p, err := parsePops(c.Args[1:])
	if err != nil {
		return err
	}
	popped, err := popElements(c, p)
	if err == nil && !popped {
		c.Reply.NullArray()
	}
	return err
}

// popElements does what p asks for, of the first of its lists that there is.
func popElements(c *Call, p popRequest) (popped bool, err error) {
	for _, key := range p.keys {
		ref, err := openList(c, key)
		if err != nil {
			return false, err
		}
		if !ref.OK() {
			continue
		}
		c.Reply.Array(2)
		c.Reply.Bulk(key)
		n := replyPopped(c, key, &ref, p.front, p.count)
		c.Effect(popWord(p.front), key, c.Number(int64(n)))
		return true, nil
	}
	return false, nil
}

var (
	wordLPop      = []byte("LPOP")
	wordRPop      = []byte("RPOP")
	wordLMove     = []byte("LMOVE")
	wordRPopLPush = []byte("RPOPLPUSH")
)

func popWord(front bool) []byte {
	if front {
		return wordLPop
	}
	return wordRPop
}
