package group

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/tidelinehq/tideline/broker/coordinator/share"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// usedShares are share coordinators that know which share partitions somebody works
// with, and complain when one of these is begun anew.
type usedShares struct {
	*fakeShares
	t    *testing.T
	used map[share.Key]bool
}

func (u *usedShares) Initialize(ctx context.Context, k share.Key, epoch int32, start int64) error {
	if is, ok := u.states[k]; ok && u.fail == nil {
		switch {
		case is.StateEpoch == epoch:
			return nil // as the share coordinator has it
		case is.StateEpoch < epoch && u.used[k]:
			u.t.Fatalf("%v is begun anew at epoch %d while members work with it at %d", k, epoch, is.StateEpoch)
		}
	}
	return u.fakeShares.Initialize(ctx, k, epoch, start)
}

func (u *usedShares) Delete(ctx context.Context, k share.Key) error {
	if u.used[k] {
		u.t.Fatalf("%v is deleted while members work with it", k)
	}
	return u.fakeShares.Delete(ctx, k)
}

// shareClient is a member as its client is.
type shareClient struct {
	id     string
	epoch  int32
	topics []string
	has    assignment
	alive  bool
}

// TestShareChurn lets members of a share group come, go and die while appends are refused,
// coordinators change, share coordinators fail, and what is asked of them happens late or in
// another order. Nothing that a member works with is begun anew, and in the end
// every partition is with somebody.
func TestShareChurn(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { shareChurn(t, seed) })
	}
}

func shareChurn(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 11))
	cfg := Defaults()
	w := newWorld(t, cfg)
	used := &usedShares{fakeShares: w.shares, t: t, used: map[share.Key]bool{}}
	w.co.shares.states = used
	w.shares.hold = true
	for i, name := range []string{"t", "u", "v"} {
		w.topics[name] = fakeTopic{id: [16]byte{15: byte(i + 1)}, partitions: 1 + rng.Int32N(4)}
	}
	var clients []*shareClient
	asked, answered := 0, 0
	beat := func(c *shareClient) {
		req := kmsg.NewPtrShareGroupHeartbeatRequest()
		req.Version, req.GroupID, req.MemberID, req.MemberEpoch = 1, "g", c.id, c.epoch
		if c.epoch == joinEpoch {
			req.SubscribedTopicNames = c.topics
		}
		sent := c.epoch
		asked++
		w.co.Handle(Caller{ClientID: "c", ClientHost: "/h"}, req, func(resp kmsg.Response) {
			answered++
			r := resp.(*kmsg.ShareGroupHeartbeatResponse)
			if c.epoch != sent {
				return // an answer to an earlier one
			}
			switch errorName(r.ErrorCode) {
			case "ok":
			case "UNKNOWN_MEMBER_ID", "FENCED_MEMBER_EPOCH", "GROUP_ID_NOT_FOUND":
				c.epoch, c.has = joinEpoch, nil
				return
			case "COORDINATOR_NOT_AVAILABLE", "NOT_COORDINATOR", "COORDINATOR_LOAD_IN_PROGRESS":
				return
			default:
				t.Fatalf("%s at %d: %s", c.id, sent, errorName(r.ErrorCode))
			}
			if sent > 0 && r.MemberEpoch < sent {
				t.Fatalf("%s goes back from epoch %d to %d", c.id, sent, r.MemberEpoch)
			}
			c.epoch = r.MemberEpoch
			if r.Assignment != nil {
				c.has = assignment{}
				for _, tp := range r.Assignment.TopicPartitions {
					c.has.add(tp.TopicID, tp.Partitions...)
					for _, p := range tp.Partitions {
						k := share.Key{Group: "g", Topic: tp.TopicID, Partition: p}
						if _, ok := w.shares.states[k]; !ok {
							t.Fatalf("%s is given %v, which has not begun", c.id, k)
						}
						used.used[k] = true
					}
				}
			}
		})
		w.pump()
	}
	runOne := func() {
		if n := len(w.shares.tasks); n > 0 {
			i := rng.IntN(n)
			task := w.shares.tasks[i]
			w.shares.tasks = slices.Delete(w.shares.tasks, i, i+1)
			task(context.Background())
			w.pump()
		}
	}
	for range 400 {
		switch n := rng.IntN(100); {
		case n < 12 && len(clients) < 12:
			topics := []string{"t", "u", "v"}[:1+rng.IntN(3)]
			c := &shareClient{id: fmt.Sprint("m", len(clients)), topics: topics, alive: true}
			clients = append(clients, c)
			beat(c)
		case n < 55:
			for _, c := range clients {
				if c.alive && rng.IntN(2) == 0 {
					beat(c)
				}
			}
		case n < 60 && len(clients) > 0:
			clients[rng.IntN(len(clients))].alive = rng.IntN(3) > 0
		case n < 75:
			runOne()
		case n < 78:
			w.shares.fail = []error{nil, share.ErrUnavailable}[rng.IntN(2)]
		case n < 81:
			w.hold = true
		case n < 84:
			w.hold = false
			w.ack()
			w.pump()
		case n < 86:
			w.hold = false
			w.fail(errors.New("not enough replicas"))
		case n < 90:
			w.hold = false
			w.failover(rng.IntN(2) == 0)
		case n < 92:
			was := w.topics["t"]
			was.partitions = min(was.partitions+1, 8)
			w.topics["t"] = was
		default:
			w.pass(time.Duration(rng.IntN(20)) * time.Second)
		}
		if len(w.held) == 0 {
			w.checkGroups()
			w.checkReplay()
		}
	}
	// Everything works again, and those that are alive go on.
	w.hold, w.shares.fail = false, nil
	w.failover(true)
	for range 40 {
		for _, c := range clients {
			if c.alive {
				beat(c)
			}
		}
		for len(w.shares.tasks) > 0 {
			runOne()
		}
		w.pass(5 * time.Second)
	}
	w.checkGroups()
	w.checkReplay()
	if asked != answered {
		t.Fatalf("%d heartbeats, %d answers", asked, answered)
	}
	all, wanted := assignment{}, assignment{}
	for _, c := range clients {
		if !c.alive {
			continue
		}
		all = all.union(c.has)
		for _, name := range c.topics {
			for p := range w.topics[name].partitions {
				wanted.add(w.topics[name].id, p)
			}
		}
	}
	if !all.equal(wanted) {
		t.Fatalf("members have %s of %s", partitionsText(all), partitionsText(wanted))
	}
}
