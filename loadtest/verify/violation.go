package verify

import (
	"fmt"
	"strings"
	"time"
)

// Class is a kind of broken promise.
type Class string

// What a cluster may not do, whatever happens to it.
const (
	Loss       Class = "loss"         // an acknowledged record is not where it was acknowledged
	Duplicate  Class = "duplicate"    // a record of an idempotent producer lies at two offsets
	Order      Class = "order"        // records of one producer are not in the order of their sending, or a reader was sent back
	Gap        Class = "gap"          // an offset was left out
	Divergence Class = "divergence"   // two records at one offset
	Corruption Class = "corruption"   // a record is not as it was written
	Foreign    Class = "foreign"      // a record that nobody wrote
	Watermark  Class = "watermark"    // the high watermark, or the end of the log, went back
	OutOfRange Class = "out-of-range" // a reader was refused the offset behind the last that it saw
	Truncation Class = "truncation"   // a reader was told that what it read is gone
	Unread     Class = "unread"       // no reader got to the end after the last acknowledgement
)

// What Kafka allows, and is counted all the same.
const (
	// NoticeWatermark is a high watermark in a new leader's answer to a fetch that is older than that of the old leader (KIP-207).
	NoticeWatermark = "watermark-behind"
	// NoticeAbove is an answer with records at or above its own high watermark. Brokers look at the watermark first and read then, up to
	// what it is by then; that they never go too far shows in that nothing that was read is replaced.
	NoticeAbove = "records-above-told-watermark"
	// NoticeDuplicate is a record of a producer without idempotence that lies at two offsets.
	NoticeDuplicate = "duplicate-allowed"
	// NoticeLoss is an acknowledged record that is not there, where fewer than all in-sync replicas acknowledged.
	NoticeLoss = "loss-allowed"
	// NoticeTorn is a journal that ends in the middle of an entry.
	NoticeTorn = "torn-journal"
)

// Violation is one broken promise: what, where, who saw it, when.
type Violation struct {
	Class     Class   `json:"class"`
	Partition int32   `json:"partition"`
	Offset    int64   `json:"offset"`
	Who       string  `json:"who"`
	At        float64 `json:"at"` // seconds since the run began
	What      string  `json:"what"`
}

func (v Violation) String() string {
	return fmt.Sprintf("%s partition=%d offset=%d who=%s at=%.3fs: %s", v.Class, v.Partition, v.Offset, v.Who, v.At, v.What)
}

// Violations counts by class and keeps the first of each.
type Violations struct {
	Counts    map[Class]int64  `json:"violations"`
	Notices   map[string]int64 `json:"notices"`
	Explained []Violation      `json:"explained,omitempty"`
	each      int              // how many of a class are explained
}

func (v *Violations) add(found Violation) {
	v.Counts[found.Class]++
	if v.Counts[found.Class] <= int64(v.each) {
		v.Explained = append(v.Explained, found)
	}
}

// maxNotices bounds the texts that are told apart; the rest is counted as one.
const maxNotices = 64

func (v *Violations) notice(text string) { tally(v.Notices, text) }

func tally(counts map[string]int64, text string) {
	text = strings.Clone(text[:min(len(text), maxText)])
	if _, known := counts[text]; !known && len(counts) >= maxNotices {
		text = "other"
	}
	counts[text]++
}

// seconds is a time in µs as one in s.
func seconds(micros int64) float64 { return (time.Duration(micros) * time.Microsecond).Seconds() }
