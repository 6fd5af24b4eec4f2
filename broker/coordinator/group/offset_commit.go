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

// refuse gives all partitions the code, except those that have one already.
func (c *offsetCommit) refuse(code int16) *kmsg.OffsetCommitResponse {
	return c.respond(func(resolved, *kmsg.OffsetCommitRequestTopicPartition) int16 { return code })
}

func (c *offsetCommit) refuseFor(err error) any {
	if errors.Is(err, coordinator.ErrTooLarge) {
		return c.refuse(kerr.InvalidCommitOffsetSize.Code)
	}
	return c.refuse(errorCode(err))
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
			rp.Partition, rp.ErrorCode = p.Partition, known.code
			if known.code == 0 {
				if p.Partition < 0 || p.Partition >= known.partitions {
					rp.ErrorCode = kerr.UnknownTopicOrPartition.Code
				} else {
					rp.ErrorCode = fn(known, p)
				}
			}
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
	type change struct {
		tp topicPartition
		c  committed
	}
	var changes []change
	resp := c.respond(func(t resolved, p *kmsg.OffsetCommitRequestTopicPartition) int16 {
		metadata := deref(p.Metadata)
		if utf16Len(metadata) > m.cfg.OffsetMetadataMaxSize {
			return kerr.OffsetMetadataTooLarge.Code
		}
		if each != nil {
			if code := each(t, p.Partition); code != 0 {
				return code
			}
		}
		ch := change{topicPartition{t.name, p.Partition}, committed{
			offset: p.Offset, leaderEpoch: -1, metadata: metadata, at: now.UnixMilli(), expires: expires,
		}}
		if expires < 0 { // the record with an expiry has no room for these
			ch.c.leaderEpoch, ch.c.topicID = max(-1, p.LeaderEpoch), t.id
		}
		changes = append(changes, ch)
		out.Records = append(out.Records, offsetRecord(c.req.Group, ch.tp, &ch.c))
		return 0
	})
	out.Replies = []coordinator.Reply{{To: c.call, Body: resp}}
	if len(changes) == 0 {
		return out
	}
	out.Apply = func() {
		m.metrics.commits.Add(float64(len(changes)))
		m.change(c.req.Group, func(g *group) {
			for _, ch := range changes {
				g.offsets[ch.tp] = ch.c
				m.txn.pass(c.req.Group, ch.tp)
			}
		})
	}
	return out
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
