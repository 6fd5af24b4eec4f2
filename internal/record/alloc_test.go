//go:build !race

package record_test

import (
	"testing"

	"github.com/tidelinehq/tideline/internal/record"
)

// The race detector makes pools forget at random, hence the build constraint.

// TestAllocations holds the hot path to what it promises.
func TestAllocations(t *testing.T) {
	for _, codec := range []record.Codec{record.None, record.LZ4, record.Zstd, record.Snappy} {
		batch := sized(t, codec, 16<<10, 100)
		n := testing.AllocsPerRun(100, func() {
			if _, err := batch.ValidateProduced(8 << 20); err != nil {
				t.Fatal(err)
			}
		})
		if n > 1 {
			t.Errorf("%v: %v allocations for each validation", codec, n)
		}
	}
	plain := sized(t, record.None, 16<<10, 100)
	if n := testing.AllocsPerRun(100, func() { record.TraceParent(plain, 0) }); n > 0 {
		t.Errorf("%v allocations to look for a traceparent header", n)
	}
}
