package node

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
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

// CaptureArgs copies os.Args out of the memory that the operating system shows
// as the process's command line, and remembers that memory, so that a title can
// be written there. It is called first thing in main: strings taken from
// os.Args before would change with the title.
//
// The Go runtime hands out the arguments without copying, as strings over the
// area that the kernel filled at exec. That area is writable and belongs to
// nobody else. The environment, which follows it, the runtime has copied: a
// long title may lie over it.
func CaptureArgs() *Args {
	a := &Args{}
	original := os.Args
	for _, arg := range original {
		a.List = append(a.List, strings.Clone(arg))
	}
	os.Args = append([]string(nil), a.List...)
	if len(original) == 0 || original[0] == "" {
		return a
	}
	// Arguments stand one after another, each ended by a zero byte.
	start := unsafe.StringData(original[0])
	size := 0
	for _, arg := range original {
		if arg != "" && unsafe.StringData(arg) != (*byte)(unsafe.Add(unsafe.Pointer(start), size)) {
			return a
		}
		size += len(arg) + 1
	}
	if m, ok := readLayout(); ok && m.argStart == uintptr(unsafe.Pointer(start)) && m.argEnd == m.argStart+uintptr(size) &&
		m.envStart == m.argEnd && m.envEnd > m.envStart {
		size = int(m.envEnd - m.argStart)
	}
	a.area = unsafe.Slice(start, size-1)
	return a
}

// layout is where the kernel put the arguments and the environment.
type layout struct{ argStart, argEnd, envStart, envEnd uintptr }

// readLayout reads fields 48 to 51 of /proc/self/stat. The second field, in
// parentheses, may hold blanks.
func readLayout() (m layout, ok bool) {
	content, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return m, false
	}
	fields := strings.Fields(string(content[bytes.LastIndexByte(content, ')')+1:]))
	const third, wanted = 3, 48
	if len(fields) <= wanted-third+3 {
		return m, false
	}
	for i, to := range []*uintptr{&m.argStart, &m.argEnd, &m.envStart, &m.envEnd} {
		n, err := strconv.ParseUint(fields[wanted-third+i], 10, 64)
		if err != nil {
			return m, false
		}
		*to = uintptr(n)
	}
	return m, true
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
