package cache

import "encoding/binary"

// Key names a block: an object and the byte position in it. Objects are immutable and their ids are never used again, so
// what a key names never changes.
type Key struct {
	Object   [16]byte
	Position int64
}

// hash spreads keys over shards and stands for them in the ghost list. Object ids are random already.
func (k Key) hash() uint64 {
	h := binary.LittleEndian.Uint64(k.Object[:]) ^ binary.LittleEndian.Uint64(k.Object[8:]) ^ uint64(k.Position)*0x9e3779b97f4a7c15
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	return h ^ h>>32
}
