package persist

import (
	"io"
)

// CheckAOF is slotmesh check-aof [--fix] [--truncate-to-timestamp t] file. It
// returns the exit code.
func CheckAOF(args []string, stdin io.Reader, stdout io.Writer) int { return 1 }
