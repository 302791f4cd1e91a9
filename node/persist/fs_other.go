//go:build !linux

package persist

import "os"

// dataSync is fsync(2), where there is nothing less.
func dataSync(f *os.File) error { return f.Sync() }
