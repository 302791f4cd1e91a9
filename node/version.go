package node

import (
	"runtime/debug"
	"strconv"
)

// Version is that of this server.
const Version = "0.2.0"

// ReportedVersion is the redis_version that clients are told. Tools choose what
// they send by it: below 8.4.0 they move slots with MIGRATE.
const ReportedVersion = "7.2.4"

// VersionLine is what --version prints. It has the shape of the reference's,
// in which programs look for "v=", and names both versions.
func VersionLine() string {
	commit := buildCommit()
	return "Slotmesh server v=" + ReportedVersion + " sha=" + commit + ":0 malloc=go bits=" + strconv.Itoa(strconv.IntSize) +
		" build=" + commit + " slotmesh=" + Version + ", compatible with Redis server v=" + ReportedVersion
}

// buildCommit is the head of the commit that the binary was built from, zeros
// when that is not known.
func buildCommit() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, setting := range info.Settings {
			if setting.Key == "vcs.revision" && len(setting.Value) >= 8 {
				return setting.Value[:8]
			}
		}
	}
	return "00000000"
}
