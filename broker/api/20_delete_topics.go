package api

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/quota"
	"github.com/tidelinehq/tideline/metadata"
)

// deleteTopics answers DeleteTopics, by name or (version 6 on) by id.
func deleteTopics(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.DeleteTopicsRequest)
	ctx, cancel := context.WithTimeout(c.Context, requestTimeout(req.TimeoutMillis))
	defer cancel()
	resp := kmsg.NewPtrDeleteTopicsResponse()
	share := c.mutations(strictDeleteTopics)
	asked := req.Topics
	for _, name := range req.TopicNames {
		t := kmsg.NewDeleteTopicsRequestTopic()
		t.Topic = kmsg.StringPtr(name)
		asked = append(asked, t)
	}
	found, errs := make([]*metadata.Topic, len(asked)), make([]error, len(asked))
	times := make(map[metadata.ID]int, len(asked))
	for i := range asked {
		if found[i], errs[i] = c.API.topicToDelete(&asked[i]); errs[i] == nil {
			times[found[i].ID]++
		}
	}
	told := make(map[metadata.ID]bool)
	for i := range asked {
		rt := kmsg.NewDeleteTopicsResponseTopic()
		rt.Topic, rt.TopicID = asked[i].Topic, asked[i].TopicID
		t, err := found[i], errs[i]
		if err == nil {
			if told[t.ID] {
				continue
			}
			told[t.ID] = true
		}
		switch {
		case err != nil:
		case times[t.ID] > 1:
			err = fmt.Errorf("%w: duplicate topic: %s", kerr.InvalidRequest, t.Name)
		default:
			rt.Topic, rt.TopicID = &t.Name, t.ID
			err = c.API.deleteTopic(ctx, t, share)
		}
		rt.ErrorCode, rt.ErrorMessage = errorCode(err), message(err)
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

// topicToDelete finds the topic that a request names by name or id.
func (a *API) topicToDelete(asked *kmsg.DeleteTopicsRequestTopic) (*metadata.Topic, error) {
	image := a.Metadata.Image()
	var t *metadata.Topic
	var ok bool
	switch zero := (metadata.ID{}); {
	case asked.Topic != nil && asked.TopicID != zero:
		return nil, fmt.Errorf("%w: name a topic by its name or by its id, not both", kerr.InvalidRequest)
	case asked.Topic != nil:
		if t, ok = image.Topic(*asked.Topic); !ok {
			return nil, fmt.Errorf("%w: topic=%s", kerr.UnknownTopicOrPartition, *asked.Topic)
		}
	case asked.TopicID != zero:
		if t, ok = image.TopicByID(asked.TopicID); !ok {
			return nil, fmt.Errorf("%w: id=%x", kerr.UnknownTopicID, asked.TopicID)
		}
	default:
		return nil, fmt.Errorf("%w: neither a topic's name nor its id", kerr.InvalidRequest)
	}
	return t, nil
}

func (a *API) deleteTopic(ctx context.Context, t *metadata.Topic, share *quota.Mutations) error {
	switch {
	case !a.settings().DeleteTopicEnable:
		return fmt.Errorf("%w: delete.topic.enable is false", kerr.TopicDeletionDisabled)
	case isInternal(t.Name):
		return fmt.Errorf("%w: %s is the broker's own", kerr.InvalidTopicException, t.Name)
	case !share.Take(int(t.Partitions), a.now()):
		return errMutations
	}
	return a.Metadata.DeleteTopic(ctx, t.ID, a.now())
}
