package api

import (
	"time"

	"github.com/tidelinehq/tideline/tiering"
	"github.com/tidelinehq/tideline/wal"
)

// localRange is what a fetch read on this broker without the object store.
type localRange uint8

const (
	localNone localRange = iota
	localTail            // memory alone
	localDisk            // files of the write-ahead log, too
)

// fetchTimes are when the stages of a fetch or a share fetch were. They are noted for every one, for the histogram, and cost a few
// readings of the clock; spans are made of them when the fetch is answered, where there are any.
//
//	received   looked  found   parked      woken      looked  found   asked        came  answered      sent
//	   ├──────────┼──────┼────────┼───────────┼──────────┼──────┼───────┼────────────┼──────┼────────────┤
//	                tail|wal         purgatory             tail|wal      cache|object            send
type fetchTimes struct {
	looked, found time.Time // the last look at memory and disk
	local         localRange
	first         time.Time // parked first; zero: never
	parked, woken time.Time // the last time
	waited        time.Duration
	asked, came   time.Time // the object store; zero: was not
	cold          tiering.ReadStats
	answered      time.Time
}

// look begins a look at memory and disk.
func (t *fetchTimes) look(now time.Time) { t.looked, t.local = now, localNone }

// read notes what a part of the look came from.
func (t *fetchTimes) read(c *wal.Chunk) {
	switch {
	case c.DiskBytes > 0:
		t.local = localDisk
	case c.Bytes > 0:
		t.local = max(t.local, localTail)
	}
}

// park begins a wait in the purgatory.
func (t *fetchTimes) park(now time.Time) {
	if t.parked = now; t.first.IsZero() {
		t.first = now
	}
}

// wake ends it.
func (t *fetchTimes) wake(now time.Time) {
	t.woken = now
	t.waited += now.Sub(t.parked)
}
