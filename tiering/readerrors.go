package tiering

import (
	"errors"
	"fmt"

	"github.com/tidelinehq/tideline/tiering/manifest"
	"github.com/tidelinehq/tideline/tiering/objstore"
	"github.com/tidelinehq/tideline/tiering/segment"
)

// CorruptError tells that the object store does not have what the ledger says it has: bytes that contradict their
// checksum after a second GET, or no object at all. errors.Is matches segment.ErrCorrupt, and objstore.ErrNotFound when the
// object is gone.
type CorruptError struct {
	Key       string // of the object, below the prefix of the store
	Topic     [16]byte
	Partition int32
	Base, End int64 // offsets [Base, End) that cannot be read
	Position  int64 // byte position in the object
	Err       error
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("tiered data cannot be read: %v key=%s position=%d topic=%x partition=%d base=%d end=%d",
		e.Err, e.Key, e.Position, e.Topic, e.Partition, e.Base, e.End)
}

// Unwrap gives errors.Is the class and the cause.
func (e *CorruptError) Unwrap() []error { return []error{segment.ErrCorrupt, e.Err} }

// errDropped ends fills that nobody had waited for when they could not have memory at once. Who joined one meanwhile asks
// again.
var errDropped = errors.New("read-ahead was given up")

// isMissing tells that an object was not there, and that the ledger was not asked again yet.
func isMissing(err error) bool {
	var final *CorruptError
	return errors.Is(err, objstore.ErrNotFound) && !errors.As(err, &final)
}

// unreadable is the final error about a whole section: its object is gone though the ledger still names it, or its index is
// damaged.
func unreadable(id partitionID, seg *manifest.Segment, err error) error {
	return &CorruptError{
		Key: objstore.DataKey(seg.Object), Topic: id.topic, Partition: id.partition, Base: seg.Base, End: seg.End, Position: seg.Position, Err: err,
	}
}

// damaged is the class of errors that say: these bytes are wrong, rather than: they could not be had.
func damaged(err error) bool {
	return errors.Is(err, segment.ErrCorrupt) || errors.Is(err, segment.ErrTorn) || errors.Is(err, segment.ErrVersion) ||
		errors.Is(err, objstore.ErrCorrupt) || errors.Is(err, objstore.ErrRange)
}
