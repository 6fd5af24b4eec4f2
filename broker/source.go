package broker

import (
	"context"
	"time"

	"github.com/tidelinehq/tideline/broker/partition"
	"github.com/tidelinehq/tideline/tiering"
	"github.com/tidelinehq/tideline/tiering/compact"
	"github.com/tidelinehq/tideline/tiering/manifest"
	"github.com/tidelinehq/tideline/tiering/segment"
)

// source shows a led partition to the tiering engine.
type source struct {
	p        *partition.Partition
	replicas *replicas
}

var _ tiering.Source = (*source)(nil)

func (s *source) ID() manifest.ID {
	id := s.p.ID()
	return manifest.ID{Topic: id.Topic, Partition: id.Partition}
}

func (s *source) Status() tiering.SourceStatus {
	bytes, since := s.p.Pending()
	return tiering.SourceStatus{
		LeaderEpoch: s.p.Epoch(), HighWatermark: s.p.HighWatermark(), PendingBytes: bytes, OldestPending: since,
	}
}

func (s *source) Settings() tiering.Settings {
	c := s.replicas.config()
	t := s.replicas.topicConfig(s.p.ID().Topic)
	settings := tiering.Settings{
		RollBytes: c.TierRollBytes, RollAfter: c.TierRoll,
		RetentionMs: t.RetentionMS, RetentionBytes: t.RetentionBytes,
	}
	if !t.Delete {
		settings.RetentionMs, settings.RetentionBytes = -1, -1 // a compacted topic keeps the last value of each key
	}
	if t.Compact {
		settings.Compact = true
		settings.CompactPolicy = compact.Policy{DirtyRatio: t.MinCleanableRatio, MinLagMs: t.MinCompactionLagMS, MaxLagMs: t.MaxCompactionLagMS}
		settings.DeleteRetentionMs, settings.SegmentBytes = t.DeleteRetentionMS, int64(t.SegmentBytes)
		settings.RollAfter = min(settings.RollAfter, max(millis(t.MaxCompactionLagMS), time.Second)) // only what is tiered is compacted
	}
	return settings
}

func (s *source) Producers() map[int64]compact.LastRecord {
	out := map[int64]compact.LastRecord{}
	for id, last := range s.p.LastRecords() {
		out[id] = compact.LastRecord(last)
	}
	return out
}

func (s *source) Read(_ context.Context, from, limit int64, maxBytes int) (tiering.SourceChunk, error) {
	c, err := s.p.ReadLocal(from, limit, maxBytes)
	if err != nil {
		return tiering.SourceChunk{}, err
	}
	return tiering.SourceChunk{Buffers: c.Buffers, Next: c.NextOffset, Release: c.Release}, nil
}

func (s *source) Snapshot(_ context.Context, from, end int64) (tiering.Snapshot, error) {
	snap, err := s.p.Snapshot(from, end)
	if err != nil {
		return tiering.Snapshot{}, err
	}
	out := tiering.Snapshot{ProducerState: snap.Producers, StableOffset: snap.Stable}
	for _, e := range snap.Epochs {
		out.Epochs = append(out.Epochs, segment.EpochStart(e))
	}
	for _, t := range snap.Aborted {
		out.Aborted = append(out.Aborted, segment.AbortedTxn{
			ProducerID: t.ProducerID, FirstOffset: t.FirstOffset, LastOffset: t.LastOffset, LastStableOffset: t.LastStable,
		})
	}
	return out, nil
}

// Tiered frees what the local retention does not want to keep.
func (s *source) Tiered(to int64) { s.replicas.tiered(s.p, to) }
