package linear

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// perform asks a broker, once, and enters the outcome. It returns false when the request certainly had no effect.
func perform(ctx context.Context, broker *kgo.Broker, op *Op) (sent bool) {
	ctx, cancel := context.WithTimeout(ctx, 2*requestTimeout)
	defer cancel()
	err := map[Kind]func(context.Context, *kgo.Broker, *Op) error{
		Create: create, Delete: remove, AddPartitions: addPartitions, SetConfig: setConfig, Metadata: metadata, Describe: describe,
	}[op.Kind](ctx, broker, op)
	switch {
	case err == nil:
		op.Outcome = OK
	case errors.Is(err, kerr.TopicAlreadyExists):
		op.Outcome = Exists
	case errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.UnknownTopicID):
		op.Outcome = Missing
	case errors.Is(err, kerr.InvalidPartitions):
		op.Outcome = Refused
	case notSent(err):
		return false
	default:
		op.Outcome, op.Error = Unknown, err.Error()
	}
	return true
}

var timeoutMillis = int32((requestTimeout - time.Second).Milliseconds())

func create(ctx context.Context, broker *kgo.Broker, op *Op) error {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = timeoutMillis
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = op.Topic, op.Partitions, -1
	c := kmsg.NewCreateTopicsRequestTopicConfig()
	c.Name, c.Value = setting, kmsg.StringPtr(strconv.FormatInt(op.Value, 10))
	t.Configs = append(t.Configs, c)
	req.Topics = append(req.Topics, t)
	answer, err := broker.Request(ctx, req)
	if err != nil {
		return err
	}
	resp := answer.(*kmsg.CreateTopicsResponse)
	return only(len(resp.Topics), func() int16 { return resp.Topics[0].ErrorCode })
}

func remove(ctx context.Context, broker *kgo.Broker, op *Op) error {
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.TimeoutMillis = timeoutMillis
	t := kmsg.NewDeleteTopicsRequestTopic()
	t.Topic = &op.Topic
	req.Topics, req.TopicNames = append(req.Topics, t), []string{op.Topic}
	answer, err := broker.Request(ctx, req)
	if err != nil {
		return err
	}
	resp := answer.(*kmsg.DeleteTopicsResponse)
	return only(len(resp.Topics), func() int16 { return resp.Topics[0].ErrorCode })
}

func addPartitions(ctx context.Context, broker *kgo.Broker, op *Op) error {
	req := kmsg.NewPtrCreatePartitionsRequest()
	req.TimeoutMillis = timeoutMillis
	t := kmsg.NewCreatePartitionsRequestTopic()
	t.Topic, t.Count = op.Topic, op.Partitions
	req.Topics = append(req.Topics, t)
	answer, err := broker.Request(ctx, req)
	if err != nil {
		return err
	}
	resp := answer.(*kmsg.CreatePartitionsResponse)
	return only(len(resp.Topics), func() int16 { return resp.Topics[0].ErrorCode })
}

func setConfig(ctx context.Context, broker *kgo.Broker, op *Op) error {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, op.Topic
	c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	c.Name, c.Op, c.Value = setting, kmsg.IncrementalAlterConfigOpSet, kmsg.StringPtr(strconv.FormatInt(op.Value, 10))
	r.Configs = append(r.Configs, c)
	req.Resources = append(req.Resources, r)
	answer, err := broker.Request(ctx, req)
	if err != nil {
		return err
	}
	resp := answer.(*kmsg.IncrementalAlterConfigsResponse)
	return only(len(resp.Resources), func() int16 { return resp.Resources[0].ErrorCode })
}

func metadata(ctx context.Context, broker *kgo.Broker, op *Op) error {
	req := kmsg.NewPtrMetadataRequest()
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = &op.Topic
	req.Topics = append(req.Topics, t)
	answer, err := broker.Request(ctx, req)
	if err != nil {
		return err
	}
	resp := answer.(*kmsg.MetadataResponse)
	if err := only(len(resp.Topics), func() int16 { return resp.Topics[0].ErrorCode }); err != nil {
		return err
	}
	op.Partitions = int32(len(resp.Topics[0].Partitions))
	return nil
}

func describe(ctx context.Context, broker *kgo.Broker, op *Op) error {
	req := kmsg.NewPtrDescribeConfigsRequest()
	r := kmsg.NewDescribeConfigsRequestResource()
	r.ResourceType, r.ResourceName, r.ConfigNames = kmsg.ConfigResourceTypeTopic, op.Topic, []string{setting}
	req.Resources = append(req.Resources, r)
	answer, err := broker.Request(ctx, req)
	if err != nil {
		return err
	}
	resp := answer.(*kmsg.DescribeConfigsResponse)
	if err := only(len(resp.Resources), func() int16 { return resp.Resources[0].ErrorCode }); err != nil {
		return err
	}
	configs := resp.Resources[0].Configs
	if len(configs) != 1 || configs[0].Value == nil {
		return fmt.Errorf("the setting is not in the answer key=%s configs=%d", setting, len(configs))
	}
	op.Value, err = strconv.ParseInt(*configs[0].Value, 10, 64)
	return err
}

// only is the error of the one thing that an answer is about.
func only(n int, code func() int16) error {
	if n != 1 {
		return fmt.Errorf("answer is about other things than what was asked count=%d", n)
	}
	return kerr.ErrorForCode(code())
}
