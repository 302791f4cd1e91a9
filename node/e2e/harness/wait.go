package harness

import "time"

// pollEvery is how often a condition is looked at: often enough that waiting
// costs no time worth naming, seldom enough not to load two cores.
const pollEvery = 20 * time.Millisecond

const (
	// startLimit is how long a process may take to answer for the first time, and
	// answerLimit how long any answer may take that is not itself the test's
	// subject: both are for a machine with much more work than cores.
	startLimit  = time.Minute
	answerLimit = 20 * time.Second
)

// Await waits until holds returns "", which is what it returns instead of
// saying what is still missing. It ends the test after timeout.
func Await(r Reporter, timeout time.Duration, what string, holds func() string) {
	r.Helper()
	if missing := Poll(timeout, holds); missing != "" {
		r.Fatalf("%s: not after %v: %s", what, timeout, missing)
	}
}

// Poll is Await for callers that go on: it returns what was missing at the end.
func Poll(timeout time.Duration, holds func() string) (missing string) {
	deadline := time.Now().Add(timeout)
	for {
		missing = holds()
		if missing == "" || time.Now().After(deadline) {
			return missing
		}
		time.Sleep(pollEvery)
	}
}
