package controller

import "errors"

// Errors of decisions.
var (
	ErrInvalidTopic             = errors.New("invalid topic name")
	ErrTopicExists              = errors.New("topic exists")
	ErrUnknownTopic             = errors.New("no such topic")
	ErrInvalidPartitions        = errors.New("invalid number of partitions")
	ErrInvalidReplicationFactor = errors.New("invalid replication factor")
	ErrInvalidAssignment        = errors.New("invalid replica assignment")
	ErrInvalidConfig            = errors.New("invalid setting")
	ErrInvalidRequest           = errors.New("invalid request")
	ErrUnknownBroker            = errors.New("no such broker")
	ErrDuplicateBroker          = errors.New("broker id in use by a live broker")
	ErrNoBrokers                = errors.New("no broker available")
	ErrUnknownPartition         = errors.New("no such partition")
	ErrElectionNotNeeded        = errors.New("election not needed")
	ErrPreferredNotAvailable    = errors.New("preferred leader not available")
	ErrNoEligibleLeader         = errors.New("no eligible leader available")
	ErrStaleBrokerEpoch         = errors.New("stale broker epoch")
	ErrFencedLeaderEpoch        = errors.New("fenced leader epoch")
	ErrStalePartitionEpoch      = errors.New("stale partition epoch")
	ErrIneligibleReplica        = errors.New("replica not eligible for the isr")
	ErrBehind                   = errors.New("metadata not yet as new as the request")
	ErrNoReassignment           = errors.New("no reassignment in progress")
	ErrTooManyReassignments     = errors.New("too many reassignments in progress")
	ErrBrokerInUse              = errors.New("broker in use")
	ErrInvalidFeature           = errors.New("feature level can not be set")
)
