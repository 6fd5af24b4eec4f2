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
	for r, err := range batch.Records(maxScanBytes) {
		if err != nil {
			return nil, fmt.Errorf("look up timestamp base_offset=%d: %w", batch.BaseOffset(), err)
		}
		if r.Offset >= from && match(r.Timestamp) {
			return &TimeOffset{Offset: r.Offset, Timestamp: r.Timestamp, Epoch: batch.LeaderEpoch()}, nil
		}
	}
	return nil, nil
}
