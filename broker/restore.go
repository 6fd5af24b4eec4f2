package broker

import (
	"context"
	"errors"
	"time"

	"github.com/tidelinehq/tideline/broker/partition"
	"github.com/tidelinehq/tideline/tiering/objstore"
	"github.com/tidelinehq/tideline/tiering/segment"
	"github.com/tidelinehq/tideline/wal"
)

// restoreTimeout bounds how long a partition whose local log is lost waits for what
// the object store knows of its producers.
const restoreTimeout = 5 * time.Second

// restorePause is how long no other partition waits after one has waited in vain: thousands of them would
// keep the broker from following the metadata.
const restorePause = 10 * time.Second

// errStoreAway says that an earlier partition has waited for the object store in vain.
var errStoreAway = errors.New("the object store does not answer")

// restore reads the leader epochs and the state of the producers at the end of what
// is tiered, from the newest segment. After a partition that waits in vain no other waits for
// a while.
func (r *replicas) restore(id wal.ID, tiered int64) (history []partition.EpochStart, producers []byte, err error) {
	if r.now().UnixNano() < r.storeAway.Load() {
		return nil, nil, errStoreAway
	}
	ctx, cancel := context.WithTimeout(context.Background(), restoreTimeout)
	defer cancel()
	defer func() {
		if ctx.Err() != nil {
			r.storeAway.Store(r.now().Add(restorePause).UnixNano())
		}
	}()
	seg, err := r.history.locator.Locate(ctx, id.Topic, id.Partition, tiered-1)
	if err != nil {
		return nil, nil, err
	}
	section, err := segment.OpenSection(ctx, segmentSource{r.store, objstore.DataKey(seg.Object)}, seg.Position, seg.Size)
	if err != nil {
		return nil, nil, err
	}
	for _, e := range section.Index.Epochs {
		history = append(history, partition.EpochStart(e))
	}
	producers, err = section.ProducerState(ctx)
	return history, producers, err
}

// segmentSource reads ranges of one object.
type segmentSource struct {
	store objstore.Store
	key   string
}

// Size implements segment.Source.
func (s segmentSource) Size(ctx context.Context) (int64, error) {
	info, err := s.store.Head(ctx, s.key)
	return info.Size, err
}

// ReadRange implements segment.Source.
func (s segmentSource) ReadRange(ctx context.Context, dst []byte, off int64) error {
	_, err := objstore.ReadRange(ctx, s.store, s.key, off, dst)
	return err
}
