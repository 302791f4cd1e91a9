package command

// Spec is one command, declared as one row in its family's file. It is
// immutable after the Table is built.
type Spec struct {
	// Name in lower case: "set"; of a subcommand only its own word: "get".
	Name string
	// Syntax is what follows the name, in the notation of the documentation:
	// "key value [NX | XX] [GET] [EX seconds | PX milliseconds | KEEPTTL]".
	// The argument trees of COMMAND DOCS are parsed from it.
	Syntax string
	// Arity counts the name itself; negative means "at least".
	Arity int
	Flags Flags
	// Keys say where key names stand; empty for commands without keys.
	Keys []KeySpec
	// KeysOf finds the keys where Keys cannot tell (Flags has MovableKeys). It
	// appends positions in args to at.
	KeysOf func(args [][]byte, at []int) ([]int, error)
	// FlagsOf, where the flags of Keys depend on the arguments
	// (KeyVariableFlags), says what this call does with its keys.
	FlagsOf func(args [][]byte) KeyFlags

	Group      string // "string", "generic", "connection", "server", "cluster", "transactions"…
	Since      string
	Complexity string
	Summary    string
	Tips       []string
	// Deprecated is the version since when another command is to be used, and
	// ReplacedBy that command.
	Deprecated, ReplacedBy string
	// DocFlags and DocGroup are what COMMAND DOCS shows beyond and instead of the
	// rest.
	DocFlags []string
	DocGroup string
	// Categories are ACL categories beyond those that follow from Flags and Group.
	Categories []string

	// Run does the work. It writes exactly one reply, or none and returns an
	// error, or parks. It validates before it changes anything. Nil for a
	// container command, whose Sub has the functions.
	Run func(*Call) error
	// Heavy, when set, says by the arguments whether this call may take long (more
	// than about 200 microseconds): it then runs off the event loop. See Always. With
	// InExec the question is of a call that EXEC will make, which cannot give up with
	// ErrLong.
	Heavy func(*Call) bool
	// Sized marks a command that goes through values of any size, for which Run
	// asks Call.tooLong. Squared says that its work grows with the product of two
	// sizes.
	Sized, Squared bool
	// Ahead, if set, is work that needs no lock. It runs before a call that is off
	// the loop has its slots, and leaves what it made in Call.ahead.
	Ahead func(*Call)

	// Elsewhere, if set, names the other database in which this call looks its only key up
	// too, or returns false if it is none. What it says is believed for nothing but Warm.
	Elsewhere func(args [][]byte) (db int, ok bool)

	// Exclusive marks a command without keys that runs while nothing else does:
	// FLUSHALL, SWAPDB. Walks marks one that visits slots by Call.WithSlot: KEYS,
	// SCAN. Inside EXEC both make the whole transaction exclusive.
	Exclusive, Walks bool
	// Reaches, if set, says whether this call looks at keys that its arguments do
	// not name, outside cluster mode. On a loop it takes their slots as it comes by
	// them, and gives up with ErrLong if one is taken; anywhere else it runs while
	// nothing else does, and holds no slots.
	Reaches func(args [][]byte) bool

	Sub []Spec

	facts
}

// facts are what NewTable works out once so that the hot path need not.
type facts struct {
	// fullName is "set" or "config|get".
	fullName string
	parent   *Spec
	// index is the row's number in its table, by which statistics are kept.
	index int
	// keyed is true for a command that can name keys; onlyKey is the position of
	// the only key of calls of up to onlyWords words, 0 if the row does not say so at
	// a glance. plainKeys says that no words have to be read to find all keys.
	keyed     bool
	onlyKey   int
	onlyWords int
	plainKeys bool
	// keysAt are the positions of all keys where every call has them in the same.
	keysAt  []int
	migrate bool
	// args is the argument tree, parsed from Syntax.
	args []Arg
	// categories are those of the ACL.
	categories categories
	// subs are the subcommands by name.
	subs map[string]*Spec
}

// FullName is the name that errors and statistics use: "set", "config|get".
func (s *Spec) FullName() string { return s.fullName }

// Parent is the container of a subcommand, or nil.
func (s *Spec) Parent() *Spec { return s.parent }

// Index is the row's number in its Table, from 0 to Table.Len()-1,
// subcommands included.
func (s *Spec) Index() int { return s.index }

// Keyed reports whether the command can name keys at all.
func (s *Spec) Keyed() bool { return s.keyed }

// OnlyKey is the position of the one key that a call of so many words names, or 0 if
// the row does not say so at a glance. The number of words is one that Arity allows.
func (s *Spec) OnlyKey(words int) int {
	if words <= s.onlyWords {
		return s.onlyKey
	}
	return 0
}

// PlainKeys reports whether the keys of a call stand in places that do not depend on
// what its words are.
func (s *Spec) PlainKeys() bool { return s.plainKeys }

// Always is a Heavy for commands that never run on a loop.
func Always(*Call) bool { return true }

// Flags are the facts of a command that gates and clients use. The names are
// those of COMMAND INFO.
type Flags uint32

const (
	Write Flags = 1 << iota
	ReadOnly
	DenyOOM
	Admin
	PubSub
	NoScript
	Blocking
	Loading
	Stale
	SkipMonitor
	SkipSlowlog
	Asking
	Fast
	NoAuth
	MayReplicate
	NoMandatoryKeys
	ProtectedCommand
	NoAsyncLoading
	NoMulti
	AllowBusy
	MovableKeys
	// NoFence marks a command whose reply need not wait for the lease although
	// it names keys.
	NoFence
)

// KeySpec is where keys stand, in the shape that COMMAND INFO reports.
type KeySpec struct {
	Flags KeyFlags
	Notes string
	// Begin is the index of the first key, or, with Keyword set, the index to
	// start looking for Keyword at (negative: from the end).
	Begin   int
	Keyword string
	// With a range: Last is relative to the first (negative: from the end of
	// the arguments), Step the distance, Limit the divisor (0: none).
	Last, Step, Limit int
	// With KeyNum set, the number of keys stands at KeyNumIndex from Begin and
	// the first key FirstKey from Begin.
	KeyNum                bool
	KeyNumIndex, FirstKey int
	// Unknown marks keys whose places no numbers can tell: KeysOf finds those
	// that can be found.
	Unknown bool
}

// KeyFlags say what a command does with the keys of a KeySpec.
type KeyFlags uint16

const (
	KeyRO KeyFlags = 1 << iota
	KeyRW
	KeyOW
	KeyRM
	KeyAccess
	KeyUpdate
	KeyInsert
	KeyDelete
	KeyNotKey
	KeyIncomplete
	KeyVariableFlags
)
