package sim

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// committer commits offsets for a group without members, each greater than the one before, and looks what is there.
type committer struct {
	c           *cluster
	cl          *client
	group       string
	topic       string
	coordinator int32
	tried, has  int64 // the greatest that was sent, and that was acknowledged
}

func (c *cluster) committer(group, topic string) *committer {
	return &committer{c: c, cl: c.client(group), group: group, topic: topic, has: -1}
}

// run commits until ctx ends, and then once more, which must succeed before hard ends.
func (k *committer) run(ctx, hard context.Context) {
	defer k.cl.close()
	for ctx.Err() == nil {
		if k.cl.random.IntN(3) == 0 {
			k.look(ctx)
		} else {
			k.commit(ctx)
		}
		pause(ctx, time.Duration(k.cl.random.Int64N(int64(4*k.c.pace))))
	}
	for last := k.has; k.has == last; {
		if hard.Err() != nil {
			k.c.violate("convergence", "group %s can not commit", k.group)
			return
		}
		k.commit(hard)
		pause(hard, 100*time.Millisecond)
	}
	for !k.look(hard) {
		if hard.Err() != nil {
			k.c.violate("convergence", "group %s can not read what it committed", k.group)
			return
		}
		pause(hard, 100*time.Millisecond)
	}
}

// find asks who coordinates the group.
func (k *committer) find(ctx context.Context) bool {
	if k.coordinator > 0 {
		return true
	}
	req := kmsg.NewPtrFindCoordinatorRequest()
	req.Version, req.CoordinatorKeys = 4, []string{k.group}
	resp, err := k.cl.call(ctx, k.cl.any(), req, requestTimeout)
	if err != nil {
		return false
	}
	r := &resp.(*kmsg.FindCoordinatorResponse).Coordinators[0]
	if r.ErrorCode == 0 {
		k.coordinator = r.NodeID
	}
	return r.ErrorCode == 0
}

func (k *committer) commit(ctx context.Context) {
	if !k.find(ctx) {
		return
	}
	k.tried++
	at := k.tried
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version, req.Group, req.Generation = 8, k.group, -1
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic = k.topic
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	p.Offset = at
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	resp, err := k.cl.call(ctx, k.coordinator, req, requestTimeout)
	if err == nil {
		err = kerr.ErrorForCode(resp.(*kmsg.OffsetCommitResponse).Topics[0].Partitions[0].ErrorCode)
	}
	if err != nil {
		k.coordinator = 0
		return
	}
	k.has = at
}

// look compares what the coordinator has with what was committed. It is false when the coordinator does not say.
func (k *committer) look(ctx context.Context) bool {
	if !k.find(ctx) {
		return false
	}
	req := kmsg.NewPtrOffsetFetchRequest()
	req.Version, req.Group = 7, k.group
	t := kmsg.NewOffsetFetchRequestTopic()
	t.Topic, t.Partitions = k.topic, []int32{0}
	req.Topics = append(req.Topics, t)
	asked := k.coordinator
	resp, err := k.cl.call(ctx, asked, req, requestTimeout)
	if err != nil {
		k.coordinator = 0
		return false
	}
	r := resp.(*kmsg.OffsetFetchResponse)
	if r.ErrorCode != 0 || len(r.Topics) == 0 || r.Topics[0].Partitions[0].ErrorCode != 0 {
		k.coordinator = 0
		return false
	}
	if got := r.Topics[0].Partitions[0].Offset; got < k.has || got > k.tried {
		k.c.violate("acknowledged", "group %s: broker=%d has offset=%d, acknowledged was %d and the last try %d", k.group, asked, got, k.has, k.tried)
	}
	return true
}
