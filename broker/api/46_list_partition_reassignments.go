package api

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/controller"
)

// listPartitionReassignments answers ListPartitionReassignments (KIP-455). What is
// asked for and not under reassignment, or not there, is left out.
func listPartitionReassignments(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.ListPartitionReassignmentsRequest)
	resp := kmsg.NewPtrListPartitionReassignmentsResponse()
	image := c.API.Metadata.Image()
	if req.Topics == nil {
		for _, o := range controller.Reassignments(image, controller.DefaultLimits.MaxReassignments) {
			addReassignment(resp, o.Topic, o.Partition)
		}
		return resp
	}
	for i := range req.Topics {
		t, ok := image.Topic(req.Topics[i].Topic)
		if !ok {
			continue
		}
		for _, index := range req.Topics[i].Partitions {
			if x, ok := image.PartitionOf(t, index); ok && len(x.Adding)+len(x.Removing) > 0 {
				addReassignment(resp, t, x)
			}
		}
	}
	return resp
}

// addReassignment adds a partition, which comes in the order of its topic.
func addReassignment(resp *kmsg.ListPartitionReassignmentsResponse, t *metadata.Topic, x *metadata.Partition) {
	rp := kmsg.NewListPartitionReassignmentsResponseTopicPartition()
	rp.Partition, rp.Replicas, rp.AddingReplicas, rp.RemovingReplicas = x.Index, x.Replicas, x.Adding, x.Removing
	if n := len(resp.Topics); n == 0 || resp.Topics[n-1].Topic != t.Name {
		rt := kmsg.NewListPartitionReassignmentsResponseTopic()
		rt.Topic = t.Name
		resp.Topics = append(resp.Topics, rt)
	}
	rt := &resp.Topics[len(resp.Topics)-1]
	rt.Partitions = append(rt.Partitions, rp)
}
