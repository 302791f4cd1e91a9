// Package arch holds the rules of the house as tests: which package may import
// which, what pure packages must not touch, that every package explains itself,
// and that nothing in the repository depends on the machine it was written on.
// It runs with `go test ./...` and with `make lint`.
package arch
