//go:build !linux

package crew

import "runtime"

// yield lets other goroutines go first.
func yield() { runtime.Gosched() }
