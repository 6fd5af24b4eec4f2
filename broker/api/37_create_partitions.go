package api

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/quota"
	"github.com/tidelinehq/tideline/metadata/controller"
	command "github.com/tidelinehq/tideline/metadata/record"
)

// createPartitions answers CreatePartitions.
func createPartitions(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.CreatePartitionsRequest)
	ctx, cancel := context.WithTimeout(c.Context, requestTimeout(req.TimeoutMillis))
	defer cancel()
	resp := kmsg.NewPtrCreatePartitionsResponse()
	share := c.mutations(strictCreatePartitions)
	seen := make(map[string]int, len(req.Topics))
	for i := range req.Topics {
		seen[req.Topics[i].Topic]++
	}
	told := make(map[string]bool, len(seen))
	for i := range req.Topics {
		t := &req.Topics[i]
		if told[t.Topic] {
			continue
		}
		told[t.Topic] = true
		rt := kmsg.NewCreatePartitionsResponseTopic()
		rt.Topic = t.Topic
		err := error(nil)
		if seen[t.Topic] > 1 {
			err = fmt.Errorf("%w: duplicate topic name: %s", kerr.InvalidRequest, t.Topic)
		} else {
			err = c.API.growTopic(ctx, t, req.ValidateOnly, share)
		}
		rt.ErrorCode, rt.ErrorMessage = errorCode(err), message(err)
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

// growTries bounds how often a growth is decided anew. Each that was in vain is one of somebody else that was not, so a request that
// uses them all up met as many others at the same moment.
const growTries = 32

// growTopic grows a topic. What it decides holds for the number of partitions that the topic has now; when somebody else grows
// it in between, the command is refused, and is decided anew: there may still be fewer than were asked for.
func (a *API) growTopic(ctx context.Context, asked *kmsg.CreatePartitionsRequestTopic, validateOnly bool, share *quota.Mutations) error {
	for range growTries {
		if err := a.growOnce(ctx, asked, validateOnly, share); !errors.Is(err, command.WrongCount) {
			return err
		}
		share = nil // it was counted
	}
	return fmt.Errorf("%w: the topic grows too often at once topic=%s", kerr.RequestTimedOut, asked.Topic)
}

func (a *API) growOnce(ctx context.Context, asked *kmsg.CreatePartitionsRequestTopic, validateOnly bool, share *quota.Mutations) error {
	image := a.Metadata.Image()
	t, ok := image.Topic(asked.Topic)
	if !ok {
		return fmt.Errorf("%w: topic=%s", kerr.UnknownTopicOrPartition, asked.Topic)
	}
	if isInternal(t.Name) {
		return fmt.Errorf("%w: the partitions of %s are fixed", kerr.InvalidTopicException, t.Name)
	}
	var manual [][]int32
	if asked.Assignment != nil { // null leaves the choice to the broker, an empty list does not
		manual = make([][]int32, len(asked.Assignment))
		for i := range asked.Assignment {
			manual[i] = asked.Assignment[i].Replicas
		}
	}
	id := randomID()
	cmd, err := controller.Grow(image, t.ID, int(asked.Count), manual, binary.BigEndian.Uint32(id[:]), controller.DefaultLimits)
	if err == nil && !share.Take(len(cmd.Assignments), a.now()) {
		err = errMutations
	}
	if err != nil || validateOnly {
		return err
	}
	return a.Metadata.CreatePartitions(ctx, cmd)
}
