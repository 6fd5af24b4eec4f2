package broker

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/tidelinehq/tideline/metadata"
	command "github.com/tidelinehq/tideline/metadata/record"
	"github.com/tidelinehq/tideline/tiering"
	"github.com/tidelinehq/tideline/tiering/manifest"
	"github.com/tidelinehq/tideline/tiering/objstore"
)

// ledger shows the Raft group to the tiering engine. It translates between the
// nouns of both, which have the same shape, and decides nothing.
type ledger struct {
	meta   *metadataHandle
	nodeID int32
	now    func() time.Time
}

var _ tiering.Ledger = (*ledger)(nil)

func toLedger(l *metadata.Ledger) manifest.Ledger {
	hot := make([]manifest.Segment, len(l.Hot))
	for i := range l.Hot {
		hot[i] = manifest.Segment(l.Hot[i])
	}
	return manifest.Ledger{
		LogStart: l.LogStart, Tiered: l.Tiered,
		LogBytes: l.LogBytes, StoredBytes: l.StoredBytes, Segments: l.Segments,
		MaxTimestamp: l.MaxTimestamp, MaxTimestampOffset: l.MaxTimestampOffset,
		Root: manifest.PageRef(l.Root), RootEnd: l.RootEnd,
		Hot: hot, Chain: l.Chain, Generation: l.Generation, Cleaned: l.Cleaned, Horizon: l.Horizon,
	}
}

func (l *ledger) View(topic [16]byte, partition int32) (manifest.Ledger, bool) {
	p, ok := l.meta.Image().Partition(topic, partition)
	if !ok {
		return manifest.Ledger{}, false
	}
	return toLedger(&p.Ledger), true
}

func (l *ledger) Generation(topic [16]byte, partition int32) (uint64, bool) {
	p, ok := l.meta.Image().Partition(topic, partition)
	if !ok {
		return 0, false
	}
	return p.Ledger.Generation, true
}

func (l *ledger) Intents() []tiering.Intent {
	var out []tiering.Intent
	for i := range l.meta.Image().Intents() {
		if i.Broker == l.nodeID {
			out = append(out, tiering.Intent{Object: i.Object, Kind: kindOf(i.Kind)})
		}
	}
	return out
}

func kindOf(k command.UploadKind) objstore.Kind {
	switch k {
	case command.KindPages:
		return objstore.KindPages
	case command.KindData:
		return objstore.KindData
	}
	return objstore.KindUnknown
}

func uploadKind(k objstore.Kind) command.UploadKind {
	if k == objstore.KindPages {
		return command.KindPages
	}
	return command.KindData
}

// Cleaner says that the leader of the Raft group deletes garbage.
func (l *ledger) Cleaner() bool { return l.meta.Controller() == l.nodeID }

func (l *ledger) Garbage() iter.Seq[tiering.Garbage] {
	return func(yield func(tiering.Garbage) bool) {
		for g := range l.meta.Image().Garbage() {
			if !yield(tiering.Garbage{Object: g.Object, Kind: kindOf(g.Kind), Due: time.UnixMilli(g.Due)}) {
				return
			}
		}
	}
}

func (l *ledger) Purges() iter.Seq[tiering.Purge] {
	return func(yield func(tiering.Purge) bool) {
		image := l.meta.Image()
		for p := range image.Purges() {
			purge := tiering.Purge{Topic: p.Topic}
			for part := range image.PurgePartitions(p) {
				purge.Partitions = append(purge.Partitions, tiering.PurgePartition{Partition: part.Index, Ledger: toLedger(&part.Ledger)})
			}
			if !yield(purge) {
				return
			}
		}
	}
}

// propose applies a command. A refusal by the state machine is marked as the
// definite no that it is.
func (l *ledger) propose(ctx context.Context, c command.Command) (command.Result, error) {
	result, err := l.meta.Propose(ctx, c)
	if err != nil {
		return result, refusal(err)
	}
	return result, nil
}

// refusal marks a reason of the state machine as tiering.ErrRefused; every other
// error leaves the outcome open.
func refusal(err error) error {
	var reason command.Reason
	if !errors.As(err, &reason) {
		return err
	}
	if reason == command.HotFull {
		return fmt.Errorf("%w: %w", tiering.ErrHotFull, err)
	}
	return fmt.Errorf("%w: %w", tiering.ErrRefused, err)
}

func outcomes(result *command.Result) []tiering.Outcome {
	out := make([]tiering.Outcome, len(result.Entries))
	for i := range result.Entries {
		if err := result.Entries[i].Reason.Err(); err != nil {
			out[i].Err = refusal(err)
		}
	}
	return out
}

func (l *ledger) BeginUpload(ctx context.Context, object [16]byte, kind objstore.Kind) error {
	self, ok := l.meta.Image().Broker(l.nodeID)
	if !ok {
		return fmt.Errorf("%w: broker is not registered: id=%d", tiering.ErrRefused, l.nodeID)
	}
	_, err := l.propose(ctx, &command.BeginUpload{
		Object: object, Kind: uploadKind(kind), Broker: self.ID, BrokerEpoch: self.Epoch, At: l.now().UnixMilli(),
	})
	return err
}

func (l *ledger) AbortUpload(ctx context.Context, object [16]byte, due time.Time) error {
	_, err := l.propose(ctx, &command.AbortUpload{Object: object, Due: due.UnixMilli()})
	return err
}

func (l *ledger) CommitUpload(ctx context.Context, c tiering.CommitUpload) ([]tiering.Outcome, error) {
	entries := make([]command.CommitEntry, len(c.Entries))
	for i := range c.Entries {
		e := &c.Entries[i]
		entries[i] = command.CommitEntry{
			Topic: e.ID.Topic, Partition: e.ID.Partition, LeaderEpoch: e.LeaderEpoch, Expected: e.Expected,
			Segment: metadata.Segment(e.Segment),
		}
	}
	result, err := l.propose(ctx, &command.CommitUpload{Object: c.Object, Bytes: c.Bytes, Entries: entries, Last: c.Last, Due: c.Due.UnixMilli()})
	if err != nil {
		return nil, err
	}
	return outcomes(&result), nil
}

func pageRefs(refs []manifest.PageRef) []metadata.PageRef {
	out := make([]metadata.PageRef, len(refs))
	for i := range refs {
		out[i] = metadata.PageRef(refs[i])
	}
	return out
}

func (l *ledger) Spill(ctx context.Context, s tiering.Spill) ([]tiering.Outcome, error) {
	entries := make([]command.SpillEntry, len(s.Entries))
	for i := range s.Entries {
		e := &s.Entries[i]
		entries[i] = command.SpillEntry{
			Topic: e.ID.Topic, Partition: e.ID.Partition, Generation: e.Generation,
			NewRoot: metadata.PageRef(e.NewRoot), NewRootEnd: e.NewRootEnd, Pages: int32(e.Pages), Released: pageRefs(e.Released),
		}
	}
	result, err := l.propose(ctx, &command.Spill{Object: s.Object, Bytes: s.Bytes, Entries: entries, Last: s.Last, Due: s.Due.UnixMilli()})
	if err != nil {
		return nil, err
	}
	return outcomes(&result), nil
}

func toRelease(r *tiering.Release) command.Release {
	out := command.Release{
		Cut: r.Cut, ReleasedPages: pageRefs(r.ReleasedPages),
		PagedMaxTimestamp: r.PagedMaxTimestamp, PagedMaxTimestampOffset: r.PagedMaxTimestampOffset,
	}
	for _, o := range r.Released {
		out.Released = append(out.Released, command.ObjectRef(o))
	}
	return out
}

func (l *ledger) Retain(ctx context.Context, topic [16]byte, partition int32, r tiering.Release) error {
	_, err := l.propose(ctx, &command.Retain{
		Topic: topic, Partition: partition, Generation: r.Generation, Release: toRelease(&r), Due: r.Due.UnixMilli(),
	})
	return err
}

func (l *ledger) Replace(ctx context.Context, r tiering.Replace) error {
	c := &command.Replace{
		Topic: r.ID.Topic, Partition: r.ID.Partition, LeaderEpoch: r.LeaderEpoch, Object: r.New.Object, Bytes: r.Bytes,
		Segments: []metadata.Segment{metadata.Segment(r.New)}, Due: r.Due.UnixMilli(),
		PagedMaxTimestamp: r.PagedMaxTimestamp, PagedMaxTimestampOffset: r.PagedMaxTimestampOffset,
	}
	for i := range r.Hot {
		c.Hot = append(c.Hot, metadata.Segment(r.Hot[i]))
	}
	if x := r.Pages; x != nil {
		c.Pages = &command.ReplacePages{
			OldRoot: metadata.PageRef(x.OldRoot), OldSegments: x.OldSegments, NewRoot: metadata.PageRef(x.NewRoot), NewRootEnd: x.NewRootEnd,
			Bytes: x.Bytes, Pages: int32(x.Pages), ReleasedPages: pageRefs(x.Gone),
		}
		for _, o := range x.Released {
			c.Pages.Released = append(c.Pages.Released, command.ObjectRef(o))
		}
	}
	_, err := l.propose(ctx, c)
	return err
}

func (l *ledger) SetCleaned(ctx context.Context, c tiering.Cleaned) error {
	_, err := l.propose(ctx, &command.SetCleaned{
		Topic: c.ID.Topic, Partition: c.ID.Partition, LeaderEpoch: c.LeaderEpoch, Cleaned: c.Offset, Horizon: c.Horizon,
	})
	return err
}

func (l *ledger) CollectGarbage(ctx context.Context, objects [][16]byte) error {
	for _, c := range command.ChunkCollect(objects) {
		if _, err := l.propose(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

func (l *ledger) PurgeProgress(ctx context.Context, topic [16]byte, partition int32, r tiering.Release, done bool) error {
	result, err := l.propose(ctx, &command.PurgeProgress{
		Topic: topic, Due: r.Due.UnixMilli(),
		Entries: []command.PurgeEntry{{Partition: partition, Generation: r.Generation, Release: toRelease(&r), Done: done}},
	})
	if err != nil {
		return err
	}
	return outcomes(&result)[0].Err
}

func (l *ledger) PurgeDone(ctx context.Context, topic [16]byte) error {
	_, err := l.propose(ctx, &command.PurgeDone{Topic: topic})
	return err
}
