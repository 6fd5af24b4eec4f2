package metadata

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tidelinehq/tideline/metadata/quorum"
	"github.com/tidelinehq/tideline/metadata/record"
)

// Propose replicates a command and returns its result once this node's image
// has it. In a group of several any node proposes, through the leader where it
// is not that itself, and waits for one until ctx ends. A refusal of the whole command is an error that is its record.Reason;
// refusals of entries are in the result. Errors of the log are those of
// quorum.Log: ErrNotLeader, ErrTooLarge, ErrClosed, and ErrUnknown after which
// the command may be repeated.
func (s *Store) Propose(ctx context.Context, c record.Command) (Result, error) {
	start := time.Now()
	r, err := s.propose(ctx, c)
	s.metrics.propose.Observe(time.Since(start).Seconds())
	if err != nil {
		s.metrics.failures.WithLabelValues(failure(err)).Inc()
		return r, fmt.Errorf("metadata %s: %w", c.Type(), err)
	}
	return r, nil
}

func (s *Store) propose(ctx context.Context, c record.Command) (Result, error) {
	b, err := record.Append(nil, c)
	if err != nil {
		return Result{}, err
	}
	answer, _, err := s.log.Propose(ctx, b)
	if errors.Is(err, quorum.ErrNotLeader) && s.relay.peers != nil {
		r, err := s.proposeThroughLeader(ctx, b)
		if err != nil {
			return Result{}, err
		}
		return r, r.Reason.Err()
	}
	if err != nil {
		return Result{}, err
	}
	r := answer.(Result)
	return r, r.Reason.Err()
}

// failure is the label of an error.
func failure(err error) string {
	var reason record.Reason
	switch {
	case errors.As(err, &reason):
		return reason.String()
	case errors.Is(err, quorum.ErrNotLeader):
		return "not leader"
	case errors.Is(err, record.ErrTooLarge), errors.Is(err, quorum.ErrTooLarge):
		return "too large"
	case errors.Is(err, quorum.ErrClosed):
		return "closed"
	case errors.Is(err, quorum.ErrUnknown):
		return "unknown"
	}
	return "other"
}

// RegisterBroker announces a process and returns its broker epoch.
func (s *Store) RegisterBroker(ctx context.Context, c *record.RegisterBroker) (epoch int64, err error) {
	r, err := s.Propose(ctx, c)
	return r.BrokerEpoch, err
}

// SetFenced fences or unfences a broker.
func (s *Store) SetFenced(ctx context.Context, broker int32, epoch int64, fenced bool) error {
	var c record.Command = &record.UnfenceBroker{ID: broker, Epoch: epoch}
	if fenced {
		c = &record.FenceBroker{ID: broker, Epoch: epoch}
	}
	_, err := s.Propose(ctx, c)
	return err
}

// CreateTopic makes a topic. One with very many partitions is made in several
// commands, and grows before the eyes of readers.
func (s *Store) CreateTopic(ctx context.Context, c *record.CreateTopic) error {
	return s.all(ctx, record.ChunkCreate(c))
}

// CreatePartitions grows a topic.
func (s *Store) CreatePartitions(ctx context.Context, c *record.CreatePartitions) error {
	return s.all(ctx, record.ChunkPartitions(c))
}

func (s *Store) all(ctx context.Context, commands []record.Command) error {
	for _, c := range commands {
		if _, err := s.Propose(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// DeleteTopic deletes a topic.
func (s *Store) DeleteTopic(ctx context.Context, topic ID, now time.Time) error {
	_, err := s.Propose(ctx, &record.DeleteTopic{ID: topic, At: now.UnixMilli()})
	return err
}

// AllocateProducerIDs takes a block of producer ids and returns its first.
func (s *Store) AllocateProducerIDs(ctx context.Context, broker int32, epoch int64, count int32) (first int64, err error) {
	r, err := s.Propose(ctx, &record.AllocateProducerIDs{Broker: broker, BrokerEpoch: epoch, Count: count})
	return r.FirstProducerID, err
}

// ChangePartitions changes leaders, ISRs and replicas, any number of them. It
// returns one result per entry, those of failed commands missing.
func (s *Store) ChangePartitions(ctx context.Context, entries []record.PartitionChange) ([]record.EntryResult, error) {
	return proposeAll(ctx, s, record.ChunkChange(entries))
}

// BeginUpload opens an intent. It may be repeated after ErrUnknown: the log
// keeps the order of tries, and the relay to the leader does too. An intent that
// opened again after its commit would call a live object garbage.
func (s *Store) BeginUpload(ctx context.Context, c *record.BeginUpload) error {
	_, err := s.Propose(ctx, c)
	return err
}

// AbortUpload closes an intent; the object is garbage from due on.
func (s *Store) AbortUpload(ctx context.Context, object ID, due time.Time) error {
	_, err := s.Propose(ctx, &record.AbortUpload{Object: object, Due: due.UnixMilli()})
	return err
}

// CommitUpload commits an object of any number of entries, in commands of at
// most record.MaxCommitEntries. It returns one result per entry.
func (s *Store) CommitUpload(ctx context.Context, c *record.CommitUpload) ([]record.EntryResult, error) {
	return proposeAll(ctx, s, record.ChunkCommit(c))
}

// Spill publishes manifest pages. It returns one result per entry.
func (s *Store) Spill(ctx context.Context, c *record.Spill) ([]record.EntryResult, error) {
	return proposeAll(ctx, s, record.ChunkSpill(c))
}

func proposeAll[C record.Command](ctx context.Context, s *Store, commands []C) ([]record.EntryResult, error) {
	var out []record.EntryResult
	for _, c := range commands {
		r, err := s.Propose(ctx, c)
		if err != nil {
			return out, err
		}
		out = append(out, r.Entries...)
	}
	return out, nil
}

// Retain releases the oldest segments of a partition.
func (s *Store) Retain(ctx context.Context, c *record.Retain) (record.EntryResult, error) {
	r, err := s.Propose(ctx, c)
	if len(r.Entries) == 0 {
		return record.EntryResult{}, err
	}
	return r.Entries[0], err
}

// SetLogStart moves log starts ahead (DeleteRecords).
func (s *Store) SetLogStart(ctx context.Context, entries []record.LogStartEntry) ([]record.EntryResult, error) {
	r, err := s.Propose(ctx, &record.SetLogStart{Entries: entries})
	return r.Entries, err
}

// PurgeProgress releases segments of partitions of a deleted topic. It returns
// one result per entry, none when the topic is not known any more.
func (s *Store) PurgeProgress(ctx context.Context, c *record.PurgeProgress) ([]record.EntryResult, error) {
	r, err := s.Propose(ctx, c)
	return r.Entries, err
}

// PurgeDone forgets a deleted topic of which nothing remains.
func (s *Store) PurgeDone(ctx context.Context, topic ID) error {
	_, err := s.Propose(ctx, &record.PurgeDone{Topic: topic})
	return err
}

// CollectGarbage forgets objects that were deleted from the bucket.
func (s *Store) CollectGarbage(ctx context.Context, objects []ID) error {
	for _, c := range record.ChunkCollect(objects) {
		if _, err := s.Propose(ctx, c); err != nil {
			return err
		}
	}
	return nil
}
