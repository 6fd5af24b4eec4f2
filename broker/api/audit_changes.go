package api

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/security/acl"
)

// noteChanges writes down what a request changed in the cluster, by its answer. What was
// denied has been written down as that; bindings are by those who change them, for their
// answer does not say what they are.
func (c *Call) noteChanges(resp kmsg.Response) {
	if c.API.Audit == nil || c.raw == nil {
		return
	}
	eachChange(c.Request, resp, func(resource string, code int16) {
		switch code {
		case deniedTopic, deniedGroup, deniedCluster, deniedTransactional, kerr.DelegationTokenAuthorizationFailed.Code:
		default:
			c.noteChange(resource, kerr.ErrorForCode(code))
		}
	})
}

// eachChange shows what a request changed, and the error where it did not. Requests that only
// try, and those that change nothing but records and what groups do all the time, have none.
func eachChange(req kmsg.Request, resp kmsg.Response, note func(resource string, code int16)) {
	topic := func(name string, code int16) { note(acl.Topic.String()+":"+name, code) }
	group := func(name string, code int16) { note(acl.Group.String()+":"+name, code) }
	switch r := resp.(type) {
	case *kmsg.CreateTopicsResponse:
		if q, ok := req.(*kmsg.CreateTopicsRequest); ok && q.ValidateOnly {
			return
		}
		for i := range r.Topics {
			topic(r.Topics[i].Topic, r.Topics[i].ErrorCode)
		}
	case *kmsg.DeleteTopicsResponse:
		for i := range r.Topics {
			if t := &r.Topics[i]; t.Topic != nil {
				topic(*t.Topic, t.ErrorCode)
			}
		}
	case *kmsg.CreatePartitionsResponse:
		if q, ok := req.(*kmsg.CreatePartitionsRequest); ok && q.ValidateOnly {
			return
		}
		for i := range r.Topics {
			topic(r.Topics[i].Topic, r.Topics[i].ErrorCode)
		}
	case *kmsg.DeleteRecordsResponse:
		for i := range r.Topics {
			topic(r.Topics[i].Topic, firstCode(r.Topics[i].Partitions, func(p *kmsg.DeleteRecordsResponseTopicPartition) int16 { return p.ErrorCode }))
		}
	case *kmsg.AlterPartitionAssignmentsResponse:
		for i := range r.Topics {
			topic(r.Topics[i].Topic, firstCode(r.Topics[i].Partitions, func(p *kmsg.AlterPartitionAssignmentsResponseTopicPartition) int16 { return p.ErrorCode }))
		}
	case *kmsg.ElectLeadersResponse:
		for i := range r.Topics {
			topic(r.Topics[i].Topic, firstCode(r.Topics[i].Partitions, func(p *kmsg.ElectLeadersResponseTopicPartition) int16 { return p.ErrorCode }))
		}
	case *kmsg.AlterConfigsResponse:
		if q, ok := req.(*kmsg.AlterConfigsRequest); ok && q.ValidateOnly {
			return
		}
		for i := range r.Resources {
			note(configText(r.Resources[i].ResourceType, r.Resources[i].ResourceName), r.Resources[i].ErrorCode)
		}
	case *kmsg.IncrementalAlterConfigsResponse:
		if q, ok := req.(*kmsg.IncrementalAlterConfigsRequest); ok && q.ValidateOnly {
			return
		}
		for i := range r.Resources {
			note(configText(r.Resources[i].ResourceType, r.Resources[i].ResourceName), r.Resources[i].ErrorCode)
		}
	case *kmsg.DeleteGroupsResponse:
		for i := range r.Groups {
			group(r.Groups[i].Group, r.Groups[i].ErrorCode)
		}
	default:
		eachClusterChange(req, resp, note)
	}
}

// eachClusterChange is the part of eachChange that is about offsets of groups, users and the cluster.
func eachClusterChange(req kmsg.Request, resp kmsg.Response, note func(resource string, code int16)) {
	switch r := resp.(type) {
	case *kmsg.OffsetDeleteResponse:
		if q, ok := req.(*kmsg.OffsetDeleteRequest); ok {
			note(acl.Group.String()+":"+q.Group, r.ErrorCode)
		}
	case *kmsg.AlterShareGroupOffsetsResponse:
		if q, ok := req.(*kmsg.AlterShareGroupOffsetsRequest); ok {
			note(acl.Group.String()+":"+q.GroupID, r.ErrorCode)
		}
	case *kmsg.DeleteShareGroupOffsetsResponse:
		if q, ok := req.(*kmsg.DeleteShareGroupOffsetsRequest); ok {
			note(acl.Group.String()+":"+q.GroupID, r.ErrorCode)
		}
	case *kmsg.AlterClientQuotasResponse:
		if q, ok := req.(*kmsg.AlterClientQuotasRequest); ok && q.ValidateOnly {
			return
		}
		for i := range r.Entries {
			note(quotaText(r.Entries[i].Entity), r.Entries[i].ErrorCode)
		}
	case *kmsg.AlterUserSCRAMCredentialsResponse:
		for i := range r.Results {
			note(acl.User.String()+":"+r.Results[i].User, r.Results[i].ErrorCode)
		}
	case *kmsg.CreateDelegationTokenResponse:
		note(acl.DelegationToken.String()+":"+r.TokenID, r.ErrorCode)
	case *kmsg.RenewDelegationTokenResponse:
		note(acl.DelegationToken.String(), r.ErrorCode)
	case *kmsg.ExpireDelegationTokenResponse:
		note(acl.DelegationToken.String(), r.ErrorCode)
	case *kmsg.UpdateFeaturesResponse:
		if q, ok := req.(*kmsg.UpdateFeaturesRequest); ok && q.ValidateOnly {
			return
		}
		note(acl.Cluster.String()+":"+acl.ClusterName, r.ErrorCode)
	case *kmsg.UnregisterBrokerResponse:
		note(acl.Cluster.String()+":"+acl.ClusterName, r.ErrorCode)
	case *kmsg.AddRaftVoterResponse:
		note(acl.Cluster.String()+":"+acl.ClusterName, r.ErrorCode)
	case *kmsg.RemoveRaftVoterResponse:
		note(acl.Cluster.String()+":"+acl.ClusterName, r.ErrorCode)
	}
}

// firstCode is the first error among partitions: one line tells of a topic.
func firstCode[P any](partitions []P, code func(*P) int16) int16 {
	for i := range partitions {
		if c := code(&partitions[i]); c != 0 {
			return c
		}
	}
	return 0
}

// configText names whose settings were changed.
func configText(kind kmsg.ConfigResourceType, name string) string {
	return "config:" + strings.ToLower(kind.String()) + ":" + name
}

// quotaText names whose quotas were changed.
func quotaText(entity []kmsg.AlterClientQuotasResponseEntryEntity) string {
	text := "quota"
	for i := range entity {
		name := "<default>"
		if entity[i].Name != nil {
			name = *entity[i].Name
		}
		text += ":" + entity[i].Type + "=" + name
	}
	return text
}
