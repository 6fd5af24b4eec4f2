// Package verify is the history checker: producers and readers that write down all that they do and see, and a check of these
// histories against one another. It runs against any cluster that speaks Kafka's protocol, so its verdicts can be tried on
// Apache Kafka.
//
//	producers ─ numbered, checksummed records ─► cluster ─► readers, as the records come
//	    │ acknowledgements                          │            │ every answer
//	    ▼                                           ▼            ▼
//	producer-N.journal   run.journal (marks)   replay-N.journal  reader-N.journal   in one directory, with run.json
//	                            └───────────── Check ─────────────┘
//
// # What is promised, and what breaks it
//
//	loss          a record that was acknowledged is not at the offset that the acknowledgement named
//	duplicate     a record of an idempotent producer lies at two offsets
//	order         records of one producer in one partition are not in the order of their sequences
//	gap           a reader was not given an offset between two that it was given, or the log does not begin at 0
//	divergence    two readers, or a reader and an acknowledgement, know different records at one offset
//	corruption    value, key or header are not as they were written
//	foreign       a record that no producer of the run wrote
//	watermark     the high watermark went back within one leader epoch, or the end of the log went back at all
//	out-of-range  a reader was refused the offset behind the last that it read
//	truncation    a client found out that the log was cut below what it had read
//	unread        nobody could read a partition to its end after the last acknowledgement
//
// That nobody sees a record above the high watermark of the moment follows from the rest: what is read too early is replaced when
// its leader dies, which is a divergence, a truncation or a loss.
//
// These are allowed, and counted as notices: an older high watermark in a new leader's answer to a fetch (ListOffsets must say
// OFFSET_NOT_AVAILABLE then, KIP-207), records at or above the high watermark of the same answer, duplicates of a producer
// without idempotence, losses where one replica acknowledged. A record that was not acknowledged may be there once, or not at all.
//
// # Steps
//
// Start creates the topic, with unlimited retention, and writes until Stop; Run.Mark writes down what is done to the cluster, so that
// gaps in the acknowledgements are attributed to it. Read reads all partitions from offset 0 to what was their end when it asked. It can
// be done at any time and as often as wanted: during the run, after a restart, when the data has moved to the object store. Check
// looks at nothing but the directory.
//
// # What it costs
//
// Memory does not grow with the history: the check keeps a bit for each record of one partition, and a table of 16 bytes for each
// offset in scratch files, of which 32 MiB are cached. An acknowledgement takes ten bytes of a journal.
//
// # What it refuses
//
// A directory that holds another run, and a topic that exists: both would mix histories. A journal that is corrupt, or of a
// newer version. One with a torn tail is taken as far as it goes: an acknowledgement that was not written down is one that
// nobody can hold against the cluster.
//
// # Concurrency
//
// The methods of Run may be called from several goroutines, Stop once. Read and Check want a directory for themselves, except that
// Read may run beside the producers and readers of its own run.
package verify
