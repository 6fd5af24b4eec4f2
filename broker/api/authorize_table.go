package api

// guards are the guards by API key, for keys of the table and such as others may add to
// it. nil: a key that needs no right at all, or that is judged where it is handled.
var guards [maxKey]guard

// answersOperations are the keys whose answers say what a client may do even where
// everything is allowed (KIP-430).
var answersOperations [maxKey]bool

func init() {
	for key, g := range map[int16]guard{
		keyListOffsets:                 guardListOffsets,
		keyMetadata:                    guardMetadata,
		keyOffsetCommit:                guardOffsetCommit,
		keyOffsetFetch:                 guardOffsetFetch,
		keyFindCoordinator:             guardFindCoordinator,
		keyJoinGroup:                   guardJoinGroup,
		keyHeartbeat:                   guardHeartbeat,
		keyLeaveGroup:                  guardLeaveGroup,
		keySyncGroup:                   guardSyncGroup,
		keyDescribeGroups:              guardDescribeGroups,
		keyListGroups:                  guardListGroups,
		keyCreateTopics:                guardCreateTopics,
		keyDeleteTopics:                guardDeleteTopics,
		keyDeleteRecords:               guardDeleteRecords,
		keyInitProducerID:              guardInitProducerID,
		keyOffsetForLeaderEpoch:        guardOffsetForLeaderEpoch,
		keyAddPartitionsToTxn:          guardAddPartitionsToTxn,
		keyAddOffsetsToTxn:             guardAddOffsetsToTxn,
		keyEndTxn:                      guardEndTxn,
		keyWriteTxnMarkers:             guardWriteTxnMarkers,
		keyTxnOffsetCommit:             guardTxnOffsetCommit,
		keyDescribeACLs:                guardDescribeACLs,
		keyCreateACLs:                  guardCreateACLs,
		keyDeleteACLs:                  guardDeleteACLs,
		keyDescribeConfigs:             guardDescribeConfigs,
		keyAlterConfigs:                guardAlterConfigs,
		keyAlterReplicaLogDirs:         guardAlterReplicaLogDirs,
		keyDescribeLogDirs:             guardDescribeLogDirs,
		keyCreatePartitions:            guardCreatePartitions,
		keyCreateDelegationToken:       guardCreateDelegationToken,
		keyDescribeDelegationToken:     guardDescribeDelegationToken,
		keyDeleteGroups:                guardDeleteGroups,
		keyElectLeaders:                guardElectLeaders,
		keyIncrementalAlterConfigs:     guardIncrementalAlterConfigs,
		keyAlterPartitionReassignments: guardAlterPartitionReassignments,
		keyListPartitionReassignments:  guardListPartitionReassignments,
		keyOffsetDelete:                guardOffsetDelete,
		keyDescribeClientQuotas:        guardDescribeClientQuotas,
		keyAlterClientQuotas:           guardAlterClientQuotas,
		keyDescribeUserScram:           guardDescribeUserScramCredentials,
		keyAlterUserScram:              guardAlterUserScramCredentials,
		keyDescribeQuorum:              guardDescribeQuorum,
		keyUpdateFeatures:              guardUpdateFeatures,
		keyDescribeCluster:             guardDescribeCluster,
		keyDescribeProducers:           guardDescribeProducers,
		keyUnregisterBroker:            guardUnregisterBroker,
		keyDescribeTransactions:        guardDescribeTransactions,
		keyListTransactions:            guardListTransactions,
		keyConsumerGroupHeartbeat:      guardConsumerGroupHeartbeat,
		keyConsumerGroupDescribe:       guardConsumerGroupDescribe,
		keyListConfigResources:         guardListConfigResources,
		keyDescribeTopicPartitions:     guardDescribeTopicPartitions,
		keyShareGroupHeartbeat:         guardShareGroupHeartbeat,
		keyShareGroupDescribe:          guardShareGroupDescribe,
		keyShareFetch:                  guardShareFetch,
		keyShareAcknowledge:            guardShareAcknowledge,
		keyAddRaftVoter:                guardAddRaftVoter,
		keyRemoveRaftVoter:             guardRemoveRaftVoter,
		keyInitializeShareGroupState:   guardInitializeShareGroupState,
		keyReadShareGroupState:         guardReadShareGroupState,
		keyWriteShareGroupState:        guardWriteShareGroupState,
		keyDeleteShareGroupState:       guardDeleteShareGroupState,
		keyReadShareGroupStateSummary:  guardReadShareGroupStateSummary,
		keyStreamsGroupHeartbeat:       guardStreamsGroupHeartbeat,
		keyStreamsGroupDescribe:        guardStreamsGroupDescribe,
		keyDescribeShareGroupOffsets:   guardDescribeShareGroupOffsets,
		keyAlterShareGroupOffsets:      guardAlterShareGroupOffsets,
		keyDeleteShareGroupOffsets:     guardDeleteShareGroupOffsets,
	} {
		guards[key] = g
	}
	for _, key := range []int16{
		keyMetadata, keyDescribeGroups, keyDescribeCluster, keyConsumerGroupDescribe, keyDescribeTopicPartitions, keyShareGroupDescribe, keyStreamsGroupDescribe,
	} {
		answersOperations[key] = true
	}
}
