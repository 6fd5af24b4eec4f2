// Package wal is the broker's one shared log: all partitions of a broker append to one sequence of files, and one
// fdatasync makes the appends of all of them durable.
//
// It takes record batches whose offsets and epochs are final, keeps them until the owner raises the partition's start
// (they are in the object store, or expired), and gives them back by offset and by time, from memory while they are
// recent. It knows nothing of leaders, high watermarks, producers or topics: an owner's state is opaque bytes.
//
// # What always holds
//
//   - An append that completed without error under SyncAlways survives any crash. Appends of one partition survive as a
//     prefix of their order; so do its states, truncations and its drop, which are frames in the same order.
//   - A reader sees only durable frames, and never one that was truncated. Who asks for it (ReadAhead) gets those on their
//     way to the disk, to make them durable elsewhere meanwhile.
//   - Any number of consumers may be far behind: those who come by ReadInTurn and InTurn are a few at a time at the disk, in the order in which
//     they came, and a sync does not wait behind hundreds of reads. The broker's own reads do not wait.
//   - A failed write or sync is final. Everything queued and everything later fails with ErrFatal, Options.OnFatal is
//     called once, and nothing is tried again: after a failed fsync the kernel may have dropped the pages, and a second one
//     that succeeds would prove nothing.
//   - A disk without room for the next file is not a lost write. What was accepted waits, new appends get ErrFull, and the
//     log goes on when there is room. It begins to refuse while the open file still has room, which is kept for states.
//   - A bad checksum is a torn tail only at the end of what was written last. Anywhere else it is damage: the range is
//     reported with file, position, partition and offsets, reads of it get *CorruptError, and all else is served. Open
//     refuses only what it cannot order: a missing file, a header that is lost together with the footer, a newer format.
//   - Memory does not grow with what waits in the log: the index of the open file is in memory, those of sealed files are on
//     disk. A partition costs about 260 bytes, plus 24 for each of at most 64 remembered files.
//
// # What it refuses
//
// Batches that do not continue the partition's log, batches larger than half a file, appends above MaxBytes less two files
// (the rest is for states, truncations and frames that are carried forward), and appends while 256 MiB or a million
// operations wait for the writer.
//
// # Goroutines and locks
//
// Callers push operations to a lock-free queue. One writer takes all of it, lays the frames into a slab, writes, syncs; a
// completer publishes the frames and calls the owners back, unless nothing waits, when the writer does so itself. A sealer
// gives full files their index, a freer frees files oldest first, a preparer keeps one file ready and one spare, a roller
// calls Options.OnRoll. There are no timers in the path of an append: the next group is what came while the last was written.
//
// All methods of Log, and the readers of Partition, may be called by anybody at any time. The mutators of one Partition must
// not overlap. Locks are taken in the order: the owner's own → Log.mu → Partition.mu → those of tail, preparer, roller and
// room, which are leaves. No lock is held during I/O, nor while a callback runs.
//
// An append with a Trace is told when its group was written and durable; where it belongs to traces, the group is a
// span in each of them, and one of its own where there are several (Options.Tracer). Others cost a comparison.
//
// # The directory
//
// Beside the files there are LOCK, spare files, and "lost", which is empty: it is there from the moment at which Open found no log, or
// damage, until LossTold.
//
// # A file
//
// Files are named by their sequence, 16 hexadecimal digits and ".wal"; sequences have no gaps. All numbers are little-endian,
// except within record batches. A file that is closed or recovered while mostly empty has its index right behind the data and
// is cut there.
//
//	   0 ┌────────────────────────────────────────────┐
//	     │ header                              4 KiB  │
//	4096 ├────────────────────────────────────────────┤
//	     │ group │ group │ …                          │ each begins at a block and is padded to one;
//	     │ … the last one ends with an end frame      │ a block is never written twice
//	     ├────────────────────────────────────────────┤ data end
//	     │ not used                                   │
//	     ├────────────────────────────────────────────┤
//	     │ index: meta pages, directory pages,        │ written when the file is full, then synced
//	     │        entry pages                         │
//	     ├────────────────────────────────────────────┤
//	     │ footer                              4 KiB  │ written and synced after that
//	size └────────────────────────────────────────────┘
//
// Header, and what its checksum covers: the block up to the checksum.
//
//	 0 magic "TIDEWAL\n"   8 version u32    12 flags u32 (1: groups were synced one by one)
//	16 sequence u64       24 salt u64       32 size i64      40 created i64 ms    48 next ordinal u32
//	4092 crc32c u32
//
// The salt is new each time a file is (re)used. Seed = crc32c(salt, sequence) starts the checksums of frame headers and index
// pages, so bytes of an earlier life of the file, or of another file, are never taken for this one's.
//
// Frame, at a multiple of 8 bytes:
//
//	 0 length u32          4 crc32c u32     8 payload crc32c u32
//	12 type u8            13 flags u8 (1: first of a group)          14 zero u16
//	16 ordinal u32        20 leader epoch i32
//	24 position u32       28 span u32 (offsets covered)              32 base offset i64
//	40 payload, then zeros up to a multiple of 8
//
// The crc at 4 covers the header with itself as zero, from the seed; the one at 8 covers the payload alone, so that callers
// compute it in parallel. The position must be the frame's own: a misplaced write is not valid. Where a group ends less than 40
// bytes before a block boundary there are zeros instead of a padding frame.
//
//	1 batches   whole record batches of one partition
//	2 state     the partition's anchor: identity, start, covered end, the owner's state. The first one registers it
//	3 truncate  an anchor; frames of the partition before it are dead at and above keep
//	4 drop      frames of the ordinal before it are dead
//	5 end       no frame follows in this file
//	6 padding   zeros
//
// Anchor, the payload of 2 and 3:
//
//	 0 version u16         2 zero u16       4 partition i32          8 topic id 16 bytes
//	24 start i64          32 end i64       40 keep i64 (-1 in a state)    48 the owner's bytes
//
// Index page: 4 KiB, 16 bytes of header, then records of one kind.
//
//	 0 crc32c u32 (of the rest, from the seed)    4 kind u8   5 zero u8   6 records u16   8 page number u32   12 zero u32
//
//	meta, 64 bytes, in log order: the newest anchor of each partition in the file, each truncation, each drop
//	   0 ordinal u32   4 position u32   8 length u32   12 type u8   13 zero 3   16 topic id   32 partition i32   36 zero u32
//	  40 start i64    48 end i64       56 keep i64
//	directory, 64 bytes, by ordinal
//	   0 ordinal u32   4 entries u32    8 first entry u32           12 flags u32 (union of the entries')
//	  16 first i64    24 end i64       32 bytes i64    40 max timestamp i64    48 base offset of the entry that has it i64   56 zero
//	entry, 32 bytes, by ordinal, then base offset
//	   0 base i64      8 max timestamp i64    16 position u32   20 payload length u32   24 span u32
//	  28 flags u32: 1 several batches, 2 cut by a truncation at base+span, 4 lost to damage
//
// Footer: it repeats salt and flags, so a sealed file survives the loss of its header.
//
//	 0 magic "TIDEEND\n"   8 version u32    12 next ordinal u32   16 sequence u64   24 salt u64   32 data end i64
//	40 batch bytes i64    48 created i64    56 header flags u32   60 zero u32
//	64 metas, 80 directory, 96 entries: position i64, records u32, zero u32 each      4092 crc32c u32 (unseeded)
//
// # Recovery
//
// Sealed files are applied from their metas and directory, two reads each. Files without a footer (the open one, one or two
// that waited for the sealer) are scanned and sealed. In a file whose groups were synced one by one, a damaged frame in front
// of a valid group was acknowledged, and is damage; without such a group behind it the frame is the torn tail. The log goes on in
// a new file, so nothing behind a torn tail is ever looked at again. What a scan accepts is synced before Open returns.
//
// A file is freed when all batch frames in it are below their partition's start, truncated, or dropped. Anchors in it that are
// still the newest are carried forward by the writer, and everything queued is synced, before its name goes. Ordinals are not
// used twice.
//
// # Measured
//
// Two cores, one virtual disk, ext4, O_DIRECT, one write and one fdatasync at a time; median, and bytes per second:
//
//	write     reserved (fallocate)      written before (zeros, or recycled)
//	4 KiB     214 µs                     89 µs
//	64 KiB    237 µs     204 MB/s       116 µs     349 MB/s
//	1 MiB     829 µs     609 MB/s       453 µs   1,712 MB/s
//
// On a reserved file each fdatasync commits the conversion of the extent to the journal. So files are written with zeros first
// (0.8 to 1.1 GB/s, in the background), even while the log grows and every byte is written twice: still faster than the
// conversion. Once the log has its size, freed files are used again and nothing is written twice.
//
// 64 MiB per file keeps the scan of an unsealed file under 100 ms and a roll (a seal of two syncs in the background) rare.
package wal
