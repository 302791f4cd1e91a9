package crew

import (
	"runtime"
	"sync"
)

// Failure is what a job ended with, and where in the input.
type Failure struct {
	At  int64
	Err error
}

// Crew is some goroutines that do jobs of type J. Give, Wait and Close belong to
// one goroutine, which none of the crew is.
type Crew[J any] struct {
	work   func(worker int, job J) *Failure
	queues []chan J
	given  sync.WaitGroup
	ended  sync.WaitGroup

	mu sync.Mutex
	// first is the failure that stands first in the input.
	first *Failure
}

// queued is how many jobs may wait for one worker.
const queued = 4

// Size is how many workers are worth while when there can be most at once.
func Size(most int) int { return max(1, min(runtime.GOMAXPROCS(0), most)) }

// New starts a crew of that many workers. A worker that has done a job gives
// the event loops their turn.
func New[J any](workers int, work func(worker int, job J) *Failure) *Crew[J] {
	c := &Crew[J]{work: work, queues: make([]chan J, workers)}
	for i := range c.queues {
		c.queues[i] = make(chan J, queued)
		c.ended.Go(func() { c.run(i) })
	}
	return c
}

func (c *Crew[J]) run(worker int) {
	for job := range c.queues[worker] {
		if f := c.work(worker, job); f != nil {
			c.mu.Lock()
			if c.first == nil || f.At < c.first.At {
				c.first = f
			}
			c.mu.Unlock()
		}
		c.given.Done()
		runtime.Gosched()
	}
}

// Give hands a job to a worker, and waits while that one is far behind.
func (c *Crew[J]) Give(worker int, job J) {
	c.given.Add(1)
	c.queues[worker] <- job
}

// Failed reports whether a job failed so far. Wait tells which one was first.
func (c *Crew[J]) Failed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.first != nil
}

// Wait returns when all jobs that were given are done, with the first failure
// of the input, if any.
func (c *Crew[J]) Wait() *Failure {
	c.given.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.first
}

// Close sends the workers home when they are done.
func (c *Crew[J]) Close() {
	for _, queue := range c.queues {
		close(queue)
	}
	c.ended.Wait()
}
