package crew

import (
	"errors"
	"slices"
	"testing"
)

// TestOrder: what one worker gets it does in that order, and Wait waits for all.
func TestOrder(t *testing.T) {
	const workers, jobs = 3, 300
	done := make([][]int, workers)
	c := New(workers, func(worker, job int) *Failure {
		done[worker] = append(done[worker], job)
		return nil
	})
	defer c.Close()
	for round := range 3 {
		for job := range jobs {
			c.Give(job%workers, round*jobs+job)
		}
		if f := c.Wait(); f != nil {
			t.Fatal(f)
		}
		sum := 0
		for worker, list := range done {
			if !slices.IsSorted(list) {
				t.Fatalf("worker %d did %v", worker, list)
			}
			sum += len(list)
		}
		if sum != (round+1)*jobs {
			t.Fatalf("after round %d, %d jobs are done", round, sum)
		}
	}
}

// TestFirstFailure: whatever the order of events, the failure counts that stands
// first.
func TestFirstFailure(t *testing.T) {
	met := make(chan struct{})
	c := New(2, func(worker, job int) *Failure {
		if worker == 0 {
			<-met // the later one is met first
		} else {
			defer close(met)
		}
		return &Failure{At: int64(job), Err: errors.New("broken")}
	})
	c.Give(0, 10)
	c.Give(1, 20)
	if f := c.Wait(); f == nil || f.At != 10 {
		t.Fatalf("the first failure is %+v", f)
	}
	if !c.Failed() {
		t.Fatal("nothing failed")
	}
	c.Close()
}
