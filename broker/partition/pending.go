package partition

import "time"

// pending counts what is durable here and not yet in the object store, so that
// the uploader knows without a look at the log how much waits, and since when. It
// keeps a bounded number of samples: an advance of the tiered offset is rounded
// down to a sample, so the count may be too high by less than one sample, and is
// exact again whenever everything is uploaded. It is guarded by the acks mutex.
type pending struct {
	total   int64 // bytes that ever became durable
	tiered  int64 // of those, in the object store
	samples []pendingSample
}

// pendingSample says that the log ended at end, after total bytes, at about at.
type pendingSample struct {
	end, total int64
	at         time.Time // when the first byte of the sample became durable
}

// maxPendingSamples bounds the samples; beyond it the older half is thinned out.
const maxPendingSamples = 128

// samplePeriod is the finest distance of two samples.
const samplePeriod = time.Second

// add notes that the durable log grew by bytes to end.
func (n *pending) add(end int64, bytes int, now time.Time) {
	n.total += int64(bytes)
	if k := len(n.samples); k > 0 && now.Sub(n.samples[k-1].at) < samplePeriod {
		n.samples[k-1].end, n.samples[k-1].total = end, n.total
		return
	}
	if len(n.samples) == maxPendingSamples {
		n.thin()
	}
	n.samples = append(n.samples, pendingSample{end: end, total: n.total, at: now})
}

// thin merges pairs of samples. The merged one keeps the earlier time and the
// later end.
func (n *pending) thin() {
	kept := n.samples[:0]
	for i := 0; i+1 < len(n.samples); i += 2 {
		s := n.samples[i+1]
		s.at = n.samples[i].at
		kept = append(kept, s)
	}
	n.samples = kept
}

// advance notes that all below offset is in the object store.
func (n *pending) advance(offset int64) {
	drop := 0
	for drop < len(n.samples) && n.samples[drop].end <= offset {
		n.tiered = n.samples[drop].total
		drop++
	}
	n.samples = append(n.samples[:0], n.samples[drop:]...)
}

// bytes returns how much waits, and since when.
func (n *pending) bytes() (int64, time.Time) {
	if len(n.samples) == 0 {
		return 0, time.Time{}
	}
	return n.total - n.tiered, n.samples[0].at
}
