package partition

import (
	"testing"

	"github.com/tidelinehq/tideline/internal/record"
)

// TestBatchesOutsideTransactionsCostNothing: what is known of transactions costs a batch that has to do with none
// no memory, on the way in and at a read.
func TestBatchesOutsideTransactionsCostNothing(t *testing.T) {
	w := newWorld(t)
	idempotent, sequence := batch(record.Options{ProducerID: 9}, 1, 1000), int32(0)
	w.mustAppend(idempotent)
	other := plain(1, 1000)
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := testing.AllocsPerRun(1000, func() {
		sequence++
		b := idempotent
		b[56] = byte(sequence) // base sequence, low byte
		if sequence > 127 {
			sequence, b[56] = 0, 0
			w.producers.entries[9].count, w.producers.entries[9].forgotten = 0, true
		}
		for _, b := range []record.Batch{b, other} {
			if d, err := w.checkProducers(b, 0, FromClient); d != nil || err != nil {
				t.Fatalf("sequence %d: %v %v", sequence, d, err)
			}
			if w.hold(b) {
				t.Fatal("held")
			}
			w.remember(b, 1000)
		}
		if txns, _ := w.Aborted(nil, 0, 10); txns != nil {
			t.Fatal("aborted")
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
