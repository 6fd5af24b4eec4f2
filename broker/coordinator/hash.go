package coordinator

import "iter"

// PartitionFor is the partition of an internal topic, of n, that the state of a key (a group
// id, a transactional id, …) is kept in: the magnitude of Java's hash code of the key, modulo
// n, as in every Kafka broker. FindCoordinator answers with the leader of that partition.
func PartitionFor(key string, n int32) int32 {
	var h int32
	for u := range UTF16(key) {
		h = 31*h + int32(u)
	}
	if h = max(h, -h); h < 0 { // the one number that has no magnitude
		h = 0
	}
	return h % n
}

// UTF16 yields the UTF-16 code units of s, as Java has the string after decoding it: bytes
// that are not UTF-8 become U+FFFD.
func UTF16(s string) iter.Seq[uint16] {
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
