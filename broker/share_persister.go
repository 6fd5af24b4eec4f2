package broker

import (
	"context"
	"errors"
	"fmt"

	sharestate "github.com/tidelinehq/tideline/broker/coordinator/share"
	"github.com/tidelinehq/tideline/broker/share"
)

// sharePersister keeps the state of share partitions with their coordinators.
type sharePersister struct{ client *sharestate.Client }

var _ share.Persister = sharePersister{}

// Read implements share.Persister.
func (s sharePersister) Read(ctx context.Context, group string, topic [16]byte, partition, leaderEpoch int32) (share.State, error) {
	is, err := s.client.Read(ctx, sharestate.Key{Group: group, Topic: topic, Partition: partition}, leaderEpoch)
	if err != nil {
		return share.State{}, persisterError(err)
	}
	out := share.State{Epoch: is.StateEpoch, Start: is.Start, DeliveryCompleteCount: is.DeliveryCompleteCount}
	for _, b := range is.Batches {
		out.Batches = append(out.Batches, share.StateBatch{First: b.First, Last: b.Last, State: share.RecordState(b.State), DeliveryCount: b.DeliveryCount})
	}
	return out, nil
}

// Write implements share.Persister.
func (s sharePersister) Write(ctx context.Context, group string, topic [16]byte, partition, stateEpoch, leaderEpoch int32,
	start int64, deliveryCompleteCount int32, batches []share.StateBatch) error {
	out := make([]sharestate.StateBatch, len(batches))
	for i, b := range batches {
		out[i] = sharestate.StateBatch{First: b.First, Last: b.Last, State: int8(b.State), DeliveryCount: b.DeliveryCount}
	}
	k := sharestate.Key{Group: group, Topic: topic, Partition: partition}
	return persisterError(s.client.Write(ctx, k, stateEpoch, leaderEpoch, start, deliveryCompleteCount, out))
}

// persisterError says an error of the client in the words of the share partitions.
func persisterError(err error) error {
	for is, said := range map[error]error{
		sharestate.ErrFencedStateEpoch:  share.ErrFencedStateEpoch,
		sharestate.ErrFencedLeaderEpoch: share.ErrFencedLeaderEpoch,
		sharestate.ErrUnknownState:      share.ErrUnknownState,
		sharestate.ErrUnavailable:       share.ErrRetry,
	} {
		if errors.Is(err, is) {
			return fmt.Errorf("%w: %w", said, err)
		}
	}
	return err
}
