package record

import "encoding/binary"

// AppendEmpty appends what is kept of a batch whose records are all gone, and whose offsets, producer and sequence still
// count: its header, with a count of zero. Codec and delete horizon go with the records; the greatest timestamp stays, as
// in Kafka.
func AppendEmpty(dst []byte, b Batch) []byte {
	at := len(dst)
	dst = append(dst, b[:HeaderSize]...)
	h := Batch(dst[at:])
	be := binary.BigEndian
	be.PutUint32(h[posLength:], HeaderSize-lengthOverhead)
	be.PutUint16(h[posAttributes:], uint16(b.Attributes()&^(attrCodecMask|attrDeleteHorizon)))
	none := NoTimestamp
	be.PutUint64(h[posFirstTime:], uint64(none))
	be.PutUint32(h[posCount:], 0)
	h.seal()
	return dst
}
