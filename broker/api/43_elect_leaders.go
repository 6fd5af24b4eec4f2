package api

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/controller"
)

// namedPartition is a partition by the name of its topic.
type namedPartition struct {
	topic string
	index int32
}

// find returns the partition's topic.
func (p namedPartition) find(m *metadata.Image) (*metadata.Topic, error) {
	t, ok := m.Topic(p.topic)
	if !ok {
		return nil, fmt.Errorf("%w: name=%s", controller.ErrUnknownTopic, p.topic)
	}
	return t, nil
}

// electLeaders answers ElectLeaders (KIP-183, KIP-460).
func electLeaders(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.ElectLeadersRequest)
	ctx, cancel := context.WithTimeout(c.Context, requestTimeout(req.TimeoutMillis))
	defer cancel()
	resp := kmsg.NewPtrElectLeadersResponse()
	wishes, all := electionsAsked(c.API.Metadata.Image(), req)
	kind := controller.Election(req.ElectionType)
	var errs []error
	if kind == controller.ElectPreferred || kind == controller.ElectUnclean {
		errs = c.API.changePartitions(ctx, len(wishes), func(m *metadata.Image, open []int) []decision {
			return c.API.decideElections(m, wishes, open, kind)
		})
	} else {
		err := fmt.Errorf("%w: election type=%d", kerr.InvalidRequest, req.ElectionType)
		resp.ErrorCode = errorCode(err)
		if all {
			return resp
		}
		errs = make([]error, len(wishes))
		for i := range errs {
			errs[i] = err
		}
	}
	for i, err := range errs {
		// Whoever asks about all partitions is not told of those that need nothing.
		if all && errors.Is(err, controller.ErrElectionNotNeeded) {
			continue
		}
		rp := kmsg.NewElectLeadersResponseTopicPartition()
		rp.Partition, rp.ErrorCode, rp.ErrorMessage = wishes[i].index, errorCode(err), message(err)
		if n := len(resp.Topics); n == 0 || resp.Topics[n-1].Topic != wishes[i].topic {
			rt := kmsg.NewElectLeadersResponseTopic()
			rt.Topic = wishes[i].topic
			resp.Topics = append(resp.Topics, rt)
		}
		rt := &resp.Topics[len(resp.Topics)-1]
		rt.Partitions = append(rt.Partitions, rp)
	}
	return resp
}

// electionsAsked returns the partitions of a request. Without a list of topics it
// is about all that there are.
func electionsAsked(m *metadata.Image, req *kmsg.ElectLeadersRequest) (wishes []namedPartition, all bool) {
	for i := range req.Topics {
		for _, index := range req.Topics[i].Partitions {
			wishes = append(wishes, namedPartition{req.Topics[i].Topic, index})
		}
	}
	if req.Topics != nil {
		return wishes, false
	}
	for t := range m.Topics() {
		for index := range t.Partitions {
			wishes = append(wishes, namedPartition{t.Name, index})
		}
	}
	return wishes, true
}

func (a *API) decideElections(m *metadata.Image, wishes []namedPartition, open []int, kind controller.Election) []decision {
	policy := a.policy()
	out := make([]decision, len(open))
	for i, wish := range open {
		t, err := wishes[wish].find(m)
		if err != nil {
			out[i].err = err
			continue
		}
		out[i].change, out[i].err = policy.Elect(m, t.ID, wishes[wish].index, kind)
		out[i].needed = out[i].err == nil
	}
	return out
}
