package api

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/controller"
)

// reassignmentAsked is one partition of a request.
type reassignmentAsked struct {
	namedPartition
	replicas []int32 // nil: call off what is going on
}

// alterPartitionReassignments answers AlterPartitionReassignments (KIP-455): other
// replicas for partitions, or, with null, the end of a reassignment under way.
// Version 1 can insist on the replication factor (KIP-860).
func alterPartitionReassignments(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.AlterPartitionAssignmentsRequest)
	ctx, cancel := context.WithTimeout(c.Context, requestTimeout(req.TimeoutMillis))
	defer cancel()
	resp := kmsg.NewPtrAlterPartitionAssignmentsResponse()
	resp.AllowReplicationFactorChange = req.AllowReplicationFactorChange
	var wishes []reassignmentAsked
	for i := range req.Topics {
		for _, p := range req.Topics[i].Partitions {
			wishes = append(wishes, reassignmentAsked{namedPartition{req.Topics[i].Topic, p.Partition}, p.Replicas})
		}
	}
	errs := c.API.changePartitions(ctx, len(wishes), func(m *metadata.Image, open []int) []decision {
		return c.API.decideReassignments(m, wishes, open, req.AllowReplicationFactorChange)
	})
	for i := range req.Topics {
		rt := kmsg.NewAlterPartitionAssignmentsResponseTopic()
		rt.Topic = req.Topics[i].Topic
		for _, p := range req.Topics[i].Partitions {
			rp := kmsg.NewAlterPartitionAssignmentsResponseTopicPartition()
			rp.Partition, rp.ErrorCode, rp.ErrorMessage = p.Partition, errorCode(errs[0]), message(errs[0])
			errs = errs[1:]
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

// decideReassignments decides about the open wishes together: how many
// reassignments may be under way is a bound of the cluster.
func (a *API) decideReassignments(m *metadata.Image, wishes []reassignmentAsked, open []int, anyFactor bool) []decision {
	out := make([]decision, len(open))
	asked := make([]controller.Reassignment, 0, len(open))
	at := make([]int, 0, len(open)) // where the decisions about asked go
	for i, wish := range open {
		w := &wishes[wish]
		t, err := w.find(m)
		if err == nil && w.replicas != nil && !anyFactor {
			err = sameFactor(m, t, w)
		}
		if err != nil {
			out[i].err = err
			continue
		}
		asked, at = append(asked, controller.Reassignment{Topic: t.ID, Partition: w.index, Replicas: w.replicas}), append(at, i)
	}
	for i, r := range a.policy().Reassign(m, asked, controller.DefaultLimits) {
		out[at[i]] = decision{r.Change, r.Needed, r.Err}
	}
	return out
}

// sameFactor refuses a list of replicas that is longer or shorter than the one
// that the partition has, or is about to have.
func sameFactor(m *metadata.Image, t *metadata.Topic, w *reassignmentAsked) error {
	x, ok := m.PartitionOf(t, w.index)
	if !ok {
		return nil // which is said later
	}
	if now := len(x.Replicas) - len(x.Removing); now != len(w.replicas) {
		return fmt.Errorf("%w: topic=%s partition=%d replicas=%d asked=%d", controller.ErrInvalidReplicationFactor, t.Name, w.index, now, len(w.replicas))
	}
	return nil
}
