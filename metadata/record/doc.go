// Package record holds the nouns of the cluster state and the commands that
// change it, with their bytes.
//
// A command is what goes into the metadata log; a state record is what goes
// into a snapshot of the image. Both are written by hand, field by field, by
// one function per type that describes encoding and decoding at once, so that
// the two can not drift apart.
//
// # Command bytes
//
//	+--------+------+---------+----------------------------+
//	| crc32c | type | version | body                       |
//	| u32 LE | u8   | u8      | fields, in the type's order |
//	+--------+------+---------+----------------------------+
//
// The checksum (Castagnoli) covers everything after itself. Within a body:
//
//	signed integers     zig-zag varint
//	unsigned integers   varint
//	ids, chains, crcs   fixed size, crcs little-endian
//	numbers             8 bytes, the bits of a float64, little-endian
//	strings, bytes      varint length, bytes
//	lists               varint count, items; lists that may be absent store count+1, 0 being absent
//	booleans            one byte, 0 or 1
//
// A body must be consumed exactly. No command is larger than MaxSize; what is
// bigger is cut by the Chunk functions before it is proposed.
//
// # What is refused
//
// An unknown type (ErrUnknownType), a version newer than this release knows
// (ErrUnknownVersion), a bad checksum or body (ErrCorrupt), and anything above
// MaxSize (ErrTooLarge) are different errors. Every length is checked against
// the bytes that remain before anything is allocated for it.
//
// # Time
//
// Commands carry the times that applying them needs, as Unix milliseconds:
// At is when it was proposed, Due is when objects that it frees may be
// deleted. Applying a command reads no clock.
//
// Values of this package are plain data; those reached through an image are
// shared and must not be modified.
package record
