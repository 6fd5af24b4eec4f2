package broker_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/internal/record"
	command "github.com/tidelinehq/tideline/metadata/record"
)

// quota sets a limit of the client that the tests are, or takes it away with 0.
func (n *node) quota(key string, value float64) {
	n.tb.Helper()
	err := n.b.Propose(n.tb.Context(), &command.ChangeQuotas{Changes: []command.QuotaChange{
		{Entity: command.QuotaEntity{{Type: command.QuotaClientID, Name: "test"}}, Key: key, Value: value, Remove: value == 0},
	}})
	if err != nil {
		n.tb.Fatal(err)
	}
}

// ask sends one request on a connection of its own, since a throttled one is not read for a while.
func ask[R kmsg.Response](n *node, req kmsg.Request) R {
	n.tb.Helper()
	return do[R](n.dial(), req)
}

func produceBytes(topic string, bytes int) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Version, req.Acks, req.TimeoutMillis = 9, 1, 10_000
	t := kmsg.NewProduceRequestTopic()
	t.Topic = topic
	p := kmsg.NewProduceRequestTopicPartition()
	p.Records = build(record.Options{}, record.Record{Value: make([]byte, bytes), Timestamp: 1000})
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

func fetchAll(topic string) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.MaxBytes, req.MaxWaitMillis, req.SessionEpoch = 12, 1<<20, 0, 0
	t := kmsg.NewFetchRequestTopic()
	t.Topic = topic
	p := kmsg.NewFetchRequestTopicPartition()
	p.PartitionMaxBytes = 1 << 20
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

func TestProduceQuota(t *testing.T) {
	n := newNode(t, nil)
	n.dial().create("a", 1, nil)
	if got := ask[*kmsg.ProduceResponse](n, produceBytes("a", 30_000)).ThrottleMillis; got != 0 {
		t.Fatalf("throttled for %d ms without a quota", got)
	}
	n.quota("producer_byte_rate", 1000)
	resp := ask[*kmsg.ProduceResponse](n, produceBytes("a", 30_000))
	// 30,000 bytes over ten seconds are three times the limit.
	if got := resp.ThrottleMillis; got < 20_000 || got > 25_000 {
		t.Errorf("throttled for %d ms", got)
	}
	if code := resp.Topics[0].Partitions[0].ErrorCode; code != 0 {
		t.Errorf("what is throttled was not taken: %s", name(code))
	}
	if got := ask[*kmsg.ProduceResponse](n, produceBytes("a", 10)).ThrottleMillis; got < 10_000 {
		t.Errorf("the next one is throttled for %d ms", got)
	}
	if got := n.gauge("tideline_quota_throttled_total"); got != 2 {
		t.Errorf("%v throttled", got)
	}
	n.quota("producer_byte_rate", 0)
	if got := ask[*kmsg.ProduceResponse](n, produceBytes("a", 30_000)).ThrottleMillis; got != 0 {
		t.Errorf("throttled for %d ms by a quota that is gone", got)
	}
}

func TestFetchQuota(t *testing.T) {
	n := newNode(t, nil)
	n.dial().create("a", 1, nil)
	ask[*kmsg.ProduceResponse](n, produceBytes("a", 30_000))
	n.quota("consumer_byte_rate", 1000)
	first := ask[*kmsg.FetchResponse](n, fetchAll("a"))
	// One batch is more than the window lets through: who took nothing lately gets it, and waits.
	if len(first.Topics) != 1 || len(first.Topics[0].Partitions[0].RecordBatches) < 30_000 || first.SessionID == 0 {
		t.Fatalf("the first fetch brought %+v", first.Topics)
	}
	if first.ThrottleMillis < 20_000 {
		t.Errorf("throttled for %d ms", first.ThrottleMillis)
	}
	second := ask[*kmsg.FetchResponse](n, fetchAll("a"))
	if second.ErrorCode != 0 || len(second.Topics) != 0 || second.SessionID != 0 || second.ThrottleMillis == 0 {
		t.Errorf("the second fetch: %s throttle=%d topics=%d session=%d", name(second.ErrorCode), second.ThrottleMillis, len(second.Topics), second.SessionID)
	}
	// A session that goes on keeps its id and brings nothing.
	third := fetchAll("a")
	third.SessionID, third.SessionEpoch = first.SessionID, 1
	got := ask[*kmsg.FetchResponse](n, third)
	if got.ErrorCode != 0 || len(got.Topics) != 0 || got.SessionID != first.SessionID || got.ThrottleMillis == 0 {
		t.Errorf("the third fetch: %s throttle=%d topics=%d session=%d", name(got.ErrorCode), got.ThrottleMillis, len(got.Topics), got.SessionID)
	}
	n.quota("consumer_byte_rate", 0)
	third.SessionEpoch = 2
	if got := ask[*kmsg.FetchResponse](n, third); got.ErrorCode != 0 || len(got.Topics) != 1 || got.ThrottleMillis != 0 {
		t.Errorf("without a quota: %s throttle=%d topics=%d", name(got.ErrorCode), got.ThrottleMillis, len(got.Topics))
	}
}

func TestRequestQuota(t *testing.T) {
	n := newNode(t, nil)
	n.dial().create("a", 1, nil)
	n.quota("request_percentage", 1e-6)
	metadata, groups := kmsg.NewPtrMetadataRequest(), kmsg.NewPtrListGroupsRequest()
	metadata.Version, groups.Version = 9, 4
	for _, got := range []int32{
		ask[*kmsg.MetadataResponse](n, metadata).ThrottleMillis,
		ask[*kmsg.ProduceResponse](n, produceBytes("a", 10)).ThrottleMillis,
		ask[*kmsg.ListGroupsResponse](n, groups).ThrottleMillis,
		ask[*kmsg.FetchResponse](n, fetchAll("a")).ThrottleMillis,
	} {
		if got <= 0 || got > 1000 {
			t.Errorf("throttled for %d ms", got)
		}
	}
	if got := n.gauge("tideline_quota_throttled_total"); got != 4 {
		t.Errorf("%v throttled", got)
	}
}

func TestMutationQuota(t *testing.T) {
	n := newNode(t, nil)
	n.quota("controller_mutation_rate", 0.1) // a bucket of 1.1
	create := func(version int16, topic string, partitions int32) *kmsg.CreateTopicsResponse {
		req := kmsg.NewPtrCreateTopicsRequest()
		req.Version, req.TimeoutMillis = version, 10_000
		rt := kmsg.NewCreateTopicsRequestTopic()
		rt.Topic, rt.NumPartitions, rt.ReplicationFactor = topic, partitions, 1
		req.Topics = append(req.Topics, rt)
		return ask[*kmsg.CreateTopicsResponse](n, req)
	}
	if got := create(7, "a", 5); got.Topics[0].ErrorCode != 0 || got.ThrottleMillis != 0 {
		t.Errorf("the first: %s throttle=%d", name(got.Topics[0].ErrorCode), got.ThrottleMillis)
	}
	refused := create(7, "b", 1)
	if got := refused; got.Topics[0].ErrorCode != kerr.ThrottlingQuotaExceeded.Code || got.ThrottleMillis < 30_000 {
		t.Errorf("the second: %s throttle=%d", name(got.Topics[0].ErrorCode), got.ThrottleMillis)
	}
	if got := create(5, "b", 1); got.Topics[0].ErrorCode != 0 || got.ThrottleMillis < 30_000 {
		t.Errorf("a client that does not know the refusal: %s throttle=%d", name(got.Topics[0].ErrorCode), got.ThrottleMillis)
	}
	grow := kmsg.NewPtrCreatePartitionsRequest()
	grow.Version, grow.TimeoutMillis = 3, 10_000
	gt := kmsg.NewCreatePartitionsRequestTopic()
	gt.Topic, gt.Count = "a", 6
	grow.Topics = append(grow.Topics, gt)
	if got := ask[*kmsg.CreatePartitionsResponse](n, grow); got.Topics[0].ErrorCode != kerr.ThrottlingQuotaExceeded.Code {
		t.Errorf("more partitions: %s", name(got.Topics[0].ErrorCode))
	}
	remove := kmsg.NewPtrDeleteTopicsRequest()
	remove.Version, remove.TimeoutMillis, remove.TopicNames = 5, 10_000, []string{"a"}
	if got := ask[*kmsg.DeleteTopicsResponse](n, remove); got.Topics[0].ErrorCode != kerr.ThrottlingQuotaExceeded.Code {
		t.Errorf("a topic less: %s", name(got.Topics[0].ErrorCode))
	}
	n.quota("controller_mutation_rate", 0)
	if got := ask[*kmsg.DeleteTopicsResponse](n, remove); got.Topics[0].ErrorCode != 0 {
		t.Errorf("without a quota: %s", name(got.Topics[0].ErrorCode))
	}
}
