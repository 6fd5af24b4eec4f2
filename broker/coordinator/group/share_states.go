package group

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"

	"github.com/tidelinehq/tideline/broker/coordinator/share"
	"github.com/twmb/franz-go/pkg/kerr"
)

// ShareStates is the coordinators of share partitions, on whichever brokers.
// share.Client implements it.
type ShareStates interface {
	// Initialize begins a share partition, or begins it anew under a higher state epoch.
	Initialize(ctx context.Context, k share.Key, stateEpoch int32, start int64) error
	// Delete ends one; it is no error when there is none.
	Delete(ctx context.Context, k share.Key) error
	// Summary says where one has got to.
	Summary(ctx context.Context, k share.Key) (share.State, error)
}

// shareTasks is the work that asks share coordinators. It happens between decisions, so
// that these stay pure: a decision is committed, its answer says what to ask, and what
// comes of that is decided about by the next.
type shareTasks struct {
	states ShareStates // nil: there are no share groups here
	ends   func(ctx context.Context, topic string, partition int32) (int64, error)
	start  func(task func(context.Context)) bool // false: there are too many
	width  int                                   // how many share partitions are asked for at a time

	logger *slog.Logger

	ctx    context.Context
	cancel context.CancelFunc
	slots  chan struct{}
	wg     sync.WaitGroup
}

// Bounds of the tasks of a coordinator. A task that begins a topic of a thousand
// partitions has so many of them asked for at a time; those for one coordinator go
// together into one request.
const (
	maxShareTasks  = 64
	shareTaskWidth = 64
)

func newShareTasks(states ShareStates, ends func(context.Context, string, int32) (int64, error), logger *slog.Logger) *shareTasks {
	t := &shareTasks{states: states, ends: ends, logger: logger, width: shareTaskWidth, slots: make(chan struct{}, maxShareTasks)}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.start = func(task func(context.Context)) bool {
		select {
		case t.slots <- struct{}{}:
		default:
			return false
		}
		if t.ctx.Err() != nil {
			<-t.slots
			return false
		}
		t.wg.Go(func() {
			defer func() { <-t.slots }()
			task(t.ctx)
		})
		return true
	}
	return t
}

// close ends all tasks and waits for them.
func (t *shareTasks) close() {
	t.cancel()
	t.wg.Wait()
}

// sharePart is one partition of a topic.
type sharePart struct {
	id        [16]byte
	name      string
	partition int32
}

// parts are all partitions, in order.
func (t shareTopics) parts() (out []sharePart) {
	for _, id := range t.ids() {
		for _, p := range t[id].partitions {
			out = append(out, sharePart{id, t[id].name, p})
		}
	}
	return out
}

// each calls fn about the partitions of a group, several at a time, and returns their
// errors in the same order.
func (t *shareTasks) each(ctx context.Context, group string, parts []sharePart, fn func(ctx context.Context, k share.Key, i int) error) []error {
	errs := make([]error, len(parts))
	one := func(i int) {
		errs[i] = fn(ctx, share.Key{Group: group, Topic: parts[i].id, Partition: parts[i].partition}, i)
	}
	if t.width <= 1 {
		for i := range parts {
			one(i)
		}
		return errs
	}
	var wg sync.WaitGroup
	next := make(chan int)
	for range min(t.width, len(parts)) {
		wg.Go(func() {
			for i := range next {
				one(i)
			}
		})
	}
	for i := range parts {
		next <- i
	}
	close(next)
	wg.Wait()
	return errs
}

// shareError is what a client is told of what a share coordinator said.
func shareError(err error) (int16, *string) {
	if err == nil {
		return 0, nil
	}
	code := kerr.UnknownServerError
	switch {
	case errors.Is(err, share.ErrUnavailable):
		code = kerr.CoordinatorNotAvailable
	case errors.Is(err, share.ErrFencedStateEpoch):
		code = kerr.FencedStateEpoch
	case errors.Is(err, share.ErrFencedLeaderEpoch):
		code = kerr.FencedLeaderEpoch
	case errors.Is(err, share.ErrUnknownState):
		code = kerr.UnknownTopicOrPartition
	}
	text := err.Error()
	return code.Code, &text
}

// firstError is the first of them that is one; what is gone already counts as deleted.
func firstError(errs []error) error {
	i := slices.IndexFunc(errs, func(err error) bool { return err != nil && !errors.Is(err, share.ErrUnknownState) })
	if i < 0 {
		return nil
	}
	return errs[i]
}
