package persist

import (
	"fmt"
	"io"
	"maps"
	"slices"

	"slotmesh/node/rdb"
	"slotmesh/node/store"
	"slotmesh/slots"
)

// CheckRDB is slotmesh check-rdb file: it reads all of an RDB file and says what
// is in it, or where it is broken. now is the time in Unix milliseconds. It
// returns the exit code.
func CheckRDB(args []string, now int64, stdout io.Writer) int {
	if len(args) != 1 {
		fmt.Fprintln(stdout, "Usage: slotmesh check-rdb <rdb-file-name>")
		return 1
	}
	fmt.Fprintf(stdout, "[offset 0] Checking RDB file %s\n", args[0])
	f, err := OS{}.Open(args[0])
	if err != nil {
		fmt.Fprintln(stdout, "Cannot open the file: "+err.Error())
		return 1
	}
	defer f.Close()
	// Values are built to be checked, one after the other, and dropped.
	keyspace := store.New(store.Options{Databases: 1})
	limits := rdb.DefaultLimits()
	r := rdb.NewReader(f, func(slot slots.Slot) rdb.Target {
		return rdb.Target{Space: keyspace.DraftSpace(slot), Limits: &limits}
	})
	r.Notice = func(text string) { fmt.Fprintf(stdout, "[offset %d] %s\n", r.Offset(), text) }
	var keys, expires, expired int64
	db, told := -1, 0
	for {
		e, err := r.Next()
		if told < len(r.Aux) {
			for _, name := range slices.Sorted(maps.Keys(r.Aux)) {
				fmt.Fprintf(stdout, "AUX FIELD %s = '%s'\n", name, r.Aux[name])
			}
			told = len(r.Aux)
		}
		if err == io.EOF {
			fmt.Fprintf(stdout, "[offset %d] \\o/ RDB looks OK! \\o/\n", r.Offset())
			break
		}
		if err != nil {
			fmt.Fprintln(stdout, "--- RDB ERROR DETECTED ---")
			fmt.Fprintf(stdout, "[offset %d] %v\n", r.Offset(), err)
			summary(stdout, keys, expires, expired)
			return 1
		}
		if e.DB != db {
			db = e.DB
			fmt.Fprintf(stdout, "[offset %d] Selecting DB ID %d\n", r.Offset(), db)
		}
		keys++
		if e.ExpireAtMs != 0 {
			expires++
			if e.ExpireAtMs <= now {
				expired++
			}
		}
		if e.Draft != nil {
			e.Draft.Discard()
		}
	}
	summary(stdout, keys, expires, expired)
	return 0
}

func summary(stdout io.Writer, keys, expires, expired int64) {
	fmt.Fprintf(stdout, "[info] %d keys read\n[info] %d expires\n[info] %d already expired\n", keys, expires, expired)
}
