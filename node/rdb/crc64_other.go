//go:build !amd64

package rdb

const canFold = false

func foldBlocks(uint64, *byte, int, *[2][2]uint64) (first, second uint64) {
	panic("rdb: no carry-less multiplication")
}
