package compact

import "github.com/tidelinehq/tideline/internal/record"

// Index takes the keys of the dirty range into a map, batch by batch.
type Index struct {
	Keys *Keys
	Txns *Txns
	From int64 // records below are clean
}

// Add takes the next batch. It returns the offset up to which the map knows all keys then, exclusive, and whether it is full:
// that offset is the end of the round.
func (x *Index) Add(b record.Batch) (end int64, full bool, err error) {
	end = b.NextOffset()
	if b.Control() {
		_, err := x.Txns.Control(b)
		return end, false, err
	}
	if x.Txns.Data(b) || end <= x.From {
		return end, false, nil
	}
	for r, err := range b.Records(MaxBatchBytes) {
		if err != nil {
			return end, false, err
		}
		if r.Key != nil && r.Offset >= x.From && !x.Keys.Put(r.Key, r.Offset) {
			return r.Offset, true, nil
		}
	}
	return end, false, nil
}
