package share

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// peers are two brokers of which one coordinates; what they answer is a function.
type peers struct {
	mu     sync.Mutex
	leader int32
	away   error // of finding the coordinator
	asked  []string
	answer func(node int32, req kmsg.Request) (kmsg.Response, error)
}

func (p *peers) ShareCoordinator(context.Context, string) (int32, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.leader, p.away
}

func (p *peers) Ask(_ context.Context, node int32, req kmsg.Request) (kmsg.Response, error) {
	parts := 0
	if w, ok := req.(*kmsg.WriteShareGroupStateRequest); ok {
		parts = len(w.Topics)
	}
	p.mu.Lock()
	p.asked = append(p.asked, fmt.Sprintf("%d:%s/%d", node, kmsg.NameForKey(req.Key()), parts))
	p.mu.Unlock()
	return p.answer(node, req)
}

// written answers a write with a code for each of its parts.
func written(req kmsg.Request, code int16) kmsg.Response {
	resp := kmsg.NewPtrWriteShareGroupStateResponse()
	for _, t := range req.(*kmsg.WriteShareGroupStateRequest).Topics {
		resp.Topics = append(resp.Topics, kmsg.WriteShareGroupStateResponseTopic{TopicID: t.TopicID, Partitions: []kmsg.WriteShareGroupStateResponseTopicPartition{{
			Partition: t.Partitions[0].Partition, ErrorCode: code,
		}}})
	}
	return resp
}

func TestClientFollowsTheCoordinator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peers{leader: 1}
		c := NewClient(ClientOptions{Peers: p})
		n := 0
		p.answer = func(_ int32, req kmsg.Request) (kmsg.Response, error) {
			switch n++; n {
			case 1:
				return written(req, kerr.CoordinatorLoadInProgress.Code), nil
			case 2:
				return nil, errors.New("connection refused")
			case 3:
				p.leader = 2
				return written(req, kerr.NotCoordinator.Code), nil
			}
			return written(req, 0), nil
		}
		if err := c.Write(t.Context(), goldenKey, 0, 1, 5, 0, nil); err != nil {
			t.Fatal(err)
		}
		want := []string{"1:WriteShareGroupState/1", "1:WriteShareGroupState/1", "1:WriteShareGroupState/1", "2:WriteShareGroupState/1"}
		if diff := cmp.Diff(want, p.asked); diff != "" {
			t.Error(diff)
		}
	})
}

func TestClientErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peers{leader: 1}
		c := NewClient(ClientOptions{Peers: p})
		for _, tt := range []struct {
			code  *kerr.Error
			want  error
			asked int
		}{
			{kerr.FencedLeaderEpoch, ErrFencedLeaderEpoch, 1},
			{kerr.FencedStateEpoch, ErrFencedStateEpoch, 1},
			{kerr.InvalidRequest, ErrUnknownState, 1},
			{kerr.UnknownTopicOrPartition, ErrUnknownState, 6},
			{kerr.CoordinatorNotAvailable, ErrUnavailable, 6},
			{kerr.UnknownServerError, ErrUnavailable, 6},
		} {
			p.asked = nil
			p.answer = func(_ int32, req kmsg.Request) (kmsg.Response, error) { return written(req, tt.code.Code), nil }
			if err := c.Write(t.Context(), goldenKey, 0, 1, 5, 0, nil); !errors.Is(err, tt.want) || len(p.asked) != tt.asked {
				t.Errorf("%s: %v after %d requests", tt.code.Message, err, len(p.asked))
			}
		}
		p.answer = func(int32, kmsg.Request) (kmsg.Response, error) {
			return kmsg.NewPtrWriteShareGroupStateResponse(), nil
		}
		if err := c.Write(t.Context(), goldenKey, 0, 1, 5, 0, nil); !errors.Is(err, ErrUnavailable) {
			t.Errorf("an answer about nothing: %v", err)
		}
		p.away = errors.New("no leader")
		if _, err := c.Read(t.Context(), goldenKey, 1); !errors.Is(err, ErrUnavailable) {
			t.Errorf("no coordinator: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := c.Summary(ctx, goldenKey); !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.Canceled) {
			t.Errorf("gave up: %v", err)
		}
	})
}

// TestClientGathers: what comes while a request is under way goes into one.
func TestClientGathers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &peers{leader: 1}
		c := NewClient(ClientOptions{Peers: p})
		p.answer = func(_ int32, req kmsg.Request) (kmsg.Response, error) {
			<-time.After(time.Second)
			return written(req, 0), nil
		}
		var wg sync.WaitGroup
		write := func(group string, partition int32, ctx context.Context) {
			wg.Go(func() {
				k := goldenKey
				k.Group, k.Partition = group, partition
				if err := c.Write(ctx, k, 0, 1, 5, 0, []StateBatch{{1, 2, 2, 1}}); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		gone, cancel := context.WithCancel(t.Context())
		write("g", 0, t.Context())
		write("g", 1, t.Context())
		write("h", 0, t.Context())
		write("g", 2, t.Context())
		write("g", 3, gone)
		cancel()
		wg.Wait()
		want := []string{"1:WriteShareGroupState/1", "1:WriteShareGroupState/1", "1:WriteShareGroupState/2"}
		if diff := cmp.Diff(want, p.asked); diff != "" {
			t.Error(diff)
		}
		synctest.Wait()
		if len(c.lines) != 0 {
			t.Errorf("%d lines are left", len(c.lines))
		}
	})
}
