// Package partition cuts one primary off from its peers, while clients still
// reach it, in every way that a network does: both directions silent, one
// direction silent, connections refused. It proves that the cut-off primary
// acknowledges nothing once the majority has promoted another, and that one
// owner per slot and equal replicas are left after healing.
//
// Each node runs in a network namespace of its own on one bridge; network.go
// makes and removes them. That needs root, Debian's iproute2 and iptables, and a
// kernel that allows it; without them the tests skip and say what is missing.
package partition
