package compat

import (
	"fmt"
	"hash/crc32"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var recordsAllowed = []allowance{
	allow(`produce .*Produce v\d+: \.Topics\[0\]\.Partitions\[0\]\.LogStartOffset: kafka=0 tideline=-1$`, "where the log starts is told of a success only"),
	allow(`produce a time to come Produce v\d+: .*\.ErrorRecords`, "which records of a batch are at fault is not told"),
	allow(`produce a batch of another magic .*: kafka=INVALID_RECORD tideline=UNSUPPORTED_FOR_MESSAGE_FORMAT$`, "an old message format has a code of its own"),
	allow(`produce an unknown compression .*: kafka=UNKNOWN_SERVER_ERROR tideline=UNSUPPORTED_COMPRESSION_TYPE$`, "an unknown compression has a code of its own"),
	mayDiffer(`offset -6-\d isolation \d ListOffsets v11: .*: kafka=-1 tideline=\d+$`, "all topics are tiered"),
	mayDiffer(`offset -5-\d isolation \d ListOffsets v\d+: .*: kafka=-1 tideline=\d+$`, "all topics are tiered"),
	allow(`offset of a partition twice ListOffsets v\d+: `, "the refusal of a partition that is asked for twice is told twice"),
}

// recordBatch is a batch of n records, whose times are a second apart from epoch on.
func recordBatch(n int32) *kmsg.RecordBatch {
	b := &kmsg.RecordBatch{
		Magic: 2, LastOffsetDelta: n - 1, FirstTimestamp: epoch, MaxTimestamp: epoch + 1000*int64(n-1),
		ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: n,
	}
	for i := range n {
		r := kmsg.Record{OffsetDelta: i, TimestampDelta64: 1000 * int64(i), Value: []byte("value")}
		r.Length = int32(len(r.AppendTo(nil)) - 1)
		b.Records = r.AppendTo(b.Records)
	}
	return b
}

// sealed is a batch as it is sent, with its length and checksum.
func sealed(b *kmsg.RecordBatch) []byte {
	raw := b.AppendTo(nil)
	b.Length = int32(len(raw) - 12)
	b.CRC = int32(crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b.AppendTo(nil)
}

func produceRequest(topic string, id [16]byte, partition int32, acks int16, records []byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Acks, req.TimeoutMillis = acks, 10000
	t := kmsg.NewProduceRequestTopic()
	t.Topic, t.TopicID = topic, id
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = partition, records
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

// produce writes n records, and notes nothing.
func (s *side) produce(topic string, id [16]byte, partition int32, v int16, n int32) {
	s.t.Helper()
	resp := s.ask("main", produceRequest(topic, id, partition, -1, sealed(recordBatch(n))), v).(*kmsg.ProduceResponse)
	if code := resp.Topics[0].Partitions[0].ErrorCode; code != 0 {
		s.t.Fatalf("%s: produce to %s-%d: error code %d", s.name, topic, partition, code)
	}
}

// compareRecords writes, reads and looks for records with every version of every call.
func compareRecords(s *side) {
	s.each(0, func(v int16) {
		if v >= 3 { // what is advertised below is not served
			compareProduce(s, v)
		}
	})
	id := s.topic("read", 2)
	for range 3 {
		s.produce("read", id, 0, s.latest(0), 4)
	}
	s.each(1, func(v int16) { compareFetch(s, v, id) })
	s.each(2, func(v int16) { compareListOffsets(s, v) })
	s.each(23, func(v int16) { compareEpochs(s, v) })
}

func compareProduce(s *side, v int16) {
	topic := fmt.Sprintf("written-%d", v)
	id := s.topic(topic, 1)
	damaged := func(change func(b *kmsg.RecordBatch)) []byte {
		b := recordBatch(2)
		change(b)
		return sealed(b)
	}
	broken := sealed(recordBatch(2))
	broken[len(broken)-1]++
	old := sealed(recordBatch(2))
	old[16] = 1
	for _, one := range []struct {
		what      string
		topic     string
		id        [16]byte
		partition int32
		acks      int16
		records   []byte
	}{
		{"two records", topic, id, 0, -1, sealed(recordBatch(2))},
		{"with acks 1", topic, id, 0, 1, sealed(recordBatch(3))},
		{"with acks 2", topic, id, 0, 2, sealed(recordBatch(1))},
		{"to no partition", topic, id, 9, -1, sealed(recordBatch(1))},
		{"to no topic", "missing", [16]byte{1}, 0, -1, sealed(recordBatch(1))},
		{"no bytes", topic, id, 0, -1, []byte{}},
		{"a broken batch", topic, id, 0, -1, broken},
		{"two batches", topic, id, 0, -1, append(sealed(recordBatch(1)), sealed(recordBatch(1))...)},
		{"a batch of another magic", topic, id, 0, -1, old},
		{"a batch that is short of a record", topic, id, 0, -1, damaged(func(b *kmsg.RecordBatch) { b.NumRecords++ })},
		{"a batch with a wrong last offset", topic, id, 0, -1, damaged(func(b *kmsg.RecordBatch) { b.LastOffsetDelta++ })},
		{"a control batch", topic, id, 0, -1, damaged(func(b *kmsg.RecordBatch) { b.Attributes = 1 << 5 })},
		{"an unknown compression", topic, id, 0, -1, damaged(func(b *kmsg.RecordBatch) { b.Attributes = 7 })},
		{"a time to come", topic, id, 0, -1, damaged(func(b *kmsg.RecordBatch) { b.FirstTimestamp, b.MaxTimestamp = 1<<45, 1<<45+1000 })},
		{"a sequence without a producer", topic, id, 0, -1, damaged(func(b *kmsg.RecordBatch) { b.FirstSequence = 4 })},
	} {
		s.call("produce "+one.what, produceRequest(one.topic, one.id, one.partition, one.acks, one.records), v)
	}
	s.call("end of what was produced", listRequest(0, topic, 0, -1, -1), s.latest(2))
}

func compareFetch(s *side, v int16, id [16]byte) {
	for _, one := range []struct {
		what      string
		topic     string
		id        [16]byte
		partition int32
		offset    int64
		epoch     int32
		size      int32
		isolation int8
	}{
		{"all", "read", id, 0, 0, -1, 1 << 20, 0},
		{"committed", "read", id, 0, 0, -1, 1 << 20, 1},
		{"from within a batch", "read", id, 0, 5, -1, 1 << 20, 0},
		{"a byte", "read", id, 0, 0, -1, 1, 0},
		{"at the end", "read", id, 0, 12, -1, 1 << 20, 0},
		{"beyond the end", "read", id, 0, 13, -1, 1 << 20, 0},
		{"below the start", "read", id, 0, -1, -1, 1 << 20, 0},
		{"an empty partition", "read", id, 1, 0, -1, 1 << 20, 0},
		{"no partition", "read", id, 9, 0, -1, 1 << 20, 0},
		{"no topic", "missing", [16]byte{1}, 0, 0, -1, 1 << 20, 0},
		{"of the epoch", "read", id, 0, 0, 0, 1 << 20, 0},
		{"of an epoch to come", "read", id, 0, 0, 99, 1 << 20, 0},
	} {
		req := kmsg.NewPtrFetchRequest()
		req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.IsolationLevel = 0, 1, 1<<20, one.isolation
		t := kmsg.NewFetchRequestTopic()
		t.Topic, t.TopicID = one.topic, one.id
		p := kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.FetchOffset, p.PartitionMaxBytes, p.CurrentLeaderEpoch = one.partition, one.offset, one.size, one.epoch
		t.Partitions = append(t.Partitions, p)
		req.Topics = append(req.Topics, t)
		s.call("fetch "+one.what, req, v)
		if v < 7 {
			continue
		}
		// The same in a session, which is then asked once more and ended.
		req.SessionEpoch = 0
		first := s.ask("session", req, v).(*kmsg.FetchResponse)
		if first.ErrorCode != 0 || first.SessionID == 0 {
			s.note("session with "+one.what, first)
			continue
		}
		id := first.SessionID
		first.SessionID = 1
		s.note("session with "+one.what, first)
		req.SessionID, req.SessionEpoch, req.Topics = id, 1, nil
		next := s.ask("session", req, v).(*kmsg.FetchResponse)
		next.SessionID = min(next.SessionID, 1)
		s.note("session goes on with "+one.what, next)
		req.SessionEpoch = 7
		next = s.ask("session", req, v).(*kmsg.FetchResponse)
		next.SessionID = min(next.SessionID, 1)
		s.note("session out of step with "+one.what, next)
	}
}

func listRequest(isolation int8, topic string, partition, epoch int32, timestamp int64) *kmsg.ListOffsetsRequest {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID, req.IsolationLevel, req.TimeoutMillis = -1, isolation, int32(callTimeout.Milliseconds())
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = topic
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Partition, p.Timestamp, p.CurrentLeaderEpoch = partition, timestamp, epoch
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

func compareListOffsets(s *side, v int16) {
	for _, isolation := range []int8{0, 1} {
		if isolation > 0 && v < 2 {
			continue
		}
		for _, timestamp := range []int64{-1, -2, -3, -4, -5, -6, -7, -99, 0, epoch - 1, epoch, epoch + 1, epoch + 2500, epoch + 3000, epoch + 3001, 1 << 50} {
			for partition := range int32(2) {
				s.call(fmt.Sprintf("offset %d-%d isolation %d", timestamp, partition, isolation), listRequest(isolation, "read", partition, -1, timestamp), v)
			}
		}
	}
	s.call("offset of no partition", listRequest(0, "read", 9, -1, -1), v)
	s.call("offset of no topic", listRequest(0, "missing", 0, -1, -1), v)
	s.call("offset of no name", listRequest(0, "", 0, -1, -1), v)
	if v >= 4 {
		s.call("offset of the epoch", listRequest(0, "read", 0, 0, -1), v)
		s.call("offset of an epoch to come", listRequest(0, "read", 0, 99, -1), v)
	}
	twice := listRequest(0, "read", 0, -1, -1)
	twice.Topics = append(twice.Topics, listRequest(0, "read", 0, -1, -2).Topics[0])
	s.call("offset of a partition twice", twice, v)
}

func compareEpochs(s *side, v int16) {
	for _, one := range []struct {
		topic          string
		partition      int32
		current, epoch int32
	}{
		{"read", 0, -1, 0}, {"read", 0, -1, 1}, {"read", 0, -1, -1}, {"read", 0, 0, 0}, {"read", 0, 99, 0},
		{"read", 1, -1, 0}, {"read", 9, -1, 0}, {"missing", 0, -1, 0}, {"", 0, -1, 0},
	} {
		req := kmsg.NewPtrOffsetForLeaderEpochRequest()
		req.ReplicaID = -1
		t := kmsg.NewOffsetForLeaderEpochRequestTopic()
		t.Topic = one.topic
		p := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
		p.Partition, p.CurrentLeaderEpoch, p.LeaderEpoch = one.partition, one.current, one.epoch
		t.Partitions = append(t.Partitions, p)
		req.Topics = append(req.Topics, t)
		s.call(fmt.Sprintf("end of epoch %d of %q-%d at %d", one.epoch, one.topic, one.partition, one.current), req, v)
	}
}
