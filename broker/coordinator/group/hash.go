package group

import (
	"iter"
	"unicode/utf8"
)

// PartitionFor is the partition of __consumer_offsets, of n, that a group's
// state is kept in: Java's hash code of the id, without its sign bit, modulo n, as in every
// Kafka broker. FindCoordinator answers with the leader of that partition.
func PartitionFor(group string, n int32) int32 {
	var h int32
	for u := range utf16Units(group) {
		h = 31*h + int32(u)
	}
	return h & 0x7fffffff % n
}

// utf16Units yields the UTF-16 code units of s, as Java has the string after
// decoding it: bytes that are not UTF-8 become U+FFFD.
func utf16Units(s string) iter.Seq[uint16] {
	return func(yield func(uint16) bool) {
		for _, r := range s {
			if r >= 0x10000 {
				r -= 0x10000
				if !yield(uint16(0xd800+r>>10)) || !yield(uint16(0xdc00+r&0x3ff)) {
					return
				}
			} else if !yield(uint16(r)) {
				return
			}
		}
	}
}

// utf16Len is the length of s as Java counts it.
func utf16Len(s string) int {
	if len(s) == utf8.RuneCountInString(s) {
		return len(s)
	}
	n := 0
	for range utf16Units(s) {
		n++
	}
	return n
}
