// Command failover breaks a cluster of three primaries and three replicas on
// purpose and prints what its clients notice: the time to the first accepted
// write after a kill -9 of a primary, the interruption of the other shards, and
// whether a stopped replica, busy cores, a paused primary or CLUSTER FAILOVER
// cost more than they may.
//
//	go run ./scripts/failover                               # the node
//	go run ./scripts/failover -server /usr/bin/redis-server -timeout 2000
package main
