package partition

import (
	"fmt"

	"github.com/tidelinehq/tideline/internal/record"
)

// FirstRecord returns the first record of batch at or above from whose timestamp
// (ms) matches, or nil. Control batches have none.
func FirstRecord(batch record.Batch, from int64, match func(timestamp int64) bool) (*TimeOffset, error) {
	if batch.Control() {
		return nil, nil
	}
	var found *TimeOffset
	err := batch.Times(maxScanBytes, func(offset, timestamp int64) bool {
		if offset >= from && match(timestamp) {
			found = &TimeOffset{Offset: offset, Timestamp: timestamp, Epoch: batch.LeaderEpoch()}
		}
		return found == nil
	})
	if err != nil {
		return nil, fmt.Errorf("look up timestamp base_offset=%d: %w", batch.BaseOffset(), err)
	}
	return found, nil
}
