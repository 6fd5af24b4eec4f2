package group

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// topicPartition names what an offset is committed for.
type topicPartition struct {
	topic     string
	partition int32
}

func (a topicPartition) compare(b topicPartition) int {
	return cmp.Or(strings.Compare(a.topic, b.topic), cmp.Compare(a.partition, b.partition))
}

// committed is one committed offset.
type committed struct {
	offset      int64
	leaderEpoch int32 // -1: not known
	metadata    string
	at          int64    // commit timestamp, ms
	expires     int64    // ms; -1: by the group's retention. Requests v2-4 only
	topicID     [16]byte // zero: not known
}

// offsets are the committed offsets of a group. Unlike its membership they are changed
// in place, when a commit is committed, since a group may have very many.
type offsets map[topicPartition]committed

// sorted are the keys in order: topic, then partition.
func (o offsets) sorted() []topicPartition {
	keys := make([]topicPartition, 0, len(o))
	for k := range o {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, topicPartition.compare)
	return keys
}

// expired says whether retention is over for the offset, counted from base
// unless the offset has an expiry of its own.
func (c *committed) expired(base, now time.Time, retention time.Duration) bool {
	if c.expires >= 0 {
		return now.UnixMilli() >= c.expires
	}
	return now.Sub(base) >= retention
}

// sortedFirst sorts keys and returns the first n of them.
func sortedFirst(keys []topicPartition, n int) []topicPartition {
	slices.SortFunc(keys, topicPartition.compare)
	return keys[:min(n, len(keys))]
}
