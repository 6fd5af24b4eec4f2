package partition

import (
	"testing"
	"time"
)

func TestPending(t *testing.T) {
	var n pending
	start := time.Unix(1000, 0)
	for i := range 1000 {
		n.add(int64(i+1), 10, start.Add(time.Duration(i)*2*time.Second))
	}
	if len(n.samples) > maxPendingSamples {
		t.Fatalf("samples = %d", len(n.samples))
	}
	if bytes, since := n.bytes(); bytes != 10_000 || !since.Equal(start) {
		t.Errorf("bytes = %d since %v", bytes, since)
	}
	for _, offset := range []int64{1, 17, 400, 999} {
		n.advance(offset)
		if bytes, _ := n.bytes(); bytes < 10*(1000-offset) {
			t.Errorf("after %d: bytes = %d, too few", offset, bytes)
		}
	}
	n.advance(1000)
	if bytes, since := n.bytes(); bytes != 0 || !since.IsZero() {
		t.Errorf("all tiered: bytes = %d since %v", bytes, since)
	}
	n.add(1001, 7, start)
	if bytes, _ := n.bytes(); bytes != 7 {
		t.Errorf("bytes = %d, want 7", bytes)
	}
}
