// Package manager proves that the unmodified cluster manager of redis-cli works
// with a cluster through all of its life: create, check, info, add-node,
// reshard under writes, rebalance, fix, call, set-timeout, import, backup,
// del-node. The tests are in manager_test.go, one after another on one cluster,
// as an operator would.
package manager
