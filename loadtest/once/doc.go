// Package once puts exactly-once processing to the test: workers that read, process and write in transactions, and are killed, and a
// check that every input led to one output, and that nobody was ever shown what was not committed.
//
//	writer ── numbered records ──▶ <name>-in ──▶ worker ─┬─▶ <name>-hot   (kept on the brokers' disks)
//	                                 ▲  10 partitions    ├─▶ <name>-cold  (served by the object store as soon as it is there)
//	                  group offsets ─┴── one transaction ┘
//	                                                      readers of committed records: along with the writing, again and again from 0
//
// An output says which input it is of (partition and offset), and of which attempt: a worker's process and the number of its
// transaction. Workers write down, before they ask, that an attempt is to be committed or aborted, and afterwards what became of it.
// A process that is killed in between leaves an attempt of which nobody knows; the records decide.
//
// # What is promised, and what breaks it
//
//	missing      an input has no output
//	duplicate    an input has two outputs in a topic
//	torn         the outputs of an input in the two topics are of different attempts: a transaction was carried out in part
//	aborted      a reader of committed records was given one of an attempt that was aborted
//	early        a reader was given a record before its worker had asked for the commit
//	unsteady     two readings of the same topic differ
//	unfenced     an attempt of a process that had been replaced was committed after its successor's first
//
// The check is a function of what was read and of the journals (Check), so that lies can be told to it in a test.
//
// # Concurrency
//
// The methods of Run are called by one goroutine. Work is a process of its own.
package once
