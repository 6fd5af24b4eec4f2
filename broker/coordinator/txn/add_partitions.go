package txn

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/tidelinehq/tideline/broker/coordinator"
)

// producer is who a request says that it is.
type producer struct {
	id    int64
	epoch int16
}

// check says why the producer may not act in the transaction.
func (p producer) check(t *transaction) int16 {
	switch {
	case t == nil, t.producerID != p.id:
		return kerr.InvalidProducerIDMapping.Code
	case t.epoch != p.epoch, p.epoch > maxEpoch: // which no client was ever given
		return kerr.ProducerFenced.Code
	case t.state.decided():
		return kerr.ConcurrentTransactions.Code
	}
	return 0
}

// addPartitions takes partitions into a transaction, which begins with its first. It is
// answered with an error code.
type addPartitions struct {
	id         string
	producer   producer
	partitions []topicPartition
	version    int16 // of transactions, that the client speaks
	call       *coordinator.Call
}

func (a *addPartitions) decide(m *machine, now time.Time) coordinator.Outcome {
	t := m.txns[a.id]
	code := a.producer.check(t)
	switch {
	case code != 0:
		return answer(a.call, code)
	case t.state == Ongoing && t.hasAll(a.partitions):
		return answer(a.call, int16(0))
	}
	n := t.add(a.partitions, a.version, now)
	if len(n.partitions) > m.cfg.MaxPartitions {
		return answer(a.call, kerr.InvalidRequest.Code)
	}
	return m.change(a.id, n, coordinator.Reply{To: a.call, Body: int16(0)})
}

// verifyPartitions asks whether partitions are in a transaction: a partition's leader does,
// before it takes a batch. What is on its way is not looked at: the partition itself is the
// last to judge. It is answered with an error code for each partition.
type verifyPartitions struct {
	id         string
	producer   producer
	partitions []topicPartition
	call       *coordinator.Call
}

func codes(n int, code int16) []int16 {
	out := make([]int16, n)
	for i := range out {
		out[i] = code
	}
	return out
}

func (v *verifyPartitions) decide(m *machine, _ time.Time) coordinator.Outcome {
	t := m.txns[v.id]
	if code := v.producer.check(t); code != 0 {
		return answer(v.call, codes(len(v.partitions), code))
	}
	out := codes(len(v.partitions), 0)
	for i, tp := range v.partitions {
		if !t.has(tp) {
			out[i] = kerr.TransactionAbortable.Code
		}
	}
	return answer(v.call, out)
}
