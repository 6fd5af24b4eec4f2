package api

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/metadata"
)

// API keys, by Kafka's names.
const (
	keyProduce                     = 0
	keyFetch                       = 1
	keyListOffsets                 = 2
	keyMetadata                    = 3
	keyOffsetCommit                = 8
	keyOffsetFetch                 = 9
	keyFindCoordinator             = 10
	keyJoinGroup                   = 11
	keyHeartbeat                   = 12
	keyLeaveGroup                  = 13
	keySyncGroup                   = 14
	keyDescribeGroups              = 15
	keyListGroups                  = 16
	keySASLHandshake               = 17
	keyApiVersions                 = 18
	keyCreateTopics                = 19
	keyDeleteTopics                = 20
	keyDeleteRecords               = 21
	keyInitProducerID              = 22
	keyOffsetForLeaderEpoch        = 23
	keyAddPartitionsToTxn          = 24
	keyAddOffsetsToTxn             = 25
	keyEndTxn                      = 26
	keyWriteTxnMarkers             = 27
	keyTxnOffsetCommit             = 28
	keyDescribeACLs                = 29
	keyCreateACLs                  = 30
	keyDeleteACLs                  = 31
	keyDescribeConfigs             = 32
	keyAlterConfigs                = 33
	keyAlterReplicaLogDirs         = 34
	keyDescribeLogDirs             = 35
	keySASLAuthenticate            = 36
	keyCreatePartitions            = 37
	keyCreateDelegationToken       = 38
	keyRenewDelegationToken        = 39
	keyExpireDelegationToken       = 40
	keyDescribeDelegationToken     = 41
	keyDeleteGroups                = 42
	keyElectLeaders                = 43
	keyIncrementalAlterConfigs     = 44
	keyAlterPartitionReassignments = 45
	keyListPartitionReassignments  = 46
	keyOffsetDelete                = 47
	keyDescribeClientQuotas        = 48
	keyAlterClientQuotas           = 49
	keyDescribeUserScram           = 50
	keyAlterUserScram              = 51
	keyDescribeQuorum              = 55
	keyUpdateFeatures              = 57
	keyDescribeCluster             = 60
	keyDescribeProducers           = 61
	keyUnregisterBroker            = 64
	keyDescribeTransactions        = 65
	keyListTransactions            = 66
	keyConsumerGroupHeartbeat      = 68
	keyConsumerGroupDescribe       = 69
	keyGetTelemetrySubscriptions   = 71
	keyPushTelemetry               = 72
	keyListConfigResources         = 74
	keyDescribeTopicPartitions     = 75
	keyShareGroupHeartbeat         = 76
	keyShareGroupDescribe          = 77
	keyShareFetch                  = 78
	keyShareAcknowledge            = 79
	keyAddRaftVoter                = 80
	keyRemoveRaftVoter             = 81
	keyInitializeShareGroupState   = 83
	keyReadShareGroupState         = 84
	keyWriteShareGroupState        = 85
	keyDeleteShareGroupState       = 86
	keyReadShareGroupStateSummary  = 87
	keyStreamsGroupHeartbeat       = 88
	keyStreamsGroupDescribe        = 89
	keyDescribeShareGroupOffsets   = 90
	keyAlterShareGroupOffsets      = 91
	keyDeleteShareGroupOffsets     = 92
)

// entry is one API key that the broker serves.
type entry struct {
	key      int16
	min, max int16
	handle   handler
	// inline handlers neither wait nor read a disk: they run on the connection's
	// goroutine.
	inline bool
	// current handlers change the metadata: they decide by an image that has all that
	// was committed before the request, by whichever broker, or they would refuse what a
	// client has just made possible.
	current bool
	// peers: brokers may ask each other; see API.Ask.
	peers bool
	// answer is how many bytes, decoded and encoded, an element of the request may
	// add to the response, where that is far more than the element itself has.
	answer int64
	// whole is how many bytes the answer may take where a small request can ask for all
	// that there is; nil: no more than the request says.
	whole func(m *metadata.Image) int64
	// advertisedMin is what ApiVersions says instead of min, where that differs.
	advertisedMin *int16
}

// produceAdvertisedMin: librdkafka compresses only for brokers that advertise
// Produce v0, so Apache Kafka 4 goes on advertising what it does not serve, and
// so does this broker (KAFKA-18659). A request below min is refused all the same.
var produceAdvertisedMin = int16(0)

// table is every key that the broker serves, ascending; filled by init because
// handlers refer to it.
var table []entry

func init() {
	table = []entry{
		{key: keyProduce, min: 3, max: 13, advertisedMin: &produceAdvertisedMin},
		{key: keyFetch, min: 4, max: 18},
		{key: keyListOffsets, min: 1, max: 11, handle: listOffsets, peers: true},
		{key: keyMetadata, min: 0, max: 13, handle: metadataTopics},
		{key: keyOffsetCommit, min: 2, max: 10, handle: toGroups, inline: true},
		{key: keyOffsetFetch, min: 1, max: 10, handle: toGroups, inline: true},
		{key: keyFindCoordinator, min: 0, max: 6, handle: findCoordinator},
		{key: keyJoinGroup, min: 0, max: 9, handle: toGroups, inline: true},
		{key: keyHeartbeat, min: 0, max: 4, handle: toGroups, inline: true},
		{key: keyLeaveGroup, min: 0, max: 5, handle: toGroups, inline: true},
		{key: keySyncGroup, min: 0, max: 5, handle: toGroups, inline: true},
		{key: keyDescribeGroups, min: 0, max: 6, handle: toGroups, inline: true},
		{key: keyListGroups, min: 0, max: 5, handle: toGroups, inline: true},
		{key: keySASLHandshake, min: 0, max: 1, handle: saslHandshake, inline: true},
		{key: keyApiVersions, min: 0, max: 4, handle: apiVersions, inline: true},
		{key: keyCreateTopics, min: 2, max: 7, handle: createTopics, current: true, answer: 12 << 10},
		{key: keyDeleteTopics, min: 1, max: 6, handle: deleteTopics, current: true},
		{key: keyDeleteRecords, min: 0, max: 2, handle: deleteRecords},
		{key: keyInitProducerID, min: 0, max: 5, handle: initProducerID},
		{key: keyOffsetForLeaderEpoch, min: 2, max: 4, handle: offsetForLeaderEpoch, inline: true},
		{key: keyAddPartitionsToTxn, min: 0, max: 5, handle: addPartitionsToTxn, inline: true, peers: true},
		{key: keyAddOffsetsToTxn, min: 0, max: 4, handle: toTransactions, inline: true},
		{key: keyEndTxn, min: 0, max: 5, handle: toTransactions, inline: true},
		{key: keyWriteTxnMarkers, min: 1, max: 2, handle: writeTxnMarkers, peers: true, answer: 1 << 10},
		{key: keyTxnOffsetCommit, min: 0, max: 5, handle: txnOffsetCommit},
		{key: keyDescribeACLs, min: 1, max: 3, handle: describeACLs, whole: allACLs},
		{key: keyCreateACLs, min: 1, max: 3, handle: createACLs, current: true, answer: 1 << 10},
		{key: keyDeleteACLs, min: 1, max: 3, handle: deleteACLs, current: true, answer: 64 << 10},
		{key: keyDescribeConfigs, min: 1, max: 4, handle: describeConfigs, inline: true, answer: 32 << 10},
		{key: keyAlterConfigs, min: 0, max: 2, handle: alterConfigs, current: true},
		{key: keyAlterReplicaLogDirs, min: 1, max: 2, handle: alterReplicaLogDirs, inline: true},
		{key: keyDescribeLogDirs, min: 1, max: 5, handle: describeLogDirs},
		{key: keySASLAuthenticate, min: 0, max: 2, handle: saslAuthenticate, inline: true},
		{key: keyCreatePartitions, min: 0, max: 3, handle: createPartitions, current: true},
		{key: keyCreateDelegationToken, min: 1, max: 3, handle: createDelegationToken, current: true},
		{key: keyRenewDelegationToken, min: 1, max: 2, handle: renewDelegationToken, current: true},
		{key: keyExpireDelegationToken, min: 1, max: 2, handle: expireDelegationToken, current: true},
		{key: keyDescribeDelegationToken, min: 1, max: 3, handle: describeDelegationToken, whole: allTokens},
		{key: keyDeleteGroups, min: 0, max: 2, handle: toGroups, inline: true},
		{key: keyElectLeaders, min: 0, max: 2, handle: electLeaders, current: true, answer: 1 << 10},
		{key: keyIncrementalAlterConfigs, min: 0, max: 1, handle: incrementalAlterConfigs, current: true},
		{key: keyAlterPartitionReassignments, min: 0, max: 1, handle: alterPartitionReassignments, current: true, answer: 1 << 10},
		{key: keyListPartitionReassignments, min: 0, max: 0, handle: listPartitionReassignments},
		{key: keyOffsetDelete, min: 0, max: 0, handle: toGroups, inline: true},
		{key: keyDescribeClientQuotas, min: 0, max: 1, handle: describeClientQuotas, whole: allQuotas},
		{key: keyAlterClientQuotas, min: 0, max: 1, handle: alterClientQuotas, current: true},
		{key: keyDescribeUserScram, min: 0, max: 0, handle: describeUserScramCredentials, whole: allScram},
		{key: keyAlterUserScram, min: 0, max: 0, handle: alterUserScramCredentials, current: true, answer: 1 << 10},
		{key: keyDescribeQuorum, min: 0, max: 2, handle: atLeader(describeQuorum, refuseQuorum), peers: true},
		{key: keyUpdateFeatures, min: 0, max: 2, handle: updateFeatures, current: true},
		{key: keyDescribeCluster, min: 0, max: 2, handle: describeCluster, inline: true},
		{key: keyDescribeProducers, min: 0, max: 0, handle: describeProducers, answer: 64 << 10},
		{key: keyUnregisterBroker, min: 0, max: 0, handle: unregisterBroker, current: true},
		{key: keyDescribeTransactions, min: 0, max: 0, handle: toTransactions, inline: true, answer: 1 << 10},
		{key: keyListTransactions, min: 0, max: 2, handle: toTransactions, inline: true},
		{key: keyConsumerGroupHeartbeat, min: 0, max: 1, handle: toGroups, inline: true},
		{key: keyConsumerGroupDescribe, min: 0, max: 1, handle: toGroups, inline: true},
		{key: keyGetTelemetrySubscriptions, min: 0, max: 0, handle: getTelemetrySubscriptions},
		{key: keyPushTelemetry, min: 0, max: 0, handle: pushTelemetry},
		{key: keyListConfigResources, min: 0, max: 1, handle: listConfigResources},
		{key: keyDescribeTopicPartitions, min: 0, max: 0, handle: describeTopicPartitions},
		{key: keyShareGroupHeartbeat, min: 1, max: 1, handle: toGroups, inline: true},
		{key: keyShareGroupDescribe, min: 1, max: 1, handle: toGroups, inline: true},
		{key: keyShareFetch, min: 1, max: 2, handle: shareFetch, inline: true},
		{key: keyShareAcknowledge, min: 1, max: 2, handle: shareAcknowledge, inline: true},
		{key: keyAddRaftVoter, min: 0, max: 1, handle: addRaftVoter},
		{key: keyRemoveRaftVoter, min: 0, max: 0, handle: removeRaftVoter},
		{key: keyInitializeShareGroupState, min: 0, max: 0, handle: toShareState, inline: true, peers: true},
		{key: keyReadShareGroupState, min: 0, max: 0, handle: toShareState, inline: true, peers: true, answer: shareStateBytes},
		{key: keyWriteShareGroupState, min: 0, max: 1, handle: toShareState, inline: true, peers: true},
		{key: keyDeleteShareGroupState, min: 0, max: 0, handle: toShareState, inline: true, peers: true},
		{key: keyReadShareGroupStateSummary, min: 0, max: 1, handle: toShareState, inline: true, peers: true},
		{key: keyStreamsGroupHeartbeat, min: 0, max: 0, handle: streamsGroupHeartbeat, inline: true},
		{key: keyStreamsGroupDescribe, min: 0, max: 0, handle: streamsGroupDescribe, inline: true},
		{key: keyDescribeShareGroupOffsets, min: 0, max: 1, handle: toGroups, inline: true},
		{key: keyAlterShareGroupOffsets, min: 0, max: 0, handle: toGroups, inline: true},
		{key: keyDeleteShareGroupOffsets, min: 0, max: 0, handle: toGroups, inline: true},
	}
	for i := range table {
		if e := &table[i]; e.handle != nil && kmsg.RequestForKey(e.key) == nil {
			panic("api: no codec for an api key")
		}
		byKey[table[i].key] = &table[i]
	}
}

// maxKey bounds the index by key.
const maxKey = 128

var byKey [maxKey]*entry

func lookup(key int16) *entry {
	if key < 0 || key >= maxKey {
		return nil
	}
	return byKey[key]
}
