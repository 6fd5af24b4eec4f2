package chaos

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// committer commits the offsets 1, 2, 3, … of a group one after the other and reads them back: what was acknowledged is not to go back.
//
// A commit whose answer was lost may be carried out late, even after the next one. So from the first of these until the cluster is at rest
// the floor is what was acknowledged before it.
type committer struct {
	client *kgo.Client
	topic  string
	stop   context.CancelFunc
	done   chan struct{}

	mu        sync.Mutex
	attempted int64 // guarded by mu, as what follows
	floor     int64 // nothing less may be read
	uncertain bool
	acked     int // commits
	violation error
}

const (
	group = "chaos"
	// commitEvery leaves the machine to others.
	commitEvery = 20 * time.Millisecond
	// commitTimeout bounds a commit and a reading; longer than the session of a coordinator that is gone.
	commitTimeout = 5 * time.Second
)

// startCommitter begins behind what was committed at the last rest.
func startCommitter(brokers []string, topic string, committed int64) (*committer, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.MetadataMinAge(50*time.Millisecond), kgo.DialTimeout(time.Second),
		kgo.RequestTimeoutOverhead(2*time.Second),
		// A commit that the client sends again by itself may be carried out twice, the second time after the next one.
		kgo.RequestRetries(0))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &committer{client: client, topic: topic, attempted: committed, floor: committed, stop: cancel, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		for ctx.Err() == nil {
			c.step(ctx)
			wait(ctx, nil, commitEvery)
		}
	}()
	return c, nil
}

// step commits once and reads once.
func (c *committer) step(ctx context.Context) {
	c.mu.Lock()
	c.attempted++
	next := c.attempted
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, commitTimeout)
	defer cancel()
	var offsets kadm.Offsets
	offsets.AddOffset(c.topic, 0, next, -1)
	err := kadm.NewClient(c.client).CommitAllOffsets(ctx, group, offsets)
	c.mu.Lock()
	switch {
	case err != nil:
		c.uncertain = true
	case !c.uncertain:
		c.floor = next
		c.acked++
	}
	floor := c.floor
	c.mu.Unlock()
	got, err := c.read(ctx)
	if err != nil {
		return // nobody answers now
	}
	c.judge(got, floor, next)
}

// judge holds what was read against what it must be at least and at most.
func (c *committer) judge(got, floor, attempted int64) {
	if got < floor || got > attempted {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.violation == nil {
			c.violation = fmt.Errorf("group=%s: committed offset=%d was read at=%s, acknowledged=%d attempted=%d", group, got, time.Now().UTC().Format(time.RFC3339Nano), floor, attempted)
		}
	}
}

func (c *committer) read(ctx context.Context) (int64, error) {
	answer, err := kadm.NewClient(c.client).FetchOffsets(ctx, group)
	if err != nil {
		return 0, err
	}
	return committedFor(answer, c.topic)
}

// committedFor is what an answer says of the topic's first partition; 0 when nothing is committed. The answer names topics by their ids,
// and the client asks another broker for their names: where that one is killed just then, an offset comes under no name, with an error.
func committedFor(answer kadm.OffsetResponses, topic string) (int64, error) {
	if err := answer.Error(); err != nil {
		return 0, err
	}
	got, _ := answer.Lookup(topic, 0)
	return got.At, nil
}

// atRest reads once more, now that no commit is under way any more: what is committed stays.
func (c *committer) atRest(ctx context.Context) (committed int64, err error) {
	c.end()
	ctx, cancel := context.WithTimeout(ctx, stretched(2*commitTimeout))
	defer cancel()
	got, err := c.read(ctx)
	for ; err != nil && ctx.Err() == nil; got, err = c.read(ctx) { // the end of the last step took its connection along
		wait(ctx, nil, commitEvery)
	}
	if err != nil {
		return 0, fmt.Errorf("group=%s: read the committed offset at rest: %w", group, err)
	}
	c.judge(got, c.floor, c.attempted)
	return got, c.violation
}

// end waits for the last step.
func (c *committer) end() {
	c.stop()
	<-c.done
}
