package api

import (
	"context"
	"errors"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/tidelinehq/tideline/broker/partition"
	"github.com/tidelinehq/tideline/broker/share"
	"github.com/tidelinehq/tideline/broker/telemetry/clientmetrics"
	"github.com/tidelinehq/tideline/broker/wire"
	"github.com/tidelinehq/tideline/internal/record"
	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/controller"
	"github.com/tidelinehq/tideline/metadata/quorum"
	command "github.com/tidelinehq/tideline/metadata/record"
	"github.com/tidelinehq/tideline/tiering/cache"
	"github.com/tidelinehq/tideline/tiering/manifest"
	"github.com/tidelinehq/tideline/wal"
)

// codes maps the errors of other packages to Kafka's codes. The first match wins.
var codes = []struct {
	err  error
	code *kerr.Error
}{
	{partition.ErrOffsetOutOfRange, kerr.OffsetOutOfRange},
	{partition.ErrStopped, kerr.NotLeaderForPartition},
	{partition.ErrNotEnoughReplicas, kerr.NotEnoughReplicas},
	{partition.ErrFencedEpoch, kerr.FencedLeaderEpoch},
	{partition.ErrUnknownEpoch, kerr.UnknownLeaderEpoch},
	{partition.ErrTooLarge, kerr.MessageTooLarge},
	{partition.ErrInvalidTimestamp, kerr.InvalidTimestamp},
	{partition.ErrInvalidRecord, kerr.InvalidRecord},
	{partition.ErrOutOfOrderSequence, kerr.OutOfOrderSequenceNumber},
	{partition.ErrInvalidProducerEpoch, kerr.InvalidProducerEpoch},
	{partition.ErrTransactionOpen, kerr.InvalidTxnState},
	{partition.ErrTransactionUnverified, kerr.InvalidTxnState},
	{partition.ErrCoordinatorFenced, kerr.TransactionCoordinatorFenced},
	{partition.ErrNotRecalled, kerr.NotEnoughReplicas},
	// Kafka has no such bound. Every client sends the batch again, as for a full log.
	{partition.ErrTooManyTransactions, kerr.NotEnoughReplicas},
	{clientmetrics.ErrInvalidID, kerr.InvalidRequest},
	{clientmetrics.ErrTooOften, kerr.ThrottlingQuotaExceeded},
	{clientmetrics.ErrTerminated, kerr.InvalidRequest},
	{clientmetrics.ErrUnknownSubscription, kerr.UnknownSubscriptionID},
	{clientmetrics.ErrCodec, kerr.UnsupportedCompressionType},
	{clientmetrics.ErrTooLarge, kerr.TelemetryTooLarge},
	{clientmetrics.ErrMalformed, kerr.InvalidRecord},
	{clientmetrics.ErrSetting, kerr.InvalidRequest},
	{clientmetrics.ErrValue, kerr.InvalidConfig},
	{partition.ErrBusy, kerr.NotEnoughReplicas},
	{record.ErrMagic, kerr.UnsupportedForMessageFormat},
	{record.ErrChecksum, kerr.CorruptMessage},
	{record.ErrCorrupt, kerr.CorruptMessage},
	{record.ErrShort, kerr.CorruptMessage},
	{record.ErrTooLarge, kerr.MessageTooLarge},
	{record.ErrCodec, kerr.UnsupportedCompressionType},
	{record.ErrInvalid, kerr.InvalidRecord},
	// The write-ahead log is at its limit, because the object store does not take
	// data. Every client retries this code, which is not true of
	// THROTTLING_QUOTA_EXCEEDED; the message says what it really is.
	{wal.ErrFull, kerr.NotEnoughReplicas},
	{wal.ErrFatal, kerr.KafkaStorageError},
	{wal.ErrClosed, kerr.NotLeaderForPartition},
	{wal.ErrDropped, kerr.NotLeaderForPartition},
	{wal.ErrTooLarge, kerr.MessageTooLarge},
	{cache.ErrBusy, kerr.RequestTimedOut},
	{wal.ErrBusy, kerr.RequestTimedOut},
	{manifest.ErrUnknownPartition, kerr.UnknownTopicOrPartition},
	{manifest.ErrBelowStart, kerr.OffsetOutOfRange},
	{controller.ErrInvalidTopic, kerr.InvalidTopicException},
	{controller.ErrTopicExists, kerr.TopicAlreadyExists},
	{controller.ErrUnknownTopic, kerr.UnknownTopicOrPartition},
	{controller.ErrInvalidPartitions, kerr.InvalidPartitions},
	{controller.ErrInvalidReplicationFactor, kerr.InvalidReplicationFactor},
	{controller.ErrInvalidAssignment, kerr.InvalidReplicaAssignment},
	{controller.ErrInvalidConfig, kerr.InvalidConfig},
	{controller.ErrInvalidRequest, kerr.InvalidRequest},
	{controller.ErrNoBrokers, kerr.InvalidReplicationFactor},
	{controller.ErrUnknownPartition, kerr.UnknownTopicOrPartition},
	{controller.ErrUnknownBroker, kerr.BrokerIDNotRegistered},
	// Kafka forgets a broker whatever it has, so it has no code for this.
	{controller.ErrBrokerInUse, kerr.InvalidRequest},
	{controller.ErrElectionNotNeeded, kerr.ElectionNotNeeded},
	{controller.ErrPreferredNotAvailable, kerr.PreferredLeaderNotAvailable},
	{controller.ErrNoEligibleLeader, kerr.EligibleLeadersNotAvailable},
	{controller.ErrNoReassignment, kerr.NoReassignmentInProgress},
	{controller.ErrTooManyReassignments, kerr.PolicyViolation},
	{controller.ErrInvalidFeature, kerr.InvalidUpdateVersion},
	{controller.ErrTooManyChanges, kerr.PolicyViolation},
	{controller.ErrUnacceptableCredential, kerr.UnacceptableCredential},
	{controller.ErrUnknownMechanism, kerr.UnsupportedSaslMechanism},
	{controller.ErrUnknownCredential, kerr.ResourceNotFound},
	{controller.ErrDuplicateCredential, kerr.DuplicateResource},
	{controller.ErrUnknownEntityType, kerr.UnsupportedVersion},
	{controller.ErrUnknownToken, kerr.DelegationTokenNotFound},
	{controller.ErrTokenExpired, kerr.DelegationTokenExpired},
	{controller.ErrTokenOwner, kerr.DelegationTokenOwnerMismatch},
	{controller.ErrInvalidPrincipalType, kerr.InvalidPrincipalType},
	{command.TopicExists, kerr.TopicAlreadyExists},
	{command.NoTopic, kerr.UnknownTopicOrPartition},
	{command.NoPartition, kerr.UnknownTopicOrPartition},
	{command.NoBroker, kerr.BrokerIDNotRegistered},
	{command.BrokerInUse, kerr.InvalidRequest},
	{command.UncleanElection, kerr.EligibleLeadersNotAvailable},
	{command.UnsupportedLevel, kerr.InvalidUpdateVersion},
	{command.WrongCount, kerr.InvalidPartitions},
	{command.StaleEpoch, kerr.NotLeaderForPartition},
	{command.TooMany, kerr.PolicyViolation},
	{command.NoToken, kerr.DelegationTokenNotFound},
	{command.NoRole, kerr.ResourceNotFound},
	{command.Invalid, kerr.InvalidRequest},
	{command.ErrTooLarge, kerr.PolicyViolation},
	{metadata.ErrNotMember, kerr.InvalidRequest},
	{metadata.ErrRefused, kerr.InvalidRequest},
	{metadata.ErrNotNow, kerr.RequestTimedOut},
	{quorum.ErrNotLeader, kerr.NotController},
	{quorum.ErrUnknown, kerr.RequestTimedOut},
	{quorum.ErrTooLarge, kerr.PolicyViolation},
	{share.ErrNotLeader, kerr.NotLeaderForPartition},
	{share.ErrFencedLeaderEpoch, kerr.NotLeaderForPartition},
	{share.ErrFencedStateEpoch, kerr.NotLeaderForPartition},
	{share.ErrUnknownState, kerr.UnknownTopicOrPartition},
	{share.ErrRetry, kerr.CoordinatorNotAvailable},
	{share.ErrTooMany, kerr.CoordinatorNotAvailable},
	{share.ErrRecordState, kerr.InvalidRecordState},
	{share.ErrInvalidAck, kerr.InvalidRequest},
	{context.Canceled, kerr.NotLeaderForPartition},
	{context.DeadlineExceeded, kerr.RequestTimedOut},
}

// errorCode returns the Kafka code for err: 0 for nil, and for an error that
// nothing says anything about, a storage error, which clients retry.
func errorCode(err error) int16 {
	if err == nil {
		return 0
	}
	if k := (*kerr.Error)(nil); errors.As(err, &k) {
		return k.Code
	}
	for _, c := range codes {
		if errors.Is(err, c.err) {
			return c.code.Code
		}
	}
	return kerr.KafkaStorageError.Code
}

// message returns the text that goes to the client with an error, or nil. A client
// names the code by itself, so of a code with details the details are told, and with
// them what the code means when they are values only.
func message(err error) *string {
	if err == nil {
		return nil
	}
	text := err.Error()
	if k := (*kerr.Error)(nil); errors.As(err, &k) {
		if details, ok := strings.CutPrefix(text, k.Error()+": "); ok {
			if text = details; !strings.Contains(details, " ") {
				text = strings.TrimSuffix(k.Description, ".") + ": " + details
			}
		}
	}
	s := wire.ErrorText(text)
	return &s
}
