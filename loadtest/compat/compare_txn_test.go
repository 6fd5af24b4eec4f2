package compat

import (
	"fmt"
	"hash/crc32"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A txn is a transactional producer by hand.
type txn struct {
	s        *side
	id       string
	v        int16
	producer int64
	epoch    int16
	sequence map[int32]int32
}

func (x *txn) at(key int16) int16      { return x.s.clamp(key, x.v) }
func (x *txn) step(what string) string { return x.id + ": " + what }

func (x *txn) topic() string { return x.id + "-topic" }
func (x *txn) group() string { return x.id + "-group" }
func (x *txn) initRequest() *kmsg.InitProducerIDRequest {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID, req.TransactionTimeoutMillis = kmsg.StringPtr(x.id), 60000
	return req
}

var txnAllowed = []allowance{
	allow(`produce of a gap Produce v\d+: \.Topics\[0\]\.Partitions\[0\]\.LogStartOffset: kafka=0 tideline=-1$`, "where the log starts is told of a success only"),
	allow(`txn-[45]: (add partitions (with a topic that is not there|verified only) AddPartitionsToTxn|describe open DescribeTransactions v0: \.TransactionStates\[0\]\.Topics)`,
		"versions for brokers: the one that asks has looked whether the partitions are there"),
	allow(`commit offsets of a generation TxnOffsetCommit v\d+: .*: kafka=UNKNOWN_MEMBER_ID tideline=ILLEGAL_GENERATION$`,
		"a group of which there are only offsets of an open transaction is not there yet"),
}

// compareTxn takes transactions through their lives with every version of every call.
func compareTxn(s *side) {
	// The first producer has the id 0, which looks like none.
	nobody := kmsg.NewPtrInitProducerIDRequest()
	for range 2 {
		until(s, "ids of producers", nobody, s.latest(22), func(r *kmsg.InitProducerIDResponse) bool { return r.ErrorCode == 0 })
	}
	for v := range int16(6) {
		x := &txn{s: s, id: fmt.Sprintf("txn-%d", v), v: v}
		s.topic(x.topic(), 2)
		s.coordinator(1, x.id)
		s.coordinator(0, x.group())
		x.sequence = map[int32]int32{}
		compareTxnLife(x, v%2 == 0)
	}
}

func compareTxnLife(x *txn, commit bool) {
	s := x.s
	describe := kmsg.NewPtrDescribeTransactionsRequest()
	describe.TransactionalIDs = []string{x.id}
	s.call(x.step("describe nothing"), describe, 0)
	for _, refused := range []struct {
		what   string
		change func(r *kmsg.InitProducerIDRequest)
	}{
		{"an empty id", func(r *kmsg.InitProducerIDRequest) { r.TransactionalID = kmsg.StringPtr("") }},
		{"no time", func(r *kmsg.InitProducerIDRequest) { r.TransactionTimeoutMillis = 0 }},
		{"too much time", func(r *kmsg.InitProducerIDRequest) { r.TransactionTimeoutMillis = 1 << 30 }},
		{"an epoch without a producer", func(r *kmsg.InitProducerIDRequest) { r.ProducerEpoch = 3 }},
		{"a producer without an epoch", func(r *kmsg.InitProducerIDRequest) { r.ProducerID = 3 }},
	} {
		req := x.initRequest()
		if refused.change(req); x.at(22) < 3 && (req.ProducerEpoch >= 0 || req.ProducerID >= 0) {
			continue
		}
		s.call(x.step("init with "+refused.what), req, x.at(22))
	}
	req := x.initRequest()
	req.TransactionalID = nil
	s.call(x.step("init without an id"), req, x.at(22))

	first := until(s, "init", x.initRequest(), x.at(22), func(r *kmsg.InitProducerIDResponse) bool {
		return r.ErrorCode != kerr.NotCoordinator.Code && r.ErrorCode != kerr.CoordinatorLoadInProgress.Code && r.ErrorCode != kerr.ConcurrentTransactions.Code
	})
	s.note(x.step("init"), first)
	s.call(x.step("describe empty"), describe, 0)
	second := s.call(x.step("init again"), x.initRequest(), x.at(22)).(*kmsg.InitProducerIDResponse)
	x.producer, x.epoch = second.ProducerID, second.ProducerEpoch
	if x.at(22) >= 3 {
		req = x.initRequest()
		req.ProducerID, req.ProducerEpoch = x.producer, x.epoch
		third := s.call(x.step("init as oneself"), req, x.at(22)).(*kmsg.InitProducerIDResponse)
		req.ProducerID++
		s.call(x.step("init as another"), req, x.at(22))
		req.ProducerID, req.ProducerEpoch = x.producer, first.ProducerEpoch
		s.call(x.step("init as an earlier self"), req, x.at(22))
		x.producer, x.epoch = third.ProducerID, third.ProducerEpoch
	}
	if r := s.call(x.step("end nothing"), x.end(commit), x.at(26)).(*kmsg.EndTxnResponse); r.ErrorCode == 0 && r.ProducerID >= 0 {
		x.completed(describe)
		x.producer, x.epoch = r.ProducerID, r.ProducerEpoch
	}

	x.addPartitions()
	x.produce("of a partition of the transaction", 0, 11, nil)
	x.produce("of another partition", 1, 11, nil)
	x.produce("of another epoch", 0, 11, func(r *kmsg.RecordBatch) { r.ProducerEpoch-- })
	x.produce("of an epoch to come", 0, 11, func(r *kmsg.RecordBatch) { r.ProducerEpoch++ })
	x.produce("of a gap", 0, 11, func(r *kmsg.RecordBatch) { r.FirstSequence += 5 })
	x.offsets()
	x.look(describe, "open")

	for _, refused := range []struct {
		what   string
		change func(r *kmsg.EndTxnRequest)
	}{
		{"no id", func(r *kmsg.EndTxnRequest) { r.TransactionalID = "" }},
		{"another id", func(r *kmsg.EndTxnRequest) { r.TransactionalID = "missing" }},
		{"another producer", func(r *kmsg.EndTxnRequest) { r.ProducerID++ }},
		{"an earlier epoch", func(r *kmsg.EndTxnRequest) { r.ProducerEpoch-- }},
		{"a later epoch", func(r *kmsg.EndTxnRequest) { r.ProducerEpoch++ }},
	} {
		req := x.end(commit)
		refused.change(req)
		s.call(x.step("end of "+refused.what), req, x.at(26))
	}
	markers(s, x.step("markers before the end"), x)
	ended := x.end(commit)
	answer := s.call(x.step("end"), ended, x.at(26)).(*kmsg.EndTxnResponse)
	x.completed(describe)
	s.call(x.step("end again"), ended, x.at(26))
	opposite := x.end(!commit)
	s.call(x.step("end in the other way"), opposite, x.at(26))
	if x.at(26) >= 5 {
		x.producer, x.epoch = answer.ProducerID, answer.ProducerEpoch
		clear(x.sequence)
	}
	x.look(describe, "ended")

	// The producer of KIP-890: Produce and TxnOffsetCommit add what they touch.
	if x.at(26) < 5 {
		return
	}
	x.produce("without a word", 1, 12, nil)
	commitOffsets := x.commitOffsets()
	s.call(x.step("offsets without a word"), commitOffsets, s.latest(28))
	x.look(describe, "implicit")
	answer = s.call(x.step("end implicit"), x.end(!commit), x.at(26)).(*kmsg.EndTxnResponse)
	x.completed(describe)
	x.look(describe, "implicit ended")
	x.produce("of the epoch before", 1, 12, nil)
	x.producer, x.epoch = answer.ProducerID, answer.ProducerEpoch
	answer = s.call(x.step("end nothing by abort"), x.end(false), x.at(26)).(*kmsg.EndTxnResponse)
	x.completed(describe)
	x.producer, x.epoch = answer.ProducerID, answer.ProducerEpoch
	clear(x.sequence)
	x.produce("that is left", 1, 12, nil)
	s.call(x.step("init over an open transaction"), x.initRequest(), s.latest(22))
	s.note(x.step("init after it"), until(s, "init", x.initRequest(), s.latest(22), func(r *kmsg.InitProducerIDResponse) bool {
		return r.ErrorCode != kerr.ConcurrentTransactions.Code
	}))
}

// completed waits until the end of a transaction is written everywhere.
func (x *txn) completed(describe kmsg.Request) {
	x.s.t.Helper()
	until(x.s, "completed", describe, 0, func(r *kmsg.DescribeTransactionsResponse) bool {
		return len(r.TransactionStates) == 1 && strings.HasPrefix(r.TransactionStates[0].State, "Complete")
	})
}

func (x *txn) end(commit bool) *kmsg.EndTxnRequest {
	req := kmsg.NewPtrEndTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = x.id, x.producer, x.epoch, commit
	return req
}

// addPartitions adds partition 0, after some tries that are refused.
func (x *txn) addPartitions() {
	v := x.at(24)
	for _, one := range []struct {
		what   string
		topics []string
		change func(r *kmsg.AddPartitionsToTxnRequestTransaction)
	}{
		{"with a topic that is not there", []string{x.topic(), "missing"}, nil},
		{"of another producer", []string{x.topic()}, func(r *kmsg.AddPartitionsToTxnRequestTransaction) { r.ProducerID++ }},
		{"of an earlier epoch", []string{x.topic()}, func(r *kmsg.AddPartitionsToTxnRequestTransaction) { r.ProducerEpoch-- }},
		{"of a later epoch", []string{x.topic()}, func(r *kmsg.AddPartitionsToTxnRequestTransaction) { r.ProducerEpoch++ }},
		{"of another id", []string{x.topic()}, func(r *kmsg.AddPartitionsToTxnRequestTransaction) { r.TransactionalID = "missing" }},
		{"of no id", []string{x.topic()}, func(r *kmsg.AddPartitionsToTxnRequestTransaction) { r.TransactionalID = "" }},
		{"verified only", []string{x.topic()}, func(r *kmsg.AddPartitionsToTxnRequestTransaction) { r.VerifyOnly = true }},
		{"in earnest", []string{x.topic()}, nil},
		{"once more", []string{x.topic()}, nil},
		{"verified", []string{x.topic()}, func(r *kmsg.AddPartitionsToTxnRequestTransaction) { r.VerifyOnly = true }},
	} {
		t := kmsg.NewAddPartitionsToTxnRequestTransaction()
		t.TransactionalID, t.ProducerID, t.ProducerEpoch = x.id, x.producer, x.epoch
		for _, name := range one.topics {
			topic := kmsg.NewAddPartitionsToTxnRequestTransactionTopic()
			topic.Topic, topic.Partitions = name, []int32{0}
			t.Topics = append(t.Topics, topic)
		}
		if one.change != nil {
			one.change(&t)
		}
		req := kmsg.NewPtrAddPartitionsToTxnRequest()
		if v >= 4 {
			req.Transactions = append(req.Transactions, t)
		} else {
			if t.VerifyOnly {
				continue
			}
			req.TransactionalID, req.ProducerID, req.ProducerEpoch = t.TransactionalID, t.ProducerID, t.ProducerEpoch
			for _, from := range t.Topics {
				topic := kmsg.NewAddPartitionsToTxnRequestTopic()
				topic.Topic, topic.Partitions = from.Topic, from.Partitions
				req.Topics = append(req.Topics, topic)
			}
		}
		x.s.call(x.step("add partitions "+one.what), req, v)
	}
}

// produce writes a batch of two records.
func (x *txn) produce(what string, partition int32, v int16, change func(r *kmsg.RecordBatch)) {
	b := kmsg.RecordBatch{
		Magic: 2, Attributes: 1 << 4, LastOffsetDelta: 1, FirstTimestamp: epoch, MaxTimestamp: epoch,
		ProducerID: x.producer, ProducerEpoch: x.epoch, FirstSequence: x.sequence[partition], NumRecords: 2,
	}
	for i := range int32(2) {
		r := kmsg.Record{OffsetDelta: i, Value: []byte("value")}
		r.Length = int32(len(r.AppendTo(nil)) - 1)
		b.Records = r.AppendTo(b.Records)
	}
	if change != nil {
		change(&b)
	}
	raw := b.AppendTo(nil)
	b.Length = int32(len(raw) - 12)
	b.CRC = int32(crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	req := kmsg.NewPtrProduceRequest()
	req.TransactionID, req.Acks, req.TimeoutMillis = kmsg.StringPtr(x.id), -1, 10000
	topic := kmsg.NewProduceRequestTopic()
	topic.Topic = x.topic()
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = partition, b.AppendTo(nil)
	topic.Partitions = append(topic.Partitions, p)
	req.Topics = append(req.Topics, topic)
	resp := x.s.call(x.step("produce "+what), req, v).(*kmsg.ProduceResponse)
	if resp.Topics[0].Partitions[0].ErrorCode == 0 {
		x.sequence[partition] += 2
	}
}

func (x *txn) commitOffsets() *kmsg.TxnOffsetCommitRequest {
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.Group, req.ProducerID, req.ProducerEpoch = x.id, x.group(), x.producer, x.epoch
	topic := kmsg.NewTxnOffsetCommitRequestTopic()
	topic.Topic = x.topic()
	p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	p.Offset, p.Metadata = 17, kmsg.StringPtr("note")
	topic.Partitions = append(topic.Partitions, p)
	req.Topics = append(req.Topics, topic)
	return req
}

// offsets commits offsets within the transaction.
func (x *txn) offsets() {
	add := func(what string, change func(r *kmsg.AddOffsetsToTxnRequest)) {
		req := kmsg.NewPtrAddOffsetsToTxnRequest()
		req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = x.id, x.producer, x.epoch, x.group()
		if change != nil {
			change(req)
		}
		x.s.call(x.step("add offsets"+what), req, x.at(25))
	}
	add(" of no id", func(r *kmsg.AddOffsetsToTxnRequest) { r.TransactionalID = "" })
	add(" of another id", func(r *kmsg.AddOffsetsToTxnRequest) { r.TransactionalID = "missing" })
	add(" of another producer", func(r *kmsg.AddOffsetsToTxnRequest) { r.ProducerID++ })
	add(" of an earlier epoch", func(r *kmsg.AddOffsetsToTxnRequest) { r.ProducerEpoch-- })
	add("", nil)
	add(" again", nil)
	commit := func(what string, change func(r *kmsg.TxnOffsetCommitRequest)) {
		req := x.commitOffsets()
		if change != nil {
			change(req)
		}
		x.s.call(x.step("commit offsets"+what), req, min(x.at(28), 4))
	}
	commit("", nil)
	commit(" of no group", func(r *kmsg.TxnOffsetCommitRequest) { r.Group = "" })
	commit(" to a partition that is not there", func(r *kmsg.TxnOffsetCommitRequest) { r.Topics[0].Partitions[0].Partition = 99 })
	if x.at(28) >= 3 {
		commit(" of nobody", func(r *kmsg.TxnOffsetCommitRequest) { r.MemberID = "nobody" })
		commit(" of a generation", func(r *kmsg.TxnOffsetCommitRequest) { r.Generation = 5 })
	}
	commit(" of an earlier epoch", func(r *kmsg.TxnOffsetCommitRequest) { r.ProducerEpoch-- })
}

// look notes all that can be seen of a transaction.
func (x *txn) look(describe kmsg.Request, when string) {
	s := x.s
	s.call(x.step("describe "+when), describe, 0)
	for _, filter := range []struct {
		what   string
		since  int16
		change func(r *kmsg.ListTransactionsRequest)
	}{
		{"all", 0, func(*kmsg.ListTransactionsRequest) {}},
		{"ongoing", 0, func(r *kmsg.ListTransactionsRequest) { r.StateFilters = []string{"Ongoing", "Nonsense"} }},
		{"by producer", 0, func(r *kmsg.ListTransactionsRequest) { r.ProducerIDFilters = []int64{x.producer} }},
		{"long", 1, func(r *kmsg.ListTransactionsRequest) { r.DurationFilterMillis = 3600000 }},
		{"by pattern", 2, func(r *kmsg.ListTransactionsRequest) { r.TransactionalIDPattern = kmsg.StringPtr("txn-[0-9]") }},
		{"by a bad pattern", 2, func(r *kmsg.ListTransactionsRequest) { r.TransactionalIDPattern = kmsg.StringPtr("txn-[") }},
	} {
		if v := min(x.v, s.latest(66)); v >= filter.since {
			req := kmsg.NewPtrListTransactionsRequest()
			filter.change(req)
			resp := s.ask("main", req, v).(*kmsg.ListTransactionsResponse)
			of := resp.TransactionStates[:0]
			for _, one := range resp.TransactionStates {
				if one.TransactionalID == x.id {
					of = append(of, one)
				}
			}
			resp.TransactionStates = of
			s.note(x.step("list "+filter.what+" "+when), resp)
		}
	}
	producers := kmsg.NewPtrDescribeProducersRequest()
	topic := kmsg.NewDescribeProducersRequestTopic()
	topic.Topic, topic.Partitions = x.topic(), []int32{0, 1, 99}
	producers.Topics = append(producers.Topics, topic)
	topic.Topic, topic.Partitions = "missing", []int32{0}
	producers.Topics = append(producers.Topics, topic)
	s.call(x.step("producers "+when), producers, 0)
	for level := range int8(2) {
		list := kmsg.NewPtrListOffsetsRequest()
		list.ReplicaID, list.IsolationLevel = -1, level
		t := kmsg.NewListOffsetsRequestTopic()
		t.Topic = x.topic()
		for p := range int32(2) {
			one := kmsg.NewListOffsetsRequestTopicPartition()
			one.Partition, one.Timestamp = p, -1
			t.Partitions = append(t.Partitions, one)
		}
		list.Topics = append(list.Topics, t)
		s.call(fmt.Sprintf("%s %s at level %d", x.step("end offsets"), when, level), list, 8)

		fetch := kmsg.NewPtrFetchRequest()
		fetch.ReplicaID, fetch.IsolationLevel, fetch.MaxWaitMillis, fetch.MinBytes, fetch.MaxBytes = -1, level, 100, 0, 1<<20
		fetch.SessionEpoch = -1
		ft := kmsg.NewFetchRequestTopic()
		ft.Topic = x.topic()
		for p := range int32(2) {
			one := kmsg.NewFetchRequestTopicPartition()
			one.Partition, one.PartitionMaxBytes, one.CurrentLeaderEpoch = p, 1<<20, -1
			ft.Partitions = append(ft.Partitions, one)
		}
		fetch.Topics = append(fetch.Topics, ft)
		s.call(fmt.Sprintf("%s %s at level %d", x.step("fetch"), when, level), fetch, 11)
	}
	for _, stable := range []bool{false, true} {
		fetch := kmsg.NewPtrOffsetFetchRequest()
		fetch.RequireStable = stable
		g := kmsg.NewOffsetFetchRequestGroup()
		g.Group = x.group()
		t := kmsg.NewOffsetFetchRequestGroupTopic()
		t.Topic, t.Partitions = x.topic(), []int32{0}
		g.Topics = append(g.Topics, t)
		fetch.Groups = append(fetch.Groups, g)
		s.call(fmt.Sprintf("%s %s stable %v", x.step("offsets"), when, stable), fetch, 8)
	}
}

// markers sends markers that nobody may send.
func markers(s *side, step string, x *txn) {
	for _, one := range []struct {
		what   string
		change func(m *kmsg.WriteTxnMarkersRequestMarker)
	}{
		{"for a topic that is not there", func(m *kmsg.WriteTxnMarkersRequestMarker) { m.Topics[0].Topic = "missing" }},
		{"of an earlier epoch", func(m *kmsg.WriteTxnMarkersRequestMarker) { m.ProducerEpoch-- }},
	} {
		req := kmsg.NewPtrWriteTxnMarkersRequest()
		m := kmsg.NewWriteTxnMarkersRequestMarker()
		m.ProducerID, m.ProducerEpoch = x.producer, x.epoch
		topic := kmsg.NewWriteTxnMarkersRequestMarkerTopic()
		topic.Topic, topic.Partitions = x.topic(), []int32{0}
		m.Topics = append(m.Topics, topic)
		one.change(&m)
		req.Markers = append(req.Markers, m)
		s.call(step+" "+one.what, req, x.at(27))
	}
}
