package node

import (
	"os"
	"path/filepath"
	"strings"
	"unsafe"
)

// Args is the command line, copied, and the memory in which the system keeps
// the original.
type Args struct {
	// List is the copy.
	List []string
	area []byte
}

// CaptureArgs copies os.Args and the environment out of the memory that the
// operating system shows as the process's command line, and remembers that
// memory, so that a title can be written there. It is called first thing in
// main: strings taken from os.Args before would change with the title.
//
// The Go runtime hands out the arguments and the environment without copying,
// as strings over the area that the kernel filled at exec. The area is
// writable and belongs to nobody else; only what lies in one piece from the
// first argument on is used.
func CaptureArgs() *Args {
	a := &Args{}
	original, environment := os.Args, os.Environ()
	for _, arg := range original {
		a.List = append(a.List, strings.Clone(arg))
	}
	os.Args = append([]string(nil), a.List...)
	// Package os keeps the strings of the environment: have it hold copies.
	os.Clearenv()
	for _, entry := range environment {
		if name, value, ok := strings.Cut(strings.Clone(entry), "="); ok && name != "" {
			if os.Setenv(name, value) != nil {
				return a
			}
		}
	}
	a.area = oneArea(append(append([]string(nil), original...), environment...))
	return a
}

// oneArea is the memory of those of the first spans that lie one after another,
// each ended by a zero byte, without the last of these.
func oneArea(spans []string) []byte {
	if len(spans) == 0 || spans[0] == "" {
		return nil
	}
	start := unsafe.StringData(spans[0])
	size := 0
	for _, span := range spans {
		if span != "" && unsafe.StringData(span) != (*byte)(unsafe.Add(unsafe.Pointer(start), size)) {
			break
		}
		size += len(span) + 1
	}
	return unsafe.Slice(start, size-1)
}

// title writes the process's title.
type title struct {
	// program is the base name that the process was started under.
	program string
	area    []byte
}

func newTitle(args *Args) *title {
	t := &title{program: "slotmesh"}
	if args != nil && len(args.List) > 0 {
		t.program = filepath.Base(args.List[0])
		t.area = args.area
	}
	return t
}

// set shows text, as much as the area takes.
func (t *title) set(text string) {
	if len(t.area) == 0 {
		return
	}
	n := copy(t.area, text)
	clear(t.area[n:])
}
