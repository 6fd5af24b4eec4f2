package tiering

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/tidelinehq/tideline/tiering/manifest"
)

// commit makes the sections of an uploaded object part of the log and returns those that were accepted. It goes on until
// the ledger has answered for every section, however long that takes: only the ledger knows.
func (e *Engine) commit(ctx context.Context, object [16]byte, size int64, items []*uploadItem) (accepted []*uploadItem) {
	live := items[:0:0]
	for _, it := range items {
		if !it.lease.closed.Load() {
			live = append(live, it)
		}
	}
	if len(live) == 0 {
		e.abort(ctx, object) // this broker leads none of them any more
		return nil
	}
	for rest := live; len(rest) > 0; {
		chunk := rest[:min(len(rest), MaxCommitEntries)]
		rest = rest[len(chunk):]
		c := CommitUpload{Object: object, Bytes: size, Last: len(rest) == 0, Due: e.due()}
		for _, it := range chunk {
			c.Entries = append(c.Entries, CommitEntry{ID: it.lease.id, LeaderEpoch: it.epoch, Expected: it.expected, Segment: it.segment})
		}
		outcomes, repeated, err := propose(ctx, e, "commit", len(chunk), func() ([]Outcome, error) { return e.o.Ledger.CommitUpload(ctx, c) })
		if err != nil {
			return accepted // the context ended, or the whole command was refused: the sweep closes the intent
		}
		for i, it := range chunk {
			err := outcomes[i].Err
			if err != nil && repeated && e.holds(ctx, it.lease.id, &it.segment) {
				err = nil // the first try was applied, and the entry has moved on since
			}
			if err == nil {
				accepted = append(accepted, it)
				continue
			}
			e.m.commitRefusals.Inc()
			e.o.Logger.InfoContext(ctx, "section refused", "partition", it.lease.id, "base", it.segment.Base, "expected", it.expected, "error", err)
			if errors.Is(err, ErrHotFull) {
				continue // its spill is due
			}
			it.err = fmt.Errorf("commit: %w", err)
		}
	}
	return accepted
}

// propose repeats a command until the ledger answers. Without an answer the command may have been applied or may yet be;
// commands are idempotent, so repeating it is the way to learn.
func propose(ctx context.Context, e *Engine, what string, entries int, command func() ([]Outcome, error)) (outcomes []Outcome, repeated bool, err error) {
	var b backoff
	for {
		outcomes, err = command()
		if err == nil && len(outcomes) == entries {
			e.ledgerWorked()
			return outcomes, b.failures > 0, nil
		}
		if err == nil {
			err = fmt.Errorf("tiering: %s: outcomes=%d entries=%d", what, len(outcomes), entries)
			return nil, false, err
		}
		if errors.Is(err, ErrRefused) {
			e.o.Logger.WarnContext(ctx, "command refused", "command", what, "error", err)
			return nil, false, err
		}
		if ctx.Err() != nil {
			return nil, false, ctx.Err()
		}
		e.ledgerFailed(fmt.Errorf("%s: %w", what, err))
		e.m.lostReplies.Inc()
		now := e.o.Now()
		b.failed(now, err)
		if err := sleep(ctx, b.retryAt.Sub(now)); err != nil {
			return nil, false, err
		}
	}
}

// holds reports whether the ledger has exactly this segment, be it hot or paged out.
func (e *Engine) holds(ctx context.Context, id manifest.ID, s *manifest.Segment) bool {
	got, err := e.o.Locator.Locate(ctx, id.Topic, id.Partition, s.Base)
	return err == nil && got == *s
}

func compareID(a, b manifest.ID) int {
	if c := bytes.Compare(a.Topic[:], b.Topic[:]); c != 0 {
		return c
	}
	return cmp.Compare(a.Partition, b.Partition)
}
