package segment

import (
	"context"
	"crypto/sha256"
	"fmt"
)

// Progress is a point on the way of Verify.
type Progress struct {
	Done, All        int   // sections
	Bytes, Total     int64 // bytes read, and about all
	Batches, Records int64
}

// Report is what Verify found whole.
type Report struct {
	Object   [16]byte
	Sections []Segment // as the ledger should have them
	Progress
}

// Verify reads a whole object and checks all that can be checked without the ledger: footer, directory, every section
// index, the CRC-32C and SHA-256 of every block, the CRC-32C of every batch and its place in the offsets, the totals and
// timestamps that the indexes claim, producer state, hash chains. progress may be nil; it is called after every block. The
// first fault ends it, with an error that names the section, and the report covers what was whole until then.
func Verify(ctx context.Context, src Source, progress func(Progress)) (Report, error) {
	r, err := Open(ctx, src)
	if err != nil {
		return Report{}, err
	}
	rep := Report{Object: r.ID()}
	rep.All, rep.Total = len(r.sections), r.Size()
	v := verifier{report: &rep, progress: progress}
	for _, e := range r.sections {
		s, err := r.Section(ctx, e)
		if err == nil {
			err = v.section(ctx, s)
		}
		if err != nil {
			return rep, fmt.Errorf("verify section topic=%x partition=%d base=%d end=%d position=%d: %w", e.Topic, e.Partition, e.Base, e.End, e.Position, err)
		}
		rep.Done++
		rep.Sections = append(rep.Sections, s.Index.Segment(rep.Object, s.Position))
	}
	rep.Bytes = rep.Total
	v.tick()
	return rep, nil
}

// VerifySection checks one section as Verify does; for a scrubber that walks the ledger.
func VerifySection(ctx context.Context, s *Section, progress func(Progress)) error {
	rep := Report{Progress: Progress{All: 1, Total: s.Size}}
	v := verifier{report: &rep, progress: progress}
	return v.section(ctx, s)
}

type verifier struct {
	report   *Report
	progress func(Progress)
	stored   []byte
	raw      []byte
}

func (v *verifier) tick() {
	if v.progress != nil {
		v.progress(v.report.Progress)
	}
}

func (v *verifier) section(ctx context.Context, s *Section) error {
	for i := range s.Index.Blocks {
		if err := v.block(ctx, s, i); err != nil {
			return fmt.Errorf("block=%d: %w", i, err)
		}
		v.tick()
	}
	if _, err := s.ProducerState(ctx); err != nil {
		return err
	}
	v.report.Bytes += s.Index.ProducerStateSize + s.Index.Size
	return nil
}

func (v *verifier) block(ctx context.Context, s *Section, i int) error {
	k := &s.Index.Blocks[i]
	if cap(v.stored) < int(k.Stored) {
		v.stored = make([]byte, k.Stored)
	}
	stored := v.stored[:k.Stored]
	if err := s.src.ReadRange(ctx, stored, s.Position+k.Position); err != nil {
		return err
	}
	raw, err := k.Decode(v.raw, stored, 0)
	if err != nil {
		return err
	}
	if k.Codec != Raw {
		v.raw = raw
	}
	if sum := sha256.Sum256(stored); sum != k.Digest {
		return fmt.Errorf("%w: block sha-256 got=%x want=%x", ErrCorrupt, sum[:8], k.Digest[:8])
	}
	stat, next, dense := newBlockStat(), k.First, s.Index.Flags&FlagSparse == 0
	for b, err := range Batches(raw) {
		if err != nil {
			return err
		}
		if b.ComputeCRC() != b.CRC() {
			return fmt.Errorf("%w: batch checksum base_offset=%d", ErrCorrupt, b.BaseOffset())
		}
		if b.BaseOffset() < next || dense && b.BaseOffset() != next || b.LastOffsetDelta() < 0 {
			return fmt.Errorf("%w: batch base_offset=%d want=%d last_delta=%d", ErrCorrupt, b.BaseOffset(), next, b.LastOffsetDelta())
		}
		next = b.NextOffset()
		stat.add(b)
	}
	if stat.first != k.First || stat.end != k.End || stat.batches != k.Batches || stat.records != k.Records ||
		stat.times != (times{k.MinTimestamp, k.MaxTimestamp, k.MaxTimestampOffset}) {
		return fmt.Errorf("%w: index entry differs from the batches first=%d end=%d batches=%d records=%d", ErrCorrupt, stat.first, stat.end, stat.batches, stat.records)
	}
	v.report.Bytes += int64(k.Stored)
	v.report.Batches += int64(stat.batches)
	v.report.Records += int64(stat.records)
	return nil
}
