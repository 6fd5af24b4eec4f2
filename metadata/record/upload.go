package record

// BeginUpload records that a broker is about to put an object. An object is
// never put before its intent stands, so what a crash leaves behind is known
// without listing the bucket.
type BeginUpload struct {
	Object      ID
	Kind        UploadKind
	Broker      int32
	BrokerEpoch int64
	At          int64 // Unix milliseconds
}

// Type implements Command.
func (*BeginUpload) Type() Type { return TypeBeginUpload }

func (c *BeginUpload) code(k *coder, _ uint8) {
	k.id(&c.Object)
	k.u8((*uint8)(&c.Kind))
	k.i32(&c.Broker)
	k.i64(&c.BrokerEpoch)
	k.i64(&c.At)
}

// AbortUpload closes an intent. The object becomes garbage unless entries of
// it were accepted before. Unknown objects are answered with Already.
type AbortUpload struct {
	Object ID
	Due    int64 // Unix milliseconds
}

// Type implements Command.
func (*AbortUpload) Type() Type { return TypeAbortUpload }

func (c *AbortUpload) code(k *coder, _ uint8) {
	k.id(&c.Object)
	k.i64(&c.Due)
}

// CommitEntry adds a segment to a partition's ledger, if the leader epoch is
// the current one and the ledger ends where the uploader expected.
type CommitEntry struct {
	Topic       ID
	Partition   int32
	LeaderEpoch int32
	Expected    int64 // Ledger.Tiered that the uploader saw
	Segment     Segment
}

// CommitUpload adds the sections of one object to the ledgers of their
// partitions, each entry for itself. The intent closes with the command that
// has Last set; an object of which nothing was accepted is garbage then.
type CommitUpload struct {
	Object  ID
	Bytes   int64 // size of the object
	Entries []CommitEntry
	Last    bool
	Due     int64 // Unix milliseconds
}

// Type implements Command.
func (*CommitUpload) Type() Type { return TypeCommitUpload }

func (c *CommitUpload) code(k *coder, _ uint8) {
	k.id(&c.Object)
	k.i64(&c.Bytes)
	list(k, &c.Entries, MaxCommitEntries, 80, codeCommitEntry)
	k.bool(&c.Last)
	k.i64(&c.Due)
}

func codeCommitEntry(k *coder, e *CommitEntry) {
	k.id(&e.Topic)
	k.i32(&e.Partition)
	k.i32(&e.LeaderEpoch)
	k.i64(&e.Expected)
	codeSegment(k, &e.Segment)
}

// SpillEntry moves the hot segments below NewRootEnd out of the Raft state.
type SpillEntry struct {
	Topic      ID
	Partition  int32
	Generation uint64 // expected
	NewRoot    PageRef
	NewRootEnd int64     // end of a hot segment
	Pages      int32     // pages that this entry's tree has in the object, NewRoot among them
	Released   []PageRef // pages of older objects that the new tree does not refer to
}

// Spill publishes manifest pages. Object was begun with KindPages.
type Spill struct {
	Object  ID
	Bytes   int64
	Entries []SpillEntry
	Last    bool
	Due     int64 // Unix milliseconds
}

// Type implements Command.
func (*Spill) Type() Type { return TypeSpill }

func (c *Spill) code(k *coder, _ uint8) {
	k.id(&c.Object)
	k.i64(&c.Bytes)
	list(k, &c.Entries, MaxCommitEntries, 40, codeSpillEntry)
	k.bool(&c.Last)
	k.i64(&c.Due)
}

func codeSpillEntry(k *coder, e *SpillEntry) {
	k.id(&e.Topic)
	k.i32(&e.Partition)
	k.u64(&e.Generation)
	codePageRef(k, &e.NewRoot)
	k.i64(&e.NewRootEnd)
	k.i32(&e.Pages)
	list(k, &e.Released, maxList, 22, codePageRef)
}

func codePageRef(k *coder, p *PageRef) {
	k.id(&p.Object)
	k.i64(&p.Position)
	k.i32(&p.Size)
	k.crc(&p.CRC)
}

func codeSegment(k *coder, s *Segment) {
	k.id(&s.Object)
	k.i64(&s.Position)
	k.i64(&s.Size)
	k.i64(&s.Base)
	k.since(s.Base, &s.End)
	k.i64(&s.LogBytes)
	k.i64(&s.MinTimestamp)
	k.since(s.MinTimestamp, &s.MaxTimestamp)
	k.since(s.Base, &s.MaxTimestampOffset)
	k.i32(&s.Epoch)
	k.u32(&s.Flags)
	k.crc(&s.CRC)
	k.fixed(s.Chain[:])
}
