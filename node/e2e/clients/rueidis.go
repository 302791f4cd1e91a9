package clients

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/redis/rueidis"
)

// rueidisClient is github.com/redis/rueidis.
type rueidisClient struct {
	ctx     context.Context
	seed    string
	primary rueidis.Client
	loop    *loop
}

// rueidisOption: client-side caching needs CLIENT TRACKING, which a node does
// not have yet; the library refuses to connect without it unless told so. It
// looks at the topology after a redirection, and after a broken connection only
// with ShardsRefreshInterval.
func rueidisOption(seed string) rueidis.ClientOption {
	return rueidis.ClientOption{
		InitAddress:  []string{seed},
		DisableCache: true,
		ClusterOption: rueidis.ClusterOption{
			ShardsRefreshInterval: 200 * time.Millisecond,
		},
	}
}

func newRueidis(ctx context.Context, seed string) (*rueidisClient, error) {
	primary, err := rueidis.NewClient(rueidisOption(seed))
	if err != nil {
		return nil, err
	}
	return &rueidisClient{ctx: ctx, seed: seed, primary: primary}, nil
}

func (c *rueidisClient) fill(keys []string, pair [2]string) error {
	for chunk := range slices.Chunk(keys, 1000) {
		commands := make(rueidis.Commands, len(chunk))
		for i, key := range chunk {
			commands[i] = c.primary.B().Set().Key(key).Value(key).Build()
		}
		for i, r := range c.primary.DoMulti(c.ctx, commands...) {
			if err := r.Error(); err != nil {
				return fmt.Errorf("pipeline: SET %s: %w", chunk[i], err)
			}
		}
	}
	return c.primary.Dedicated(func(d rueidis.DedicatedClient) error {
		results := d.DoMulti(c.ctx,
			d.B().Multi().Build(),
			d.B().Incr().Key(pair[0]).Build(),
			d.B().Incrby().Key(pair[1]).Increment(2).Build(),
			d.B().Exec().Build(),
		)
		got, err := results[3].AsIntSlice()
		if err != nil {
			return fmt.Errorf("MULTI: %w", err)
		}
		if !slices.Equal(got, []int64{1, 2}) {
			return fmt.Errorf("MULTI answered %v", got)
		}
		return nil
	})
}

func (c *rueidisClient) readReplicas(keys []string) error {
	option := rueidisOption(c.seed)
	option.SendToReplicas = func(command rueidis.Completed) bool { return command.IsReadOnly() }
	replicas, err := rueidis.NewClient(option)
	if err != nil {
		return err
	}
	defer replicas.Close()
	for chunk := range slices.Chunk(keys, 1000) {
		commands := make(rueidis.Commands, len(chunk))
		for i, key := range chunk {
			commands[i] = replicas.B().Get().Key(key).Build()
		}
		for i, r := range replicas.DoMulti(c.ctx, commands...) {
			if got, err := r.ToString(); err != nil || got != chunk[i] {
				return fmt.Errorf("%s reads %q, %w", chunk[i], got, err)
			}
		}
	}
	return nil
}

func (c *rueidisClient) startWrites(prefix string) error {
	c.loop = startLoop(prefix, func(key string) error {
		return c.primary.Do(c.ctx, c.primary.B().Set().Key(key).Value(key).Build()).Error()
	})
	return nil
}

func (c *rueidisClient) stopWrites() (record, error) { return c.loop.end(), nil }

func (c *rueidisClient) close() { c.primary.Close() }
