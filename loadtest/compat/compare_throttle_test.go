package compat

import (
	"fmt"
	"hash/crc32"
	"math"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

var throttleAllowed = []allowance{
	allow(`^a fetch of more than the window: (throttle: kafka=0 records|session: kafka=false)`, "a consumer would never get on"),
}

// TestCompareThrottling has a client run into quotas, and compares for how long it is told to wait.
func TestCompareThrottling(t *testing.T) {
	compare(t, startSides(t), throttleAllowed, compareThrottling)
}

// throttled notes a wait in whole seconds: what is measured with it differs by milliseconds.
func (s *side) throttled(step string, millis int32, more string) {
	s.transcript = append(s.transcript, said{step, "throttle", fmt.Sprintf("%sthrottled for %.0f s", more, math.Round(float64(millis)/1000))})
}

// quota sets a quota of a client, 0 for none, and waits until the broker goes by it.
func (s *side) quota(client, key string, value float64) {
	s.t.Helper()
	alter := kmsg.NewPtrAlterClientQuotasRequest()
	e := kmsg.NewAlterClientQuotasRequestEntry()
	part := kmsg.NewAlterClientQuotasRequestEntryEntity()
	part.Type, part.Name = "client-id", &client
	op := kmsg.NewAlterClientQuotasRequestEntryOp()
	op.Key, op.Value, op.Remove = key, value, value == 0
	e.Entity, e.Ops = append(e.Entity, part), append(e.Ops, op)
	alter.Entries = append(alter.Entries, e)
	s.ask("main", alter, 1)
	describe := kmsg.NewPtrDescribeClientQuotasRequest()
	c := kmsg.NewDescribeClientQuotasRequestComponent()
	c.EntityType, c.MatchType, c.Match = "client-id", 0, &client
	describe.Components = append(describe.Components, c)
	until(s, "quota "+key, describe, 1, func(r *kmsg.DescribeClientQuotasResponse) bool {
		for _, e := range r.Entries {
			for _, v := range e.Values {
				if v.Key == key {
					return v.Value == value
				}
			}
		}
		return value == 0
	})
	if value != 0 && key != "controller_mutation_rate" {
		s.topic(fmt.Sprintf("barrier-%s-%s-%v", client, key, value), 1) // takes longer than the broker until it goes by what it shows
	}
}

func compareThrottling(s *side) {
	conns := 0
	from := func(client string, req kmsg.Request, v int16) kmsg.Response { // a throttled connection is not read for a while
		conns++
		name := fmt.Sprint("throttled ", conns)
		c, err := dialWire(s.addr)
		if err != nil {
			s.t.Fatal(err)
		}
		c.formatter = kmsg.NewRequestFormatter(kmsg.FormatterClientID(client))
		s.conns[name] = c
		return s.ask(name, req, v)
	}
	ask := func(req kmsg.Request, v int16) kmsg.Response { return from("greedy", req, v) }
	produce := func(topic string, bytes int) *kmsg.ProduceResponse {
		req := kmsg.NewPtrProduceRequest()
		req.Acks, req.TimeoutMillis = -1, 10_000
		t := kmsg.NewProduceRequestTopic()
		t.Topic = topic
		p := kmsg.NewProduceRequestTopicPartition()
		p.Records = batchOf(make([]byte, bytes))
		t.Partitions = append(t.Partitions, p)
		req.Topics = append(req.Topics, t)
		return ask(req, 9).(*kmsg.ProduceResponse)
	}
	fetch := func(client, topic string) *kmsg.FetchResponse {
		req := kmsg.NewPtrFetchRequest()
		req.MaxBytes, req.MaxWaitMillis, req.SessionEpoch, req.ReplicaID = 1<<20, 0, 0, -1
		t := kmsg.NewFetchRequestTopic()
		t.Topic = topic
		p := kmsg.NewFetchRequestTopicPartition()
		p.PartitionMaxBytes = 1 << 20
		t.Partitions = append(t.Partitions, p)
		req.Topics = append(req.Topics, t)
		return from(client, req, 12).(*kmsg.FetchResponse)
	}
	fetched := func(step, client, topic string) {
		resp, n := fetch(client, topic), 0
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				if len(p.RecordBatches) > 0 {
					n++
				}
			}
		}
		s.throttled(step, resp.ThrottleMillis, fmt.Sprintf("%d records, ", n))
		s.transcript = append(s.transcript, said{step, "session", fmt.Sprint(resp.SessionID != 0)})
	}
	for _, topic := range []string{"small", "large"} {
		s.topic(topic, 1)
	}
	produce("small", 60_000)
	produce("large", 150_000)

	s.quota("greedy", "producer_byte_rate", 10_000)
	s.throttled("within the window", produce("large", 60_000).ThrottleMillis, "")
	s.throttled("above it", produce("large", 340_000).ThrottleMillis, "")
	s.quota("greedy", "producer_byte_rate", 0)

	s.quota("greedy", "consumer_byte_rate", 15_000)
	for i := range 4 {
		fetched(fmt.Sprint("fetch ", i), "greedy", "small")
	}
	s.quota("greedy", "consumer_byte_rate", 0)
	s.quota("large", "consumer_byte_rate", 10_000)
	fetched("a fetch of more than the window", "large", "large")
	s.quota("large", "consumer_byte_rate", 0)

	s.quota("greedy", "request_percentage", 0.00001)
	metadata := kmsg.NewPtrMetadataRequest()
	for range 3 { // Kafka counts what the network thread does behind the answer, with the next request
		s.throttled("time", ask(metadata, 9).(*kmsg.MetadataResponse).ThrottleMillis, "")
	}
	s.quota("greedy", "request_percentage", 0)

	create := func(step string, v int16, topic string, partitions int32) {
		req := kmsg.NewPtrCreateTopicsRequest()
		t := kmsg.NewCreateTopicsRequestTopic()
		t.Topic, t.NumPartitions, t.ReplicationFactor = topic, partitions, 1
		req.Topics, req.TimeoutMillis = append(req.Topics, t), 10_000
		resp := ask(req, v).(*kmsg.CreateTopicsResponse)
		s.throttled(step, resp.ThrottleMillis, "")
		for i := range resp.Topics {
			resp.Topics[i].Configs = nil // another comparison's
		}
		s.note(step, resp)
	}
	s.quota("greedy", "controller_mutation_rate", 1)
	create("a burst", 7, "burst", 40)
	create("refused", 7, "refused", 1)
	create("permissive", 5, "permissive", 1)
	grow := kmsg.NewPtrCreatePartitionsRequest()
	gt := kmsg.NewCreatePartitionsRequestTopic()
	gt.Topic, gt.Count = "burst", 41
	grow.Topics, grow.TimeoutMillis = append(grow.Topics, gt), 10_000
	s.note("grow", ask(grow, 3))
	remove := kmsg.NewPtrDeleteTopicsRequest()
	remove.TopicNames, remove.TimeoutMillis = []string{"burst"}, 10_000
	s.note("delete", ask(remove, 5))
	s.quota("greedy", "controller_mutation_rate", 0)
}

// batchOf is a batch of one record.
func batchOf(value []byte) []byte {
	b := kmsg.RecordBatch{Magic: 2, FirstTimestamp: epoch, MaxTimestamp: epoch, ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, NumRecords: 1}
	r := kmsg.Record{Value: value}
	r.Length = int32(len(r.AppendTo(nil)) - 1) // the length itself is one byte while it is 0
	b.Records = r.AppendTo(nil)
	raw := b.AppendTo(nil)
	b.Length = int32(len(raw) - 12)
	b.CRC = int32(crc32.Checksum(raw[21:], crc32.MakeTable(crc32.Castagnoli)))
	return b.AppendTo(nil)
}
