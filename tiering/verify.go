package tiering

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/tidelinehq/tideline/tiering/manifest"
	"github.com/tidelinehq/tideline/tiering/objstore"
	"github.com/tidelinehq/tideline/tiering/segment"
)

// Audited is the ledger as Verify sees it: all of the cluster, whoever leads.
type Audited interface {
	// View is the newest ledger of a partition.
	View(topic [16]byte, partition int32) (manifest.Ledger, bool)
	// Ledgers yields every partition, those of deleted topics that are not purged included.
	Ledgers() iter.Seq2[manifest.ID, manifest.Ledger]
	// Unreferenced yields the objects of open uploads and of the garbage queue: known, though no ledger names them.
	Unreferenced() iter.Seq[[16]byte]
}

// VerifyOptions say what to verify.
type VerifyOptions struct {
	Ledger  Audited
	Store   objstore.Store
	Locator *manifest.Locator
	// Blocks has every block read and its batches checked, which reads the whole bucket. Without it the section indexes are
	// read, which proves presence, sizes, offsets, and the hash chain.
	Blocks bool
	// Orphans has the bucket listed for objects that nothing knows. It takes about 50 bytes of memory per object.
	Orphans bool
	// MaxFindings bounds the report [1000]; what is above it is counted only.
	MaxFindings int
	// Progress, when set, is called after every section. It must not block.
	Progress func(VerifyProgress)
}

// VerifyProgress is how far a verification is.
type VerifyProgress struct {
	Partitions    int64
	Segments, All int64 // sections read, and sections of the partitions begun
	Bytes         int64 // read and proven
	Listed        int64 // objects
	Findings      int64
}

// FindingKind classifies a Finding.
type FindingKind string

// What a verification can find.
const (
	FindDangling FindingKind = "dangling" // the ledger names an object or page that is not there
	FindCorrupt  FindingKind = "corrupt"  // bytes contradict a checksum, a bound, the chain, or the ledger
	FindOrphan   FindingKind = "orphan"   // an object that nothing knows
	FindUnread   FindingKind = "unread"   // the store did not let it be read
)

// Finding is one thing that is wrong.
type Finding struct {
	Kind      FindingKind
	Partition manifest.ID // zero for orphans
	Base, End int64       // offsets concerned
	Key       string      // object, when known
	Err       error
}

// VerifyReport is what a verification proved and found.
type VerifyReport struct {
	VerifyProgress
	Found []Finding // at most MaxFindings of them
}

// Whole reports that nothing was found.
func (r *VerifyReport) Whole() bool { return r.Findings == 0 }

// Verify walks from the ledger through pages to sections, checks that all is there, whole, and one chain, and lists what
// nothing refers to. It may run while the cluster works: objects that come and go meanwhile are not reported. The error is
// only for a verification that could not be done; what is wrong with the bucket is in the report.
func Verify(ctx context.Context, o VerifyOptions) (VerifyReport, error) {
	if o.MaxFindings <= 0 {
		o.MaxFindings = 1000
	}
	v := &verification{o: o, known: map[[16]byte]bool{}}
	// The listing comes first: whatever is in it was announced to the ledger before the ledger is read.
	var listed []listedObject
	if o.Orphans {
		for _, kind := range []objstore.Kind{objstore.KindData, objstore.KindPages} {
			if err := v.list(ctx, kind, &listed); err != nil {
				return v.report, err
			}
		}
	}
	// An upload that is committed from now on is in no ledger that is read next; what becomes garbage meanwhile is asked for again.
	v.unreferenced()
	for id, l := range o.Ledger.Ledgers() {
		if err := v.partition(ctx, id, &l, verifyRetries); err != nil {
			return v.report, err
		}
		v.report.Partitions++
		v.progress()
	}
	v.unreferenced()
	if v.blind && len(listed) > 0 {
		v.find(Finding{Kind: FindUnread, Err: errors.New("orphans not judged: what some pages refer to is not known")})
		listed = nil
	}
	for _, c := range listed {
		if c.strange == "" && v.known[c.object] {
			continue
		}
		key := c.strange
		if key == "" {
			key = objstore.Key(c.kind, c.object)
		}
		_, err := o.Store.Head(ctx, key)
		switch {
		case errors.Is(err, objstore.ErrNotFound): // collected since
		case err != nil && ctx.Err() != nil:
			return v.report, ctx.Err()
		case err != nil:
			v.find(Finding{Kind: FindUnread, Key: key, Err: err})
		default:
			v.find(Finding{Kind: FindOrphan, Key: key, Err: errors.New("nothing refers to the object")})
		}
	}
	v.progress()
	return v.report, nil
}

type listedObject struct {
	object  [16]byte
	kind    objstore.Kind
	strange string // a key that this cluster does not make
}

type verification struct {
	o      VerifyOptions
	report VerifyReport
	known  map[[16]byte]bool
	blind  bool // pages could not be read, so known is not all
}

// unreferenced notes what is known, though no ledger names it.
func (v *verification) unreferenced() {
	for object := range v.o.Ledger.Unreferenced() {
		v.known[object] = true
	}
}

func (v *verification) progress() {
	if v.o.Progress != nil {
		v.o.Progress(v.report.VerifyProgress)
	}
}

func (v *verification) find(f Finding) {
	v.report.Findings++
	if len(v.report.Found) < v.o.MaxFindings {
		v.report.Found = append(v.report.Found, f)
	}
}

func (v *verification) list(ctx context.Context, kind objstore.Kind, out *[]listedObject) error {
	for after := ""; ; {
		infos, more, err := v.o.Store.List(ctx, objstore.Prefix(kind), after, objstore.MaxListKeys)
		if err != nil {
			return fmt.Errorf("verify: list %s: %w", kind, err)
		}
		for _, info := range infos {
			k, id, ok := objstore.ParseKey(info.Key)
			if !ok || k != kind {
				*out = append(*out, listedObject{strange: info.Key})
			} else {
				*out = append(*out, listedObject{object: id, kind: k})
			}
			after = info.Key
		}
		v.report.Listed += int64(len(infos))
		v.progress()
		if !more || len(infos) == 0 {
			return nil
		}
	}
}

// kindOf classifies an error about an object.
func kindOf(err error) FindingKind {
	switch {
	case errors.Is(err, objstore.ErrNotFound):
		return FindDangling
	case errors.Is(err, manifest.ErrCorrupt), errors.Is(err, manifest.ErrTorn), errors.Is(err, manifest.ErrVersion),
		errors.Is(err, segment.ErrCorrupt), errors.Is(err, segment.ErrTorn), errors.Is(err, segment.ErrVersion),
		errors.Is(err, objstore.ErrCorrupt), errors.Is(err, objstore.ErrRange):
		return FindCorrupt
	default:
		return FindUnread
	}
}

// gone reports whether the ledger released what ends at end since it was read.
func (v *verification) gone(id manifest.ID, end int64) bool {
	l, ok := v.o.Ledger.View(id.Topic, id.Partition)
	return !ok || end <= l.LogStart
}

// verifyRetries is how often a partition is begun anew because its pages were replaced, and the old ones collected, meanwhile.
const verifyRetries = 3

func (v *verification) partition(ctx context.Context, id manifest.ID, l *manifest.Ledger, retries int) error {
	v.report.All += l.Segments
	if err := l.Check(); err != nil {
		v.find(Finding{Kind: FindCorrupt, Partition: id, Base: l.LogStart, End: l.Tiered, Err: err})
	}
	leaves, err := v.o.Locator.Tree(ctx, id, l)
	if err == nil {
		if !l.Root.IsZero() {
			v.known[l.Root.Object] = true
		}
		var first int
		if first, _, err = manifest.FirstLive(leaves, l.PagedSegments()); err == nil && len(leaves) > 0 {
			for _, leaf := range leaves[first:] {
				v.known[leaf.Ref.Object] = true
			}
		}
	}
	var sum manifest.Ledger
	var before *segment.Index
	var end int64
	if err == nil {
		for s, walkErr := range v.o.Locator.Walk(ctx, id, l, 0) {
			if walkErr != nil {
				err = walkErr
				break
			}
			v.known[s.Object] = true
			sum.LogBytes, sum.StoredBytes, sum.Segments = sum.LogBytes+s.LogBytes, sum.StoredBytes+s.Size, sum.Segments+1
			x, err := v.section(ctx, id, &s, before)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil && !v.gone(id, s.End) {
				v.find(Finding{Kind: kindOf(err), Partition: id, Base: s.Base, End: s.End, Key: objstore.DataKey(s.Object), Err: err})
			}
			before, end = x, s.End
			v.report.Segments++
			v.progress()
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		if now, ok := v.o.Ledger.View(id.Topic, id.Partition); ok && now.Root != l.Root && retries > 0 {
			v.report.All -= l.Segments
			v.report.Segments -= sum.Segments
			return v.partition(ctx, id, &now, retries-1)
		}
		v.blind = true
		if !v.gone(id, l.RootEnd) {
			v.find(Finding{Kind: kindOf(err), Partition: id, Base: end, End: l.RootEnd, Key: objstore.PagesKey(l.Root.Object), Err: err})
		}
		return nil
	}
	if sum.LogBytes != l.LogBytes || sum.StoredBytes != l.StoredBytes || sum.Segments != l.Segments {
		v.find(Finding{Kind: FindCorrupt, Partition: id, Base: l.LogStart, End: l.Tiered, Err: fmt.Errorf(
			"%w: totals of the ledger are not those of its segments logBytes=%d want=%d storedBytes=%d want=%d segments=%d want=%d",
			manifest.ErrCorrupt, l.LogBytes, sum.LogBytes, l.StoredBytes, sum.StoredBytes, l.Segments, sum.Segments)})
	}
	if before != nil && continues(before) != l.Chain {
		v.find(Finding{Kind: FindCorrupt, Partition: id, Base: before.Base, End: l.Tiered,
			Err: fmt.Errorf("%w: the ledger's chain is not that of its newest segment", manifest.ErrCorrupt)})
	}
	return nil
}

// continues is the chain value that the section after x continues from.
func continues(x *segment.Index) [32]byte {
	if x.ReplacedChain != [32]byte{} {
		return x.ReplacedChain
	}
	return x.Chain
}

// section checks one section against its ledger entry and the section before, which is nil when that is not known.
func (v *verification) section(ctx context.Context, id manifest.ID, s *manifest.Segment, before *segment.Index) (*segment.Index, error) {
	sec, err := segment.OpenSection(ctx, verifySource{v.o.Store, objstore.DataKey(s.Object)}, s.Position, s.Size)
	if err != nil {
		return nil, err
	}
	x := sec.Index
	if got := manifest.Segment(x.Segment(s.Object, s.Position)); got != *s || x.Topic != id.Topic || x.Partition != id.Partition {
		return nil, fmt.Errorf("%w: section is not what the ledger says base=%d end=%d crc=%08x want base=%d end=%d crc=%08x",
			segment.ErrCorrupt, got.Base, got.End, got.CRC, s.Base, s.End, s.CRC)
	}
	if before != nil && continues(before) != x.PrevChain {
		return x, fmt.Errorf("%w: hash chain is broken before base=%d", segment.ErrCorrupt, s.Base)
	}
	if !v.o.Blocks {
		v.report.Bytes += x.Size
		return x, nil
	}
	if err := segment.VerifySection(ctx, sec, nil); err != nil {
		return x, err
	}
	v.report.Bytes += s.Size
	return x, nil
}

// verifySource reads one object of the store.
type verifySource struct {
	store objstore.Store
	key   string
}

// ReadRange implements segment.Source.
func (s verifySource) ReadRange(ctx context.Context, dst []byte, off int64) error {
	_, err := objstore.ReadRange(ctx, s.store, s.key, off, dst)
	if errors.Is(err, objstore.ErrRange) {
		return fmt.Errorf("%w: %w", segment.ErrTorn, err)
	}
	return err
}

// Size implements segment.Source.
func (s verifySource) Size(ctx context.Context) (int64, error) {
	info, err := s.store.Head(ctx, s.key)
	return info.Size, err
}
