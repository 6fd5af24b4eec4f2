package record

// Release takes the oldest live segments of a ledger away, all that end at or
// below Cut. Hot ones follow from it and are released by applying it; what was
// found in manifest pages is listed.
type Release struct {
	Cut           int64       // the log start becomes this, unless it is ahead already
	Released      []ObjectRef // segments in pages
	ReleasedPages []PageRef   // pages that the tree does not refer to any more
	// NewRoot replaces the root page, when set; its object was begun with
	// KindPages and has Pages pages of this tree. Without it the root stays,
	// or goes when Cut reaches RootEnd, and is among ReleasedPages then.
	NewRoot *PageRef
	Pages   int32
	// Greatest timestamp among the segments that stay in pages, -1 when none
	// or unknown. Used only when the ledger's maximum was released.
	PagedMaxTimestamp, PagedMaxTimestampOffset int64
}

func (r *Release) code(k *coder) {
	k.i64(&r.Cut)
	list(k, &r.Released, maxList, 19, codeObjectRef)
	list(k, &r.ReleasedPages, maxList, 22, codePageRef)
	set := r.NewRoot != nil
	k.bool(&set)
	if set {
		if k.decoding {
			r.NewRoot = new(PageRef)
		}
		codePageRef(k, r.NewRoot)
		k.i32(&r.Pages)
	}
	k.i64(&r.PagedMaxTimestamp)
	k.i64(&r.PagedMaxTimestampOffset)
}

func codeObjectRef(k *coder, o *ObjectRef) {
	k.id(&o.Object)
	k.i64(&o.Bytes)
	k.i64(&o.LogBytes)
	k.i64(&o.Segments)
}

// Retain releases the oldest segments of one partition.
// With NewRoot set it closes the intent of that root's object.
type Retain struct {
	Topic      ID
	Partition  int32
	Generation uint64 // expected
	Release    Release
	Due        int64 // Unix milliseconds
}

// Type implements Command.
func (*Retain) Type() Type { return TypeRetain }

func (c *Retain) code(k *coder, _ uint8) {
	k.id(&c.Topic)
	k.i32(&c.Partition)
	k.u64(&c.Generation)
	c.Release.code(k)
	k.i64(&c.Due)
}

// LogStartEntry is one partition of SetLogStart.
type LogStartEntry struct {
	Topic       ID
	Partition   int32
	LeaderEpoch int32 // of the leader that checked the high watermark
	LogStart    int64
}

// SetLogStart moves log starts ahead without releasing anything (DeleteRecords);
// a following Retain releases. The log start may pass the tiered offset. A move
// back is answered with Already.
type SetLogStart struct {
	Entries []LogStartEntry
}

// Type implements Command.
func (*SetLogStart) Type() Type { return TypeSetLogStart }

func (c *SetLogStart) code(k *coder, _ uint8) {
	list(k, &c.Entries, maxList, 19, func(k *coder, e *LogStartEntry) {
		k.id(&e.Topic)
		k.i32(&e.Partition)
		k.i32(&e.LeaderEpoch)
		k.i64(&e.LogStart)
	})
}

// CollectGarbage forgets objects that were deleted from the bucket.
type CollectGarbage struct {
	Objects []ID
}

// Type implements Command.
func (*CollectGarbage) Type() Type { return TypeCollectGarbage }

func (c *CollectGarbage) code(k *coder, _ uint8) {
	list(k, &c.Objects, maxList, 16, func(k *coder, o *ID) { k.id(o) })
}

// PurgeEntry releases remote data of one partition of a deleted topic. Done says that this was all: hot segments and totals
// must come out at zero.
type PurgeEntry struct {
	Partition  int32
	Generation uint64 // expected
	Release    Release
	Done       bool
}

// PurgeProgress works off the purge entry of one deleted topic.
type PurgeProgress struct {
	Topic   ID
	Entries []PurgeEntry
	Due     int64 // Unix milliseconds
}

// Type implements Command.
func (*PurgeProgress) Type() Type { return TypePurgeProgress }

func (c *PurgeProgress) code(k *coder, _ uint8) {
	k.id(&c.Topic)
	list(k, &c.Entries, maxList, 9, func(k *coder, e *PurgeEntry) {
		k.i32(&e.Partition)
		k.u64(&e.Generation)
		e.Release.code(k)
		k.bool(&e.Done)
	})
	k.i64(&c.Due)
}

// PurgeDone forgets a deleted topic of which nothing remains. Unknown topics
// are answered with Already.
type PurgeDone struct {
	Topic ID
}

// Type implements Command.
func (*PurgeDone) Type() Type { return TypePurgeDone }

func (c *PurgeDone) code(k *coder, _ uint8) { k.id(&c.Topic) }
