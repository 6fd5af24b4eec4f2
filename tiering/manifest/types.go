package manifest

import (
	"encoding/hex"
	"fmt"
)

// ID names a partition.
type ID struct {
	Topic     [16]byte
	Partition int32
}

// String is the topic id in hex, a dash, and the partition.
func (id ID) String() string {
	return fmt.Sprintf("%s-%d", hex.EncodeToString(id.Topic[:]), id.Partition)
}

// Segment is one range of one partition in one object.
type Segment struct {
	Object   [16]byte // object id (random, new per attempt)
	Position int64    // byte position of this partition's section in the object
	Size     int64    // bytes of that section, blocks and section index
	Base     int64    // first offset
	End      int64    // offset after the last
	LogBytes int64    // bytes of record batches as Kafka counts them

	// Of data batches only; -1 when there are none. Milliseconds since the epoch.
	MinTimestamp, MaxTimestamp int64
	MaxTimestampOffset         int64

	Epoch int32    // leader epoch of the writer
	Flags uint32   // see FlagAborted
	CRC   uint32   // crc32c of the section index
	Chain [32]byte // SHA-256 over (previous Chain, this section's block checksums and offsets)
}

// Flags of a Segment.
const (
	FlagAborted uint32 = 1 << 0 // its range holds records of aborted transactions
	FlagSparse  uint32 = 1 << 1 // compaction wrote it: batches need not follow each other without gaps
)

// PageRef is the place of one page. The zero Object means: none.
type PageRef struct {
	Object   [16]byte
	Position int64
	Size     int32
	CRC      uint32 // CRC-32C of the page without its last four bytes, which repeat it
}

// IsZero reports that the reference names no page.
func (r PageRef) IsZero() bool { return r.Object == [16]byte{} }

// Ledger is what the Raft state holds of a partition. Bounded: Hot is paged out when it grows.
type Ledger struct {
	LogStart int64 // log start offset; DeleteRecords may move it ahead of what was released, and of Tiered
	Tiered   int64 // end of what is in the bucket, exclusive

	LogBytes, StoredBytes, Segments  int64 // running totals of live segments
	MaxTimestamp, MaxTimestampOffset int64

	Root    PageRef // inner page of the older segments
	RootEnd int64   // offsets below are found through Root

	Hot []Segment // newest segments, oldest first, contiguous, ending at Tiered

	Chain      [32]byte // chain value of the newest segment ever committed
	Generation uint64   // bumped on each change; Spill and Retain expect it

	// Cleaned is the first dirty offset: compaction has been over all below it. Horizon is when, in ms, what it kept below for a
	// time only, tombstones and transaction markers, may go; 0 when it kept nothing so.
	Cleaned, Horizon int64
}

// HotStart is the offset of the first hot entry, or Tiered when there is none.
func (l *Ledger) HotStart() int64 {
	if len(l.Hot) == 0 {
		return l.Tiered
	}
	return l.Hot[0].Base
}

// PagedSegments is the number of live segments in pages. Segments are released oldest first, so these are the last so many
// of the tree; what the tree has before them is released, and its pages may be gone.
func (l *Ledger) PagedSegments() int64 { return l.Segments - int64(len(l.Hot)) }

// Check reports the first broken invariant of the ledger, or nil. It costs O(len(Hot)).
func (l *Ledger) Check() error {
	switch {
	case l.LogStart < 0 || l.Tiered < 0:
		return fmt.Errorf("%w: negative offset logStart=%d tiered=%d", ErrCorrupt, l.LogStart, l.Tiered)
	case l.LogBytes < 0 || l.StoredBytes < 0 || l.Segments < 0:
		return fmt.Errorf("%w: negative total logBytes=%d storedBytes=%d segments=%d", ErrCorrupt, l.LogBytes, l.StoredBytes, l.Segments)
	case !l.Root.IsZero() && l.RootEnd != l.HotStart():
		return fmt.Errorf("%w: pages and hot entries do not meet rootEnd=%d hotStart=%d", ErrCorrupt, l.RootEnd, l.HotStart())
	case l.Root.IsZero() && l.HotStart() > l.LogStart:
		return fmt.Errorf("%w: hot entries begin above the log start hotStart=%d logStart=%d", ErrCorrupt, l.HotStart(), l.LogStart)
	case int64(len(l.Hot)) > l.Segments:
		return fmt.Errorf("%w: more hot entries than segments hot=%d segments=%d", ErrCorrupt, len(l.Hot), l.Segments)
	}
	if err := checkRun(l.Hot); err != nil {
		return err
	}
	if n := len(l.Hot); n > 0 && l.Hot[n-1].End != l.Tiered {
		return fmt.Errorf("%w: hot entries do not end at the tiered offset end=%d tiered=%d", ErrCorrupt, l.Hot[n-1].End, l.Tiered)
	}
	return nil
}

// Check reports what is impossible in the entry, or nil.
func (s *Segment) Check() error {
	switch {
	case s.Base < 0 || s.End <= s.Base:
		return fmt.Errorf("%w: empty or negative range base=%d end=%d", ErrCorrupt, s.Base, s.End)
	case s.Object == [16]byte{}:
		return fmt.Errorf("%w: entry without an object base=%d", ErrCorrupt, s.Base)
	case s.Position < 0 || s.Size <= 0 || s.Position+s.Size < 0:
		return fmt.Errorf("%w: impossible section position=%d size=%d", ErrCorrupt, s.Position, s.Size)
	case s.LogBytes <= 0:
		return fmt.Errorf("%w: entry without bytes base=%d logBytes=%d", ErrCorrupt, s.Base, s.LogBytes)
	case s.MaxTimestampOffset != -1 && (s.MaxTimestampOffset < s.Base || s.MaxTimestampOffset >= s.End):
		return fmt.Errorf("%w: offset of the greatest timestamp outside its range offset=%d base=%d end=%d",
			ErrCorrupt, s.MaxTimestampOffset, s.Base, s.End)
	}
	return nil
}

// checkRun verifies that entries are sane and contiguous.
func checkRun(segs []Segment) error {
	for i := range segs {
		if err := segs[i].Check(); err != nil {
			return err
		}
		if i > 0 && segs[i].Base != segs[i-1].End {
			return fmt.Errorf("%w: entries are not contiguous end=%d base=%d", ErrCorrupt, segs[i-1].End, segs[i].Base)
		}
	}
	return nil
}
