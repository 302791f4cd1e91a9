// Package e2e holds the tests that need real processes: whole clusters of
// nodes on loopback or in network namespaces, driven by the unmodified
// redis-cli and by unmodified clients.
//
//   - harness starts, stops and observes processes; everything else uses it.
//   - drill is the workload with its record of what was acknowledged, and the
//     failover rounds that scripts/failover prints.
//   - manager runs the cluster manager of redis-cli through a cluster's life.
//   - clients lets five client libraries live through a reshard and a kill.
//   - failover, partition and compare hold the remaining tests, each telling in
//     its first file what it proves.
//
// The packages here know a server only by its address and its process. So
// every test runs against the reference implementation too:
//
//	SLOTMESH_E2E_SERVER=/usr/bin/redis-server go test -p 1 ./node/e2e/...
//
// A test that fails there is wrong, or asks for something that the reference
// does not promise; the latter say so and skip.
package e2e
