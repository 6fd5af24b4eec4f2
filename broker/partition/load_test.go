package partition

import (
	"testing"
	"time"
)

func TestMeter(t *testing.T) {
	var m meter
	at := time.UnixMilli(1_700_000_000_000)
	for _, step := range []struct {
		after time.Duration
		total int64
		want  int64
	}{
		{0, 1000, 0},                              // nothing is known
		{2 * time.Second, 5000, 2000},             // the first look, before a whole measure
		{8 * time.Second, 21_000, 2000},           // ten seconds
		{time.Second, 1_000_000, 2000},            // a burst is no load
		{19 * time.Second, 1_021_000, 50_000},     // twenty
		{time.Hour, 1_021_000, 0},                 // idle since
		{500 * time.Millisecond, 1_021_100, 0},    // too short to say
		{9500 * time.Millisecond, 1_022_000, 100}, // ten seconds again
	} {
		at = at.Add(step.after)
		if got := m.read(step.total, at); got != step.want {
			t.Errorf("after %s: %d bytes/s, want %d", step.after, got, step.want)
		}
	}
}
