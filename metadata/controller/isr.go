package controller

import (
	"fmt"
	"slices"

	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/record"
)

// ISRMember is a replica that its leader found in sync.
type ISRMember struct {
	Broker int32
	Epoch  int64 // of the process that was found in sync
}

// AlterISR is the wish of a leader for another ISR.
type AlterISR struct {
	Topic          metadata.ID
	Partition      int32
	Broker         int32 // the leader
	BrokerEpoch    int64
	LeaderEpoch    int32
	PartitionEpoch int32
	ISR            []ISRMember
}

// AlterISR decides about an ISR that its leader asks for. It is refused when
// the leader is none any more (ErrStaleBrokerEpoch, ErrFencedLeaderEpoch), when
// it did not see the newest change (ErrStalePartitionEpoch), when this image is
// older than what the leader has seen (ErrBehind: ask again later), and when a
// replica is fenced, shutting down, or another process than the leader found
// in sync (ErrIneligibleReplica). The change may do more than was asked: it
// ends a reassignment for which that was the last step, and with it possibly
// the leadership of who asked.
//
// Until the leader knows the outcome, which is when it sees another partition
// epoch, its high watermark must wait for all that are in the ISR or were asked
// for: they may be in it already.
func (p Policy) AlterISR(m *metadata.Image, r *AlterISR) (record.PartitionChange, error) {
	fail := func(err error, format string, args ...any) (record.PartitionChange, error) {
		return record.PartitionChange{}, fmt.Errorf("%w: topic=%x partition=%d %s", err, r.Topic, r.Partition, fmt.Sprintf(format, args...))
	}
	t, x, err := lookUp(m, r.Topic, r.Partition)
	if err != nil {
		return record.PartitionChange{}, err
	}
	if b, ok := m.Broker(r.Broker); !ok || b.Epoch != r.BrokerEpoch {
		return fail(ErrStaleBrokerEpoch, "broker=%d epoch=%d", r.Broker, r.BrokerEpoch)
	}
	switch {
	case r.LeaderEpoch > x.LeaderEpoch || r.PartitionEpoch > x.PartitionEpoch:
		return fail(ErrBehind, "leader epoch=%d known=%d partition epoch=%d known=%d", r.LeaderEpoch, x.LeaderEpoch, r.PartitionEpoch, x.PartitionEpoch)
	case r.LeaderEpoch < x.LeaderEpoch:
		return fail(ErrFencedLeaderEpoch, "epoch=%d current=%d", r.LeaderEpoch, x.LeaderEpoch)
	case x.Leader != r.Broker:
		return fail(ErrInvalidRequest, "broker=%d is not the leader %d", r.Broker, x.Leader)
	case r.PartitionEpoch < x.PartitionEpoch:
		return fail(ErrStalePartitionEpoch, "epoch=%d current=%d", r.PartitionEpoch, x.PartitionEpoch)
	}
	isr := make([]int32, len(r.ISR))
	for i, member := range r.ISR {
		id := member.Broker
		if slices.Contains(isr[:i], id) || !slices.Contains(x.Replicas, id) {
			return fail(ErrInvalidRequest, "isr member=%d replicas=%v", id, x.Replicas)
		}
		isr[i] = id
		b, ok := m.Broker(id)
		switch {
		case !ok || b.Epoch != member.Epoch:
			return fail(ErrIneligibleReplica, "broker=%d epoch=%d was registered anew", id, member.Epoch)
		case !slices.Contains(x.ISR, id) && !b.Active():
			return fail(ErrIneligibleReplica, "broker=%d fenced=%v shutting down=%v", id, b.Fenced, b.ShuttingDown)
		}
	}
	if !slices.Contains(isr, r.Broker) {
		return fail(ErrInvalidRequest, "isr=%v without its leader=%d", isr, r.Broker)
	}
	c := p.change(m, t, x)
	c.isr = isr
	change, _ := c.finish()
	if change.ISR == nil {
		change.ISR = slices.Clone(x.ISR)
	}
	for _, id := range change.ISR {
		b, _ := m.Broker(id)
		change.ISREpochs = append(change.ISREpochs, b.Epoch)
	}
	return change, nil
}
