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
)
