package txn

import (
	"context"
	"log/slog"
	"math/bits"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Bounds of the sender. What waits in it is bounded by what is decided and not complete: one
// transaction for each transactional id.
const (
	// markersPerRequest bounds a request, so that one answer waits for few partitions.
	markersPerRequest = 1000
	// requestsPerBroker are under way at a time, so that one partition without enough
	// replicas does not hold up the others of its broker.
	requestsPerBroker = 4
	// askTimeout bounds how long a broker may take, which itself waits 30 s for its followers.
	askTimeout = 35 * time.Second
	// Pauses before a marker is sent again.
	firstPause, longestPause = 50 * time.Millisecond, 2 * time.Second
	// Every so many attempts, in powers of two from here, the log hears of a marker.
	quietAttempts = 8
)

// writeMarkersVersion is the version of WriteTxnMarkers that tells the version of transactions.
const writeMarkersVersion = 2

// sender brings the markers of decided transactions to the leaders of their partitions.
//
//	add ─▶ by leader ─▶ queue of a broker ─▶ WriteTxnMarkers ─┬─ written, or topic is gone ─▶ the last
//	 ▲        │ no leader                                     │                              of a job:
//	 │        ▼                                               │ anything else                written
//	 └───── pause ◀───────────────────────────────────────────┘
//
// Markers of many transactions go into one request; the leader of a partition is looked up
// before each attempt.
type sender struct {
	senderOptions
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex // guards the fields below, and jobs
	closed bool
	jobs   map[shardID]map[*job]struct{}
	queues map[int32]*queue
}

type senderOptions struct {
	topics  Topics
	brokers func() Brokers
	metrics *metrics
	logger  *slog.Logger
	// written is told once that all markers of a job are in place, and must not block.
	written func(*job)
}

// job is one decided transaction.
type job struct {
	shard      shardID
	id         string
	producerID int64
	epoch      int16
	commit     bool
	version    int16
	left       int // partitions without their marker
	over       bool
}

// marker is one partition of a job.
type marker struct {
	job      *job
	tp       topicPartition
	attempts int
}

// queue is what waits for one broker.
type queue struct {
	markers []marker
	asking  int
}

func newSender(o senderOptions) *sender {
	s := &sender{senderOptions: o, jobs: make(map[shardID]map[*job]struct{}), queues: make(map[int32]*queue)}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// add takes on a job.
func (s *sender) add(j *job, tps []topicPartition) {
	j.left = len(tps)
	if j.left == 0 {
		s.written(j)
		return
	}
	markers := make([]marker, len(tps))
	for i, tp := range tps {
		markers[i] = marker{job: j, tp: tp}
	}
	s.mu.Lock()
	of := s.jobs[j.shard]
	if of == nil {
		of = make(map[*job]struct{})
		s.jobs[j.shard] = of
	}
	of[j] = struct{}{}
	s.metrics.pending.Add(float64(len(tps)))
	s.mu.Unlock()
	s.send(markers)
}

// forget drops the jobs of a shard that ended. Requests under way are not waited for: the
// partitions refuse what a newer coordinator has overtaken.
func (s *sender) forget(shard shardID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for j := range s.jobs[shard] {
		j.over = true
		s.metrics.pending.Sub(float64(j.left))
	}
	delete(s.jobs, shard)
}

// send queues markers for the leaders of their partitions.
func (s *sender) send(markers []marker) {
	var done []*job
	var leaderless []marker
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	for _, m := range markers {
		if m.job.over {
			continue
		}
		leader, ok := s.topics.Leader(m.tp.topic, m.tp.partition)
		switch {
		case !ok:
			done = s.settle(done, m, "gone")
		case leader < 0:
			m.attempts++
			leaderless = append(leaderless, m)
		default:
			q := s.queues[leader]
			if q == nil {
				q = &queue{}
				s.queues[leader] = q
			}
			q.markers = append(q.markers, m)
		}
	}
	for broker, q := range s.queues {
		if len(q.markers) > 0 && q.asking < requestsPerBroker {
			q.asking++
			s.wg.Go(func() { s.serve(broker, q) })
		}
	}
	s.mu.Unlock()
	s.again(leaderless)
	s.finish(done)
}

// settle takes one marker off its job, and adds the job to done if that was the last.
func (s *sender) settle(done []*job, m marker, result string) []*job {
	s.metrics.markers.WithLabelValues(result).Inc()
	s.metrics.pending.Dec()
	m.job.left--
	if m.job.left > 0 {
		return done
	}
	s.drop(m.job)
	return append(done, m.job)
}

func (s *sender) drop(j *job) {
	j.over = true
	of := s.jobs[j.shard]
	delete(of, j)
	if len(of) == 0 {
		delete(s.jobs, j.shard)
	}
}

func (s *sender) finish(done []*job) {
	for _, j := range done {
		s.written(j)
	}
}

// serve asks a broker for as long as something waits for it.
func (s *sender) serve(broker int32, q *queue) {
	for {
		s.mu.Lock()
		var batch []marker
		for len(q.markers) > 0 && len(batch) < markersPerRequest {
			if m := q.markers[0]; !m.job.over {
				batch = append(batch, m)
			}
			q.markers[0] = marker{}
			q.markers = q.markers[1:]
		}
		if len(batch) == 0 || s.closed {
			q.asking--
			if q.asking == 0 && len(q.markers) == 0 {
				delete(s.queues, broker)
			}
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		s.ask(broker, batch)
	}
}

// request is the request for a batch of markers.
func request(batch []marker) *kmsg.WriteTxnMarkersRequest {
	req := kmsg.NewPtrWriteTxnMarkersRequest()
	req.Version = writeMarkersVersion
	of := make(map[*job]int, len(batch))
	for _, m := range batch {
		i, ok := of[m.job]
		if !ok {
			i = len(req.Markers)
			of[m.job] = i
			rm := kmsg.NewWriteTxnMarkersRequestMarker()
			rm.ProducerID, rm.ProducerEpoch, rm.Committed = m.job.producerID, m.job.epoch, m.job.commit
			rm.CoordinatorEpoch, rm.TransactionVersion = m.job.shard.epoch, int8(m.job.version)
			req.Markers = append(req.Markers, rm)
		}
		rm := &req.Markers[i]
		if n := len(rm.Topics); n == 0 || rm.Topics[n-1].Topic != m.tp.topic {
			rt := kmsg.NewWriteTxnMarkersRequestMarkerTopic()
			rt.Topic = m.tp.topic
			rm.Topics = append(rm.Topics, rt)
		}
		rt := &rm.Topics[len(rm.Topics)-1]
		rt.Partitions = append(rt.Partitions, m.tp.partition)
	}
	return req
}

type answerKey struct {
	producerID int64
	tp         topicPartition
}

// ask sends one request and deals with the answer.
func (s *sender) ask(broker int32, batch []marker) {
	ctx, cancel := context.WithTimeout(s.ctx, askTimeout)
	defer cancel()
	resp, err := s.brokers().Ask(ctx, broker, request(batch))
	codes := make(map[answerKey]int16, len(batch))
	if got, ok := resp.(*kmsg.WriteTxnMarkersResponse); ok && err == nil {
		for i := range got.Markers {
			rm := &got.Markers[i]
			for _, rt := range rm.Topics {
				for _, rp := range rt.Partitions {
					codes[answerKey{rm.ProducerID, topicPartition{rt.Topic, rp.Partition}}] = rp.ErrorCode
				}
			}
		}
	}

	var done []*job
	var failed []marker
	s.mu.Lock()
	for _, m := range batch {
		if m.job.over {
			continue
		}
		code, answered := codes[answerKey{m.job.producerID, m.tp}]
		if !answered {
			code = kerr.NetworkException.Code
		}
		switch code {
		case 0:
			done = s.settle(done, m, "written")
		case kerr.UnsupportedForMessageFormat.Code, kerr.UnsupportedVersion.Code:
			done = s.settle(done, m, "obsolete")
		case kerr.InvalidProducerEpoch.Code:
			// The partition knows a newer epoch of the producer, which begins only where this
			// transaction is over.
			s.logger.Warn("marker is obsolete", "transactional_id", m.job.id, "producer_id", m.job.producerID, "producer_epoch", m.job.epoch,
				"topic", m.tp.topic, "topic_partition", m.tp.partition)
			done = s.settle(done, m, "obsolete")
		case kerr.TransactionCoordinatorFenced.Code:
			// Somebody else coordinates this id, and completes it; this broker is about to hear of it.
			s.logger.Warn("another broker coordinates a transaction", "transactional_id", m.job.id, "coordinator_epoch", m.job.shard.epoch,
				"topic", m.tp.topic, "topic_partition", m.tp.partition)
			s.metrics.markers.WithLabelValues("obsolete").Inc()
			s.metrics.pending.Sub(float64(m.job.left))
			s.drop(m.job)
		default:
			s.metrics.markers.WithLabelValues("retried").Inc()
			if m.attempts++; m.attempts >= quietAttempts && bits.OnesCount(uint(m.attempts)) == 1 {
				s.logger.Warn("a marker can not be written and is sent again", "transactional_id", m.job.id, "producer_id", m.job.producerID,
					"topic", m.tp.topic, "topic_partition", m.tp.partition, "attempts", m.attempts, "error", kerr.ErrorForCode(code), "cause", err)
			}
			failed = append(failed, m)
		}
	}
	s.mu.Unlock()
	s.again(failed)
	s.finish(done)
}

// again sends markers after a pause, which is longer the more often they failed.
func (s *sender) again(markers []marker) {
	if len(markers) == 0 {
		return
	}
	most := 0
	for _, m := range markers {
		most = max(most, m.attempts)
	}
	pause := min(firstPause<<min(most, 10), longestPause)
	time.AfterFunc(pause, func() { s.send(markers) })
}

// close ends what is under way.
func (s *sender) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.wg.Wait()
}
