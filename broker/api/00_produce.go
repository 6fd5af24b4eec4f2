package api

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/tidelinehq/tideline/broker/partition"
	"github.com/tidelinehq/tideline/broker/server"
	"github.com/tidelinehq/tideline/broker/wire"
	"github.com/tidelinehq/tideline/wal"
)

// Required acknowledgements of a produce request.
const (
	acksNone   = 0
	acksLeader = 1
	acksAll    = -1
)

// maxThrottle bounds how long a produce request waits for room in the write-ahead
// log, whatever its own time-out: a connection that waits is not read, so that it
// cannot be seen whether its client has gone.
const maxThrottle = time.Minute

// produceOp is one produce request under way. It is handed from the connection's
// goroutine to the write-ahead log's, and to the connection's writer: remaining
// counts the partitions that are not decided yet, plus one for the goroutine that
// hands them over, and whoever brings it to zero answers.
type produceOp struct {
	api       *API
	r         *server.Request
	req       *wire.ProduceRequest
	resp      wire.ProduceResponse
	parts     []wire.ProducePartitionResponse // of all topics, in order
	appends   []partition.Append              // one per part
	remaining atomic.Int32
	expiry    *time.Timer  // nil where nothing waits for other brokers
	holders   atomic.Int32 // the response and the timer: the last of them frees the op
	meter     meter
	traced    *produceTrace // nil: neither traced nor measured
	buf       []byte        // the encoded response
	bufs      [1][]byte
}

var produceOps = sync.Pool{New: func() any { return new(produceOp) }}

// produce answers Produce. The request is appended in the order in which the
// connection sent it; the answer follows when all of it is durable, while the
// connection's next request is taken.
func (a *API) produce(r *server.Request) {
	if r.Version < wire.MinProduceVersion || r.Version > wire.MaxProduceVersion {
		a.refuse(r, "unsupported version")
		return
	}
	handled := a.handled(r.CorrelationID)
	meter := a.newMeter()
	req := wire.AcquireProduceRequest()
	if err := req.Parse(r.Version, r.Body); err != nil {
		req.Release()
		a.refuse(r, err.Error())
		return
	}
	op := produceOps.Get().(*produceOp)
	op.api, op.r, op.req, op.meter = a, r, req, meter
	op.prepare()
	op.trace(handled)
	op.remaining.Store(int32(len(op.parts)) + 1)
	op.holders.Store(1)
	deadline := r.Received.Add(min(time.Duration(req.TimeoutMillis)*time.Millisecond, maxThrottle))
	op.authorize()
	if req.TransactionalID != nil {
		op.verify()
	}
	i := 0
	for t := range req.Topics {
		topic := &req.Topics[t]
		for p := range topic.Partitions {
			op.append(i, topic, &topic.Partitions[p], deadline)
			i++
		}
	}
	op.limit()
	op.meter.pause()
	op.decided()
}

// maxAckWait bounds how long a request waits for acknowledgements, whatever its own
// time-out: its memory is held until then.
const maxAckWait = 5 * time.Minute

// limit bounds the time that the request waits for other brokers. What is acknowledged by
// this disk alone needs none: it does not wait longer than the disk takes.
func (op *produceOp) limit() {
	if op.req.Acks != acksAll || op.remaining.Load() == 1 {
		return
	}
	replicated := false
	for i := range op.appends {
		replicated = replicated || op.appends[i].Replicated()
	}
	if !replicated {
		return
	}
	op.holders.Add(1)
	wait := min(time.Duration(op.req.TimeoutMillis)*time.Millisecond, maxAckWait) - op.api.now().Sub(op.r.Received)
	op.expiry = time.AfterFunc(max(wait, 0), op.expire)
}

var errNotReplicated = fmt.Errorf("%w: the records are on this broker and were not replicated in time", kerr.RequestTimedOut)

// expire ends what is still waiting.
func (op *produceOp) expire() {
	for i := range op.appends {
		op.appends[i].GiveUp(errNotReplicated)
	}
	op.letGo()
}

// prepare shapes the response like the request. The appends must not move once
// the first is handed over, so all of them are made first.
func (op *produceOp) prepare() {
	n := 0
	for i := range op.req.Topics {
		n += len(op.req.Topics[i].Partitions)
	}
	if cap(op.appends) < n {
		op.appends = make([]partition.Append, n)
		op.parts = make([]wire.ProducePartitionResponse, n)
	}
	op.appends, op.parts = op.appends[:n], op.parts[:n]
	op.resp.Topics = op.resp.Topics[:0]
	at := 0
	for i := range op.req.Topics {
		t := &op.req.Topics[i]
		end := at + len(t.Partitions)
		op.resp.Topics = append(op.resp.Topics, wire.ProduceTopicResponse{Name: t.Name, ID: t.ID, Partitions: op.parts[at:end:end]})
		for j := range t.Partitions {
			op.parts[at+j] = wire.ProducePartitionResponse{Index: t.Partitions[j].Index, BaseOffset: -1, LogAppendTime: -1, LogStartOffset: -1}
		}
		at = end
	}
}

// append hands over the batch of one partition.
func (op *produceOp) append(i int, topic *wire.ProduceTopic, part *wire.ProducePartition, deadline time.Time) {
	if op.parts[i].ErrorCode != 0 {
		op.decided() // refused before anything was appended
		return
	}
	a := op.api
	p, err := a.produceTarget(op.r.Version, topic, part.Index)
	op.traced.begun(i, p, part.Records)
	if err == nil {
		err = checkProduce(op.r.Version, op.req, p.Topic(), part.Records)
	}
	if err == nil {
		op.appends[i].Index, op.appends[i].Alone = i, op.req.Acks != acksAll
		err = op.appendWhenRoom(p, &op.appends[i], part.Records, deadline)
	}
	if err != nil {
		op.fail(i, err)
		op.decided()
	}
}

// produceTarget finds the partition that a request names.
func (a *API) produceTarget(version int16, topic *wire.ProduceTopic, index int32) (*partition.Partition, error) {
	if version >= 13 {
		if p := a.Partitions.GetByID(wal.ID{Topic: topic.ID, Partition: index}); leads(p) {
			return p, nil
		}
		if t, ok := a.Metadata.Image().TopicByID(topic.ID); ok {
			return nil, kerr.ErrorForCode(a.missing(t.Name, index))
		}
		return nil, kerr.UnknownTopicID
	}
	if p := a.Partitions.GetBytes(topic.Name, index); leads(p) {
		return p, nil
	}
	return nil, kerr.ErrorForCode(a.missing(string(topic.Name), index))
}

// appendWhenRoom appends, waiting for room in the write-ahead log while the
// object store takes no data. Waiting keeps the connection from being read, which
// throttles its producer; when the request's time is up, the producer gets a
// retriable error.
func (op *produceOp) appendWhenRoom(p *partition.Partition, ap *partition.Append, records []byte, deadline time.Time) error {
	a := op.api
	err := p.Append(ap, records, partition.FromClient, op)
	if !errors.Is(err, wal.ErrFull) {
		return err
	}
	a.metrics.throttled.Inc()
	op.meter.pause()
	defer op.meter.resume()
	for errors.Is(err, wal.ErrFull) && a.WaitForRoom(a.ctx, len(records), deadline) {
		err = p.Append(ap, records, partition.FromClient, op)
	}
	return err
}

// Appended implements partition.Owner.
func (op *produceOp) Appended(ap *partition.Append, err error) {
	op.traced.acked(ap.Index)
	if err != nil {
		op.fail(ap.Index, err)
	} else {
		part := &op.parts[ap.Index]
		part.BaseOffset, part.LogAppendTime, part.LogStartOffset = ap.BaseOffset, ap.AppendTime, ap.LogStart()
	}
	op.decided()
}

func (op *produceOp) fail(i int, err error) {
	op.parts[i].ErrorCode = errorCode(err)
	op.parts[i].ErrorMessage = wire.ErrorText(err.Error())
	op.api.metrics.produceErrors.Inc()
	op.api.metrics.erred(keyProduce, op.parts[i].ErrorCode)
	if op.api.logger.Enabled(op.api.ctx, levelRefusedBatch) {
		op.api.logger.Log(op.api.ctx, levelRefusedBatch, "batch refused", "partition", op.parts[i].Index, "client", op.r.Conn.RemoteAddr(), "error", err)
	}
}

// decided counts one partition as decided, and answers after the last.
func (op *produceOp) decided() {
	if op.remaining.Add(-1) != 0 {
		return
	}
	op.resp.ThrottleMillis = op.throttle()
	op.traced.answered()
	if op.req.Acks == acksNone {
		op.finishWithoutAck()
		return
	}
	op.buf = op.resp.AppendTo(op.buf[:0], op.r.Version)
	op.bufs[0] = op.buf
	op.r.Respond(server.Response{Buffers: net.Buffers(op.bufs[:]), Done: op.free, Span: op.exemplar()})
}

// finishWithoutAck ends a request that gets no reply. As in Kafka an error closes
// the connection, so that the producer notices.
func (op *produceOp) finishWithoutAck() {
	failed := false
	for i := range op.parts {
		failed = failed || op.parts[i].ErrorCode != 0
	}
	op.r.Respond(server.Response{None: true, Close: failed, Done: op.free})
}

// keepProduceParts bounds what a pooled op keeps room for.
const keepProduceParts = 1024

func (op *produceOp) free() {
	op.traced.finish(op)
	if op.expiry != nil && op.expiry.Stop() {
		op.holders.Add(-1)
	}
	op.letGo()
}

// letGo frees the op when neither its response nor its timer needs it any more.
func (op *produceOp) letGo() {
	if op.holders.Add(-1) != 0 {
		return
	}
	op.expiry = nil
	op.req.Release()
	clear(op.appends)
	op.r, op.req, op.api, op.traced = nil, nil, nil, nil
	if cap(op.parts) <= keepProduceParts {
		produceOps.Put(op)
	}
}
