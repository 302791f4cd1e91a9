package command

import (
	"fmt"
	"testing"
)

// TestGeoSearchStoresMany stores what was found when a sorted set of many members was
// made before it on the same connection: each member is there with its score, as with
// the reference.
func TestGeoSearchStoresMany(t *testing.T) {
	ref, ours := startReference(t), newNode(t)
	same := func(args ...string) string {
		t.Helper()
		our, theirs := ours.do(args...), ref.do(args...)
		if our != theirs {
			t.Errorf("%.100q: %.100q, want %.100q", args, our, theirs)
		}
		return our
	}
	const members = 300
	for i := range members {
		member := fmt.Sprint("town", i)
		same("GEOADD", "towns", fmt.Sprint(float64(i*7919%3600)/10-180), fmt.Sprint(float64(i*104_729%1600)/10-80), member)
		same("ZADD", "one", fmt.Sprint(i), member)
		same("ZADD", "other", fmt.Sprint(-i), member)
	}
	for _, args := range [][]string{
		{"FROMLONLAT", "0", "0", "BYRADIUS", "15000", "km"},
		{"FROMLONLAT", "179", "70", "BYRADIUS", "22000", "km", "DESC"},
		{"FROMMEMBER", "town20", "BYBOX", "29035", "9550", "mi", "ASC"},
		{"FROMLONLAT", "-179", "10", "BYBOX", "39000", "15000", "km"},
		{"FROMLONLAT", "100", "0", "BYBOX", "45000", "45000", "km", "COUNT", "280"},
	} {
		same("ZINTERSTORE", "common", "2", "one", "other")
		same(append([]string{"GEOSEARCHSTORE", "found", "towns"}, args...)...)
		same("ZCARD", "found")
		for i := range members {
			same("ZSCORE", "found", fmt.Sprint("town", i))
		}
		same("ZRANGE", "found", "0", "-1", "WITHSCORES")
		same("GEOADD", "found", "10", "10", "town1", "20", "20", "town2")
		same("ZCARD", "found")
	}
}
