package group

import (
	"errors"
	"time"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Versions of OffsetCommit that changed what the coordinator does.
const (
	commitRetentionFirst = 2 // the request says how long offsets are kept,
	commitRetentionLast  = 4 // up to here
	commitGroupNotFound  = 9
	commitTopicIDs       = 10
)

// offsetCommit is an OffsetCommit request, with what the service found out
// about its topics. topics[i].codes are set where a partition was refused already.
type offsetCommit struct {
	req    *kmsg.OffsetCommitRequest
	topics []resolved
	call   *coordinator.Call
}

// resolved is what the cluster's metadata says about a topic of a request.
type resolved struct {
	name       string
	id         [16]byte
	partitions int32
	code       int16 // why the topic is refused; 0: it is not
}

// resolveEach finds out about the topics of a request.
func resolveEach[T any](topics []T, resolve func(*T) resolved) []resolved {
	out := make([]resolved, len(topics))
	for i := range topics {
		out[i] = resolve(&topics[i])
	}
	return out
}

// answer is the code for a partition of the topic: why the topic is refused, or that there
// is no such partition, or else fn's.
func (r resolved) answer(partition int32, fn func() int16) int16 {
	switch {
	case r.code != 0:
		return r.code
	case partition < 0 || partition >= r.partitions:
		return kerr.UnknownTopicOrPartition.Code
	}
	return fn()
}

// refuse gives all partitions the code, except those that have one already.
func (c *offsetCommit) refuse(code int16) *kmsg.OffsetCommitResponse {
	return c.respond(func(resolved, *kmsg.OffsetCommitRequestTopicPartition) int16 { return code })
}

func (c *offsetCommit) refuseFor(err error) any { return c.refuse(commitCode(err)) }

// commitCode is the code for a reason for which a commit of offsets is refused; the last
// two are of transactions.
func commitCode(err error) int16 {
	switch {
	case errors.Is(err, coordinator.ErrTooLarge):
		return kerr.InvalidCommitOffsetSize.Code
	case errors.Is(err, coordinator.ErrProducerFenced):
		return kerr.InvalidProducerEpoch.Code
	case errors.Is(err, coordinator.ErrNotInTransaction):
		return kerr.InvalidTxnState.Code
	}
	return errorCode(err)
}

// respond answers each partition with its own error code, or else with fn's.
func (c *offsetCommit) respond(fn func(resolved, *kmsg.OffsetCommitRequestTopicPartition) int16) *kmsg.OffsetCommitResponse {
	resp := kmsg.NewPtrOffsetCommitResponse()
	resp.Version = c.req.Version
	resp.Topics = make([]kmsg.OffsetCommitResponseTopic, 0, len(c.req.Topics))
	for i := range c.req.Topics {
		t, known := &c.req.Topics[i], c.topics[i]
		rt := kmsg.NewOffsetCommitResponseTopic()
		rt.Topic, rt.TopicID = t.Topic, t.TopicID
		rt.Partitions = make([]kmsg.OffsetCommitResponseTopicPartition, 0, len(t.Partitions))
		for j := range t.Partitions {
			p := &t.Partitions[j]
			rp := kmsg.NewOffsetCommitResponseTopicPartition()
			rp.Partition, rp.ErrorCode = p.Partition, known.answer(p.Partition, func() int16 { return fn(known, p) })
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

func (c *offsetCommit) decide(m *machine, now time.Time) coordinator.Outcome {
	var out coordinator.Outcome
	code, mb := c.check(m)
	var each func(resolved, int32) int16
	if g := m.groups[c.req.Group]; g != nil && g.modern != nil {
		each, code = g.modern.checkCommit(commitCheck{c.req.MemberID, c.req.InstanceID, c.req.Generation, c.req.Version, false})
	}
	if code != 0 {
		out.Replies = []coordinator.Reply{{To: c.call, Body: c.refuse(code)}}
		return out
	}
	if mb != nil {
		out.Timers = []coordinator.Timer{session(c.req.Group, mb.id, now.Add(mb.sessionTimeout))}
	}
	expires := int64(-1)
	if r := c.req.RetentionTimeMillis; c.req.Version >= commitRetentionFirst && c.req.Version <= commitRetentionLast && r >= 0 {
		expires = now.UnixMilli() + r
	}
	taken := taking{group: c.req.Group, maxMetadata: m.cfg.OffsetMetadataMaxSize, check: each, at: now.UnixMilli(), expires: expires}
	resp := c.respond(func(t resolved, p *kmsg.OffsetCommitRequestTopicPartition) int16 {
		return taken.take(t, p.Partition, p.Offset, p.LeaderEpoch, p.Metadata)
	})
	out.Records = taken.records
	out.Replies = []coordinator.Reply{{To: c.call, Body: resp}}
	if len(taken.offsets) == 0 {
		return out
	}
	out.Apply = func() {
		m.metrics.commits.Add(float64(len(taken.offsets)))
		m.change(c.req.Group, func(g *group) {
			for _, o := range taken.offsets {
				g.offsets[o.tp] = o.committed
				m.txn.pass(c.req.Group, o.tp)
			}
		})
	}
	return out
}

// taking takes the offsets of a request one by one.
type taking struct {
	group       string
	maxMetadata int
	check       func(resolved, int32) int16 // says why not; may be nil
	at, expires int64
	offsets     []takenOffset
	records     []coordinator.Record
}

// takenOffset is an offset that is to be committed.
type takenOffset struct {
	tp        topicPartition
	committed committed
}

// take takes an offset, or returns the code that says why it is not taken.
func (x *taking) take(t resolved, partition int32, offset int64, leaderEpoch int32, metadata *string) int16 {
	text := deref(metadata)
	if utf16Len(text) > x.maxMetadata {
		return kerr.OffsetMetadataTooLarge.Code
	}
	if x.check != nil {
		if code := x.check(t, partition); code != 0 {
			return code
		}
	}
	o := takenOffset{topicPartition{t.name, partition}, committed{offset: offset, leaderEpoch: -1, metadata: text, at: x.at, expires: x.expires}}
	if x.expires < 0 { // the record with an expiry has no room for these
		o.committed.leaderEpoch, o.committed.topicID = max(-1, leaderEpoch), t.id
	}
	x.offsets = append(x.offsets, o)
	x.records = append(x.records, offsetRecord(x.group, o.tp, &o.committed))
	return 0
}

// check says whether the group takes commits from this member, and whose session they renew.
func (c *offsetCommit) check(m *machine) (int16, *member) {
	req := c.req
	g := m.groups[req.Group]
	if g == nil {
		switch {
		case req.Generation >= 0 && req.Version >= commitGroupNotFound:
			return kerr.GroupIDNotFound.Code, nil
		case req.Generation >= 0:
			return kerr.IllegalGeneration.Code, nil
		case len(req.Group) > maxID:
			return kerr.InvalidGroupID.Code, nil
		case len(m.groups) >= m.cfg.MaxGroups:
			return kerr.CoordinatorNotAvailable.Code, nil
		}
		return 0, nil // a simple group comes to be
	}
	if g.modern != nil {
		return 0, nil // its kind decides
	}
	if req.Generation < 0 && g.state == Empty {
		return 0, nil // an administrator, or a consumer without group management
	}
	if req.Generation < 0 && req.MemberID == "" && req.InstanceID == nil {
		return kerr.UnknownMemberID.Code, nil
	}
	mb, code := g.checkMember(req.MemberID, req.InstanceID)
	switch {
	case code != 0:
		return code, nil
	case req.Generation != g.generation:
		return kerr.IllegalGeneration.Code, nil
	case g.state == CompletingRebalance:
		// The member knows the new generation already: it will find out by its sync.
		return kerr.RebalanceInProgress.Code, nil
	}
	return 0, mb
}
