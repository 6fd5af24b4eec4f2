package membership

import (
	"context"
	"time"

	"github.com/tidelinehq/tideline/metadata/controller"
	"github.com/tidelinehq/tideline/metadata/record"
)

// BalanceOptions say how leaders and replicas are kept even.
type BalanceOptions struct {
	// Leaders: give leadership back to preferred replicas, and have each broker be
	// preferred for about as many, every Interval.
	Leaders  bool
	Interval time.Duration
	// Replicas: move replicas where brokers come, go, or have more to do than others, and
	// every Interval; at most MaxMoves partitions at a time, with at most MaxBytes of tails.
	Replicas bool
	MaxMoves int
	MaxBytes int64
}

// balancePause is the least time between two looks at the balance: each walks all
// partitions, and the moves of the last need a moment.
const balancePause = 250 * time.Millisecond

// tolerance is by which part of a fair share two brokers may differ before a replica moves.
const tolerance = 0.1

// RunBalance moves leaders and replicas while this broker is the controller, until ctx ends.
// It is apart from Run because it asks all brokers for their loads, and nobody else may wait
// for one that does not answer.
func (s *Steward) RunBalance(ctx context.Context) {
	regular := s.o.Now().Add(s.o.Balance.Interval)
	for ctx.Err() == nil {
		changes := s.o.Store.LeaderChanges()
		wait := max(regular.Sub(s.o.Now()), balancePause)
		if s.leading() {
			due := !s.o.Now().Before(regular)
			if due {
				regular = s.o.Now().Add(s.o.Balance.Interval)
			}
			moving, err := s.rebalance(ctx, due)
			if err != nil && ctx.Err() == nil {
				s.m.failures.Inc()
				s.o.Logger.WarnContext(ctx, "the brokers could not be evened out, which is tried again", "error", err)
			}
			if moving || err != nil {
				wait = balancePause
			}
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-s.uneven:
			// More than one change at a time is looked at once.
			select {
			case <-time.After(balancePause):
			case <-ctx.Done():
			}
		case <-changes:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// unbalance says that brokers or topics came or went.
func (s *Steward) unbalance() {
	select {
	case s.uneven <- struct{}{}:
	default:
	}
}

// rebalance moves what is to be moved now. It reports whether replicas are on their way.
func (s *Steward) rebalance(ctx context.Context, regular bool) (bool, error) {
	moving, err := s.moveReplicas(ctx)
	if err != nil || !regular || !s.o.Balance.Leaders {
		return moving, err
	}
	policy := s.o.Policy()
	if err := s.change(ctx, policy.Preferred(s.o.Store.Image(), settleBatch)); err != nil {
		return moving, err
	}
	return moving, s.change(ctx, policy.SpreadLeaders(s.o.Store.Image(), settleBatch))
}

// moveReplicas proposes the next moves. It reports whether any are under way.
func (s *Steward) moveReplicas(ctx context.Context) (bool, error) {
	o, image := &s.o.Balance, s.o.Store.Image()
	if image.BrokerCount() < 2 {
		return false, nil
	}
	draining := false
	for b := range image.Brokers() {
		draining = draining || b.Draining
	}
	if !o.Replicas && !draining {
		return false, nil
	}
	plan := controller.Balance{Load: s.Gather(ctx).Of, MaxMoves: o.MaxMoves, MaxBytes: o.MaxBytes, Tolerance: tolerance}
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
			s.o.Logger.DebugContext(ctx, "a replica is not moved", "error", r.Err)
			continue
		}
		if r.Needed {
			changes = append(changes, r.Change)
		}
	}
	if len(changes) > 0 {
		s.o.Logger.InfoContext(ctx, "replicas move to even out the brokers", "partitions", len(changes))
		s.m.moves.Add(float64(len(changes)))
	}
	if err := s.change(ctx, changes); err != nil {
		return false, err
	}
	return len(changes) > 0 || len(controller.Reassignments(s.o.Store.Image(), 1)) > 0, nil
}
