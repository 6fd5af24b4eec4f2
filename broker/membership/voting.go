package membership

import (
	"context"
	"errors"
	"time"

	"github.com/tidelinehq/tideline/metadata/controller"
	"github.com/tidelinehq/tideline/metadata/quorum"
)

// votingCheck is how often the controller looks at who votes: for a broker that has caught
// up, and for one that was away for long enough. Neither is in a hurry.
const votingCheck = time.Second

// RunVoting keeps the voters of the metadata group as many as are wanted while this broker
// leads it, until ctx ends. It is apart from Run because a step waits for members that may
// be away, and nobody else may wait for them.
func (s *Steward) RunVoting(ctx context.Context) {
	var absences controller.Absences
	for ctx.Err() == nil {
		changes := s.o.Store.LeaderChanges()
		if s.leading() {
			if absences == nil {
				absences = controller.Absences{}
			}
			s.yield()
			s.vote(ctx, absences)
		} else {
			absences = nil
		}
		timer := time.NewTimer(votingCheck)
		select {
		case <-timer.C:
		case <-changes:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// yield hands the leadership over when this broker's log takes nothing for as long as a session
// lasts while others could. Raft would not notice: the heartbeats of a leader do not touch its
// disk, and so a slow one would keep the cluster from deciding anything.
func (s *Steward) yield() {
	g, ok := s.o.Store.Group()
	if !ok || g.Leader != s.o.Registration.ID || len(g.Voters) < 2 || g.Stalled < s.o.SessionTimeout {
		return
	}
	err := s.o.Store.HandOver()
	s.m.yields.Inc()
	s.o.Logger.Warn("the metadata log of this broker takes too long, another one is to be the controller", "stalled", g.Stalled, "error", err)
}

// vote takes the steps that are due, one after the other.
func (s *Steward) vote(ctx context.Context, absences controller.Absences) {
	for ctx.Err() == nil {
		e, ok := s.electorate()
		if !ok {
			return
		}
		now := s.o.Now()
		absences.Note(e, now)
		step, due := s.o.Voting.Next(s.o.Store.Image(), e, now)
		if !due {
			return
		}
		if err := s.o.Store.ChangeMember(ctx, step); err != nil {
			if !errors.Is(err, quorum.ErrNotLeader) && ctx.Err() == nil {
				s.o.Logger.InfoContext(ctx, "a member of the metadata group is not changed yet", "change", step.Kind, "node", step.Node, "error", err)
			}
			return
		}
	}
}

// electorate is the metadata group as this leader sees it.
func (s *Steward) electorate() (*controller.Electorate, bool) {
	g, ok := s.o.Store.Group()
	if !ok || g.Leader != s.o.Registration.ID {
		return nil, false
	}
	e := &controller.Electorate{Leader: g.Leader, Alive: map[int32]bool{}, Reached: map[int32]uint64{}}
	for _, m := range g.Voters {
		e.Voters = append(e.Voters, m.Node)
	}
	for _, m := range g.Observers {
		e.Observers = append(e.Observers, m.Node)
	}
	for b := range s.o.Store.Image().Brokers() {
		e.Alive[b.ID] = !b.Fenced
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, p := range s.reached {
		e.Reached[id] = p.index
	}
	return e, true
}
