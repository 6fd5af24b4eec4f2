package tiering

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tidelinehq/tideline/tiering/manifest"
)

func seg(base, end, logBytes, ts int64) manifest.Segment {
	s := manifest.Segment{Object: [16]byte{1}, Base: base, End: end, LogBytes: logBytes, Size: 1, MinTimestamp: ts, MaxTimestamp: ts, MaxTimestampOffset: base}
	if ts == -1 {
		s.MaxTimestampOffset = -1
	}
	return s
}

func offerAll(l *manifest.Ledger, s Settings, now time.Time) *expiry {
	x := newExpiry(l, s, now)
	for i := range l.Hot {
		if !x.offer(&l.Hot[i]) {
			break
		}
	}
	return x
}

func ledgerOf(logStart int64, segs ...manifest.Segment) *manifest.Ledger {
	l := &manifest.Ledger{LogStart: logStart, Hot: segs, Segments: int64(len(segs))}
	for i := range segs {
		l.LogBytes += segs[i].LogBytes
		l.Tiered = segs[i].End
	}
	return l
}

func TestExpiry(t *testing.T) {
	now := time.UnixMilli(1_000_000)
	forever := Settings{RetentionMs: -1, RetentionBytes: -1}
	old, young := int64(100_000), int64(950_000)
	byTime := Settings{RetentionMs: 100_000, RetentionBytes: -1}
	bySize := Settings{RetentionMs: -1, RetentionBytes: 150}
	for _, tc := range []struct {
		name     string
		l        *manifest.Ledger
		s        Settings
		want     int
		next     int64 // ms
		logStart int64
	}{
		{name: "empty", l: ledgerOf(0), s: byTime},
		{name: "forever", l: ledgerOf(0, seg(0, 10, 100, old)), s: forever},
		{name: "old ones go", l: ledgerOf(0, seg(0, 10, 100, old), seg(10, 20, 100, old), seg(20, 30, 100, young)), s: byTime, want: 2, next: young + 100_001},
		{name: "an old one behind a young one stays", l: ledgerOf(0, seg(0, 10, 100, young), seg(10, 20, 100, old)), s: byTime, next: young + 100_001},
		{name: "exactly as old as allowed stays", l: ledgerOf(0, seg(0, 10, 100, 900_000)), s: byTime, next: 1_000_001},
		{name: "one millisecond older goes", l: ledgerOf(0, seg(0, 10, 100, 899_999)), s: byTime, want: 1},
		{name: "without a timestamp it waits for the next", l: ledgerOf(0, seg(0, 10, 100, -1), seg(10, 20, 100, old), seg(20, 30, 1, young)), s: byTime, want: 2, next: young + 100_001},
		{name: "without a timestamp and none after, it stays", l: ledgerOf(0, seg(0, 10, 100, -1)), s: byTime},
		{name: "size keeps what is allowed", l: ledgerOf(0, seg(0, 10, 100, young), seg(10, 20, 100, young), seg(20, 30, 100, young)), s: bySize, want: 1},
		{name: "size exactly", l: ledgerOf(0, seg(0, 10, 100, young), seg(10, 20, 150, young)), s: bySize, want: 1},
		{name: "size one short", l: ledgerOf(0, seg(0, 10, 100, young), seg(10, 20, 149, young)), s: bySize},
		{name: "retention.bytes=0 takes all", l: ledgerOf(0, seg(0, 10, 100, young)), s: Settings{RetentionMs: -1}, want: 1},
		{name: "below the log start goes", l: ledgerOf(15, seg(0, 10, 100, young), seg(10, 20, 100, young)), s: forever, want: 1},
		{name: "log start at the end takes all", l: ledgerOf(20, seg(0, 10, 100, young), seg(10, 20, 100, young)), s: forever, want: 2},
		{name: "a time beyond all calendars", l: ledgerOf(0, seg(0, 10, 100, 1<<62)), s: byTime},
		{name: "a retention beyond all calendars", l: ledgerOf(0, seg(0, 10, 100, young)), s: Settings{RetentionMs: 1<<63 - 1, RetentionBytes: -1}},
		{name: "held ones do not make room for the size rule", l: ledgerOf(0, seg(0, 10, 100, -1), seg(10, 20, 60, young), seg(20, 30, 90, young)),
			s: Settings{RetentionMs: 100_000, RetentionBytes: 160}, next: young + 100_001},
	} {
		x := offerAll(tc.l, tc.s, now)
		if x.dropped != tc.want {
			t.Errorf("%s: %d go, want %d", tc.name, x.dropped, tc.want)
		}
		if tc.next == 0 != x.next.IsZero() || tc.next != 0 && x.next.UnixMilli() != tc.next {
			t.Errorf("%s: next %v, want %d", tc.name, x.next, tc.next)
		}
	}
}

// TestRetentionNeverTakesWhatIsInPolicy compares with the policy said in other words.
func TestRetentionNeverTakesWhatIsInPolicy(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		now := int64(1_000_000)
		var segs []manifest.Segment
		base := int64(0)
		for range rnd.IntN(12) {
			ts := now - rnd.Int64N(1000) + 200
			if rnd.IntN(4) == 0 {
				ts = -1
			}
			end := base + 1 + rnd.Int64N(10)
			segs = append(segs, seg(base, end, 1+rnd.Int64N(100), ts))
			base = end
		}
		l := ledgerOf(rnd.Int64N(base+1), segs...)
		s := Settings{RetentionMs: rnd.Int64N(1000) - 100, RetentionBytes: rnd.Int64N(600) - 100}
		x := offerAll(l, s, time.UnixMilli(now))

		for i := range segs[:x.dropped] {
			g := &segs[i]
			var after int64
			for j := i + 1; j < len(segs); j++ {
				after += segs[j].LogBytes
			}
			dead := g.End <= l.LogStart
			excess := s.RetentionBytes >= 0 && after >= s.RetentionBytes
			expired := false // some record at or after it that goes too is too old
			for j := i; j < x.dropped; j++ {
				expired = expired || s.RetentionMs >= 0 && segs[j].MaxTimestamp >= 0 && segs[j].MaxTimestamp < now-s.RetentionMs
				if segs[j].MaxTimestamp >= 0 {
					break
				}
			}
			if !dead && !excess && !expired {
				t.Fatalf("segment %d of %+v goes with %+v: dropped=%d logStart=%d", i, segs, s, x.dropped, l.LogStart)
			}
		}
		if x.dropped < len(segs) { // and what stays has a reason to
			g := &segs[x.dropped]
			var after int64
			for j := x.dropped + 1; j < len(segs); j++ {
				after += segs[j].LogBytes
			}
			if g.End <= l.LogStart || s.RetentionBytes >= 0 && after >= s.RetentionBytes ||
				s.RetentionMs >= 0 && g.MaxTimestamp >= 0 && g.MaxTimestamp < now-s.RetentionMs {
				t.Fatalf("segment %d of %+v stays with %+v: logStart=%d", x.dropped, segs, s, l.LogStart)
			}
		}
		if x.seen > x.dropped+1 && segs[x.dropped].MaxTimestamp >= 0 {
			t.Fatalf("looked at %d to drop %d", x.seen, x.dropped)
		}
	}
}

func TestLocalStart(t *testing.T) {
	now := time.UnixMilli(1_000_000)
	segs := []manifest.Segment{seg(0, 10, 100, 100), seg(10, 20, 100, 999_000), seg(20, 30, 100, 999_500)}
	for _, tc := range []struct {
		name                string
		start, tiered, pend int64
		s                   LocalSettings
		needRoom            bool
		want                int64
	}{
		{"no bounds", 0, 30, 0, LocalSettings{-1, -1}, false, 0},
		{"by time", 0, 30, 0, LocalSettings{10_000, -1}, false, 10},
		{"by size", 0, 30, 0, LocalSettings{-1, 100}, false, 20},
		{"pending counts", 0, 30, 100, LocalSettings{-1, 100}, false, 30},
		{"nothing kept", 0, 30, 0, LocalSettings{0, -1}, false, 30},
		{"never above tiered", 0, 20, 0, LocalSettings{-1, 0}, false, 20},
		{"never back", 15, 30, 0, LocalSettings{10_000, -1}, false, 15},
		{"the WAL needs room", 0, 30, 0, LocalSettings{-1, -1}, true, 30},
	} {
		if got := LocalStart(segs, tc.start, tc.tiered, tc.pend, tc.s, tc.needRoom, now); got != tc.want {
			t.Errorf("%s: %d, want %d", tc.name, got, tc.want)
		}
	}
}
