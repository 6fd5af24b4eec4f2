package txn

import (
	"errors"
	"regexp"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/coordinator"
)

// describeTxn reads one id of a DescribeTransactions request. It is answered with a
// *kmsg.DescribeTransactionsResponseTransactionState.
type describeTxn struct {
	id   string
	call *coordinator.Call
}

func describeError(id string, code int16) *kmsg.DescribeTransactionsResponseTransactionState {
	r := kmsg.NewDescribeTransactionsResponseTransactionState()
	r.TransactionalID, r.ErrorCode = id, code
	return &r
}

func (d *describeTxn) decide(m *machine, _ time.Time) coordinator.Outcome {
	t := m.txns[d.id]
	if t == nil {
		return answer(d.call, describeError(d.id, kerr.TransactionalIDNotFound.Code))
	}
	r := describeError(d.id, 0)
	r.State, r.TimeoutMillis, r.StartTimestamp = t.state.String(), t.timeoutMS, t.started
	r.ProducerID, r.ProducerEpoch = t.producerID, t.epoch
	for _, tp := range t.partitions {
		if n := len(r.Topics); n == 0 || r.Topics[n-1].Topic != tp.topic {
			rt := kmsg.NewDescribeTransactionsResponseTransactionStateTopic()
			rt.Topic = tp.topic
			r.Topics = append(r.Topics, rt)
		}
		last := &r.Topics[len(r.Topics)-1]
		last.Partitions = append(last.Partitions, tp.partition)
	}
	return answer(d.call, r)
}

// listTxns reads the transactions of one partition. It is answered with a listed.
type listTxns struct {
	filter *filter
	call   *coordinator.Call
}

type listed struct {
	transactions []kmsg.ListTransactionsResponseTransactionState
	code         int16
}

func refuseList(err error) any {
	if errors.Is(err, coordinator.ErrNotCoordinator) {
		return listed{} // whoever leads the partition now lists its transactions
	}
	return listed{code: errorCode(err)}
}

func (l *listTxns) decide(m *machine, now time.Time) coordinator.Outcome {
	var out listed
	for _, id := range m.ids() {
		t := m.txns[id]
		if !l.filter.matches(id, t, now) {
			continue
		}
		r := kmsg.NewListTransactionsResponseTransactionState()
		r.TransactionalID, r.ProducerID, r.TransactionState = id, t.producerID, t.state.String()
		out.transactions = append(out.transactions, r)
	}
	return answer(l.call, out)
}

// filter is what a ListTransactions request wants to see; what is empty lets all pass.
type filter struct {
	states   []string
	ids      []int64
	duration int64 // ms, for which it must be open; < 0: any
	pattern  *regexp.Regexp
}

// maxPatternBytes bounds the patterns that are compiled.
const maxPatternBytes = 4096

// newFilter also returns the state names that it does not know.
func newFilter(req *kmsg.ListTransactionsRequest) (f *filter, unknown []string, code int16) {
	f = &filter{states: req.StateFilters, ids: req.ProducerIDFilters, duration: req.DurationFilterMillis}
	if req.Version < 1 {
		f.duration = -1
	}
	for _, s := range req.StateFilters {
		if !slices.Contains(stateNames[:], s) {
			unknown = append(unknown, s)
		}
	}
	if p := req.TransactionalIDPattern; req.Version >= 2 && p != nil && *p != "" {
		if len(*p) > maxPatternBytes {
			return nil, unknown, kerr.InvalidRegularExpression.Code
		}
		whole, err := regexp.Compile("^(?:" + *p + ")$")
		if err != nil {
			return nil, unknown, kerr.InvalidRegularExpression.Code
		}
		f.pattern = whole
	}
	return f, unknown, 0
}

func (f *filter) matches(id string, t *transaction, now time.Time) bool {
	switch {
	case len(f.ids) > 0 && !slices.Contains(f.ids, t.producerID),
		len(f.states) > 0 && !slices.Contains(f.states, t.state.String()),
		f.duration >= 0 && now.UnixMilli()-t.started <= f.duration,
		f.pattern != nil && !f.pattern.MatchString(id):
		return false
	}
	return true
}
