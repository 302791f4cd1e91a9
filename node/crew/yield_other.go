//go:build !linux

package crew

import "runtime"

// Yield lets other goroutines go first.
func Yield() { runtime.Gosched() }
