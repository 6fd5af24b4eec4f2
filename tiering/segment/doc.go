// Package segment is the object of the tiered log: its bytes, a streaming writer, a reader that needs no broker, and a
// verifier. It knows neither the object store nor the ledger; a Source gives it ranges of bytes.
//
// # Bytes
//
// An object holds ranges of one partition (a large one) or of many (a bundle). All integers of the format are little
// endian; the record batches inside are Kafka's and big endian.
//
//	object                         section                         block
//	┌───────────────────────┐      ┌───────────────────────┐       ┌──────────────────┐
//	│ section 0             │─────▶│ block 0               │──────▶│ record batch v2  │  verbatim, or
//	├───────────────────────┤      ├───────────────────────┤       │ record batch v2  │  one zstd frame
//	│ section 1             │      │ block 1               │       │ …                │  of all of them
//	├───────────────────────┤      ├───────────────────────┤       └──────────────────┘
//	│ …                     │      │ …                     │
//	├───────────────────────┤      ├───────────────────────┤
//	│ directory             │      │ producer-state        │  opaque bytes
//	├───────────────────────┤      │ snapshot              │
//	│ footer (64 bytes)     │      ├───────────────────────┤
//	└───────────────────────┘      │ section index         │  blocks, epochs, aborted
//	                               └───────────────────────┘  transactions, totals, chain
//
// The fields are drawn above their encoders: [Footer], directory.go, index.go. Every structure ends in its CRC, and the
// places that tell size, version and CRC are the same in all versions.
//
//	what           covered by
//	record batch   its own CRC-32C; verified by Writer and Verify
//	block          CRC-32C (each read) and SHA-256 (Verify) of the stored bytes, both in the section index
//	producer state CRC-32C in the section index
//	section index  CRC-32C in its trailer, repeated in the directory and in the ledger's Segment
//	directory      CRC-32C at its end
//	footer         CRC-32C
//	partition      Chain: SHA-256 over the previous section's Chain, the range, and the digests of all blocks (chain.go)
//	object         CRC-32C of all bytes, returned by Finish, which the store verifies when it takes the object in
//
// A block is about 1 MiB of batches. A batch is never split: the block is closed before the batch that would take it
// above its target, and a batch that is larger than the target has a block of its own. A block is compressed unless most
// of it is compressed already, a sample of its middle does not shrink, or less than 8 % is saved.
//
// # What it refuses
//
// To read anything that a checksum, a bound or a cross-check contradicts ([ErrCorrupt]), that ends early ([ErrTorn]) or
// that is of another version ([ErrVersion]); to allocate for a length before it was bounded; to write batches whose CRC is
// wrong or whose offsets do not follow each other; to write an index that its own reader would not accept. It has no
// update, no append to an object, and no reading without checking.
//
// # Invariants
//
//   - Sections lie without gaps from position 0 to the directory, blocks without gaps from the start of their section.
//   - Offsets of blocks grow. In a section that is not sparse they have no gaps, and tile [Base, End) exactly. Compaction writes sparse
//     ones. Their Chain is over what they have; ReplacedChain is that of the last section that they took the place of, from which
//     the section behind them continues, and PrevChain that of the first. So the sections of a partition are one chain, whichever of them
//     were replaced.
//   - The timestamps of a section are those of data batches only; control batches never count.
//   - The same batches, options and ids give the same bytes.
//
// # Reading with the ledger and without
//
// With a Segment of the ledger: [OpenSection] reads the end of the section (its last bytes tell the size of the index),
// then FindOffset or FindTimestamp name a block, and [Block.Decode] turns its bytes into batches. Without: [Open] starts
// from the footer.
//
// # Concurrency
//
// A Writer belongs to one goroutine. Index, Reader and Section are immutable and may be shared. Pure functions are safe.
package segment
