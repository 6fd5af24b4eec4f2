package compact

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"math/bits"

	"github.com/tidelinehq/tideline/internal/offheap"
)

// A slot of Keys: 16 bytes of hash, 8 of offset+1; an offset of zero there says that the slot is free.
const (
	hashBytes = 16
	slotBytes = hashBytes + 8
)

// Keys remembers the last offset of each key. The zero value remembers nothing and is full.
type Keys struct {
	block *offheap.Block
	slots []byte
	n     uint64 // slots
	size  int    // taken
	limit int    // of them at most: probing gets slow beyond

	hash   hash.Hash // SHA-256, set up with a secret of this map
	secret [16]byte
	sum    [sha256.Size]byte
}

// NewKeys makes a map of at most maxBytes that takes at least one key and, as far as the memory goes, as many as wanted. load
// is the share of slots that may be taken, between 0 and 1.
func NewKeys(wanted, maxBytes int64, load float64) *Keys {
	slots := max(min(maxBytes/slotBytes, int64(float64(wanted)/load)+1), 2)
	k := &Keys{block: offheap.Alloc(int(slots) * slotBytes), n: uint64(slots), limit: max(int(float64(slots)*load), 1), hash: sha256.New()}
	k.slots = k.block.Bytes()[:slots*slotBytes]
	rand.Read(k.secret[:]) // never fails
	return k
}

// Free gives the memory back.
func (k *Keys) Free() {
	k.block.Free()
	*k = Keys{}
}

// Len is the number of keys.
func (k *Keys) Len() int { return k.size }

// Bytes is the memory of the map.
func (k *Keys) Bytes() int64 { return int64(len(k.slots)) }

// Put notes that key was written at offset, which has to be above those put before. It is false when the map is full.
func (k *Keys) Put(key []byte, offset int64) bool {
	slot := k.find(key)
	if slot == nil {
		return false
	}
	if binary.LittleEndian.Uint64(slot[hashBytes:]) == 0 {
		if k.size == k.limit {
			return false
		}
		k.size++
		copy(slot, k.sum[:hashBytes])
	}
	binary.LittleEndian.PutUint64(slot[hashBytes:], uint64(offset)+1)
	return true
}

// Last is the last offset of a key, -1 when it was never put.
func (k *Keys) Last(key []byte) int64 {
	slot := k.find(key)
	if slot == nil {
		return -1
	}
	return int64(binary.LittleEndian.Uint64(slot[hashBytes:])) - 1
}

// find returns the slot that has the key, or the free one where it would be; nil without slots.
func (k *Keys) find(key []byte) []byte {
	if k.n == 0 {
		return nil
	}
	k.hash.Reset()
	k.hash.Write(k.secret[:])
	k.hash.Write(key)
	k.hash.Sum(k.sum[:0])
	at, _ := bits.Mul64(binary.LittleEndian.Uint64(k.sum[:]), k.n)
	for {
		slot := k.slots[at*slotBytes:][:slotBytes]
		if binary.LittleEndian.Uint64(slot[hashBytes:]) == 0 || [hashBytes]byte(slot) == [hashBytes]byte(k.sum[:]) {
			return slot
		}
		if at++; at == k.n {
			at = 0
		}
	}
}
