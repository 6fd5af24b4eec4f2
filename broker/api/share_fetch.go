package api

import (
	"cmp"
	"context"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.opentelemetry.io/otel/trace"

	"github.com/tidelinehq/tideline/broker/partition"
	"github.com/tidelinehq/tideline/broker/purgatory"
	"github.com/tidelinehq/tideline/broker/server"
	"github.com/tidelinehq/tideline/broker/share"
	"github.com/tidelinehq/tideline/wal"
)

// shareOp is one share fetch under way. Its acknowledgements and its fetch go on side by
// side; when all are over it is answered. One goroutine has the fetch at a time.
type shareOp struct {
	shareMember
	fetchTrace
	c       *Call
	resp    *kmsg.ShareFetchResponse
	session *shareSession
	left    countdown
	acks    []*shareAck

	isolation partition.Isolation
	maxBytes  int32
	wanted    share.Wanted
	deadline  time.Time // when a member that waits for more gets what there is
	parts     []sharePart
	granted   int64
	watched   *purgatory.Parked
	rounds    int
}

// shareAck is what a request says of records of one partition, and what became of it.
type shareAck struct {
	id  wal.ID
	err error
}

// maxRounds bounds how often a fetch reads anew because all that it read was hidden or
// taken, before it answers with nothing.
const maxRounds = 16

// serve reads and acquires what there is, and ends the fetch unless it is worth waiting
// for more. last says that it is not; inline says that the goroutine is the
// connection's, which must not wait for the object store.
func (op *shareOp) serve(last, inline bool) {
	if op.session.closed.Load() {
		op.api.shareSessions.late(op.shareMember)
		op.left.done()
		return
	}
	op.granted = op.api.responseBytes.take(int64(op.maxBytes), minFetchGrant)
	began, failed := op.beginAll()
	op.times.look(op.api.now())
	bytes, cold, broken := op.readLocals(began)
	op.times.found = op.api.now()
	failed = failed || broken
	switch {
	case cold > 0 && inline:
		op.api.running.Add(1)
		go func() {
			defer op.api.running.Done()
			defer op.recovered()
			op.finish(began, cold)
		}()
	case cold > 0:
		op.finish(began, cold)
	case failed || last || bytes > 0 && bytes >= int(op.minBytes):
		op.acquire(last || failed)
	default:
		op.park(bytes)
	}
}

// finish reads what only the object store has, and acquires.
func (op *shareOp) finish(began, cold int) {
	ctx, cancel := context.WithTimeout(op.api.ctx, coldReadTimeout)
	defer cancel()
	op.times.asked = op.api.now()
	ctx, traced := op.cold(ctx)
	op.readCold(ctx, began, cold)
	op.times.came = op.api.now()
	traced()
	op.acquire(false)
}

// acquire locks what was read, and ends the fetch if that is anything, or last.
func (op *shareOp) acquire(last bool) {
	got := false
	for i := range op.parts {
		part := &op.parts[i]
		if !part.began {
			got = got || part.err != nil
			continue
		}
		part.acquire(&op.wanted)
		got = got || len(part.acquired) > 0 || part.err != nil
	}
	op.end()
	if op.session.closed.Load() { // its member is gone, and did not have this to give back
		op.giveBack()
		got = true
	}
	if !got && !last && op.rounds < maxRounds {
		op.rounds++
		op.giveUp()
		op.api.running.Add(1)
		go func() {
			defer op.api.running.Done()
			op.again(false)
		}()
		return
	}
	op.left.done()
}

// giveBack returns what was acquired for a member that is gone, of this session: it may
// have another by now, whose records are its own to give back.
func (op *shareOp) giveBack() {
	for i := range op.parts {
		if part := &op.parts[i]; len(part.acquired) > 0 {
			part.acquired, part.records = nil, nil
		}
	}
	op.api.shareSessions.late(op.shareMember)
}

// end lets other members read.
func (op *shareOp) end() {
	for i := range op.parts {
		if part := &op.parts[i]; part.began {
			part.began = false
			part.mark = part.shares.End()
		}
	}
}

// giveUp gives back what a look has taken.
func (op *shareOp) giveUp() {
	op.end()
	op.release()
	op.api.responseBytes.give(op.granted)
	op.granted = 0
}

// park waits for more bytes, or for other records, and looks again then.
func (op *shareOp) park(have int) {
	op.giveUp()
	var parts []*partition.Partition
	var seen []int64
	for i := range op.parts {
		if part := &op.parts[i]; part.p != nil {
			parts, seen = append(parts, part.p), append(seen, part.seen)
		}
	}
	now := op.api.now()
	wait := op.deadline.Sub(now)
	if wait <= 0 {
		op.again(true)
		return
	}
	l := leaverOf(op.c.raw)
	// The fetch may go on before it is known to all that it waits for.
	ready := make(chan struct{})
	op.times.park(now)
	parked := op.api.Purgatory.Hold(op.isolation == partition.ReadCommitted, parts, seen, max(int64(op.minBytes)-int64(have), 1), wait, func(last bool) {
		<-ready
		op.times.wake(op.api.now())
		op.again(last)
	})
	if parked == nil {
		op.again(true)
		return
	}
	op.watched = parked
	for i := range op.parts {
		if part := &op.parts[i]; part.shares != nil && !part.shares.Watch(parked, part.mark) {
			parked.Wake()
		}
	}
	close(ready)
	l.parked(parked)
}

// again goes on in a goroutine that is not the connection's.
func (op *shareOp) again(last bool) {
	defer op.recovered()
	if op.watched != nil {
		for i := range op.parts {
			if part := &op.parts[i]; part.shares != nil {
				part.shares.Unwatch(op.watched)
			}
		}
		op.watched = nil
	}
	op.serve(last, false)
}

// recovered keeps a bug in a fetch that goes on in a goroutine of its own from ending
// the broker.
func (op *shareOp) recovered() {
	p := recover()
	if p == nil {
		return
	}
	op.giveUp()
	op.sent(op.api.now())
	op.api.panicked(op.c.raw.Conn, p) // which closes the connection, and with it the session
	if !op.c.replied.Swap(true) {
		op.c.raw.Respond(server.Response{None: true, Close: true})
	}
}

// respond answers when the fetch and all acknowledgements are over.
func (op *shareOp) respond() {
	op.fill()
	records := func(topic, index int) [][]byte {
		id := wal.ID{Topic: op.resp.Topics[topic].TopicID, Partition: op.resp.Topics[topic].Partitions[index].Partition}
		for i := range op.parts {
			if op.parts[i].id == id {
				return op.parts[i].records
			}
		}
		return nil
	}
	var used int64
	for i := range op.parts {
		used += int64(op.parts[i].held)
	}
	op.api.responseBytes.give(op.granted - used)
	op.granted = used
	buffers := appendShareFetch(op.resp, records)
	op.trace()
	op.times.answered = op.api.now()
	op.c.replyBuffers(buffers, exemplar(op.span), func() {
		op.sent(op.api.now())
		op.release()
		op.api.responseBytes.give(op.granted)
	})
}

// replyBuffers sends a response that was encoded already; span is the request's, nil where there is none. done is called when
// the bytes are not needed any more.
func (c *Call) replyBuffers(buffers net.Buffers, span *trace.SpanContext, done func()) {
	c.replied.Store(true)
	c.raw.Respond(server.Response{Buffers: buffers, Done: done, Span: span})
}

// trace tells the trace what the answer has.
func (op *shareOp) trace() {
	failed := op.resp.ErrorCode
	for i := range op.resp.Topics {
		for j := range op.resp.Topics[i].Partitions {
			if p := &op.resp.Topics[i].Partitions[j]; failed == 0 {
				failed = cmp.Or(p.ErrorCode, p.AcknowledgeErrorCode)
			}
		}
	}
	for i := range op.parts {
		part := &op.parts[i]
		if len(part.acquired) == 0 {
			continue
		}
		bytes := 0
		for _, b := range part.records {
			bytes += len(b)
		}
		op.deliver(delivered{
			id: part.id, first: part.acquired[0].First, next: part.acquired[len(part.acquired)-1].Last + 1,
			acquired: part.acquired, bytes: bytes, cold: part.cold, records: part.records,
		})
	}
	op.answer(failed, len(op.acks) > 0)
}

// fill makes the response: the partitions that have news, and those of which the
// request said something.
func (op *shareOp) fill() {
	topics := make(map[[16]byte]int)
	at := make(map[wal.ID][2]int)
	partitionOf := func(id wal.ID) *kmsg.ShareFetchResponseTopicPartition {
		if i, ok := at[id]; ok {
			return &op.resp.Topics[i[0]].Partitions[i[1]]
		}
		t, ok := topics[id.Topic]
		if !ok {
			t = len(op.resp.Topics)
			topics[id.Topic] = t
			one := kmsg.NewShareFetchResponseTopic()
			one.TopicID = id.Topic
			op.resp.Topics = append(op.resp.Topics, one)
		}
		p := kmsg.NewShareFetchResponseTopicPartition()
		p.Partition = id.Partition
		p.CurrentLeader.LeaderID, p.CurrentLeader.LeaderEpoch = -1, -1
		all := &op.resp.Topics[t].Partitions
		at[id] = [2]int{t, len(*all)}
		*all = append(*all, p)
		return &(*all)[len(*all)-1]
	}
	var nodes []int32
	hint := func(p *kmsg.ShareFetchResponseTopicPartition, id wal.ID, code int16) {
		if code == kerr.NotLeaderForPartition.Code {
			p.CurrentLeader.LeaderID, p.CurrentLeader.LeaderEpoch = op.api.currentLeader(id)
			nodes = append(nodes, p.CurrentLeader.LeaderID)
		}
	}
	for i := range op.parts {
		part := &op.parts[i]
		code := errorCode(part.err)
		if !op.session.news(part.id, code, len(part.acquired) > 0) {
			continue
		}
		p := partitionOf(part.id)
		p.ErrorCode, p.ErrorMessage = code, message(part.err)
		hint(p, part.id, code)
		for _, a := range part.acquired {
			p.AcquiredRecords = append(p.AcquiredRecords, kmsg.ShareFetchResponseTopicPartitionAcquiredRecord{
				FirstOffset: a.First, LastOffset: a.Last, DeliveryCount: a.DeliveryCount,
			})
		}
	}
	for _, a := range op.acks {
		p := partitionOf(a.id)
		p.AcknowledgeErrorCode, p.AcknowledgeErrorMessage = errorCode(a.err), message(a.err)
		hint(p, a.id, p.AcknowledgeErrorCode)
	}
	op.resp.NodeEndpoints = op.c.leaderEndpoints(nodes)
	op.resp.SetVersion(op.c.Version)
}
