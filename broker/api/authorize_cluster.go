package api

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/security/acl"
)

// The guards of requests about the cluster as a whole, its brokers, and settings.

// rightsFor returns the resource on whose rights the settings of another one depend, and
// what is said to those who lack them.
func rightsFor(kind kmsg.ConfigResourceType, name string) (acl.ResourceType, string, *kerr.Error) {
	switch kind {
	case kmsg.ConfigResourceTypeTopic:
		return acl.Topic, name, kerr.TopicAuthorizationFailed
	case kmsg.ConfigResourceTypeGroupConfig:
		return acl.Group, name, kerr.GroupAuthorizationFailed
	case kmsg.ConfigResourceTypeBroker, kmsg.ConfigResourceTypeBrokerLogger, kmsg.ConfigResourceTypeClientMetrics:
		return acl.Cluster, acl.ClusterName, kerr.ClusterAuthorizationFailed
	default:
		return 0, "", nil // which is an error of its own
	}
}

// mayConfigure says why the client may not do op with the settings of a resource; nil: it
// may.
func (c *Call) mayConfigure(op acl.Operation, kind kmsg.ConfigResourceType, name string) *kerr.Error {
	resource, name, err := rightsFor(kind, name)
	if err == nil || c.allowed(op, resource, name) {
		return nil
	}
	return err
}

func guardDescribeConfigs(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.DescribeConfigsRequest)
	var answers []kmsg.DescribeConfigsResponseResource
	req.Resources, _ = split(req.Resources, func(r *kmsg.DescribeConfigsRequestResource) bool {
		err := c.mayConfigure(acl.DescribeConfigs, r.ResourceType, r.ResourceName)
		if err != nil {
			rr := kmsg.NewDescribeConfigsResponseResource()
			rr.ResourceType, rr.ResourceName, rr.ErrorCode, rr.ErrorMessage = r.ResourceType, r.ResourceName, err.Code, message(err)
			answers = append(answers, rr)
		}
		return err == nil
	})
	amendWith(c, answers, func(resp *kmsg.DescribeConfigsResponse, r *kmsg.DescribeConfigsResponseResource) {
		resp.Resources = append(resp.Resources, *r)
	})
	return nil
}

func guardAlterConfigs(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.AlterConfigsRequest)
	var answers []kmsg.AlterConfigsResponseResource
	req.Resources, _ = split(req.Resources, func(r *kmsg.AlterConfigsRequestResource) bool {
		err := c.mayConfigure(acl.AlterConfigs, r.ResourceType, r.ResourceName)
		if err != nil {
			rr := kmsg.NewAlterConfigsResponseResource()
			rr.ResourceType, rr.ResourceName, rr.ErrorCode, rr.ErrorMessage = r.ResourceType, r.ResourceName, err.Code, message(err)
			answers = append(answers, rr)
		}
		return err == nil
	})
	amendWith(c, answers, func(resp *kmsg.AlterConfigsResponse, r *kmsg.AlterConfigsResponseResource) {
		resp.Resources = append(resp.Resources, *r)
	})
	return nil
}

func guardIncrementalAlterConfigs(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.IncrementalAlterConfigsRequest)
	var answers []kmsg.IncrementalAlterConfigsResponseResource
	req.Resources, _ = split(req.Resources, func(r *kmsg.IncrementalAlterConfigsRequestResource) bool {
		err := c.mayConfigure(acl.AlterConfigs, r.ResourceType, r.ResourceName)
		if err != nil {
			rr := kmsg.NewIncrementalAlterConfigsResponseResource()
			rr.ResourceType, rr.ResourceName, rr.ErrorCode, rr.ErrorMessage = r.ResourceType, r.ResourceName, err.Code, message(err)
			answers = append(answers, rr)
		}
		return err == nil
	})
	amendWith(c, answers, func(resp *kmsg.IncrementalAlterConfigsResponse, r *kmsg.IncrementalAlterConfigsResponseResource) {
		resp.Resources = append(resp.Resources, *r)
	})
	return nil
}

func guardListConfigResources(c *Call) kmsg.Response {
	if c.allowedCluster(acl.DescribeConfigs) {
		return nil
	}
	resp := kmsg.NewPtrListConfigResourcesResponse()
	resp.ErrorCode = deniedCluster
	return resp
}

func guardAlterReplicaLogDirs(c *Call) kmsg.Response {
	if c.allowedCluster(acl.Alter) {
		return nil
	}
	resp := kmsg.NewPtrAlterReplicaLogDirsResponse()
	for _, d := range c.Request.(*kmsg.AlterReplicaLogDirsRequest).Dirs {
		for _, t := range d.Topics {
			rt := kmsg.NewAlterReplicaLogDirsResponseTopic()
			rt.Topic = t.Topic
			rt.Partitions = mapped(t.Partitions, func(index *int32) kmsg.AlterReplicaLogDirsResponseTopicPartition {
				rp := kmsg.NewAlterReplicaLogDirsResponseTopicPartition()
				rp.Partition, rp.ErrorCode = *index, deniedCluster
				return rp
			})
			resp.Topics = append(resp.Topics, rt)
		}
	}
	return resp
}

func guardDescribeLogDirs(c *Call) kmsg.Response {
	if c.allowedCluster(acl.Describe) {
		return nil
	}
	resp := kmsg.NewPtrDescribeLogDirsResponse()
	resp.ErrorCode = deniedCluster
	return resp
}

func guardElectLeaders(c *Call) kmsg.Response {
	if c.allowedCluster(acl.Alter) {
		return nil
	}
	resp := kmsg.NewPtrElectLeadersResponse()
	resp.ErrorCode = deniedCluster
	resp.Topics = mapped(c.Request.(*kmsg.ElectLeadersRequest).Topics, func(t *kmsg.ElectLeadersRequestTopic) kmsg.ElectLeadersResponseTopic {
		rt := kmsg.NewElectLeadersResponseTopic()
		rt.Topic = t.Topic
		rt.Partitions = mapped(t.Partitions, func(index *int32) kmsg.ElectLeadersResponseTopicPartition {
			rp := kmsg.NewElectLeadersResponseTopicPartition()
			rp.Partition, rp.ErrorCode, rp.ErrorMessage = *index, deniedCluster, message(kerr.ClusterAuthorizationFailed)
			return rp
		})
		return rt
	})
	return resp
}

func guardAlterPartitionReassignments(c *Call) kmsg.Response {
	if c.allowedCluster(acl.Alter) {
		return nil
	}
	req := c.Request.(*kmsg.AlterPartitionAssignmentsRequest)
	resp := kmsg.NewPtrAlterPartitionAssignmentsResponse()
	resp.AllowReplicationFactorChange = req.AllowReplicationFactorChange
	resp.ErrorCode, resp.ErrorMessage = deniedCluster, message(kerr.ClusterAuthorizationFailed)
	resp.Topics = mapped(req.Topics, func(t *kmsg.AlterPartitionAssignmentsRequestTopic) kmsg.AlterPartitionAssignmentsResponseTopic {
		rt := kmsg.NewAlterPartitionAssignmentsResponseTopic()
		rt.Topic = t.Topic
		rt.Partitions = mapped(t.Partitions, func(p *kmsg.AlterPartitionAssignmentsRequestTopicPartition) kmsg.AlterPartitionAssignmentsResponseTopicPartition {
			rp := kmsg.NewAlterPartitionAssignmentsResponseTopicPartition()
			rp.Partition, rp.ErrorCode, rp.ErrorMessage = p.Partition, deniedCluster, message(kerr.ClusterAuthorizationFailed)
			return rp
		})
		return rt
	})
	return resp
}

func guardListPartitionReassignments(c *Call) kmsg.Response {
	if c.allowedCluster(acl.Describe) {
		return nil
	}
	resp := kmsg.NewPtrListPartitionReassignmentsResponse()
	resp.ErrorCode, resp.ErrorMessage = deniedCluster, message(kerr.ClusterAuthorizationFailed)
	return resp
}

func guardDescribeQuorum(c *Call) kmsg.Response {
	if c.allowedCluster(acl.Describe) {
		return nil
	}
	resp := kmsg.NewPtrDescribeQuorumResponse()
	resp.ErrorCode, resp.ErrorMessage = deniedCluster, message(kerr.ClusterAuthorizationFailed)
	return resp
}

func guardUpdateFeatures(c *Call) kmsg.Response {
	if c.allowedCluster(acl.Alter) {
		return nil
	}
	resp := kmsg.NewPtrUpdateFeaturesResponse()
	resp.ErrorCode, resp.ErrorMessage = deniedCluster, message(kerr.ClusterAuthorizationFailed)
	return resp
}

// guardDescribeCluster refuses nobody: every client has to find the brokers.
func guardDescribeCluster(c *Call) kmsg.Response {
	if c.Request.(*kmsg.DescribeClusterRequest).IncludeClusterAuthorizedOperations {
		c.amend(func(resp kmsg.Response) {
			if r := resp.(*kmsg.DescribeClusterResponse); r.ErrorCode == 0 {
				r.ClusterAuthorizedOperations = c.clusterOperations()
			}
		})
	}
	return nil
}

func guardUnregisterBroker(c *Call) kmsg.Response {
	if c.allowedCluster(acl.Alter) {
		return nil
	}
	resp := kmsg.NewPtrUnregisterBrokerResponse()
	resp.ErrorCode, resp.ErrorMessage = deniedCluster, message(kerr.ClusterAuthorizationFailed)
	return resp
}

func guardAddRaftVoter(c *Call) kmsg.Response {
	if c.allowedCluster(acl.Alter) {
		return nil
	}
	resp := kmsg.NewPtrAddRaftVoterResponse()
	resp.ErrorCode, resp.ErrorMessage = deniedCluster, message(kerr.ClusterAuthorizationFailed)
	return resp
}

func guardRemoveRaftVoter(c *Call) kmsg.Response {
	if c.allowedCluster(acl.Alter) {
		return nil
	}
	resp := kmsg.NewPtrRemoveRaftVoterResponse()
	resp.ErrorCode, resp.ErrorMessage = deniedCluster, message(kerr.ClusterAuthorizationFailed)
	return resp
}
