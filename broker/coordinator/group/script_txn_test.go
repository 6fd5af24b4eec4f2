package group

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/internal/record"
	"github.com/tidelinehq/tideline/internal/scripttest"
)

// txnCommit sends a TxnOffsetCommit of the producer `pid=`.
func (s *script) txnCommit(t *testing.T, a scripttest.Line) {
	s.n++
	label := a.Str("as", fmt.Sprintf("txn-commit#%d", s.n))
	r := kmsg.NewPtrTxnOffsetCommitRequest()
	r.Version, r.TransactionalID, r.Group = int16(a.Num("v", 5)), "tx", a.Str("group", "g")
	r.ProducerID, r.ProducerEpoch = a.Num("pid", 7), int16(a.Num("epoch", 0))
	r.MemberID, r.InstanceID, r.Generation = a.Str("member", ""), a.Opt("instance"), int32(a.Num("generation", -1))
	for _, o := range parseOffsets(t, a.Words) {
		rt := kmsg.NewTxnOffsetCommitRequestTopic()
		p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset, p.Metadata = o.partition, o.offset, nonEmpty(o.metadata)
		rt.Topic, rt.Partitions = o.topic, append(rt.Partitions, p)
		r.Topics = append(r.Topics, rt)
	}
	s.waiting[label]++
	s.co.CommitTransactional(r, uint64(a.Num("guard", 0)), func(resp kmsg.Response) {
		if s.waiting[label]--; s.waiting[label] == 0 {
			delete(s.waiting, label)
		}
		var out []string
		for _, rt := range resp.(*kmsg.TxnOffsetCommitResponse).Topics {
			for _, p := range rt.Partitions {
				out = append(out, fmt.Sprintf("%s/%d %s", rt.Topic, p.Partition, errorName(p.ErrorCode)))
			}
		}
		s.Printf("%s <- %s", label, strings.Join(out, " "))
	})
}

// marker writes the marker of a producer's transaction to the log, as a partition does, and
// tells the coordinator.
func (s *script) marker(t *testing.T, a scripttest.Line) {
	kind := record.Abort
	if a.Words[0] == "commit" {
		kind = record.Commit
	}
	s.append(markerBatch(t, a.Num("pid", 7), kind))
	s.co.TransactionEnded(0, a.Num("pid", 7), kind == record.Commit, func(err error) {
		if err != nil {
			s.Printf("marker <- %v", err)
		}
	})
}

func markerBatch(t testing.TB, producerID int64, kind record.ControlType) record.Batch {
	b := record.NewBuilder(record.Options{ProducerID: producerID, Sequence: record.NoSequence, Transactional: true, Control: true})
	if err := b.Add(record.ControlRecord(kind, 1, 0)); err != nil {
		t.Fatal(err)
	}
	return b.Build()
}

// durable is the pending offsets as text.
func (t *txnOffsets) durable() string {
	var out strings.Builder
	for _, id := range slices.Sorted(maps.Keys(t.open)) {
		var lines []string
		for key, p := range t.open[id] {
			lines = append(lines, fmt.Sprintf("%d %v %v=%+v passed=%v\n", id, key.group, key.tp, p.committed, p.passed))
		}
		slices.Sort(lines)
		out.WriteString(strings.Join(lines, ""))
	}
	return out.String()
}
