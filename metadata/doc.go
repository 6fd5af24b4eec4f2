// Package metadata is the state of the cluster: who the brokers are, which
// topics and partitions there are, who leads them, and what lies in the object
// store.
//
// # The image
//
// The state is an immutable Image. Commands from the replicated log
// (metadata/record) are applied to it one after the other and give the next
// image; applying is a pure function of image and command, with no clock, no
// randomness and no map order, so that all brokers come to the same image.
// The newest image is published through one atomic pointer:
//
//	log ──▶ decode ──▶ Apply(image, command) ──▶ image' ──▶ atomic pointer ──▶ readers
//	                                          └▶ result ──▶ proposer
//
// An image shares all that did not change with the one before. Maps are
// persistent B-trees; a command costs O(changed · log n). Readers hold an image
// for as long as they like, without locks, and see one consistent state.
//
// Partitions are in one tree under (topic ordinal, index); per broker there is
// a set of the partitions that it leads and of those that it hosts. An ordinal
// is the number of the topic's creation and never comes back.
//
// # The tiering ledger
//
// For each partition the image has a Ledger: a bounded list of the newest
// segments and the root of a tree of pages in the bucket for all older ones.
// Around it:
//
//	          BeginUpload          CommitUpload / Spill / Replace / Retain(NewRoot)
//	(nothing) ───────────▶ intent ──────────────────────────▶ live, n references
//	                         │ AbortUpload, nothing accepted,      │ last reference released
//	                         │ broker registered anew              ▼
//	                         └────────────────────────────────▶ garbage(due) ──CollectGarbage──▶ (nothing)
//
// While an intent is open, references to its object are counted in the intent.
// A live object with two or more references has an entry in the object tree;
// one with exactly one reference has none. So the size of the state does not
// grow with history: what a partition's pages refer to costs nothing here
// unless it is a bundle that several partitions share.
//
// # Who may, and how much
//
// Bindings (ACLs), roles and their grants, SCRAM credentials, quotas, delegation
// tokens and subscriptions to the metrics of clients are trees of their own,
// beside topics and brokers and without a reference to them: a binding may speak
// of a topic that is not there. The commands change all that they name or
// nothing. What is made of them, such as an index of bindings, is kept by who
// needs it under the generation of the kind (Image.SecurityGeneration), which
// moves with each change.
//
// No secret is here in a form that can be used: of a password there are the
// salted, iterated keys by which a server verifies it, of a delegation token all
// but its proof, which follows from a secret of the brokers.
//
// # Brokers
//
//	state          entered by                            left by
//	-------------  ------------------------------------  ----------------------------------
//	fenced         RegisterBroker of a new incarnation,  UnfenceBroker; RemoveBroker, when
//	               FenceBroker                           it hosts nothing
//	in service     UnfenceBroker                         FenceBroker, ShutdownBroker
//	shutting down  ShutdownBroker                        RegisterBroker of a new incarnation;
//	                                                     it may be fenced meanwhile
//
// Draining is a mark beside this state. Who is not in service is not elected
// and enters no ISR. Fencing does not touch partitions: the changes of leaders
// and ISRs follow as commands of their own, as many as it takes.
//
// # Who may lead (KIP-966)
//
// The high watermark moves only while |ISR| >= min.insync.replicas. So a
// replica that leaves an ISR which is below that bound afterwards keeps all that
// was ever acknowledged: it enters the ELR.
//
//	             leaves, |ISR| below the bound            in sync again, or elected
//	ISR ────────────────────────────────────────▶ ELR ─────────────────────────────▶ ISR
//	 │  leaves, enough others remain               │  the ISR reaches the bound
//	 ├──────────────▶ (replica, not eligible) ◀────┤  without it; min.insync.replicas changed
//	 │                                             │
//	 └──────────────▶ last known ELR ◀─────────────┘  registered with LostLog
//
// A new leader comes from ISR or ELR; anything else is an unclean election,
// which the change must name so.
//
// # Invariants (Check verifies them all)
//
//  1. Hot is contiguous: each segment starts where the last ended; the first
//     starts at RootEnd if there is a root; the last ends at Tiered.
//  2. Totals are those of the hot segments plus what the pages hold, never
//     negative; without a root they are exactly those of the hot segments.
//  3. For each partition at most one broker leads; the leader is in the ISR.
//     ISR, ELR and last known ELR are within the replicas and have no member in
//     common; an ISR is empty only without a leader. Epochs never go down.
//  4. An object is in at most one of: intents, object tree, garbage. Nothing
//     that a ledger names is garbage. Counts are never negative.
//  5. The leader and host sets agree with the partitions.
//  6. Bindings, roles, credentials, quotas and tokens are valid; every grant has
//     its role. A snapshot that says otherwise is refused.
//
// # Members
//
// Every broker is a member of the group that keeps the log, so that it has the
// image itself; a few of them vote. With Options.Seeds a broker comes to it by
// itself:
//
//	              has a log ──▶ open ──▶ tell the leader the address ──▶ ready
//	              │                        (removed meanwhile: observer again)
//	Open ─────────┤                ┌─ all seeds are new ──▶ make the cluster, the first ones vote
//	              └─ no log ──▶ ask the seeds
//	                               └─ there is a cluster ──▶ join: removed if it was a member,
//	                                                        then observer, then open
//
// The leader changes one member at a time, and only what those who answer can
// commit. Who votes is decided by controller.Voting, or by an operator
// (AddVoter, RemoveVoter). A member that moved tells its address at its start;
// if another one had it, that one is given an address that nobody can dial until
// it tells its own.
//
// Members watch the port of the leader (peer.Host.Watch). When its process is
// gone, the voters stand for election in the order of their ids, at once.
//
// # Size
//
// Measured with three replicas: a partition takes 0.5 KB in memory, 1.4 KB with
// up to four hot segments, and 0.14 KB for each segment that the list has room
// for beyond (it doubles as it grows); in a snapshot 77 bytes and 84 for each
// hot segment. BenchmarkSnapshot measures it with 100,000 partitions. What a
// restart replays is bounded by half the last snapshot, at least 4 MiB.
//
// # What is refused
//
// A command that would break an invariant is refused with a record.Reason and
// changes nothing; entries of one command are judged one by one. Bounds are in
// metadata/record. An undecodable command in the log halts the image: the
// broker is older than the cluster or its disk is corrupt, and it must not
// guess.
//
// # Who may call
//
// Image and everything reached through it: any goroutine, read only. Apply:
// any goroutine, it does not change its argument. Store: any goroutine.
//
// # Snapshot
//
//	+----------+---------+----------+   +------+---------+---------+--------+--------+---------+
//	| "TLIMAGE1" version | index    |   | kind | version | records | length | crc32c | payload |  …  end
//	| 8 bytes  | u16     | u64      |   | u8   | u8      | u32     | u32    | u32    | length  |
//	+----------+---------+----------+   +------+---------+---------+--------+--------+---------+
//	 header: u32 crc32c follows           frame, at most maxFrame bytes of payload
//
// All integers are little-endian. The checksum of a frame covers its header up
// to the checksum and its payload. Frames come in the order of the kinds; the
// end frame has kind 255 and carries the number of all records and the
// checksum of all frame checksums. A snapshot that ends before it is torn.
package metadata
