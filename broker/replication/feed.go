package replication

import (
	"sync/atomic"

	"github.com/tidelinehq/tideline/broker/partition"
)

// feed is one led partition on its way to one follower.
type feed struct {
	link  *link
	p     *partition.Partition
	epoch int32
	gone  atomic.Bool // not led any more, or not followed by this broker
	// resting: it waits because it is throttled, and a timer has it looked at again.
	resting atomic.Bool

	queued bool // guarded by link.mu

	// The rest belongs to the session that it names: to its writer, and to its reader
	// with session.mu held.
	session *session
	slot    uint32
	state   feedState
	next    int64 // to send
	told    int64 // high watermark that was sent
	history *partition.History
	sent    []sent // not acknowledged
	spans   []openSpan
}

// sent says that bytes ended at end.
type sent struct {
	end   int64
	bytes int64
}

type feedState uint8

const (
	feedClosed    feedState = iota // nothing was said yet
	feedOpening                    // open was sent
	feedOpened                     // the follower has told what it has
	feedStreaming                  // it is sent what it lacks
	feedRefused                    // it does not follow, until the metadata say otherwise
)
