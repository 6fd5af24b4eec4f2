package tiering

import (
	"time"

	"github.com/tidelinehq/tideline/tiering/manifest"
)

// expiry decides how many of a partition's oldest segments go. It is fed the live segments oldest first and looks at no
// more than it drops and one: retention costs what expires, not what is stored.
//
// A segment goes when it lies wholly below the log start; when without it retention.bytes are still there; or when its
// newest record is older than retention.ms. One that has no timestamp (control batches, or a producer that sets none)
// goes by time with the first later one that does: it was written before.
type expiry struct {
	logStart int64
	total    int64 // bytes of live segments, of the ledger alone
	settings Settings
	now      int64 // ms

	dropped int       // segments that go, counting those without a timestamp only when a later one goes
	cut     int64     // end of the last that goes
	seen    int       // segments offered
	next    time.Time // when the first that stays is due by time; zero when nothing says so
	done    bool
}

func newExpiry(l *manifest.Ledger, s Settings, now time.Time) *expiry {
	return &expiry{logStart: l.LogStart, total: l.LogBytes, settings: s, now: now.UnixMilli()}
}

// offer takes the next segment, and reports whether the one after it is wanted.
func (x *expiry) offer(s *manifest.Segment) bool {
	if x.done {
		return false
	}
	x.seen++
	drop := func() bool {
		x.dropped, x.cut = x.seen, s.End
		return true
	}
	size := x.total - s.LogBytes
	below := s.End <= x.logStart
	bySize := x.settings.RetentionBytes >= 0 && size >= x.settings.RetentionBytes
	x.total = size
	if below || bySize {
		return drop()
	}
	if x.settings.RetentionMs < 0 {
		x.done = true
		return false
	}
	if s.MaxTimestampOffset < 0 || s.MaxTimestamp < 0 {
		return true // held until a later one decides
	}
	if s.MaxTimestamp < x.now-x.settings.RetentionMs {
		return drop()
	}
	x.done = true
	if due := s.MaxTimestamp + x.settings.RetentionMs + 1; due > 0 && due < maxUnixMilli {
		x.next = time.UnixMilli(due)
	}
	return false
}

// maxUnixMilli keeps times within what time.Time can do arithmetic with.
const maxUnixMilli = 1 << 52

// LocalSettings are the settings of local retention. Negative: no bound.
type LocalSettings struct {
	RetentionMs    int64 // local.retention.ms, or retention.ms where that is -2
	RetentionBytes int64 // local.retention.bytes, or retention.bytes where that is -2
}

// LocalStart returns the offset below which the local log of a partition may be dropped: what is tiered, and either beyond
// local retention or, when the WAL needs room, all of it. segments are those of the ledger that end above the present local log
// start, oldest first; pending is the size of what is not tiered. The answer is at least localStart.
func LocalStart(segments []manifest.Segment, localStart, tiered, pending int64, s LocalSettings, needRoom bool, now time.Time) int64 {
	if needRoom {
		return max(localStart, tiered)
	}
	total := pending
	for i := range segments {
		total += segments[i].LogBytes
	}
	start := localStart
	for i := range segments {
		g := &segments[i]
		total -= g.LogBytes
		bySize := s.RetentionBytes >= 0 && total >= s.RetentionBytes
		byTime := s.RetentionMs >= 0 && g.MaxTimestampOffset >= 0 && g.MaxTimestamp >= 0 && g.MaxTimestamp < now.UnixMilli()-s.RetentionMs
		if g.End > tiered || !bySize && !byTime {
			break
		}
		start = max(start, g.End)
	}
	return start
}
