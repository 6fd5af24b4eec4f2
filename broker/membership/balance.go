package membership

import (
	"context"
	"net"
	"strconv"
	"time"

	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/controller"
	"github.com/tidelinehq/tideline/metadata/record"
)

// BalanceOptions say how leaders and replicas are kept even.
type BalanceOptions struct {
	// Leaders: give leadership back to preferred replicas every Interval.
	Leaders  bool
	Interval time.Duration
	// Replicas: move replicas where brokers come, go, or are being decommissioned; at
	// most MaxMoves partitions at a time, with at most MaxBytes of tails.
	Replicas bool
	MaxMoves int
	MaxBytes int64
	// Load gives the load of a partition; nil: all are alike.
	Load func(topic metadata.ID, partition int32) controller.Load
}

// balancePause is the least time between two looks at the balance: each walks all
// partitions.
const balancePause = time.Second

// tolerance is by which part of a fair share two brokers may differ before a replica moves.
const tolerance = 0.1

// balancer decides when the balance is looked at.
type balancer struct {
	o        BalanceOptions
	due      bool // something changed
	next     time.Time
	regular  time.Time
	reassign bool // the last look moved something
}

func (b *balancer) reset() {
	b.due, b.reassign = true, false
	b.next, b.regular = time.Time{}, time.Time{}
}

// rebalance moves leaders and replicas where it is time to, and returns when to look again.
func (s *Steward) rebalance(ctx context.Context, now time.Time) (time.Time, error) {
	b := &s.balance
	if b.regular.IsZero() {
		b.regular = now.Add(b.o.Interval)
	}
	regular := !now.Before(b.regular)
	if !regular && !b.due && !b.reassign {
		return b.regular, nil
	}
	if now.Before(b.next) {
		return b.next, nil
	}
	b.next, b.due = now.Add(balancePause), false
	if regular {
		b.regular = now.Add(b.o.Interval)
	}
	image := s.o.Store.Image()
	moved, err := s.moveReplicas(ctx, image)
	if err != nil {
		return time.Time{}, err
	}
	b.reassign = moved
	if b.o.Leaders && regular {
		if err := s.change(ctx, s.o.Policy().Preferred(s.o.Store.Image(), settleBatch)); err != nil {
			return time.Time{}, err
		}
	}
	if moved {
		return b.next, nil
	}
	return b.regular, nil
}

// moveReplicas proposes the next moves. It reports whether any are under way.
func (s *Steward) moveReplicas(ctx context.Context, image *metadata.Image) (bool, error) {
	o := &s.balance.o
	draining := false
	for b := range image.Brokers() {
		draining = draining || b.Draining
	}
	if !o.Replicas && !draining {
		return false, nil
	}
	plan := controller.Balance{Load: o.Load, MaxMoves: o.MaxMoves, MaxBytes: o.MaxBytes, Tolerance: tolerance}
	moves := plan.Moves(image)
	wishes := make([]controller.Reassignment, 0, len(moves))
	for i := range moves {
		m := &moves[i]
		if from, ok := image.Broker(m.From); !o.Replicas && (!ok || !from.Draining) {
			continue
		}
		wishes = append(wishes, controller.Reassignment{Topic: m.Topic, Partition: m.Partition, Replicas: m.Replicas})
	}
	var changes []record.PartitionChange
	for _, r := range s.o.Policy().Reassign(image, wishes, controller.DefaultLimits) {
		if r.Err != nil {
			s.o.Logger.Debug("a replica is not moved", "error", r.Err)
			continue
		}
		if r.Needed {
			changes = append(changes, r.Change)
		}
	}
	if len(changes) > 0 {
		s.o.Logger.Info("replicas move to even out the brokers", "partitions", len(changes))
		s.m.moves.Add(float64(len(changes)))
	}
	if err := s.change(ctx, changes); err != nil {
		return false, err
	}
	return len(changes) > 0 || len(controller.Reassignments(s.o.Store.Image(), 1)) > 0, nil
}

func joinHostPort(host string, port int32) string {
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}
