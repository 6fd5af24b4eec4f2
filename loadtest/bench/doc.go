// Bench measures Tideline against Apache Kafka on one machine, over loopback, and writes what it saw.
//
// # What it compares
//
// Ratios. Both brokers run on the same disk in the same minutes, in turn: A B A B, never both under load. A figure of the
// table is the median of the ratios of neighbouring rounds, with the smallest and the largest beside it. Absolute figures
// depend on the machine and on who else uses it; they are in the result lines, with the load average of the moment.
//
//	start A ── start B ─┬─ warm A ── warm B ─┬─ round 1: A, settle, B, settle ── round 2 … ─┬─ next scenario …
//	                    └ idle memory        └ sync(2) and quiet broker between turns       └ idle memory
//
// Tideline runs with wal.sync=always: each acknowledgement follows an fdatasync. Kafka runs with its defaults: it
// acknowledges from the page cache, and the kernel's writeback is charged to nobody.
//
// Processor time is that of the broker's process alone (user and system, /proc/PID/stat), never the client's. Where
// Tideline tiers what it was given, the time until all of it is in the object store is part of the figure.
//
// # Scenarios
//
//	latency     unbatched 1 KiB produce requests at a fixed rate, open loop
//	bulk        large batches: produce, consume from the start, consume at the tail
//	perf        Kafka's own ProducerPerformance and ConsumerPerformance
//	memory      resident memory of an idle broker: after its start, after the load
//	startup     1,000 partitions with history: from exec to the ready line
//	cold        a consumer of a tiered topic against a plain client that GETs the same bytes
//	requests    PUTs per roll interval with 1,000 partitions, requests of an idle broker
//	failover    three brokers of each system under a steady load: acknowledgement gaps after SIGKILL
//	join        a fourth broker joins three with tiered history: time, bytes moved
//	scale       10,000 partitions with three replicas: creation, memory, idling, restart
//	compact     a tiered topic of 10,000,000 keys: time and memory of its compaction, and what a reader from offset 0 finds
//	flood       what floods of connections, rubbish and bombs do to the latency of an honest producer; Tideline alone
//	trace       processor time of a broker that traces, beside one that does not, of the same load; Tideline alone
//
// # Open loop
//
// Requests leave on a schedule that was drawn from the seed before anything was sent, whatever the answers do. A latency
// counts from the intended time, so a broker that stalls is charged for all that had to wait behind the stall.
//
// # Clusters
//
// Failover, join and scale run clusters of three brokers, one system after the other, never two at once. In failover the rounds of the two are
// therefore no neighbours in time: the table has the medians and the ranges of each, and the ratio is that of the medians.
//
//	Tideline   brokers that vote, one directory as their object store
//	Kafka      nodes that are brokers and controllers (KRaft), 512 MiB of heap each
//
// A gap is the longest time between two neighbouring acknowledgements of one partition, to any producer, as loadtest/verify has
// it; beside that package's figures the benchmark tells partitions that the dead broker led from those that it did not. When
// the last broker has died, loadtest/verify compares all histories, and a broken promise ends the run with its error.
//
// # Floods
//
// A flood is a process of its own, at the lowest priority: it would be another machine's. Its rate is stated. A turn of the honest producer
// without it comes right before each turn beside it, and a figure is the ratio of the two.
//
// # What it refuses
//
// A result with a failed request is no result: the run ends with the error. Every loop is bounded by bytes or time; every
// process that was started is ended with the program, also when the program is killed.
package main
