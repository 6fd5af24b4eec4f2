package api

import (
	"context"
	"net"
	"runtime/debug"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/tidelinehq/tideline/broker/partition"
	"github.com/tidelinehq/tideline/broker/server"
	"github.com/tidelinehq/tideline/broker/wire"
	"github.com/tidelinehq/tideline/wal"
)

// coldReadTimeout bounds how long a fetch waits for the object store. It stays
// below the 30 s after which clients give up on a request.
const coldReadTimeout = 20 * time.Second

// topicIDsSince is the first version of Fetch that names topics by id.
const topicIDsSince = 13

// followersSince is the first version of Fetch whose clients may read from a follower
// (KIP-392).
const followersSince = 11

// fetchOp is one fetch request under way. One goroutine has it at a time: the
// connection's, then that of the purgatory, then the connection's writer.
type fetchOp struct {
	fetchTrace
	req       *wire.FetchRequest
	session   *fetchSession
	isolation partition.Isolation
	parts     []fetchPart
	resp      wire.FetchResponse
	topics    []wire.FetchPartitionResponse // backing of the response's partitions
	granted   int64
	deadline  time.Time // when a client that waits for more gets what there is
	atOnce    int32     // the most that the client's quota gives it in one go
	meter     meter
	fields    []byte
	bufs      net.Buffers
}

var fetchOps = sync.Pool{New: func() any { return new(fetchOp) }}

// fetch answers Fetch: at once when there is enough, else when enough has arrived
// or the time is up.
func (a *API) fetch(r *server.Request) {
	if r.Version < wire.MinFetchVersion || r.Version > wire.MaxFetchVersion {
		a.refuse(r, "unsupported version")
		return
	}
	meter := a.newMeter()
	req := wire.AcquireFetchRequest()
	if err := req.Parse(r.Version, r.Body); err != nil {
		req.Release()
		a.refuse(r, err.Error())
		return
	}
	op := fetchOps.Get().(*fetchOp)
	op.api, op.r, op.req, op.meter = a, r, req, meter
	op.kind, op.partitions, op.minBytes, op.maxWait = plainFetch, 0, req.MinBytes, req.MaxWaitMillis
	op.atOnce = a.fetchAtOnce(r)
	op.isolation = partition.ReadUncommitted
	if req.IsolationLevel == int8(partition.ReadCommitted) {
		op.isolation = partition.ReadCommitted
	}
	if code := op.resolve(); code != 0 {
		op.resp.ErrorCode = code
		op.parts = op.parts[:0]
		op.respond()
		return
	}
	op.start()
}

// resolve finds out which partitions the request is about: those that it names,
// or those of its session.
func (op *fetchOp) resolve() (code int16) {
	req, sessions := op.req, op.api.fetchSessions
	op.parts = op.parts[:0]
	if req.ReplicaID >= 0 {
		return kerr.InvalidRequest.Code // replicas are pushed to, they do not fetch
	}
	if op.r.Version < 7 || req.SessionEpoch == sessionEpochFinal || req.SessionEpoch == sessionEpochInitial {
		if req.SessionID != 0 {
			sessions.close(req.SessionID)
		}
		if op.r.Version >= 7 && req.SessionEpoch == sessionEpochInitial && len(req.Topics) > 0 {
			op.session = sessions.open(op.requested())
		}
		op.eachRequested(func(key sessionKey, p sessionPartition) {
			op.parts = append(op.parts, p.part())
			if op.session != nil {
				op.session.put(key, p)
			}
		})
		if op.session != nil {
			op.session.usesIDs = op.r.Version >= topicIDsSince
		}
		op.find()
		op.authorize()
		return 0
	}
	s := sessions.get(req.SessionID)
	if s == nil {
		return kerr.FetchSessionIDNotFound.Code
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if req.SessionEpoch != s.epoch {
		return kerr.InvalidFetchSessionEpoch.Code
	}
	if s.usesIDs != (op.r.Version >= topicIDsSince) {
		return kerr.FetchSessionTopicIDError.Code
	}
	op.eachRequested(s.put)
	for i := range req.Forgotten {
		t := &req.Forgotten[i]
		for _, index := range t.Partitions {
			s.forget(sessionKey{id: wal.ID{Topic: t.ID, Partition: index}, topic: string(t.Name)})
		}
	}
	switch n := len(s.byID); {
	case n == 0:
		// Nothing is left of it: the client gets an answer without a session.
		sessions.close(s.id)
		return 0
	case !sessions.resize(s, n):
		return kerr.FetchSessionIDNotFound.Code // the client starts over, without one
	}
	s.epoch = nextEpoch(s.epoch)
	op.session = s
	for e := s.order.Front(); e != nil; e = e.Next() {
		op.parts = append(op.parts, e.Value.(*sessionPartition).part())
	}
	op.find()
	op.authorize()
	return 0
}

// requested is the number of partitions that the request names.
func (op *fetchOp) requested() (n int) {
	for i := range op.req.Topics {
		n += len(op.req.Topics[i].Partitions)
	}
	return n
}

func (op *fetchOp) eachRequested(visit func(sessionKey, sessionPartition)) {
	for i := range op.req.Topics {
		t := &op.req.Topics[i]
		name := string(t.Name)
		for j := range t.Partitions {
			p := &t.Partitions[j]
			id := wal.ID{Topic: t.ID, Partition: p.Index}
			visit(sessionKey{id: id, topic: name}, sessionPartition{
				id: id, topic: name, offset: p.FetchOffset, logStart: p.LogStartOffset, maxBytes: p.MaxBytes,
				epoch: p.CurrentLeaderEpoch, lastFetched: p.LastFetchedEpoch,
			})
		}
	}
}

func (p *sessionPartition) part() fetchPart {
	return fetchPart{id: p.id, topic: p.topic, offset: p.offset, max: p.maxBytes, epoch: p.epoch, fetched: p.lastFetched}
}

// find looks the partitions up. Requests by name learn the topic's id here, for
// the object store knows ids only.
func (op *fetchOp) find() {
	for i := range op.parts {
		part := &op.parts[i]
		if op.r.Version >= topicIDsSince {
			part.p = op.api.Partitions.GetByID(part.id)
		} else if part.p = op.api.Partitions.Get(part.topic, part.id.Partition); part.p != nil {
			part.id = part.p.ID()
		}
		if part.p != nil && !part.p.Leads() && op.r.Version < followersSince {
			part.p = nil // its client knows leaders only
		}
	}
}

// grant takes the bytes of the response from the broker's budget.
func (op *fetchOp) grant() int {
	op.granted = op.api.responseBytes.take(int64(op.maxBytes()), minFetchGrant)
	return int(op.granted)
}

// maxBytes is what the client and the broker both allow.
func (op *fetchOp) maxBytes() int32 {
	return max(min(op.req.MaxBytes, op.api.Config.FetchMaxBytes, op.atOnce), 0)
}

// enough reports whether the client need not wait for more than bytes. It never
// waits for more than it allows to be sent.
func (op *fetchOp) enough(bytes int) bool {
	return bytes >= int(min(op.req.MinBytes, op.maxBytes()))
}

// longestWait bounds how long a fetch waits, whatever its client says: one whose
// client has gone meanwhile is kept until then.
const longestWait = 5 * time.Minute

// start reads, and answers or waits.
func (op *fetchOp) start() {
	op.partitions = len(op.parts)
	wait := min(time.Duration(op.req.MaxWaitMillis)*time.Millisecond, longestWait)
	op.deadline = op.api.now().Add(wait)
	op.serve(false, true)
}

// serve reads what there is, and answers unless it is worth waiting for more. last
// says that it is not. inline says that the goroutine is the connection's, which
// must not wait for the object store.
func (op *fetchOp) serve(last, inline bool) {
	budget := op.grant()
	op.times.look(op.api.now())
	bytes, cold, ready := op.readLocals(budget)
	op.times.found = op.api.now()
	switch {
	case cold > 0 && inline:
		op.meter.pause()
		op.api.running.Add(1)
		go func() {
			defer op.api.running.Done()
			defer op.recovered(op.api, op.r)
			op.finish(budget-bytes, cold)
		}()
	case cold > 0:
		op.meter.pause()
		op.finish(budget-bytes, cold)
	case ready || last || op.enough(bytes) || len(op.parts) == 0:
		op.respond()
	default:
		op.park(bytes)
	}
}

// finish reads what only the object store has, and answers.
func (op *fetchOp) finish(budget, cold int) {
	ctx, cancel := context.WithTimeout(op.api.ctx, coldReadTimeout)
	defer cancel()
	op.times.asked = op.api.now()
	ctx, traced := op.cold(ctx)
	op.readCold(ctx, budget, cold)
	op.times.came = op.api.now()
	traced()
	op.meter.resume()
	op.respond()
}

// minFetchGrant is what a fetch may return however little of the budget is left.
const minFetchGrant = 64 << 10

// park waits for more bytes, and reads again then.
func (op *fetchOp) park(have int) {
	a, r := op.api, op.r
	op.release()
	a.responseBytes.give(op.granted) // who waits holds nothing
	op.granted = 0
	parts := make([]*partition.Partition, len(op.parts))
	seen := make([]int64, len(op.parts))
	for i := range op.parts {
		parts[i], seen[i] = op.parts[i].p, op.parts[i].seen
	}
	again := func(last bool) {
		defer op.recovered(a, r)
		op.times.wake(a.now())
		op.meter.resume()
		op.serve(last, false)
	}
	now := a.now()
	op.times.park(now)
	wait := op.deadline.Sub(now)
	need := int64(min(op.req.MinBytes, op.maxBytes())) - int64(have)
	op.meter.pause()
	if wait > 0 {
		l := leaverOf(r)
		if w := a.Purgatory.Hold(op.isolation == partition.ReadCommitted, parts, seen, need, wait, again); w != nil {
			l.parked(w)
			return
		}
	}
	op.meter.resume()
	op.serve(true, true)
}

// recovered keeps a bug in a fetch that goes on in a goroutine of its own from
// ending the broker. The request is answered by closing the connection, because
// what it holds of the server's memory is only given back by an answer.
func (op *fetchOp) recovered(a *API, r *server.Request) {
	p := recover()
	if p == nil {
		return
	}
	a.metrics.panics.Inc()
	a.logger.Error("panic in a fetch", "panic", p, "client", r.Conn.RemoteAddr(), "stack", string(debug.Stack()))
	op.release()
	op.sent(a.now())
	a.responseBytes.give(op.granted)
	r.Respond(server.Response{Close: true})
}

// respond encodes what was read and sends it. What was granted and is not needed
// goes back at once: a slow client may take long for the rest. Memory that was taken
// beyond it counts, too.
func (op *fetchOp) respond() {
	if !op.throttle() {
		op.withhold()
	}
	op.fill()
	used := int64(0)
	for i := range op.parts {
		used += int64(op.parts[i].held)
	}
	op.api.responseBytes.give(op.granted - used)
	op.granted = used
	op.bufs, op.fields = op.resp.AppendTo(op.bufs[:0], op.fields[:0], op.r.Version)
	op.trace()
	op.times.answered = op.api.now()
	op.r.Respond(server.Response{Buffers: op.bufs, Done: op.free, Span: exemplar(op.span)})
}

// trace tells the trace what the answer has.
func (op *fetchOp) trace() {
	failed := op.resp.ErrorCode
	for i := range op.parts {
		part := &op.parts[i]
		if failed == 0 {
			failed = part.resp.ErrorCode
		}
		if part.bytes > 0 {
			op.deliver(delivered{id: part.id, topic: part.topic, first: part.offset, next: part.next, bytes: part.bytes, cold: part.cold, records: part.records})
		}
	}
	op.answer(failed, false)
}

// fill makes the response of the parts. A response within a session leaves out
// partitions that have nothing new to say.
func (op *fetchOp) fill() {
	op.api.metrics.erred(keyFetch, op.resp.ErrorCode)
	op.resp.Topics = op.resp.Topics[:0]
	incremental := op.session != nil && op.req.SessionEpoch > 0
	if op.session != nil {
		op.session.mu.Lock()
		defer op.session.mu.Unlock()
		op.resp.SessionID = op.session.id
	}
	if cap(op.topics) < len(op.parts) {
		op.topics = make([]wire.FetchPartitionResponse, 0, len(op.parts))
	}
	op.topics = op.topics[:0]
	for i := range op.parts {
		part := &op.parts[i]
		part.resp.Records, part.resp.Aborted = part.records, part.aborted
		op.api.metrics.erred(keyFetch, part.resp.ErrorCode)
		if op.session != nil && !op.session.told(part, op.r.Version) && incremental {
			continue
		}
		op.topics = append(op.topics, part.resp)
		at := len(op.topics) - 1
		if n := len(op.resp.Topics); n > 0 && sameTopic(&op.resp.Topics[n-1], part, op.r.Version) {
			t := &op.resp.Topics[n-1]
			t.Partitions = op.topics[at-len(t.Partitions) : at+1 : at+1]
			continue
		}
		t := wire.FetchTopicResponse{Partitions: op.topics[at : at+1 : at+1]}
		if op.r.Version >= topicIDsSince {
			t.ID = part.id.Topic
		} else {
			t.Name = []byte(part.topic)
		}
		op.resp.Topics = append(op.resp.Topics, t)
	}
}

func sameTopic(t *wire.FetchTopicResponse, part *fetchPart, version int16) bool {
	if version >= topicIDsSince {
		return t.ID == part.id.Topic
	}
	return string(t.Name) == part.topic
}

// told notes what the client is about to learn of a part, and reports whether
// that is news. Parts with records go to the back, so that all get their turn
// when a response has no room for all.
func (s *fetchSession) told(part *fetchPart, version int16) bool {
	key := sessionKey{id: part.id, topic: part.topic}
	if version < topicIDsSince {
		key.id.Topic = [16]byte{}
	}
	p := s.byID[key]
	if p == nil {
		return true
	}
	news := part.bytes > 0 || part.resp.ErrorCode != 0 || part.resp.PreferredReadReplica >= 0 || part.resp.DivergingEpoch != nil ||
		part.resp.HighWatermark != p.sentHW || part.resp.LogStartOffset != p.sentLogStart
	p.sentHW, p.sentLogStart = part.resp.HighWatermark, part.resp.LogStartOffset
	if part.resp.ErrorCode != 0 || part.resp.DivergingEpoch != nil {
		p.sentHW = -1 // so that the partition is reported again once it is well
	}
	if part.bytes > 0 {
		s.order.MoveToBack(p.element)
	}
	return news
}

// keepFetchParts bounds what a pooled op keeps room for.
const keepFetchParts = 1024

// free gives back everything once the response was written.
func (op *fetchOp) free() {
	op.sent(op.api.now())
	op.release()
	if op.granted != 0 {
		op.api.responseBytes.give(op.granted)
	}
	op.req.Release()
	clear(op.parts)
	clear(op.topics)
	clear(op.bufs)
	op.resp.Reset()
	op.r, op.req, op.api, op.session, op.granted = nil, nil, nil, nil, 0
	if cap(op.parts) <= keepFetchParts {
		fetchOps.Put(op)
	}
}
