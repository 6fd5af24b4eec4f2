package broker_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// TestEveryVersionAnswers sends every api key in every version that the broker
// says it has, and decodes the answers to their last byte.
func TestEveryVersionAnswers(t *testing.T) {
	n := newNode(t, map[string]string{"group.initial.rebalance.delay.ms": "0"})
	c := n.dial()
	id := c.create("a", 2, nil)
	c.mustProduce("a", 0, values(10, "x"))
	api := kmsg.NewPtrApiVersionsRequest()
	api.Version, api.ClientSoftwareName, api.ClientSoftwareVersion = 3, "test", "1"
	keys := do[*kmsg.ApiVersionsResponse](c, api).ApiKeys
	answered := 0
	for _, k := range keys {
		first := k.MinVersion
		if k.ApiKey == 0 {
			first = 3 // what is advertised below is not served, as in Kafka
		}
		for v := first; v <= k.MaxVersion; v++ {
			req := kmsg.RequestForKey(k.ApiKey)
			if req.MaxVersion() < v {
				t.Errorf("%s v%d is advertised and not known to kmsg", kmsg.NameForKey(k.ApiKey), v)
				continue
			}
			defaults(req)
			req.SetVersion(v)
			example(req, id)
			// Each on its own connection: one that is closed instead is seen at once.
			if resp, err := n.dial().try(req); err != nil {
				t.Errorf("%s v%d: %v", kmsg.NameForKey(k.ApiKey), v, err)
			} else if resp.Key() != k.ApiKey {
				t.Errorf("%s v%d: answer of another kind", kmsg.NameForKey(k.ApiKey), v)
			}
			answered++
		}
	}
	if answered < 150 {
		t.Errorf("only %d versions", answered)
	}
}

func defaults(req kmsg.Request) {
	if d, ok := req.(interface{ Default() }); ok {
		d.Default()
	}
}

// example fills a request so that its answer has something of everything.
func example(req kmsg.Request, id [16]byte) {
	topic, version := "a", req.GetVersion()
	group := "g" + string(rune('a'+version))
	switch r := req.(type) {
	case *kmsg.ProduceRequest:
		full := produceRequest(topic, 0, values(10, "x"))
		r.Acks, r.TimeoutMillis, r.Topics = -1, 1000, full.Topics
		r.Topics[0].TopicID = id
		missing := full.Topics[0]
		missing.Topic, missing.TopicID = "nix", [16]byte{9}
		r.Topics = append(r.Topics, missing)
	case *kmsg.FetchRequest:
		full := fetchRequest(version, at{topic: topic, id: id}, at{topic: "nix", id: [16]byte{9}}, at{topic: topic, id: id, offset: 1000})
		*r = *full
	case *kmsg.ListOffsetsRequest:
		for _, ts := range []int64{-1, -2, 5} {
			t := kmsg.NewListOffsetsRequestTopic()
			t.Topic = topic
			p := kmsg.NewListOffsetsRequestTopicPartition()
			p.Timestamp, p.Partition = ts, int32(ts+2)
			t.Partitions = append(t.Partitions, p)
			r.Topics = append(r.Topics, t)
		}
	case *kmsg.MetadataRequest:
		for _, name := range []string{topic, "nix", "not a name"} {
			t := kmsg.NewMetadataRequestTopic()
			t.Topic = &name
			r.Topics = append(r.Topics, t)
		}
	case *kmsg.OffsetCommitRequest:
		r.Group, r.Generation = group, -1
		t := kmsg.NewOffsetCommitRequestTopic()
		t.Topic, t.TopicID = topic, id
		t.Partitions = append(t.Partitions, kmsg.NewOffsetCommitRequestTopicPartition())
		r.Topics = append(r.Topics, t)
	case *kmsg.OffsetFetchRequest:
		r.Group = group
		g := kmsg.NewOffsetFetchRequestGroup()
		g.Group = group
		r.Groups = append(r.Groups, g)
	case *kmsg.FindCoordinatorRequest:
		r.CoordinatorKey, r.CoordinatorKeys = group, []string{group, "h"}
	case *kmsg.JoinGroupRequest:
		r.Group, r.ProtocolType, r.SessionTimeoutMillis, r.RebalanceTimeoutMillis = group, "consumer", 10_000, 1000
		p := kmsg.NewJoinGroupRequestProtocol()
		p.Name, p.Metadata = "range", []byte{0}
		r.Protocols = append(r.Protocols, p)
	case *kmsg.HeartbeatRequest:
		r.Group, r.MemberID = group, "m"
	case *kmsg.LeaveGroupRequest:
		r.Group, r.MemberID = group, "m"
		m := kmsg.NewLeaveGroupRequestMember()
		m.MemberID = "m"
		r.Members = append(r.Members, m)
	case *kmsg.SyncGroupRequest:
		r.Group, r.MemberID = group, "m"
	case *kmsg.DescribeGroupsRequest:
		r.Groups = []string{group, "nix"}
	case *kmsg.ConsumerGroupHeartbeatRequest:
		r.Group, r.MemberID, r.RebalanceTimeoutMillis = "consumer", "m"+string(rune('a'+version)), 60_000
		r.SubscribedTopicNames, r.Topics = []string{topic}, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	case *kmsg.ConsumerGroupDescribeRequest:
		r.Groups = []string{"consumer", "nix"}
	case *kmsg.StreamsGroupHeartbeatRequest:
		r.Group, r.MemberID, r.RebalanceTimeoutMillis = "streams", "m", 60_000
		s := kmsg.NewStreamsGroupHeartbeatRequestTopologySubtopology()
		s.SubtopologyID, s.SourceTopics = "0", []string{topic}
		top := kmsg.NewStreamsGroupHeartbeatRequestTopology()
		top.Subtopologies = append(top.Subtopologies, s)
		r.Topology, r.ProcessID = &top, &r.MemberID
		e := kmsg.NewStreamsGroupHeartbeatRequestUserEndpoint()
		r.UserEndpoint = &e
		r.ActiveTasks, r.StandbyTasks, r.WarmupTasks = []kmsg.TaskIDs{}, []kmsg.TaskIDs{}, []kmsg.TaskIDs{}
	case *kmsg.StreamsGroupDescribeRequest:
		r.Groups = []string{"streams", "nix"}
	case *kmsg.ApiVersionsRequest:
		r.ClientSoftwareName, r.ClientSoftwareVersion = "test", "1"
	case *kmsg.CreateTopicsRequest:
		for _, name := range []string{"made" + string(rune('a'+version)), topic} {
			t := kmsg.NewCreateTopicsRequestTopic()
			t.Topic, t.NumPartitions, t.ReplicationFactor = name, 1, 1
			r.Topics = append(r.Topics, t)
		}
	case *kmsg.DeleteTopicsRequest:
		name := "made" + string(rune('a'+version))
		r.TopicNames = []string{name, "nix"}
		t := kmsg.NewDeleteTopicsRequestTopic()
		t.Topic = &name
		r.Topics = append(r.Topics, t)
	case *kmsg.DeleteRecordsRequest:
		t := kmsg.NewDeleteRecordsRequestTopic()
		t.Topic = topic
		t.Partitions = append(t.Partitions, kmsg.NewDeleteRecordsRequestTopicPartition())
		r.Topics = append(r.Topics, t)
	case *kmsg.OffsetForLeaderEpochRequest:
		r.ReplicaID = -1
		t := kmsg.NewOffsetForLeaderEpochRequestTopic()
		t.Topic = topic
		t.Partitions = append(t.Partitions, kmsg.NewOffsetForLeaderEpochRequestTopicPartition())
		r.Topics = append(r.Topics, t)
	case *kmsg.DescribeConfigsRequest:
		r.IncludeSynonyms, r.IncludeDocumentation = true, true
		for kind, name := range map[kmsg.ConfigResourceType]string{kmsg.ConfigResourceTypeTopic: topic, kmsg.ConfigResourceTypeBroker: "1"} {
			res := kmsg.NewDescribeConfigsRequestResource()
			res.ResourceType, res.ResourceName = kind, name
			r.Resources = append(r.Resources, res)
		}
	case *kmsg.AlterConfigsRequest:
		res := kmsg.NewAlterConfigsRequestResource()
		res.ResourceType, res.ResourceName = kmsg.ConfigResourceTypeTopic, topic
		kv := kmsg.NewAlterConfigsRequestResourceConfig()
		kv.Name, kv.Value = "retention.bytes", kmsg.StringPtr("100000")
		res.Configs = append(res.Configs, kv)
		r.Resources = append(r.Resources, res)
	case *kmsg.AlterReplicaLogDirsRequest:
		t := kmsg.NewAlterReplicaLogDirsRequestDirTopic()
		t.Topic, t.Partitions = topic, []int32{0, 9}
		d := kmsg.NewAlterReplicaLogDirsRequestDir()
		d.Dir, d.Topics = "/nowhere", append(d.Topics, t)
		r.Dirs = append(r.Dirs, d)
	case *kmsg.ListConfigResourcesRequest:
		r.ResourceTypes = []int8{16}
	case *kmsg.CreatePartitionsRequest:
		t := kmsg.NewCreatePartitionsRequestTopic()
		t.Topic, t.Count = topic, int32(3+version)
		r.Topics = append(r.Topics, t)
	case *kmsg.DeleteGroupsRequest:
		r.Groups = []string{"nix"}
	case *kmsg.IncrementalAlterConfigsRequest:
		res := kmsg.NewIncrementalAlterConfigsRequestResource()
		res.ResourceType, res.ResourceName = kmsg.ConfigResourceTypeTopic, topic
		kv := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		kv.Name, kv.Value = "retention.bytes", kmsg.StringPtr("100000")
		res.Configs = append(res.Configs, kv)
		r.Resources = append(r.Resources, res)
	case *kmsg.OffsetDeleteRequest:
		r.Group = "nix"
	case *kmsg.ElectLeadersRequest:
		t := kmsg.NewElectLeadersRequestTopic()
		t.Topic, t.Partitions = topic, []int32{0, 9}
		r.Topics = append(r.Topics, t)
	case *kmsg.AlterPartitionAssignmentsRequest:
		t := kmsg.NewAlterPartitionAssignmentsRequestTopic()
		t.Topic = topic
		for i, replicas := range [][]int32{{1}, nil, {9}} {
			p := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
			p.Partition, p.Replicas = int32(i), replicas
			t.Partitions = append(t.Partitions, p)
		}
		r.Topics = append(r.Topics, t)
	case *kmsg.DescribeQuorumRequest:
		t := kmsg.NewDescribeQuorumRequestTopic()
		t.Topic = "__cluster_metadata"
		t.Partitions = append(t.Partitions, kmsg.NewDescribeQuorumRequestTopicPartition())
		r.Topics = append(r.Topics, t)
	case *kmsg.UpdateFeaturesRequest:
		f := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
		f.Feature, f.MaxVersionLevel = "no.such.feature", 1
		r.FeatureUpdates = append(r.FeatureUpdates, f)
	case *kmsg.UnregisterBrokerRequest:
		r.BrokerID = 9
	case *kmsg.AddRaftVoterRequest:
		r.VoterID = 9
		l := kmsg.NewAddRaftVoterRequestListener()
		l.Name, l.Host, l.Port = "CONTROLLER", "localhost", 9093
		r.Listeners = append(r.Listeners, l)
	case *kmsg.RemoveRaftVoterRequest:
		r.VoterID = 9
	case *kmsg.DescribeTopicPartitionsRequest:
		for _, name := range []string{topic, "nix"} {
			t := kmsg.NewDescribeTopicPartitionsRequestTopic()
			t.Topic = name
			r.Topics = append(r.Topics, t)
		}
		r.ResponsePartitionLimit = 1
	}
}
