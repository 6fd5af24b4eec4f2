package broker_test

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/security/acl"
	"github.com/tidelinehq/tideline/internal/record"
)

// Codes of what is denied.
const (
	topicDenied         = 29
	groupDenied         = 30
	clusterDenied       = 31
	transactionalDenied = 53
	tokenDenied         = 65
)

// need is what a request must have, in the order in which it is asked for: one of the
// rights, or the answer has the code.
type need struct {
	code   int16
	rights []right
}

// right is an operation on a kind of resource.
type right struct {
	kind acl.ResourceType
	op   acl.Operation
}

func needs(code int16, kind acl.ResourceType, op acl.Operation) need {
	return need{code, []right{{kind, op}}}
}

func (n need) or(kind acl.ResourceType, op acl.Operation) need {
	n.rights = append(n.rights, right{kind, op})
	return n
}

func topicNeed(op acl.Operation) need   { return needs(topicDenied, acl.Topic, op) }
func groupNeed(op acl.Operation) need   { return needs(groupDenied, acl.Group, op) }
func clusterNeed(op acl.Operation) need { return needs(clusterDenied, acl.Cluster, op) }
func transactionalNeed(op acl.Operation) need {
	return needs(transactionalDenied, acl.TransactionalID, op)
}

// row is one way to use an API key, and what it needs. A row that hides has an answer that
// has the name only for those who have all rights under sees, which are asked for after
// the needs.
type row struct {
	what    string
	version int16
	request func(w *authWorld) kmsg.Request
	needs   []need
	hides   string
	sees    []need
}

// authWorld is what the requests of the table are about: topics, groups and transactional ids
// whose names begin with t, g and x.
type authWorld struct {
	topic, missing string
	id             [16]byte
	group, txn     string
	member         string // of the client, for share sessions
}

func topicPartition32(w *authWorld) (string, []int32) { return w.topic, []int32{0} }

// authTable is every key that a broker answers, but for those that need no right.
var authTable = []row{
	{"Produce by name", 9, func(w *authWorld) kmsg.Request {
		return produceRequest(w.topic, 0, values(1, "a"))
	}, []need{topicNeed(acl.Write)}, "", nil},
	{"Produce by id", 13, func(w *authWorld) kmsg.Request {
		req := produceRequest("", 0, values(1, "a"))
		req.Version, req.Topics[0].TopicID = 13, w.id
		return req
	}, []need{topicNeed(acl.Write)}, "", nil},
	{"Produce in a transaction", 9, func(w *authWorld) kmsg.Request {
		req := produceRequest(w.topic, 0, build(record.Options{ProducerID: 77, Transactional: true}, record.Record{Value: []byte("a")}))
		req.TransactionID = &w.txn
		return req
	}, []need{transactionalNeed(acl.Write), topicNeed(acl.Write)}, "", nil},
	{"Fetch by name", 12, func(w *authWorld) kmsg.Request { return fetchRequest(12, at{topic: w.topic}) }, []need{topicNeed(acl.Read)}, "", nil},
	{"Fetch by id", 17, func(w *authWorld) kmsg.Request { return fetchRequest(17, at{id: w.id}) }, []need{topicNeed(acl.Read)}, "", nil},
	{"ListOffsets", 7, func(w *authWorld) kmsg.Request {
		req := kmsg.NewPtrListOffsetsRequest()
		p := kmsg.NewListOffsetsRequestTopicPartition()
		p.Timestamp = -1
		req.Topics = []kmsg.ListOffsetsRequestTopic{{Topic: w.topic, Partitions: []kmsg.ListOffsetsRequestTopicPartition{p}}}
		return req
	}, []need{topicNeed(acl.Describe)}, "", nil},
	{"Metadata by name", 9, func(w *authWorld) kmsg.Request { return metadataRequest(false, w.topic) }, []need{topicNeed(acl.Describe)}, "", nil},
	{"Metadata by name, version 0", 0, func(w *authWorld) kmsg.Request { return metadataRequest(false, w.topic) }, []need{topicNeed(acl.Describe)}, "", nil},
	{"Metadata by id", 12, func(w *authWorld) kmsg.Request {
		req := kmsg.NewPtrMetadataRequest()
		t := kmsg.NewMetadataRequestTopic()
		t.TopicID = w.id
		req.Topics = append(req.Topics, t)
		return req
	}, []need{topicNeed(acl.Describe)}, "", nil},
	{"Metadata of all topics", 9, func(*authWorld) kmsg.Request { return kmsg.NewPtrMetadataRequest() }, nil, "t-there", []need{topicNeed(acl.Describe)}},
	{"Metadata that creates", 9, func(w *authWorld) kmsg.Request { return metadataRequest(true, "t-made-for-"+w.member) },
		[]need{topicNeed(acl.Describe), needs(topicDenied, acl.Cluster, acl.Create).or(acl.Topic, acl.Create)}, "", nil},
	{"OffsetCommit by name", 9, offsetCommit, []need{groupNeed(acl.Read), topicNeed(acl.Read)}, "", nil},
	{"OffsetCommit by id", 10, offsetCommit, []need{groupNeed(acl.Read), topicNeed(acl.Read)}, "", nil},
	{"OffsetFetch of one group", 7, func(w *authWorld) kmsg.Request {
		req := kmsg.NewPtrOffsetFetchRequest()
		req.Group, req.Topics = w.group, []kmsg.OffsetFetchRequestTopic{{Topic: w.topic, Partitions: []int32{0}}}
		return req
	}, []need{groupNeed(acl.Describe), topicNeed(acl.Describe)}, "", nil},
	{"OffsetFetch of many groups", 9, func(w *authWorld) kmsg.Request {
		return offsetFetch(w, []kmsg.OffsetFetchRequestGroupTopic{{Topic: w.topic, Partitions: []int32{0}}})
	}, []need{groupNeed(acl.Describe), topicNeed(acl.Describe)}, "", nil},
	{"OffsetFetch by id", 10, func(w *authWorld) kmsg.Request {
		return offsetFetch(w, []kmsg.OffsetFetchRequestGroupTopic{{TopicID: w.id, Partitions: []int32{0}}})
	}, []need{groupNeed(acl.Describe), topicNeed(acl.Describe)}, "", nil},
	{"OffsetFetch of all topics", 9, func(w *authWorld) kmsg.Request { return offsetFetch(w, nil) },
		[]need{groupNeed(acl.Describe)}, "t-there", []need{topicNeed(acl.Describe)}},
	{"FindCoordinator of a group", 3, func(w *authWorld) kmsg.Request {
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.CoordinatorKey = w.group
		return req
	}, []need{groupNeed(acl.Describe)}, "", nil},
	{"FindCoordinator of groups", 6, func(w *authWorld) kmsg.Request { return findCoordinators(0, w.group) }, []need{groupNeed(acl.Describe)}, "", nil},
	{"FindCoordinator of transactional ids", 6, func(w *authWorld) kmsg.Request { return findCoordinators(1, w.txn) },
		[]need{transactionalNeed(acl.Describe)}, "", nil},
	{"FindCoordinator of share partitions", 6, func(w *authWorld) kmsg.Request { return findCoordinators(2, "no key") },
		[]need{clusterNeed(acl.ClusterAction)}, "", nil},
	{"JoinGroup", 9, func(*authWorld) kmsg.Request {
		req := kmsg.NewPtrJoinGroupRequest()
		req.Group, req.SessionTimeoutMillis, req.RebalanceTimeoutMillis, req.ProtocolType = "g-joined", 30_000, 30_000, "consumer"
		req.Protocols = []kmsg.JoinGroupRequestProtocol{{Name: "range"}}
		return req
	}, []need{groupNeed(acl.Read)}, "", nil},
	{"Heartbeat", 4, func(w *authWorld) kmsg.Request { return &kmsg.HeartbeatRequest{Group: w.group, MemberID: "m"} }, []need{groupNeed(acl.Read)}, "", nil},
	{"LeaveGroup", 5, func(w *authWorld) kmsg.Request {
		return &kmsg.LeaveGroupRequest{Group: w.group, Members: []kmsg.LeaveGroupRequestMember{{MemberID: "m"}}}
	}, []need{groupNeed(acl.Read)}, "", nil},
	{"SyncGroup", 5, func(w *authWorld) kmsg.Request {
		return &kmsg.SyncGroupRequest{Group: w.group, MemberID: "m", ProtocolType: kmsg.StringPtr("consumer"), Protocol: kmsg.StringPtr("range")}
	}, []need{groupNeed(acl.Read)}, "", nil},
	{"DescribeGroups", 5, func(w *authWorld) kmsg.Request { return &kmsg.DescribeGroupsRequest{Groups: []string{w.group}} }, []need{groupNeed(acl.Describe)}, "", nil},
	{"ListGroups", 5, func(*authWorld) kmsg.Request { return kmsg.NewPtrListGroupsRequest() }, nil, "g-there",
		[]need{needs(0, acl.Cluster, acl.Describe).or(acl.Group, acl.Describe)}},
	{"CreateTopics", 7, func(*authWorld) kmsg.Request {
		t := kmsg.NewCreateTopicsRequestTopic()
		t.Topic, t.NumPartitions, t.ReplicationFactor = "t-new", 1, 1
		return &kmsg.CreateTopicsRequest{Topics: []kmsg.CreateTopicsRequestTopic{t}, ValidateOnly: true, TimeoutMillis: 10_000}
	}, []need{
		// The topic's settings, which are part of the answer, want a right of their own.
		needs(topicDenied, acl.Cluster, acl.Create).or(acl.Topic, acl.Create), topicNeed(acl.DescribeConfigs),
	}, "", nil},
	{"DeleteTopics by name", 6, func(w *authWorld) kmsg.Request {
		return &kmsg.DeleteTopicsRequest{Topics: []kmsg.DeleteTopicsRequestTopic{{Topic: &w.missing}}, TimeoutMillis: 10_000}
	}, []need{needs(topicDenied, acl.Cluster, acl.Delete).or(acl.Topic, acl.Delete)}, "", nil},
	{"DeleteTopics, version 5", 5, func(w *authWorld) kmsg.Request {
		return &kmsg.DeleteTopicsRequest{TopicNames: []string{w.missing}, TimeoutMillis: 10_000}
	}, []need{needs(topicDenied, acl.Cluster, acl.Delete).or(acl.Topic, acl.Delete)}, "", nil},
	{"DeleteRecords", 2, func(w *authWorld) kmsg.Request {
		return &kmsg.DeleteRecordsRequest{Topics: []kmsg.DeleteRecordsRequestTopic{{Topic: w.topic, Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{}}}}, TimeoutMillis: 10_000}
	}, []need{topicNeed(acl.Delete)}, "", nil},
	{"InitProducerId", 4, func(*authWorld) kmsg.Request { return initProducer(nil) },
		[]need{needs(clusterDenied, acl.Cluster, acl.IdempotentWrite).or(acl.Topic, acl.Write)}, "", nil},
	{"InitProducerId of a transactional id", 4, func(w *authWorld) kmsg.Request { return initProducer(&w.txn) },
		[]need{transactionalNeed(acl.Write)}, "", nil},
	{"OffsetForLeaderEpoch", 4, func(w *authWorld) kmsg.Request {
		p := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
		return &kmsg.OffsetForLeaderEpochRequest{ReplicaID: -1, Topics: []kmsg.OffsetForLeaderEpochRequestTopic{{Topic: w.topic, Partitions: []kmsg.OffsetForLeaderEpochRequestTopicPartition{p}}}}
	}, []need{needs(topicDenied, acl.Cluster, acl.ClusterAction).or(acl.Topic, acl.Describe)}, "", nil},
	{"AddPartitionsToTxn", 3, func(w *authWorld) kmsg.Request {
		return &kmsg.AddPartitionsToTxnRequest{TransactionalID: w.txn, ProducerID: 77, Topics: []kmsg.AddPartitionsToTxnRequestTopic{{Topic: w.topic, Partitions: []int32{0}}}}
	}, []need{transactionalNeed(acl.Write), topicNeed(acl.Write)}, "", nil},
	{"AddPartitionsToTxn of brokers", 5, func(w *authWorld) kmsg.Request {
		return &kmsg.AddPartitionsToTxnRequest{Transactions: []kmsg.AddPartitionsToTxnRequestTransaction{{TransactionalID: w.txn, ProducerID: 77, VerifyOnly: true,
			Topics: []kmsg.AddPartitionsToTxnRequestTransactionTopic{{Topic: w.topic, Partitions: []int32{0}}}}}}
	}, []need{clusterNeed(acl.ClusterAction)}, "", nil},
	{"AddOffsetsToTxn", 4, func(w *authWorld) kmsg.Request {
		return &kmsg.AddOffsetsToTxnRequest{TransactionalID: w.txn, ProducerID: 77, Group: w.group}
	}, []need{transactionalNeed(acl.Write), groupNeed(acl.Read)}, "", nil},
	{"EndTxn", 5, func(w *authWorld) kmsg.Request { return &kmsg.EndTxnRequest{TransactionalID: w.txn, ProducerID: 77} },
		[]need{transactionalNeed(acl.Write)}, "", nil},
	{"WriteTxnMarkers", 1, func(w *authWorld) kmsg.Request {
		return &kmsg.WriteTxnMarkersRequest{Markers: []kmsg.WriteTxnMarkersRequestMarker{{ProducerID: 77, Topics: []kmsg.WriteTxnMarkersRequestMarkerTopic{{Topic: w.missing, Partitions: []int32{0}}}}}}
	}, []need{clusterNeed(acl.Alter).or(acl.Cluster, acl.ClusterAction)}, "", nil},
	{"TxnOffsetCommit", 4, func(w *authWorld) kmsg.Request {
		p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
		return &kmsg.TxnOffsetCommitRequest{TransactionalID: w.txn, Group: w.group, ProducerID: 77, Generation: -1,
			Topics: []kmsg.TxnOffsetCommitRequestTopic{{Topic: w.topic, Partitions: []kmsg.TxnOffsetCommitRequestTopicPartition{p}}}}
	}, []need{transactionalNeed(acl.Write), groupNeed(acl.Read), topicNeed(acl.Read)}, "", nil},
	{"DescribeAcls", 3, func(*authWorld) kmsg.Request {
		return &kmsg.DescribeACLsRequest{ResourceType: 1, ResourcePatternType: 1, Operation: 1, PermissionType: 1}
	}, []need{clusterNeed(acl.Describe)}, "", nil},
	{"CreateAcls", 3, func(*authWorld) kmsg.Request {
		return &kmsg.CreateACLsRequest{Creations: []kmsg.CreateACLsRequestCreation{{}}}
	}, []need{clusterNeed(acl.Alter)}, "", nil},
	{"DeleteAcls", 3, func(*authWorld) kmsg.Request {
		return &kmsg.DeleteACLsRequest{Filters: []kmsg.DeleteACLsRequestFilter{{}}}
	}, []need{clusterNeed(acl.Alter)}, "", nil},
	{"DescribeConfigs of a topic", 4, func(w *authWorld) kmsg.Request { return describeConfigsOf(kmsg.ConfigResourceTypeTopic, w.topic) },
		[]need{topicNeed(acl.DescribeConfigs)}, "", nil},
	{"DescribeConfigs of a group", 4, func(w *authWorld) kmsg.Request {
		return describeConfigsOf(kmsg.ConfigResourceTypeGroupConfig, w.group)
	},
		[]need{groupNeed(acl.DescribeConfigs)}, "", nil},
	{"DescribeConfigs of a broker", 4, func(*authWorld) kmsg.Request { return describeConfigsOf(kmsg.ConfigResourceTypeBroker, "1") },
		[]need{clusterNeed(acl.DescribeConfigs)}, "", nil},
	{"AlterConfigs of a topic", 2, func(w *authWorld) kmsg.Request { return alterConfigsOf(kmsg.ConfigResourceTypeTopic, w.topic) },
		[]need{topicNeed(acl.AlterConfigs)}, "", nil},
	{"AlterConfigs of a broker", 2, func(*authWorld) kmsg.Request { return alterConfigsOf(kmsg.ConfigResourceTypeBroker, "1") },
		[]need{clusterNeed(acl.AlterConfigs)}, "", nil},
	{"AlterReplicaLogDirs", 2, func(w *authWorld) kmsg.Request {
		return &kmsg.AlterReplicaLogDirsRequest{Dirs: []kmsg.AlterReplicaLogDirsRequestDir{{Dir: "/d", Topics: []kmsg.AlterReplicaLogDirsRequestDirTopic{{Topic: w.missing, Partitions: []int32{0}}}}}}
	}, []need{clusterNeed(acl.Alter)}, "", nil},
	{"DescribeLogDirs", 4, func(*authWorld) kmsg.Request { return kmsg.NewPtrDescribeLogDirsRequest() }, []need{clusterNeed(acl.Describe)}, "", nil},
	{"CreatePartitions", 3, func(w *authWorld) kmsg.Request {
		return &kmsg.CreatePartitionsRequest{Topics: []kmsg.CreatePartitionsRequestTopic{{Topic: w.topic, Count: 1}}, ValidateOnly: true, TimeoutMillis: 10_000}
	}, []need{topicNeed(acl.Alter)}, "", nil},
	{"CreateDelegationToken for somebody else", 3, func(*authWorld) kmsg.Request {
		req := kmsg.NewPtrCreateDelegationTokenRequest()
		req.OwnerPrincipalType, req.OwnerPrincipalName = kmsg.StringPtr("User"), kmsg.StringPtr("else")
		return req
	}, []need{needs(tokenDenied, acl.User, acl.CreateTokens)}, "", nil},
	{"DeleteGroups", 2, func(*authWorld) kmsg.Request { return &kmsg.DeleteGroupsRequest{Groups: []string{"g-missing"}} }, []need{groupNeed(acl.Delete)}, "", nil},
	{"ElectLeaders", 2, func(w *authWorld) kmsg.Request {
		return &kmsg.ElectLeadersRequest{Topics: []kmsg.ElectLeadersRequestTopic{{Topic: w.topic, Partitions: []int32{0}}}, TimeoutMillis: 10_000}
	}, []need{clusterNeed(acl.Alter)}, "", nil},
	{"IncrementalAlterConfigs of a topic", 1, func(w *authWorld) kmsg.Request { return incrementalOf(kmsg.ConfigResourceTypeTopic, w.topic) },
		[]need{topicNeed(acl.AlterConfigs)}, "", nil},
	{"IncrementalAlterConfigs of a group", 1, func(w *authWorld) kmsg.Request { return incrementalOf(kmsg.ConfigResourceTypeGroupConfig, w.group) },
		[]need{groupNeed(acl.AlterConfigs)}, "", nil},
	{"IncrementalAlterConfigs of a broker", 1, func(*authWorld) kmsg.Request { return incrementalOf(kmsg.ConfigResourceTypeBroker, "1") },
		[]need{clusterNeed(acl.AlterConfigs)}, "", nil},
	{"AlterPartitionReassignments", 0, func(w *authWorld) kmsg.Request {
		return &kmsg.AlterPartitionAssignmentsRequest{Topics: []kmsg.AlterPartitionAssignmentsRequestTopic{{Topic: w.missing, Partitions: []kmsg.AlterPartitionAssignmentsRequestTopicPartition{{}}}}, TimeoutMillis: 10_000}
	}, []need{clusterNeed(acl.Alter)}, "", nil},
	{"ListPartitionReassignments", 0, func(*authWorld) kmsg.Request { return kmsg.NewPtrListPartitionReassignmentsRequest() },
		[]need{clusterNeed(acl.Describe)}, "", nil},
	{"OffsetDelete", 0, func(w *authWorld) kmsg.Request {
		return &kmsg.OffsetDeleteRequest{Group: "g-missing", Topics: []kmsg.OffsetDeleteRequestTopic{{Topic: w.topic, Partitions: []kmsg.OffsetDeleteRequestTopicPartition{{}}}}}
	}, []need{groupNeed(acl.Delete), topicNeed(acl.Read)}, "", nil},
	{"DescribeClientQuotas", 1, func(*authWorld) kmsg.Request { return kmsg.NewPtrDescribeClientQuotasRequest() },
		[]need{clusterNeed(acl.DescribeConfigs)}, "", nil},
	{"AlterClientQuotas", 1, func(*authWorld) kmsg.Request {
		return &kmsg.AlterClientQuotasRequest{ValidateOnly: true, Entries: []kmsg.AlterClientQuotasRequestEntry{{Entity: []kmsg.AlterClientQuotasRequestEntryEntity{{Type: "user"}}}}}
	}, []need{clusterNeed(acl.AlterConfigs)}, "", nil},
	{"DescribeUserScramCredentials", 0, func(*authWorld) kmsg.Request { return kmsg.NewPtrDescribeUserSCRAMCredentialsRequest() },
		[]need{clusterNeed(acl.Describe)}, "", nil},
	{"AlterUserScramCredentials", 0, func(*authWorld) kmsg.Request {
		return &kmsg.AlterUserSCRAMCredentialsRequest{Deletions: []kmsg.AlterUserSCRAMCredentialsRequestDeletion{{Name: "nobody", Mechanism: 1}}}
	}, []need{clusterNeed(acl.Alter)}, "", nil},
	{"DescribeQuorum", 2, func(*authWorld) kmsg.Request {
		return &kmsg.DescribeQuorumRequest{Topics: []kmsg.DescribeQuorumRequestTopic{{Topic: "__cluster_metadata", Partitions: []kmsg.DescribeQuorumRequestTopicPartition{{}}}}}
	}, []need{clusterNeed(acl.Describe)}, "", nil},
	{"UpdateFeatures", 2, func(*authWorld) kmsg.Request {
		return &kmsg.UpdateFeaturesRequest{ValidateOnly: true, TimeoutMillis: 10_000}
	}, []need{clusterNeed(acl.Alter)}, "", nil},
	{"DescribeCluster", 2, func(*authWorld) kmsg.Request { return kmsg.NewPtrDescribeClusterRequest() }, nil, "", nil},
	{"DescribeProducers", 0, func(w *authWorld) kmsg.Request {
		return &kmsg.DescribeProducersRequest{Topics: []kmsg.DescribeProducersRequestTopic{{Topic: w.topic, Partitions: []int32{0}}}}
	}, []need{topicNeed(acl.Read)}, "", nil},
	{"UnregisterBroker", 0, func(*authWorld) kmsg.Request { return &kmsg.UnregisterBrokerRequest{BrokerID: 99} }, []need{clusterNeed(acl.Alter)}, "", nil},
	{"DescribeTransactions", 0, func(w *authWorld) kmsg.Request {
		return &kmsg.DescribeTransactionsRequest{TransactionalIDs: []string{w.txn}}
	}, []need{transactionalNeed(acl.Describe)}, "", nil},
	{"ListTransactions", 2, func(*authWorld) kmsg.Request { return kmsg.NewPtrListTransactionsRequest() }, nil, "x-there", []need{transactionalNeed(acl.Describe)}},
	{"ConsumerGroupHeartbeat", 1, func(w *authWorld) kmsg.Request {
		req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
		req.Group, req.MemberID, req.MemberEpoch, req.SubscribedTopicNames = "g-missing", "AAAAAAAAAAAAAAAAAAAAAA", 5, []string{w.topic}
		return req
	}, []need{groupNeed(acl.Read), topicNeed(acl.Describe)}, "", nil},
	{"ConsumerGroupDescribe", 1, func(w *authWorld) kmsg.Request { return &kmsg.ConsumerGroupDescribeRequest{Groups: []string{w.group}} },
		[]need{groupNeed(acl.Describe)}, "", nil},
	{"ListConfigResources", 1, func(*authWorld) kmsg.Request { return kmsg.NewPtrListConfigResourcesRequest() }, []need{clusterNeed(acl.DescribeConfigs)}, "", nil},
	{"DescribeTopicPartitions by name", 0, func(w *authWorld) kmsg.Request {
		return &kmsg.DescribeTopicPartitionsRequest{Topics: []kmsg.DescribeTopicPartitionsRequestTopic{{Topic: w.topic}}, ResponsePartitionLimit: 100}
	}, []need{topicNeed(acl.Describe)}, "", nil},
	{"DescribeTopicPartitions of all topics", 0, func(*authWorld) kmsg.Request {
		return &kmsg.DescribeTopicPartitionsRequest{ResponsePartitionLimit: 100}
	}, nil, "t-there", []need{topicNeed(acl.Describe)}},
	{"ShareGroupHeartbeat", 1, func(w *authWorld) kmsg.Request {
		return &kmsg.ShareGroupHeartbeatRequest{GroupID: "g-missing", MemberID: "AAAAAAAAAAAAAAAAAAAAAA", MemberEpoch: 5, SubscribedTopicNames: []string{w.topic}}
	}, []need{groupNeed(acl.Read), topicNeed(acl.Describe)}, "", nil},
	{"ShareGroupDescribe", 1, func(w *authWorld) kmsg.Request { return &kmsg.ShareGroupDescribeRequest{GroupIDs: []string{w.group}} },
		[]need{groupNeed(acl.Describe)}, "", nil},
	{"ShareFetch", 2, func(w *authWorld) kmsg.Request {
		req := kmsg.NewPtrShareFetchRequest()
		req.GroupID, req.MemberID, req.MaxBytes, req.MaxRecords = kmsg.StringPtr("g-share"), &w.member, 1<<20, 10
		req.Topics = []kmsg.ShareFetchRequestTopic{{TopicID: w.id, Partitions: []kmsg.ShareFetchRequestTopicPartition{{}}}}
		return req
	}, []need{groupNeed(acl.Read), topicNeed(acl.Read)}, "", nil},
	{"ShareAcknowledge", 2, func(w *authWorld) kmsg.Request {
		return &kmsg.ShareAcknowledgeRequest{GroupID: kmsg.StringPtr("g-other"), MemberID: &w.member, ShareSessionEpoch: 1}
	}, []need{groupNeed(acl.Read)}, "", nil},
	{"AddRaftVoter", 1, func(*authWorld) kmsg.Request {
		return &kmsg.AddRaftVoterRequest{ClusterID: kmsg.StringPtr("another"), VoterID: 9}
	},
		[]need{clusterNeed(acl.Alter)}, "", nil},
	{"RemoveRaftVoter", 0, func(*authWorld) kmsg.Request {
		return &kmsg.RemoveRaftVoterRequest{ClusterID: kmsg.StringPtr("another"), VoterID: 9}
	},
		[]need{clusterNeed(acl.Alter)}, "", nil},
	{"InitializeShareGroupState", 0, func(w *authWorld) kmsg.Request {
		return &kmsg.InitializeShareGroupStateRequest{GroupID: "g", Topics: []kmsg.InitializeShareGroupStateRequestTopic{{TopicID: [16]byte{1}, Partitions: []kmsg.InitializeShareGroupStateRequestTopicPartition{{}}}}}
	}, []need{clusterNeed(acl.ClusterAction)}, "", nil},
	{"ReadShareGroupState", 0, func(w *authWorld) kmsg.Request {
		return &kmsg.ReadShareGroupStateRequest{GroupID: "g", Topics: []kmsg.ReadShareGroupStateRequestTopic{{TopicID: [16]byte{1}, Partitions: []kmsg.ReadShareGroupStateRequestTopicPartition{{}}}}}
	}, []need{clusterNeed(acl.ClusterAction)}, "", nil},
	{"WriteShareGroupState", 0, func(w *authWorld) kmsg.Request {
		return &kmsg.WriteShareGroupStateRequest{GroupID: "g", Topics: []kmsg.WriteShareGroupStateRequestTopic{{TopicID: [16]byte{1}, Partitions: []kmsg.WriteShareGroupStateRequestTopicPartition{{}}}}}
	}, []need{clusterNeed(acl.ClusterAction)}, "", nil},
	{"DeleteShareGroupState", 0, func(w *authWorld) kmsg.Request {
		return &kmsg.DeleteShareGroupStateRequest{GroupID: "g", Topics: []kmsg.DeleteShareGroupStateRequestTopic{{TopicID: [16]byte{1}, Partitions: []kmsg.DeleteShareGroupStateRequestTopicPartition{{}}}}}
	}, []need{clusterNeed(acl.ClusterAction)}, "", nil},
	{"ReadShareGroupStateSummary", 0, func(w *authWorld) kmsg.Request {
		return &kmsg.ReadShareGroupStateSummaryRequest{GroupID: "g", Topics: []kmsg.ReadShareGroupStateSummaryRequestTopic{{TopicID: [16]byte{1}, Partitions: []kmsg.ReadShareGroupStateSummaryRequestTopicPartition{{}}}}}
	}, []need{clusterNeed(acl.ClusterAction)}, "", nil},
	{"StreamsGroupHeartbeat", 0, func(w *authWorld) kmsg.Request {
		req := kmsg.NewPtrStreamsGroupHeartbeatRequest()
		req.Group, req.MemberID, req.MemberEpoch = "g-missing", "AAAAAAAAAAAAAAAAAAAAAA", 5
		req.Topology = &kmsg.StreamsGroupHeartbeatRequestTopology{Subtopologies: []kmsg.StreamsGroupHeartbeatRequestTopologySubtopology{{SubtopologyID: "0", SourceTopics: []string{w.topic}}}}
		return req
	}, []need{groupNeed(acl.Read), topicNeed(acl.Describe)}, "", nil},
	{"StreamsGroupDescribe", 0, func(w *authWorld) kmsg.Request { return &kmsg.StreamsGroupDescribeRequest{Groups: []string{w.group}} },
		[]need{groupNeed(acl.Describe)}, "", nil},
	{"DescribeShareGroupOffsets", 1, func(w *authWorld) kmsg.Request {
		topic, partitions := topicPartition32(w)
		return &kmsg.DescribeShareGroupOffsetsRequest{Groups: []kmsg.DescribeShareGroupOffsetsRequestGroup{{GroupID: w.group, Topics: []kmsg.DescribeShareGroupOffsetsRequestGroupTopic{{Topic: topic, Partitions: partitions}}}}}
	}, []need{groupNeed(acl.Describe), topicNeed(acl.Describe)}, "", nil},
	{"AlterShareGroupOffsets", 0, func(w *authWorld) kmsg.Request {
		return &kmsg.AlterShareGroupOffsetsRequest{GroupID: "g-missing", Topics: []kmsg.AlterShareGroupOffsetsRequestTopic{{Topic: w.topic, Partitions: []kmsg.AlterShareGroupOffsetsRequestTopicPartition{{}}}}}
	}, []need{groupNeed(acl.Read), topicNeed(acl.Read)}, "", nil},
	{"DeleteShareGroupOffsets", 0, func(w *authWorld) kmsg.Request {
		return &kmsg.DeleteShareGroupOffsetsRequest{GroupID: "g-missing", Topics: []kmsg.DeleteShareGroupOffsetsRequestTopic{{Topic: w.topic}}}
	}, []need{groupNeed(acl.Delete), topicNeed(acl.Read)}, "", nil},
}

func metadataRequest(create bool, topic string) *kmsg.MetadataRequest {
	req := kmsg.NewPtrMetadataRequest()
	t := kmsg.NewMetadataRequestTopic()
	t.Topic = &topic
	req.Topics, req.AllowAutoTopicCreation = append(req.Topics, t), create
	return req
}

func offsetCommit(w *authWorld) kmsg.Request {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.Generation = w.group, -1
	p := kmsg.NewOffsetCommitRequestTopicPartition()
	req.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: w.topic, TopicID: w.id, Partitions: []kmsg.OffsetCommitRequestTopicPartition{p}}}
	return req
}

func offsetFetch(w *authWorld, topics []kmsg.OffsetFetchRequestGroupTopic) kmsg.Request {
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group, g.Topics = w.group, topics
	return &kmsg.OffsetFetchRequest{Groups: []kmsg.OffsetFetchRequestGroup{g}}
}

func findCoordinators(kind int8, key string) kmsg.Request {
	return &kmsg.FindCoordinatorRequest{CoordinatorType: kind, CoordinatorKeys: []string{key}}
}

func initProducer(id *string) kmsg.Request {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID, req.TransactionTimeoutMillis, req.ProducerID, req.ProducerEpoch = id, 60_000, -1, -1
	return req
}

func describeConfigsOf(kind kmsg.ConfigResourceType, name string) kmsg.Request {
	return &kmsg.DescribeConfigsRequest{Resources: []kmsg.DescribeConfigsRequestResource{{ResourceType: kind, ResourceName: name}}}
}

func alterConfigsOf(kind kmsg.ConfigResourceType, name string) kmsg.Request {
	return &kmsg.AlterConfigsRequest{Resources: []kmsg.AlterConfigsRequestResource{{ResourceType: kind, ResourceName: name}}, ValidateOnly: true}
}

func incrementalOf(kind kmsg.ConfigResourceType, name string) kmsg.Request {
	return &kmsg.IncrementalAlterConfigsRequest{Resources: []kmsg.IncrementalAlterConfigsRequestResource{{ResourceType: kind, ResourceName: name}}, ValidateOnly: true}
}
