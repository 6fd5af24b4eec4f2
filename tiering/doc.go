// Package tiering moves what a broker's partitions have committed into the object store, keeps the ledger of what is there
// true, takes out what nobody keeps, and reads it back.
//
//	led partition        scheduler                worker                          object store      ledger (Raft)
//	─────────────        ─────────                ──────                          ────────────      ─────────────
//	HW advances  ──────▶ deadline heap
//	                     round: select, pack ───▶ read, build, spool
//	                                              begin ─────────────────────────────────────────▶ intent
//	                                              put ──────────────────────────▶ object
//	                                              commit ────────────────────────────────────────▶ hot entries
//	WAL may free ◀─────────────────────────────── Tiered(to)
//	                     many hot entries ──────▶ spill: begin, put, commit ────▶ pages ─────────▶ root
//	                     segment expires ───────▶ retain ────────────────────────────────────────▶ log start, garbage
//	                     enough is dirty ───▶ compact: read, rewrite, begin,
//	                                          put, replace ──────────────────▶ object, pages ───▶ segments replaced
//	                     every half minute ─────▶ clean: intents, purges, due garbage ──▶ delete ─▶ forgotten
//
// # What always holds
//
//   - The ledger alone says what is in the bucket. No decision is taken from a listing or from local files. [Verify] lists,
//     because it is an audit.
//   - Every object is announced before it is put. Whatever happens between, the announcement becomes references or garbage;
//     there are no other objects, so nothing has to be found by listing.
//   - Only what lies below the high watermark goes up, and it continues the ledger without a gap. A stale leader's sections
//     are refused; if nothing of an object is accepted, the object is garbage.
//   - One task at a time changes the ledger of a partition on this broker: upload, spill or retention. Compaction goes on beside
//     them: its replacement is a compare-and-swap on the segments that it read.
//   - A reply that got lost is not guessed: the command is proposed again, and the ledger answers it once.
//   - Retention releases the oldest segments, in order, by the ledger's own numbers. What is not expired stays.
//   - Deletion waits for the grace period, which is longer than any one PUT may take: a put that was given up cannot land after
//     its object was deleted.
//   - An idle engine does nothing: no request to the store, no command, no look at a partition.
//
// # What a round takes
//
// A partition is due when tier.roll.bytes are pending, or tier.roll.ms after its oldest pending append, or when the WAL
// needs room (then the oldest data first). Large partitions get an object each; all others share bundles, which are split by
// retention time where a PUT more is cheap for its bytes. The number of PUTs follows the bytes, not the partitions: see
// selectRoll and pack.
//
// # Compaction
//
// The leader compacts what is tiered of a compacted topic; tiering/compact has the rules. compaction (compact.go) is one
// round: it takes the keys of the dirty range into memory that is bounded, reads all from the log start, writes what
// stays, and replaces group by group. A new segment is sparse: offsets are kept, and gaps with them. It ends in a batch, so that a
// reader at any offset of it finds one that leads on.
//
// # Failures
//
//	store down        uploads stop, and one small object at a time, with back-off, asks whether it is back; the data waits in the WAL
//	ledger down       commits wait and repeat; nothing new begins
//	local disk full   objects are made so small that they need no spool file
//	partition unreadable   it alone backs off and shows in the status; the others of its bundle go up
//	crash             this broker's next life aborts its open intents; the same data goes up again
//	leadership lost   the ledger refuses the section; the rest of the bundle is accepted
//	key not deletable parked with back-off, alone; shown in the status
//
// # Concurrency
//
// One goroutine, in [Engine.Run], decides; tasks, whose number is bounded, do the work. All exported methods may be called
// from any goroutine. Engine.mu is a leaf lock: no Source, Ledger or Store is called with it held.
package tiering
