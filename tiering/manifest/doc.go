// Package manifest is the ledger of remote segments: what of a partition lies in the object store, and where.
//
// The newest entries of a partition are in the Raft state ([Ledger.Hot], a bounded number of them). Older entries are
// in immutable pages in the object store, a tree of two levels whose root the Raft state names:
//
//	Raft state   Ledger ── Root ──┐                 Hot: [seg][seg][seg] … [seg]
//	                              ▼                  ▲                        ▲
//	bucket                   inner page              RootEnd                  Tiered
//	                    ┌────────┼────────┐
//	                    ▼        ▼        ▼
//	                  leaf     leaf     leaf         up to 1,024 entries each
//
// So the Raft state of a partition is bounded whatever its history, and any look-up, by offset or by timestamp, reads at
// most two pages: the inner page, which is asked for by every look-up and therefore nearly always cached, and one leaf.
// One inner page holds 16,384 leaves, which is 16 million segments.
//
// # What it refuses
//
// A page is not read by trial: it has to be the page that was asked for (kind, topic id, partition, and the checksum in
// the reference). Entries that overlap, leave a gap or run backwards are corrupt, whatever their checksum says. Lengths
// and counts are bounded before anything is allocated for them. Unknown version ([ErrVersion]), torn ([ErrTorn]) and
// corrupt ([ErrCorrupt]) are three different answers.
//
// # Bytes
//
// All integers are little-endian. uvarint and varint (zigzag) are those of encoding/binary. A page:
//
//	offset  size  field
//	0       4     magic "TLPG"
//	4       1     version, 1
//	5       1     kind: 1 leaf, 2 inner
//	6       2     zero
//	8       16    topic id
//	24      4     partition
//	28      4     count of entries
//	32      4     bytes of payload, n
//	36      n     payload
//	36+n    4     CRC-32C of all above; a PageRef holds the same value
//
// The payload of a leaf starts with uvarint(base of the first entry), that of an inner page likewise. Then, per entry of
// a leaf (the base of an entry is the end of the one before it, and is not stored):
//
//	16 object id | uvarint end-base | uvarint position | uvarint size | uvarint log bytes
//	varint min timestamp - min timestamp of the entry before | varint max timestamp - min timestamp
//	varint offset of max timestamp - base | varint epoch - epoch of the entry before | uvarint flags
//	4 CRC-32C of the section index | 32 chain
//
// and per entry of an inner page:
//
//	16 object id | uvarint position | uvarint size | 4 CRC-32C of the leaf | uvarint end-base
//	varint max timestamp - max timestamp of the entry before | varint offset of max timestamp - base
//	uvarint log bytes | uvarint stored bytes | uvarint segments
//
// A page object packs the pages of many partitions, so that one spill round costs one PUT:
//
//	┌────────┬────────┬─────┬────────┬───────────┬────────┐
//	│ header │ page 1 │  …  │ page n │ directory │ footer │
//	└────────┴────────┴─────┴────────┴───────────┴────────┘
//
//	header, 24 bytes:     magic "TLPO" | version 1 | 3 zero | 16 object id
//	directory, per page:  16 topic id | 4 partition | 1 kind | 3 zero | 8 position | 4 size | 4 CRC-32C of the page
//	footer, 32 bytes:     4 count | 8 position of the directory | 4 size of the directory | 4 CRC-32C of the directory |
//	                      3 zero | version 1 | 4 CRC-32C of the 24 footer bytes before | magic "TLPF"
//
// The directory lets an audit or a restore read the object knowing nothing else.
//
// # References
//
// The Raft state counts references per object: live sections, and live pages. A tree is released from its old end: with the
// last entry of a leaf its page is released, though the inner page still names it, until the next spill writes the inner page
// anew without it. Which entries are released is a number: the tree's live entries are its last [Ledger.PagedSegments]. Nothing
// reads what lies before them.
//
// # Replacement
//
// Compaction puts one segment in the place of many (replace.go). Pages are copied on write: leaves that held none of the old
// entries stay. The old root is what the replacement is compared with, together with the number of live entries.
//
// # Concurrency
//
// Codecs and the builders are pure. A [Locator] may be used by any number of goroutines; many that miss on one page share
// one read, and a waiter may leave without ending the read for the others.
package manifest
