package record

// Replace puts segments that compaction wrote in the place of those that they
// were made of: the same range of offsets, and exactly the segments that were
// read, or it is refused and changes nothing. Accepted, it closes the intents
// of its objects.
//
// Without NewRoot all that is replaced is in the hot list, a run of it. With
// NewRoot it is in pages, or begins there and ends in the hot list: the new
// tree has the new segments, and the hot ones among the old leave the list,
// which they begin. What is in pages is not listed: the old root names it, to
// the byte, and the number of live segments in pages says what was released.
type Replace struct {
	Topic       ID
	Partition   int32
	LeaderEpoch int32
	Object      ID    // of the new segments, begun with KindData
	Bytes       int64 // size of it
	Hot         []Segment
	Segments    []Segment
	Pages       *ReplacePages
	// Greatest timestamp among all segments in pages afterwards, -1 when none.
	// Used only when the ledger's maximum was replaced.
	PagedMaxTimestamp, PagedMaxTimestampOffset int64
	Due                                        int64 // Unix milliseconds
}

// ReplacePages is the part of a Replace that changes the tree.
type ReplacePages struct {
	OldRoot       PageRef     // expected
	OldSegments   int64       // live segments in pages, expected
	NewRoot       PageRef     // its object was begun with KindPages
	NewRootEnd    int64       // end of the new tree
	Bytes         int64       // size of the object
	Pages         int32       // pages in it, NewRoot among them
	Released      []ObjectRef // segments in pages that are replaced
	ReleasedPages []PageRef   // pages that the new tree does not refer to
}

// Type implements Command.
func (*Replace) Type() Type { return TypeReplace }

func (c *Replace) code(k *coder, _ uint8) {
	k.id(&c.Topic)
	k.i32(&c.Partition)
	k.i32(&c.LeaderEpoch)
	k.id(&c.Object)
	k.i64(&c.Bytes)
	list(k, &c.Hot, MaxHot, 60, codeSegment)
	list(k, &c.Segments, MaxHot, 60, codeSegment)
	set := c.Pages != nil
	k.bool(&set)
	if set {
		if k.decoding {
			c.Pages = new(ReplacePages)
		}
		c.Pages.code(k)
	}
	k.i64(&c.PagedMaxTimestamp)
	k.i64(&c.PagedMaxTimestampOffset)
	k.i64(&c.Due)
}

func (p *ReplacePages) code(k *coder) {
	codePageRef(k, &p.OldRoot)
	k.i64(&p.OldSegments)
	codePageRef(k, &p.NewRoot)
	k.i64(&p.NewRootEnd)
	k.i64(&p.Bytes)
	k.i32(&p.Pages)
	list(k, &p.Released, maxList, 19, codeObjectRef)
	list(k, &p.ReleasedPages, maxList, 22, codePageRef)
}

// SetCleaned notes that compaction has been over a partition up to an offset.
// A move back is answered with Already.
type SetCleaned struct {
	Topic       ID
	Partition   int32
	LeaderEpoch int32
	Cleaned     int64
	Horizon     int64 // see Ledger
}

// Type implements Command.
func (*SetCleaned) Type() Type { return TypeSetCleaned }

func (c *SetCleaned) code(k *coder, _ uint8) {
	k.id(&c.Topic)
	k.i32(&c.Partition)
	k.i32(&c.LeaderEpoch)
	k.i64(&c.Cleaned)
	k.i64(&c.Horizon)
}
