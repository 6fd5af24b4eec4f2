package api

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func countedErrors() *metrics {
	return &metrics{errors: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "errors"}, []string{"api", "error"})}
}

func TestErrorCodesAreCountedWhereverTheyAre(t *testing.T) {
	m := countedErrors()
	resp := kmsg.NewPtrListOffsetsResponse()
	for _, code := range []int16{0, kerr.NotLeaderForPartition.Code, kerr.NotLeaderForPartition.Code, 12345} {
		topic := kmsg.NewListOffsetsResponseTopic()
		p := kmsg.NewListOffsetsResponseTopicPartition()
		p.ErrorCode = code
		topic.Partitions = append(topic.Partitions, p)
		resp.Topics = append(resp.Topics, topic)
	}
	m.answered(resp)
	top := kmsg.NewPtrHeartbeatResponse()
	top.ErrorCode = kerr.UnknownMemberID.Code
	m.answered(top)

	for _, want := range []struct {
		api, name string
		n         float64
	}{{"ListOffsets", "NOT_LEADER_FOR_PARTITION", 2}, {"ListOffsets", "UNKNOWN_SERVER_ERROR", 1}, {"Heartbeat", "UNKNOWN_MEMBER_ID", 1}} {
		if got := testutil.ToFloat64(m.errors.WithLabelValues(want.api, want.name)); got != want.n {
			t.Errorf("%s %s was counted %v times, not %v", want.api, want.name, got, want.n)
		}
	}
	if n := testutil.CollectAndCount(m.errors); n != 3 {
		t.Errorf("%d kinds of errors, not 3", n)
	}
}

func TestCountingErrorsIsBounded(t *testing.T) {
	m := countedErrors()
	resp := kmsg.NewPtrMetadataResponse()
	topic := kmsg.NewMetadataResponseTopic()
	topic.Partitions = make([]kmsg.MetadataResponseTopicPartition, 2*maxCountedCodes)
	for i := range topic.Partitions {
		topic.Partitions[i].ErrorCode = kerr.LeaderNotAvailable.Code
	}
	resp.Topics = append(resp.Topics, topic)
	m.answered(resp)
	// The codes of the answer and of the topic are looked at first.
	if got := testutil.ToFloat64(m.errors.WithLabelValues("Metadata", "LEADER_NOT_AVAILABLE")); got <= 0 || got > maxCountedCodes {
		t.Errorf("%v codes were counted, of at most %d", got, maxCountedCodes)
	}
}

// Every answer of the protocol can be walked, with whatever the table has.
func TestEveryAnswerCanBeCounted(t *testing.T) {
	m := countedErrors()
	for _, e := range table {
		m.answered(kmsg.ResponseForKey(e.key))
	}
}

// An answer that nothing went wrong in costs no memory.
func TestCountingNoErrorsAllocatesNothing(t *testing.T) {
	m := countedErrors()
	resp := kmsg.NewPtrHeartbeatResponse()
	m.answered(resp)
	if n := testing.AllocsPerRun(100, func() { m.answered(resp) }); n > 1 {
		t.Errorf("%v allocations", n)
	}
}
