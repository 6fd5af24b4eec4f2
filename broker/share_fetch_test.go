package broker_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/share"
	"github.com/tidelinehq/tideline/internal/record"
)

// newShareNode starts a broker on which locks end after three seconds.
func newShareNode(t *testing.T) *node {
	return newNode(t, map[string]string{
		"group.share.min.record.lock.duration.ms": "1000", "group.share.record.lock.duration.ms": "3000", "group.share.max.share.sessions": "3",
		"group.share.max.size": "3", "share.coordinator.state.topic.num.partitions": "3", "offsets.topic.num.partitions": "3",
	})
}

// member is a member of a share group on a connection of its own.
type member struct {
	*conn
	group, id string
	topic     [16]byte
	index     int32
	epoch     int32
	renew     bool
}

func (n *node) member(group, id string, topic [16]byte) *member {
	return &member{conn: n.dial(), group: group, id: id, topic: topic}
}

func ackBatches(acks []share.AckBatch) (out []kmsg.ShareFetchRequestTopicPartitionAcknowledgementBatch) {
	for _, a := range acks {
		b := kmsg.NewShareFetchRequestTopicPartitionAcknowledgementBatch()
		b.FirstOffset, b.LastOffset = a.First, a.Last
		for _, t := range a.Types {
			b.AcknowledgeTypes = append(b.AcknowledgeTypes, int8(t))
		}
		out = append(out, b)
	}
	return out
}

func (m *member) fetchRequest(acks ...share.AckBatch) *kmsg.ShareFetchRequest {
	req := kmsg.NewPtrShareFetchRequest()
	req.Version, req.GroupID, req.MemberID, req.ShareSessionEpoch = 2, &m.group, &m.id, m.epoch
	req.MinBytes, req.MaxBytes, req.MaxRecords, req.BatchSize = 1, 1<<20, 500, 500
	t := kmsg.NewShareFetchRequestTopic()
	t.TopicID = m.topic
	p := kmsg.NewShareFetchRequestTopicPartition()
	p.Partition = m.index
	p.AcknowledgementBatches = ackBatches(acks)
	t.Partitions = append(t.Partitions, p)
	if m.epoch == 0 || len(acks) > 0 {
		req.Topics = append(req.Topics, t)
	}
	return req
}

// fetch fetches in the member's session; wait bounds how long the broker waits.
func (m *member) fetch(wait time.Duration, acks ...share.AckBatch) *kmsg.ShareFetchResponse {
	m.tb.Helper()
	req := m.fetchRequest(acks...)
	req.MaxWaitMillis = int32(wait.Milliseconds())
	r := do[*kmsg.ShareFetchResponse](m.conn, req)
	if r.ErrorCode != 0 {
		m.tb.Fatalf("%s fetches: %s", m.id, name(r.ErrorCode))
	}
	m.epoch++
	return r
}

// acquired fetches and returns what was acquired, of which there must be the records.
func (m *member) acquired(wait time.Duration) string {
	m.tb.Helper()
	r := m.fetch(wait)
	for _, t := range r.Topics {
		for _, p := range t.Partitions {
			if p.ErrorCode != 0 {
				return name(p.ErrorCode)
			}
			var b bytes.Buffer
			var first, last int64 = -1, -1
			for batch, err := range record.All(p.Records) {
				if err != nil {
					m.tb.Fatal(err)
				}
				if first < 0 {
					first = batch.BaseOffset()
				}
				last = batch.LastOffset()
			}
			for _, a := range p.AcquiredRecords {
				if a.FirstOffset < first || a.LastOffset > last {
					m.tb.Errorf("acquired %d-%d, have %d-%d", a.FirstOffset, a.LastOffset, first, last)
				}
				fmt.Fprintf(&b, "%d-%d:%d ", a.FirstOffset, a.LastOffset, a.DeliveryCount)
			}
			if b.Len() > 0 {
				return b.String()[:b.Len()-1]
			}
		}
	}
	return ""
}

// acknowledge sends ShareAcknowledge and returns the code of the partition.
func (m *member) acknowledge(acks ...share.AckBatch) string {
	m.tb.Helper()
	req := kmsg.NewPtrShareAcknowledgeRequest()
	req.Version, req.GroupID, req.MemberID, req.ShareSessionEpoch, req.IsRenewAck = 2, &m.group, &m.id, m.epoch, m.renew
	t := kmsg.NewShareAcknowledgeRequestTopic()
	t.TopicID = m.topic
	p := kmsg.NewShareAcknowledgeRequestTopicPartition()
	p.Partition = m.index
	for _, b := range ackBatches(acks) {
		p.AcknowledgementBatches = append(p.AcknowledgementBatches, kmsg.ShareAcknowledgeRequestTopicPartitionAcknowledgementBatch(b))
	}
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	r := do[*kmsg.ShareAcknowledgeResponse](m.conn, req)
	if r.ErrorCode != 0 {
		return name(r.ErrorCode)
	}
	m.epoch++
	return name(r.Topics[0].Partitions[0].ErrorCode)
}

func ack(first, last int64, types ...share.AckType) share.AckBatch {
	return share.AckBatch{Range: share.Range{First: first, Last: last}, Types: types}
}

func expect(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestShareFetch(t *testing.T) {
	n := newShareNode(t)
	c := n.dial()
	topic := c.create("t", 1, map[string]string{"retention.ms": "-1"})
	c.alterGroup("g", map[string]string{"share.auto.offset.reset": "earliest"})
	joinShare(n, c, "g", "a", 1, "t")
	a, b := n.member("g", "a", topic), n.member("g", "b", topic)
	expect(t, "before there is anything", a.acquired(0), "")
	c.mustProduce("t", 0, values(10, "1", "2", "3", "4", "5"))
	c.mustProduce("t", 0, values(10, "6", "7", "8", "9", "10"))
	expect(t, "first delivery", a.acquired(patience/2), "0-9:1")
	expect(t, "nothing left for b", b.acquired(0), "")
	expect(t, "b is not the owner", b.acknowledge(ack(0, 0, share.Accept)), "INVALID_RECORD_STATE")
	expect(t, "accept and release", a.acknowledge(ack(0, 4, share.Accept), ack(5, 6, share.Release)), "NONE")
	expect(t, "released", b.acquired(patience/2), "5-6:2")
	expect(t, "too far", b.acknowledge(ack(9, 12, share.Accept)), "INVALID_REQUEST")
	expect(t, "twice", a.acknowledge(ack(0, 4, share.Accept)), "NONE") // below the start offset nothing is known

	// The lock ends while b waits.
	expect(t, "reject", b.acknowledge(ack(5, 6, share.Reject)), "NONE")
	expect(t, "lock ends", b.acquired(patience/2), "7-9:2")
	expect(t, "too late", a.acknowledge(ack(7, 9, share.Accept)), "INVALID_RECORD_STATE")

	// A connection that closes gives back what its member has, as not delivered.
	_ = b.net.Close()
	expect(t, "b is gone", a.acquired(patience/2), "7-9:2")

	// Acknowledged along with the next fetch.
	r := a.fetch(0, ack(7, 9, share.Accept))
	if p := r.Topics[0].Partitions[0]; p.AcknowledgeErrorCode != 0 || p.ErrorCode != 0 {
		t.Errorf("along with a fetch: %+v", p)
	}
	if r.AcquisitionLockTimeoutMillis != 3000 {
		t.Errorf("lock duration %d", r.AcquisitionLockTimeoutMillis)
	}

	// The leader begins anew from what the persister has.
	c.mustProduce("t", 0, values(10, "11", "12"))
	expect(t, "more", a.acquired(patience/2), "10-11:1")
	expect(t, "one of them", a.acknowledge(ack(11, 11, share.Accept)), "NONE")
	n.stop()
	n.start()
	d := n.member("g", "d", topic)
	expect(t, "after a restart", d.acquired(patience/2), "10-10:1")
	expect(t, "at last", d.acknowledge(ack(10, 10, share.Accept)), "NONE")
	expect(t, "all is done", d.acquired(100*time.Millisecond), "")
}

func TestShareFetchSessions(t *testing.T) {
	n := newShareNode(t)
	c := n.dial()
	topic := c.create("t", 2, map[string]string{"retention.ms": "-1"})
	joinShare(n, c, "g", "a", 2, "t")
	joinShare(n, c, "h", "d", 2, "t")
	code := func(m *member, change func(*kmsg.ShareFetchRequest)) string {
		t.Helper()
		req := m.fetchRequest()
		change(req)
		r := do[*kmsg.ShareFetchResponse](m.conn, req)
		return name(r.ErrorCode)
	}
	none := func(*kmsg.ShareFetchRequest) {}
	a := n.member("g", "a", topic)
	a.epoch = 1
	expect(t, "no session", code(a, none), kerr.ShareSessionNotFound.Message)
	expect(t, "acknowledge without a session", a.acknowledge(ack(0, 0, share.Accept)), kerr.ShareSessionNotFound.Message)
	a.epoch = 0
	expect(t, "acknowledge with epoch 0", a.acknowledge(ack(0, 0, share.Accept)), kerr.InvalidShareSessionEpoch.Message)
	expect(t, "acknowledgements in the first request", code(a, func(r *kmsg.ShareFetchRequest) {
		r.Topics[0].Partitions[0].AcknowledgementBatches = ackBatches([]share.AckBatch{ack(0, 0, share.Accept)})
	}), kerr.InvalidRequest.Message)
	a.fetch(0)
	expect(t, "stale epoch", code(a, func(r *kmsg.ShareFetchRequest) { r.ShareSessionEpoch = 3 }), kerr.InvalidShareSessionEpoch.Message)
	expect(t, "renew and fetch", code(a, func(r *kmsg.ShareFetchRequest) { r.IsRenewAck = true }), kerr.InvalidRequest.Message)
	expect(t, "a member without name", code(a, func(r *kmsg.ShareFetchRequest) { r.MemberID = nil }), kerr.InvalidRequest.Message)
	expect(t, "a group without name", code(a, func(r *kmsg.ShareFetchRequest) { r.GroupID = nil }), kerr.InvalidRequest.Message)

	// Partitions are told about when they are new, when they have records, and when something is wrong.
	if r := a.fetch(0); len(r.Topics) != 0 {
		t.Errorf("no news: %+v", r.Topics)
	}
	req := a.fetchRequest()
	for _, index := range []int32{1, 7} {
		rt := kmsg.NewShareFetchRequestTopic()
		rt.TopicID = topic
		rp := kmsg.NewShareFetchRequestTopicPartition()
		rp.Partition = index
		rt.Partitions = append(rt.Partitions, rp)
		req.Topics = append(req.Topics, rt)
	}
	r := do[*kmsg.ShareFetchResponse](a.conn, req)
	a.epoch++
	if len(r.Topics) != 1 || len(r.Topics[0].Partitions) != 2 || r.Topics[0].Partitions[1].ErrorCode != kerr.UnknownTopicOrPartition.Code {
		t.Errorf("two more: %+v", r.Topics)
	}
	req = a.fetchRequest()
	f := kmsg.NewShareFetchRequestForgottenTopicsData()
	f.TopicID, f.Partitions = topic, []int32{7}
	req.ForgottenTopicsData = append(req.ForgottenTopicsData, f)
	if r := do[*kmsg.ShareFetchResponse](a.conn, req); len(r.Topics) != 0 {
		t.Errorf("forgotten: %+v", r.Topics)
	}
	a.epoch++

	// There is room for three.
	b, d := n.member("g", "b", topic), n.member("h", "d", topic)
	b.fetch(0)
	d.fetch(0)
	expect(t, "a fourth", code(n.member("g", "e", topic), none), kerr.ShareSessionLimitReached.Message)
	expect(t, "the end", code(b, func(r *kmsg.ShareFetchRequest) { r.ShareSessionEpoch, r.Topics = -1, nil }), "NONE")
	n.member("g", "e", topic).fetch(0)
	_ = d.net.Close()
	n.await("the sessions of a closed connection end", func() bool {
		m := n.member("g", "f", topic)
		return code(m, none) == "NONE"
	})
}

// A group of which nothing is said begins at the end of what is there when its first member fetches.
func TestShareFetchBeginsAtTheEnd(t *testing.T) {
	n := newShareNode(t)
	c := n.dial()
	topic := c.create("jobs", 1, map[string]string{"retention.ms": "-1"})
	c.mustProduce("jobs", 0, values(10, "1", "2", "3"))
	joinShare(n, c, "g", "a", 1, "jobs")
	a := n.member("g", "a", topic)
	n.await("the group has its beginning", func() bool {
		expect(t, "what was there", a.acquired(0), "")
		return shareStart(c) == 3
	})
	c.mustProduce("jobs", 0, values(10, "4"))
	expect(t, "what came", a.acquired(patience/2), "3-3:1")
}

func TestShareFetchRenews(t *testing.T) {
	n := newShareNode(t)
	c := n.dial()
	topic := c.create("t", 1, map[string]string{"retention.ms": "-1"})
	c.alterGroup("g", map[string]string{"share.auto.offset.reset": "earliest"})
	joinShare(n, c, "g", "a", 1, "t")
	a, b := n.member("g", "a", topic), n.member("g", "b", topic)
	expect(t, "before there is anything", a.acquired(0), "")
	c.mustProduce("t", 0, values(10, "1"))
	expect(t, "first", a.acquired(patience/2), "0-0:1")
	expect(t, "renew without saying so", a.acknowledge(ack(0, 0, share.Renew)), "INVALID_REQUEST")
	a.renew = true
	b.fetch(0)
	for range 4 { // in all longer than a lock lasts
		expect(t, "b waits", b.acquired(time.Second), "")
		expect(t, "renew", a.acknowledge(ack(0, 0, share.Renew)), "NONE")
	}
	expect(t, "the lock ends", b.acquired(patience/2), "0-0:2")
}
