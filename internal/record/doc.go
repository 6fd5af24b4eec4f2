// Package record is record batch v2, the only message format that Tideline
// stores or speaks: a view over the header, CRC-32C, validation, compression,
// iteration over the records, and a builder.
//
// # Bytes
//
// A batch, big endian, as in Apache Kafka since 0.11:
//
//	 0 ┌───────────────────────────┐
//	   │ base offset         int64 │ ┐ patched by the broker,
//	 8 │ batch length        int32 │ │ not covered by the CRC
//	12 │ partition leader epoch i32│ ┘   (length counts the bytes after itself)
//	16 │ magic                int8 │  = 2
//	17 │ crc-32c            uint32 │ ── covers all from byte 21 to the end
//	21 │ attributes          int16 │  0-2 codec, 3 timestamp type, 4 transactional,
//	23 │ last offset delta   int32 │  5 control, 6 delete horizon
//	27 │ first timestamp     int64 │  (the delete horizon where bit 6 is set)
//	35 │ max timestamp       int64 │
//	43 │ producer id         int64 │  -1: none
//	51 │ producer epoch      int16 │
//	53 │ base sequence       int32 │
//	57 │ record count        int32 │
//	61 ├───────────────────────────┤
//	   │ records, or one compressed│
//	   │ block of all records      │
//	   └───────────────────────────┘
//
// A record, all integers zigzag varints:
//
//	length │ attributes int8 │ timestamp delta │ offset delta │
//	key length (-1: null) │ key │ value length (-1: null) │ value │
//	header count │ { key length │ key │ value length (-1: null) │ value }…
//
// # What it refuses
//
// Message formats v0 and v1 (ErrMagic), batches whose bytes end early
// (ErrShort), and anything whose lengths, counts, deltas or checksum contradict
// each other (ErrCorrupt). Decompression takes a bound and stops at it
// (ErrTooLarge), so a small bomb costs no more than the bound.
//
// # Cost levels
//
//	accessors        a load each; lengths are guaranteed by Next
//	ValidateHeader   a handful of comparisons
//	ValidateCRC      one pass of CRC-32C
//	ValidateRecords  one pass over the (decompressed) records; skips keys and
//	                 values, copies nothing, allocates nothing when uncompressed
//	Validate         all three, what a broker owes to bytes from a client
//	Times            one pass over the (decompressed) records; skips all but times
//	TraceParent      a few records at most; inflates no more than it is told to
//
// # Concurrency
//
// A Batch is a view: any number of goroutines may read it while none calls a
// Set method. Codecs are safe for concurrent use. A Builder belongs to one
// goroutine.
package record
