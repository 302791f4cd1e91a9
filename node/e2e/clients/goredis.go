package clients

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// goRedis is github.com/redis/go-redis/v9.
type goRedis struct {
	ctx     context.Context
	seed    string
	primary *redis.ClusterClient
	loop    *loop
}

func newGoRedis(ctx context.Context, seed string) *goRedis {
	return &goRedis{ctx: ctx, seed: seed, primary: redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: []string{seed},
		// The default is 60 s, for which a killed primary's slots would stay
		// unreachable whatever the servers do: a refused connection alone does
		// not make this client ask for the slots again.
		ClusterStateReloadInterval: 200 * time.Millisecond,
	})}
}

func (c *goRedis) fill(keys []string, pair [2]string) error {
	for chunk := range slices.Chunk(keys, 1000) {
		_, err := c.primary.Pipelined(c.ctx, func(p redis.Pipeliner) error {
			for _, key := range chunk {
				p.Set(c.ctx, key, key, 0)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("pipeline: %w", err)
		}
	}
	results, err := c.primary.TxPipelined(c.ctx, func(p redis.Pipeliner) error {
		p.Incr(c.ctx, pair[0])
		p.IncrBy(c.ctx, pair[1], 2)
		return nil
	})
	if err != nil {
		return fmt.Errorf("MULTI: %w", err)
	}
	if a, b := results[0].(*redis.IntCmd).Val(), results[1].(*redis.IntCmd).Val(); a != 1 || b != 2 {
		return fmt.Errorf("MULTI answered %d and %d", a, b)
	}
	return nil
}

func (c *goRedis) readReplicas(keys []string) error {
	replicas := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{c.seed}, ReadOnly: true})
	defer replicas.Close()
	for chunk := range slices.Chunk(keys, 1000) {
		results, err := replicas.Pipelined(c.ctx, func(p redis.Pipeliner) error {
			for _, key := range chunk {
				p.Get(c.ctx, key)
			}
			return nil
		})
		if err != nil {
			return err
		}
		for i, r := range results {
			if got := r.(*redis.StringCmd).Val(); got != chunk[i] {
				return fmt.Errorf("%s reads %q", chunk[i], got)
			}
		}
	}
	return nil
}

func (c *goRedis) startWrites(prefix string) error {
	c.loop = startLoop(prefix, func(key string) error { return c.primary.Set(c.ctx, key, key, 0).Err() })
	return nil
}

func (c *goRedis) stopWrites() (record, error) { return c.loop.end(), nil }

func (c *goRedis) close() { c.primary.Close() }
