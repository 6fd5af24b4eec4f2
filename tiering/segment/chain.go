package segment

import (
	"crypto/sha256"
	"encoding/binary"
)

// chainTag separates these hashes from all others.
const chainTag = "tideline section chain v1\n"

// computeChain is the hash chain's value after this section. Integers are little endian:
//
//	SHA-256( "tideline section chain v1\n"
//	         previous chain [32] │ topic id [16] │ partition i32 │ leader epoch i32 │ base i64 │ end i64 │ blocks u32
//	         { first i64 │ end i64 │ raw size u32 │ sha-256 of the stored bytes [32] } … )
//
// The position is not in it, so that a section may be copied into another object as it is.
func (x *Index) computeChain() (sum [32]byte) {
	h := sha256.New()
	b := make([]byte, 0, 128)
	b = append(b, chainTag...)
	b = append(b, x.PrevChain[:]...)
	b = append(b, x.Topic[:]...)
	b = binary.LittleEndian.AppendUint32(b, uint32(x.Partition))
	b = binary.LittleEndian.AppendUint32(b, uint32(x.Epoch))
	b = binary.LittleEndian.AppendUint64(b, uint64(x.Base))
	b = binary.LittleEndian.AppendUint64(b, uint64(x.End))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(x.Blocks)))
	h.Write(b)
	for i := range x.Blocks {
		k := &x.Blocks[i]
		b = b[:0]
		b = binary.LittleEndian.AppendUint64(b, uint64(k.First))
		b = binary.LittleEndian.AppendUint64(b, uint64(k.End))
		b = binary.LittleEndian.AppendUint32(b, uint32(k.Raw))
		b = append(b, k.Digest[:]...)
		h.Write(b)
	}
	h.Sum(sum[:0])
	return sum
}
