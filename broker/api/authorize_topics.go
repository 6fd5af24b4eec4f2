package api

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/security/acl"
	"github.com/tidelinehq/tideline/metadata"
)

// The guards of requests about topics.

// Codes of what is denied.
var (
	deniedTopic         = kerr.TopicAuthorizationFailed.Code
	deniedGroup         = kerr.GroupAuthorizationFailed.Code
	deniedCluster       = kerr.ClusterAuthorizationFailed.Code
	deniedTransactional = kerr.TransactionalIDAuthorizationFailed.Code
)

// topicNamed returns the name of a topic by its id.
func (c *Call) topicNamed(id metadata.ID) (string, bool) {
	t, ok := c.API.Metadata.Image().TopicByID(id)
	if !ok {
		return "", false
	}
	return t.Name, true
}

func guardListOffsets(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.ListOffsetsRequest)
	var denied []kmsg.ListOffsetsRequestTopic
	req.Topics, denied = split(req.Topics, func(t *kmsg.ListOffsetsRequestTopic) bool { return c.allowed(acl.Describe, acl.Topic, t.Topic) })
	amendWith(c, denied, func(resp *kmsg.ListOffsetsResponse, t *kmsg.ListOffsetsRequestTopic) {
		rt := kmsg.NewListOffsetsResponseTopic()
		rt.Topic = t.Topic
		rt.Partitions = mapped(t.Partitions, func(p *kmsg.ListOffsetsRequestTopicPartition) kmsg.ListOffsetsResponseTopicPartition {
			rp := kmsg.NewListOffsetsResponseTopicPartition()
			rp.Partition, rp.Timestamp, rp.Offset, rp.LeaderEpoch, rp.ErrorCode = p.Partition, -1, -1, -1, deniedTopic
			return rp
		})
		resp.Topics = append(resp.Topics, rt)
	})
	return nil
}

// guardMetadata hides topics from those who ask for all, and refuses them to those who
// name them. It says the same whether they are there or not. An id is no secret, the name
// behind it is.
func guardMetadata(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.MetadataRequest)
	all := req.Topics == nil || c.Version == 0 && len(req.Topics) == 0
	if !c.authorized() && !req.IncludeTopicAuthorizedOperations && !req.IncludeClusterAuthorizedOperations {
		return nil
	}
	var denied []kmsg.MetadataRequestTopic
	if c.authorized() && !all {
		req.Topics, denied = split(req.Topics, func(t *kmsg.MetadataRequestTopic) bool {
			return t.TopicID != [16]byte{} || t.Topic == nil || c.allowed(acl.Describe, acl.Topic, *t.Topic)
		})
	}
	none := c.Version == 0 && len(req.Topics) == 0 && len(denied) > 0 // which would mean all
	c.amend(func(resp kmsg.Response) {
		r := resp.(*kmsg.MetadataResponse)
		if none {
			r.Topics = nil
		}
		c.judgeTopics(r, all)
		if c.Version >= 8 && c.Version <= 10 && req.IncludeClusterAuthorizedOperations {
			r.AuthorizedOperations = c.clusterOperations()
		}
		seen := make(map[string]bool, len(denied))
		for i := range denied {
			if name := *denied[i].Topic; !seen[name] {
				seen[name] = true
				t := kmsg.NewMetadataResponseTopic()
				t.Topic, t.ErrorCode, t.AuthorizedOperations = &name, deniedTopic, noOperations
				r.Topics = append(r.Topics, t)
			}
		}
		if c.Version >= 8 && req.IncludeTopicAuthorizedOperations {
			for i := range r.Topics {
				if t := &r.Topics[i]; t.Topic != nil && t.ErrorCode != deniedTopic {
					t.AuthorizedOperations = c.operations(acl.Topic, *t.Topic)
				}
			}
		}
	})
	return nil
}

// judgeTopics takes out of the answer, or out of what it says, the topics that the client
// may not describe: all that were not asked for by name.
func (c *Call) judgeTopics(r *kmsg.MetadataResponse, all bool) {
	if !c.authorized() {
		return
	}
	hidden := func(t *kmsg.MetadataResponseTopic) bool {
		return t.Topic != nil && !c.sees(acl.Describe, acl.Topic, *t.Topic)
	}
	if all {
		r.Topics = slices.DeleteFunc(r.Topics, func(t kmsg.MetadataResponseTopic) bool { return hidden(&t) })
		return
	}
	for i := range r.Topics {
		if t := &r.Topics[i]; hidden(t) {
			id := t.TopicID
			*t = kmsg.NewMetadataResponseTopic()
			t.TopicID, t.ErrorCode, t.AuthorizedOperations = id, deniedTopic, noOperations
		}
	}
}

// mayCreateTopic reports whether the client may have a topic created by asking about it.
func (c *Call) mayCreateTopic(name string) bool {
	return c.sees(acl.Create, acl.Cluster, acl.ClusterName) || c.allowed(acl.Create, acl.Topic, name)
}

// guardCreateTopics leaves in what is there twice: that is an error of its own.
func guardCreateTopics(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.CreateTopicsRequest)
	times := make(map[string]int, len(req.Topics))
	for i := range req.Topics {
		times[req.Topics[i].Topic]++
	}
	var denied []kmsg.CreateTopicsRequestTopic
	if !c.sees(acl.Create, acl.Cluster, acl.ClusterName) {
		req.Topics, denied = split(req.Topics, func(t *kmsg.CreateTopicsRequestTopic) bool {
			return times[t.Topic] > 1 || c.allowed(acl.Create, acl.Topic, t.Topic)
		})
	}
	c.amend(func(resp kmsg.Response) {
		r := resp.(*kmsg.CreateTopicsResponse)
		for i := range r.Topics {
			if t := &r.Topics[i]; t.ErrorCode == 0 && !c.sees(acl.DescribeConfigs, acl.Topic, t.Topic) {
				t.ConfigErrorCode, t.Configs, t.NumPartitions, t.ReplicationFactor = deniedTopic, nil, -1, -1
			}
		}
	})
	amendWith(c, denied, func(resp *kmsg.CreateTopicsResponse, t *kmsg.CreateTopicsRequestTopic) {
		rt := kmsg.NewCreateTopicsResponseTopic()
		rt.Configs = []kmsg.CreateTopicsResponseTopicConfig{} // null would mean that they may not be seen
		rt.Topic, rt.NumPartitions, rt.ReplicationFactor, rt.ErrorCode = t.Topic, -1, -1, deniedTopic
		rt.ErrorMessage = message(kerr.TopicAuthorizationFailed)
		resp.Topics = append(resp.Topics, rt)
	})
	return nil
}

func guardDeleteTopics(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.DeleteTopicsRequest)
	if c.sees(acl.Delete, acl.Cluster, acl.ClusterName) {
		return nil
	}
	var names []string
	req.TopicNames, names = split(req.TopicNames, func(name *string) bool { return c.allowed(acl.Delete, acl.Topic, *name) })
	amendWith(c, names, func(resp *kmsg.DeleteTopicsResponse, name *string) {
		resp.Topics = append(resp.Topics, deletionDenied(name, metadata.ID{}, deniedTopic))
	})
	var answers []kmsg.DeleteTopicsResponseTopic
	req.Topics, _ = split(req.Topics, func(t *kmsg.DeleteTopicsRequestTopic) bool {
		switch byID := t.TopicID != (metadata.ID{}); {
		case t.Topic != nil && byID, t.Topic == nil && !byID:
			return true // which is an error of its own
		case byID:
			name, ok := c.topicNamed(t.TopicID)
			if !ok {
				answers = append(answers, deletionDenied(nil, t.TopicID, kerr.UnknownTopicID.Code))
				return false
			}
			if c.allowed(acl.Delete, acl.Topic, name) {
				return true
			}
			known := &name
			if !c.sees(acl.Describe, acl.Topic, name) {
				known = nil
			}
			answers = append(answers, deletionDenied(known, t.TopicID, deniedTopic))
			return false
		}
		if c.allowed(acl.Delete, acl.Topic, *t.Topic) {
			return true
		}
		answers = append(answers, deletionDenied(t.Topic, metadata.ID{}, deniedTopic))
		return false
	})
	amendWith(c, answers, func(resp *kmsg.DeleteTopicsResponse, t *kmsg.DeleteTopicsResponseTopic) {
		resp.Topics = append(resp.Topics, *t)
	})
	return nil
}

func deletionDenied(name *string, id metadata.ID, code int16) kmsg.DeleteTopicsResponseTopic {
	rt := kmsg.NewDeleteTopicsResponseTopic()
	rt.Topic, rt.TopicID, rt.ErrorCode, rt.ErrorMessage = name, id, code, message(kerr.ErrorForCode(code))
	return rt
}

func guardDeleteRecords(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.DeleteRecordsRequest)
	var denied []kmsg.DeleteRecordsRequestTopic
	req.Topics, denied = split(req.Topics, func(t *kmsg.DeleteRecordsRequestTopic) bool { return c.allowed(acl.Delete, acl.Topic, t.Topic) })
	amendWith(c, denied, func(resp *kmsg.DeleteRecordsResponse, t *kmsg.DeleteRecordsRequestTopic) {
		rt := kmsg.NewDeleteRecordsResponseTopic()
		rt.Topic = t.Topic
		rt.Partitions = mapped(t.Partitions, func(p *kmsg.DeleteRecordsRequestTopicPartition) kmsg.DeleteRecordsResponseTopicPartition {
			rp := kmsg.NewDeleteRecordsResponseTopicPartition()
			rp.Partition, rp.LowWatermark, rp.ErrorCode = p.Partition, -1, deniedTopic
			return rp
		})
		resp.Topics = append(resp.Topics, rt)
	})
	return nil
}

// guardOffsetForLeaderEpoch lets replicas ask about everything.
func guardOffsetForLeaderEpoch(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.OffsetForLeaderEpochRequest)
	if c.sees(acl.ClusterAction, acl.Cluster, acl.ClusterName) {
		return nil
	}
	var denied []kmsg.OffsetForLeaderEpochRequestTopic
	req.Topics, denied = split(req.Topics, func(t *kmsg.OffsetForLeaderEpochRequestTopic) bool {
		return c.allowed(acl.Describe, acl.Topic, t.Topic)
	})
	amendWith(c, denied, func(resp *kmsg.OffsetForLeaderEpochResponse, t *kmsg.OffsetForLeaderEpochRequestTopic) {
		rt := kmsg.NewOffsetForLeaderEpochResponseTopic()
		rt.Topic = t.Topic
		rt.Partitions = mapped(t.Partitions, func(p *kmsg.OffsetForLeaderEpochRequestTopicPartition) kmsg.OffsetForLeaderEpochResponseTopicPartition {
			rp := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
			rp.Partition, rp.LeaderEpoch, rp.EndOffset, rp.ErrorCode = p.Partition, -1, -1, deniedTopic
			return rp
		})
		resp.Topics = append(resp.Topics, rt)
	})
	return nil
}

func guardCreatePartitions(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.CreatePartitionsRequest)
	var denied []kmsg.CreatePartitionsRequestTopic
	req.Topics, denied = split(req.Topics, func(t *kmsg.CreatePartitionsRequestTopic) bool { return c.allowed(acl.Alter, acl.Topic, t.Topic) })
	amendWith(c, denied, func(resp *kmsg.CreatePartitionsResponse, t *kmsg.CreatePartitionsRequestTopic) {
		rt := kmsg.NewCreatePartitionsResponseTopic()
		rt.Topic, rt.ErrorCode, rt.ErrorMessage = t.Topic, deniedTopic, message(kerr.TopicAuthorizationFailed)
		resp.Topics = append(resp.Topics, rt)
	})
	return nil
}

func guardDescribeProducers(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.DescribeProducersRequest)
	var denied []kmsg.DescribeProducersRequestTopic
	req.Topics, denied = split(req.Topics, func(t *kmsg.DescribeProducersRequestTopic) bool { return c.allowed(acl.Read, acl.Topic, t.Topic) })
	amendWith(c, denied, func(resp *kmsg.DescribeProducersResponse, t *kmsg.DescribeProducersRequestTopic) {
		rt := kmsg.NewDescribeProducersResponseTopic()
		rt.Topic = t.Topic
		rt.Partitions = mapped(t.Partitions, func(index *int32) kmsg.DescribeProducersResponseTopicPartition {
			rp := kmsg.NewDescribeProducersResponseTopicPartition()
			rp.Partition, rp.ErrorCode, rp.ErrorMessage = *index, deniedTopic, message(kerr.TopicAuthorizationFailed)
			return rp
		})
		resp.Topics = append(resp.Topics, rt)
	})
	return nil
}

// guardDescribeTopicPartitions refuses topics that are named. Those of a client that asks
// for all are hidden while the pages are made, or a page would tell how many there are.
func guardDescribeTopicPartitions(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.DescribeTopicPartitionsRequest)
	var denied []kmsg.DescribeTopicPartitionsRequestTopic
	if len(req.Topics) > 0 {
		req.Topics, denied = split(req.Topics, func(t *kmsg.DescribeTopicPartitionsRequestTopic) bool {
			return c.allowed(acl.Describe, acl.Topic, t.Topic)
		})
	}
	c.amend(func(resp kmsg.Response) {
		r := resp.(*kmsg.DescribeTopicPartitionsResponse)
		for i := range r.Topics {
			if t := &r.Topics[i]; t.Topic != nil && t.ErrorCode != kerr.InvalidRequest.Code {
				t.AuthorizedOperations = c.operations(acl.Topic, *t.Topic)
			}
		}
	})
	if len(denied) > 0 && len(req.Topics) == 0 {
		// Nothing would mean everything.
		resp := kmsg.NewPtrDescribeTopicPartitionsResponse()
		for i := range denied {
			resp.Topics = append(resp.Topics, descriptionDenied(denied[i].Topic))
		}
		c.amendments = nil
		return resp
	}
	amendWith(c, denied, func(resp *kmsg.DescribeTopicPartitionsResponse, t *kmsg.DescribeTopicPartitionsRequestTopic) {
		resp.Topics = append(resp.Topics, descriptionDenied(t.Topic))
	})
	return nil
}

func descriptionDenied(name string) kmsg.DescribeTopicPartitionsResponseTopic {
	rt := kmsg.NewDescribeTopicPartitionsResponseTopic()
	rt.Topic, rt.ErrorCode, rt.AuthorizedOperations = &name, deniedTopic, noOperations
	return rt
}
