package verify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/tidelinehq/tideline/loadtest/stage"
)

// ReadOptions say how a reading from the beginning is made.
type ReadOptions struct {
	Brokers []string
	Within  time.Duration // how long it may take without getting on; a minute
	Client  []kgo.Opt
}

// replayers bounds the partitions that are read at the same time.
const replayers = 16

// Read reads all partitions of a run from offset 0 to what is their end now, into the run's directory. Where that cannot be done, the
// check finds that a partition is unread; an error means that the reading itself failed.
func Read(ctx context.Context, dir string, o ReadOptions) (err error) {
	p, err := readPlan(dir)
	if err != nil {
		return err
	}
	id, err := p.id()
	if err != nil {
		return err
	}
	if o.Within == 0 {
		o.Within = time.Minute
	}
	j, err := nextJournal(dir, header{role: roleReplay, run: id})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.close()) }()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(replayers)
	for partition := range p.Partitions {
		g.Go(func() error {
			client, err := newClient(o.Brokers, o.Client)
			if err != nil {
				return err
			}
			defer client.Close()
			r := &rawReader{client: client, journal: j, run: id, topic: p.Topic, partition: partition, gaps: p.Gaps}
			err = r.replay(ctx, o.Within)
			if errors.Is(err, errStuck) {
				j.put(refused{partition, -1, j.now(), r.position.Load(), codeStuck, bounded(err.Error())})
				return nil
			}
			return err
		})
	}
	return g.Wait()
}

// replay reads the partition from its beginning to what was its end at the beginning.
func (r *rawReader) replay(ctx context.Context, within time.Duration) error {
	var from, to, asked int64
	began := time.Now()
	for n := 1; ; n++ {
		err := r.find(ctx)
		if err == nil {
			from, err = r.list(ctx, earliest)
		}
		if err == nil {
			asked = r.journal.now()
			to, err = r.list(ctx, latestOffset)
		}
		if err == nil {
			break
		}
		r.refuse(-1, err)
		if time.Since(began) > within {
			return fmt.Errorf("%w partition=%d: %w", errStuck, r.partition, err)
		}
		if err := stage.Wait(ctx, backoff(n)); err != nil {
			return err
		}
	}
	r.journal.put(listed{r.partition, r.leader.epoch, r.journal.now(), to})
	r.journal.put(seek{r.partition, r.journal.now(), from})
	r.position.Store(from)
	if err := r.read(ctx, to, within); err != nil {
		return err
	}
	r.journal.put(covered{r.partition, asked, from, to})
	return nil
}
