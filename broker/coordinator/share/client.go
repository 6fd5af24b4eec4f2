package share

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Errors of a Client.
var (
	// ErrFencedStateEpoch: the group was made anew, or its offsets were altered.
	ErrFencedStateEpoch = errors.New("state epoch of the share partition is fenced")
	// ErrFencedLeaderEpoch: a newer leader of the partition has read the state.
	ErrFencedLeaderEpoch = errors.New("leader epoch of the share partition is fenced")
	// ErrUnknownState: the share partition was not initialized, or what was asked
	// cannot be, or the topic is gone.
	ErrUnknownState = errors.New("share partition has no state")
	// ErrUnavailable: the coordinator did not answer, or could not, as often as it was
	// asked. What was to be written may or may not have been.
	ErrUnavailable = errors.New("share coordinator is not available")
)

// Peers are the brokers as a Client needs them.
type Peers interface {
	// ShareCoordinator returns the broker that coordinates the share partition of a key.
	ShareCoordinator(ctx context.Context, key string) (node int32, err error)
	// Ask has a broker, maybe this one, answer a request whose version is set.
	Ask(ctx context.Context, node int32, req kmsg.Request) (kmsg.Response, error)
}

// ClientOptions of a Client. Zero values take the defaults named here.
type ClientOptions struct {
	// Peers; required, here or by Connect.
	Peers Peers
	// Attempts bounds how often one thing is asked for; 6.
	Attempts int
	// Pause before the second attempt; each further one takes twice as long, up to 1 s,
	// and all are jittered. 50 ms.
	Pause time.Duration
	// Timeout of one attempt; 15 s.
	Timeout time.Duration
	// Logger; discards if nil.
	Logger *slog.Logger
}

// Client asks the share coordinators of a cluster. What is asked for while a request
// about the same group is on its way to the same broker goes together into the next
// one, so a busy group costs no more requests than a lone one.
type Client struct {
	opts ClientOptions

	mu    sync.Mutex
	lines map[lineKey]*line // with a request under way
}

// lineKey names what can go into one request.
type lineKey struct {
	node  int32
	api   int16
	group string
}

// line is what waits for the request before it.
type line struct{ waiting []*part }

// part is one share partition of a request.
type part struct {
	ctx  context.Context
	add  func(kmsg.Request) // adds itself to a request
	done chan outcome
}

type outcome struct {
	code    int16
	message *string
	state   State
	err     error // the request was not answered
}

// State is what a coordinator has of a share partition.
type State struct {
	StateEpoch int32
	// LeaderEpoch and DeliveryCompleteCount are known to a Summary only.
	LeaderEpoch           int32
	DeliveryCompleteCount int32
	// Start is -1 where the group has not begun.
	Start int64
	// Batches are known to a Read only.
	Batches []StateBatch
}

// NewClient returns a client that has asked nobody yet.
func NewClient(o ClientOptions) *Client {
	if o.Attempts <= 0 {
		o.Attempts = 6
	}
	if o.Pause <= 0 {
		o.Pause = 50 * time.Millisecond
	}
	if o.Timeout <= 0 {
		o.Timeout = 15 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Client{opts: o, lines: make(map[lineKey]*line)}
}

// Connect tells a client that was made before them of its peers. It must be called before
// anything is asked for.
func (c *Client) Connect(p Peers) { c.opts.Peers = p }

// Initialize begins a share partition at start, -1 if that is yet to be found out.
func (c *Client) Initialize(ctx context.Context, k Key, stateEpoch int32, start int64) error {
	_, err := c.do(ctx, k, 83, func(r kmsg.Request) {
		req := r.(*kmsg.InitializeShareGroupStateRequest)
		req.Topics = append(req.Topics, kmsg.InitializeShareGroupStateRequestTopic{TopicID: k.Topic, Partitions: []kmsg.InitializeShareGroupStateRequestTopicPartition{{
			Partition: k.Partition, StateEpoch: stateEpoch, StartOffset: start,
		}}})
	})
	return err
}

// Read returns the state of a share partition for its leader, and fences older ones.
func (c *Client) Read(ctx context.Context, k Key, leaderEpoch int32) (State, error) {
	return c.do(ctx, k, 84, func(r kmsg.Request) {
		req := r.(*kmsg.ReadShareGroupStateRequest)
		req.Topics = append(req.Topics, kmsg.ReadShareGroupStateRequestTopic{TopicID: k.Topic, Partitions: []kmsg.ReadShareGroupStateRequestTopicPartition{{
			Partition: k.Partition, LeaderEpoch: leaderEpoch,
		}}})
	})
}

// Write keeps what became of records; start -1: unchanged.
func (c *Client) Write(ctx context.Context, k Key, stateEpoch, leaderEpoch int32, start int64, complete int32, batches []StateBatch) error {
	p := kmsg.WriteShareGroupStateRequestTopicPartition{
		Partition: k.Partition, StateEpoch: stateEpoch, LeaderEpoch: leaderEpoch, StartOffset: start, DeliveryCompleteCount: complete,
	}
	for _, b := range batches {
		p.StateBatches = append(p.StateBatches, kmsg.WriteShareGroupStateRequestTopicPartitionStateBatch{
			FirstOffset: b.First, LastOffset: b.Last, DeliveryState: b.State, DeliveryCount: b.DeliveryCount,
		})
	}
	_, err := c.do(ctx, k, 85, func(r kmsg.Request) {
		req := r.(*kmsg.WriteShareGroupStateRequest)
		req.Topics = append(req.Topics, kmsg.WriteShareGroupStateRequestTopic{TopicID: k.Topic, Partitions: []kmsg.WriteShareGroupStateRequestTopicPartition{p}})
	})
	return err
}

// Delete ends a share partition; it is no error when there is none.
func (c *Client) Delete(ctx context.Context, k Key) error {
	_, err := c.do(ctx, k, 86, func(r kmsg.Request) {
		req := r.(*kmsg.DeleteShareGroupStateRequest)
		req.Topics = append(req.Topics, kmsg.DeleteShareGroupStateRequestTopic{TopicID: k.Topic, Partitions: []kmsg.DeleteShareGroupStateRequestTopicPartition{{Partition: k.Partition}}})
	})
	return err
}

// Summary returns where a share partition has got to, and fences nobody.
func (c *Client) Summary(ctx context.Context, k Key) (State, error) {
	return c.do(ctx, k, 87, func(r kmsg.Request) {
		req := r.(*kmsg.ReadShareGroupStateSummaryRequest)
		req.Topics = append(req.Topics, kmsg.ReadShareGroupStateSummaryRequestTopic{TopicID: k.Topic, Partitions: []kmsg.ReadShareGroupStateSummaryRequestTopicPartition{{
			Partition: k.Partition, LeaderEpoch: unchanged,
		}}})
	})
}

// do asks until there is an answer that asking again would not change.
func (c *Client) do(ctx context.Context, k Key, api int16, add func(kmsg.Request)) (State, error) {
	key, pause := k.String(), c.opts.Pause
	var last error
	for attempt := range c.opts.Attempts {
		if attempt > 0 {
			t := time.NewTimer(pause/2 + rand.N(pause))
			select {
			case <-ctx.Done():
				t.Stop()
				return State{}, fmt.Errorf("%w: %w: key=%s", ErrUnavailable, ctx.Err(), key)
			case <-t.C:
			}
			pause = min(2*pause, time.Second)
		}
		out := c.once(ctx, k, key, api, add)
		if out.err != nil {
			last = out.err
			continue
		}
		switch err := errorOf(out); {
		case err == nil:
			return out.state, nil
		case errors.Is(err, ErrUnavailable):
			last = err
		case errors.Is(err, errNotYet): // the coordinator may not know the topic yet
			last = fmt.Errorf("%w: %w", ErrUnknownState, err)
		default:
			return State{}, fmt.Errorf("%s key=%s: %w", kmsg.NameForKey(api), key, err)
		}
	}
	if !errors.Is(last, ErrUnknownState) {
		last = fmt.Errorf("%w: %w", ErrUnavailable, last)
	}
	return State{}, fmt.Errorf("%s key=%s attempts=%d: %w", kmsg.NameForKey(api), key, c.opts.Attempts, last)
}

var errNotYet = errors.New("the coordinator knows no such topic or partition")

// errorOf says what a code of an answer means.
func errorOf(o outcome) error {
	if o.code == 0 {
		return nil
	}
	sentinel := ErrUnavailable
	switch o.code {
	case kerr.FencedStateEpoch.Code:
		sentinel = ErrFencedStateEpoch
	case kerr.FencedLeaderEpoch.Code:
		sentinel = ErrFencedLeaderEpoch
	case kerr.InvalidRequest.Code, kerr.GroupIDNotFound.Code:
		sentinel = ErrUnknownState
	case kerr.UnknownTopicOrPartition.Code:
		sentinel = errNotYet
	}
	why := ""
	if o.message != nil {
		why = *o.message
	}
	return fmt.Errorf("%w: code=%d: %s", sentinel, o.code, why)
}

// once asks one time.
func (c *Client) once(ctx context.Context, k Key, key string, api int16, add func(kmsg.Request)) outcome {
	node, err := c.opts.Peers.ShareCoordinator(ctx, key)
	if err != nil {
		return outcome{err: err}
	}
	p := &part{ctx: ctx, add: add, done: make(chan outcome, 1)}
	at := lineKey{node: node, api: api, group: k.Group}
	c.mu.Lock()
	l := c.lines[at]
	if l == nil {
		l = &line{}
		c.lines[at] = l
		go c.drain(at, l)
	}
	l.waiting = append(l.waiting, p)
	c.mu.Unlock()
	select {
	case out := <-p.done:
		return out
	case <-ctx.Done():
		return outcome{err: ctx.Err()}
	}
}

// maxParts bounds the share partitions of one request, and with them its size.
const maxParts = 64

// drain sends what waits in a line, request by request, until nothing does.
func (c *Client) drain(at lineKey, l *line) {
	for {
		c.mu.Lock()
		n := min(len(l.waiting), maxParts)
		parts := l.waiting[:n:n]
		l.waiting = l.waiting[n:]
		if n == 0 {
			delete(c.lines, at)
		}
		c.mu.Unlock()
		if n == 0 {
			return
		}
		live := parts[:0:0]
		for _, p := range parts {
			if p.ctx.Err() == nil {
				live = append(live, p)
			}
		}
		if len(live) > 0 {
			c.send(at, live)
		}
	}
}

// send asks about some share partitions and hands the answers out.
func (c *Client) send(at lineKey, parts []*part) {
	// The parts have contexts of their own; who gives up does not take the others along.
	ctx, cancel := context.WithTimeout(context.Background(), c.opts.Timeout)
	defer cancel()
	req := requestFor(at.api, at.group)
	for _, p := range parts {
		p.add(req)
	}
	resp, err := c.opts.Peers.Ask(ctx, at.node, req)
	var outs []outcome
	if err == nil {
		if outs = outcomes(resp); len(outs) != len(parts) {
			err = fmt.Errorf("answer about %d of %d share partitions: broker=%d", len(outs), len(parts), at.node)
		}
	}
	for i, p := range parts {
		if err != nil {
			p.done <- outcome{err: err}
		} else {
			p.done <- outs[i]
		}
	}
}

// requestFor makes the empty request of an api key about a group.
func requestFor(api int16, group string) kmsg.Request {
	req := kmsg.RequestForKey(api)
	req.SetVersion(req.MaxVersion())
	switch r := req.(type) {
	case *kmsg.InitializeShareGroupStateRequest:
		r.GroupID = group
	case *kmsg.ReadShareGroupStateRequest:
		r.GroupID = group
	case *kmsg.WriteShareGroupStateRequest:
		r.GroupID = group
	case *kmsg.DeleteShareGroupStateRequest:
		r.GroupID = group
	case *kmsg.ReadShareGroupStateSummaryRequest:
		r.GroupID = group
	}
	return req
}

// outcomes takes an answer apart, in the order of the request.
func outcomes(resp kmsg.Response) (out []outcome) {
	switch r := resp.(type) {
	case *kmsg.InitializeShareGroupStateResponse:
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				out = append(out, outcome{code: p.ErrorCode, message: p.ErrorMessage})
			}
		}
	case *kmsg.WriteShareGroupStateResponse:
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				out = append(out, outcome{code: p.ErrorCode, message: p.ErrorMessage})
			}
		}
	case *kmsg.DeleteShareGroupStateResponse:
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				out = append(out, outcome{code: p.ErrorCode, message: p.ErrorMessage})
			}
		}
	case *kmsg.ReadShareGroupStateResponse:
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				o := outcome{code: p.ErrorCode, message: p.ErrorMessage}
				o.state = State{StateEpoch: p.StateEpoch, LeaderEpoch: unchanged, DeliveryCompleteCount: unknownComplete, Start: p.StartOffset}
				for _, b := range p.StateBatches {
					o.state.Batches = append(o.state.Batches, StateBatch{First: b.FirstOffset, Last: b.LastOffset, State: b.DeliveryState, DeliveryCount: b.DeliveryCount})
				}
				out = append(out, o)
			}
		}
	case *kmsg.ReadShareGroupStateSummaryResponse:
		for _, t := range r.Topics {
			for _, p := range t.Partitions {
				o := outcome{code: p.ErrorCode, message: p.ErrorMessage}
				o.state = State{StateEpoch: p.StateEpoch, LeaderEpoch: p.LeaderEpoch, DeliveryCompleteCount: p.DeliveryCompleteCount, Start: p.StartOffset}
				out = append(out, o)
			}
		}
	}
	return out
}
