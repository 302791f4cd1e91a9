// Package failover proves what a cluster's clients may rely on while primaries
// die and stall: a killed primary's slots are written to again, the other
// shards go on, nothing but a dead primary causes a failover, a paused primary
// acknowledges nothing that is then lost, and CLUSTER FAILOVER loses nothing.
//
// No time is asserted here, for the machine that runs the tests may be busy;
// scripts/failover prints the times, and TestTwentyKills, which `make
// test-long` runs, holds them to their limits.
package failover
