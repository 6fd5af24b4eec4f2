package api

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Pages of partitions, as Apache Kafka cuts them.
func TestDescribeTopicPartitionsPages(t *testing.T) {
	c := newCluster(t, 1)
	c.topic("a", []int32{1}, []int32{1})
	c.topic("b", []int32{1})
	page := func(limit int32, topic string, partition int32) *kmsg.DescribeTopicPartitionsResponse {
		t.Helper()
		req := kmsg.NewPtrDescribeTopicPartitionsRequest()
		req.ResponsePartitionLimit = limit
		for _, name := range []string{"b", "a"} {
			one := kmsg.NewDescribeTopicPartitionsRequestTopic()
			one.Topic = name
			req.Topics = append(req.Topics, one)
		}
		if topic != "" {
			cursor := kmsg.NewDescribeTopicPartitionsRequestCursor()
			cursor.Topic, cursor.Partition = topic, partition
			req.Cursor = &cursor
		}
		return ask[*kmsg.DescribeTopicPartitionsResponse](c, 0, req)
	}
	for _, limit := range []int32{-1, 0, 1} {
		got := page(limit, "a", 1)
		if len(got.Topics) != 1 || len(got.Topics[0].Partitions) != 1 || got.NextCursor == nil || got.NextCursor.Topic != "b" || got.NextCursor.Partition != 0 {
			t.Errorf("limit %d: %+v", limit, got)
		}
	}
	if got := page(2000, "", 0); len(got.Topics) != 2 || got.NextCursor != nil {
		t.Errorf("all: %+v", got)
	}
	for _, bad := range []struct {
		topic     string
		partition int32
	}{{"c", 0}, {"a", -1}} {
		for _, topic := range page(2000, bad.topic, bad.partition).Topics {
			if code(topic.ErrorCode) != "INVALID_REQUEST" {
				t.Errorf("cursor %+v: %s", bad, code(topic.ErrorCode))
			}
		}
	}
}
