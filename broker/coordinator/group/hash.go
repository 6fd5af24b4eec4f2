package group

import (
	"unicode/utf8"

	"github.com/tidelinehq/tideline/broker/coordinator"
)

// PartitionFor is the partition of __consumer_offsets, of n, that a group's state is kept in.
func PartitionFor(group string, n int32) int32 { return coordinator.PartitionFor(group, n) }

// utf16Len is the length of s as Java counts it.
func utf16Len(s string) int {
	if len(s) == utf8.RuneCountInString(s) {
		return len(s)
	}
	n := 0
	for range coordinator.UTF16(s) {
		n++
	}
	return n
}
