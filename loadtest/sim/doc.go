// Package sim runs whole clusters in one process and in virtual time, has things go wrong,
// and checks that what always holds (ARCHITECTURE.md) holds.
//
//	seed ─▶ Draw ─▶ Plan ─▶ Run ──────────────────────────────────────────────▶ Report
//	                        │ busy: clients work, faults come and go
//	                        │ heal: all is mended; what is under way must succeed
//	                        │ converge: every ISR full, everything tiered, no garbage
//	                        └ finish: every log is read from everywhere and compared
//
// Brokers are broker.Broker, all of each: their disks are vfs/memfs behind vfs/errfs, their
// network is internal/memnet, their bucket is objstore/memstore behind faultstore. Only the
// metadata log is not the one of production: it is the twin of it (metadata/quorum.Group)
// with the manners of Raft around it (ensemble); Options.RaftDir has hashicorp/raft instead,
// which runs in a bubble, too, with its files on the real disk. Clients speak the protocol
// over the same network: some do exactly what they are told, some produce by franz-go.
//
// # What is checked
//
//	acknowledged   what was acknowledged with acks=all is at its offset in the end
//	one history    no two values, and no two leader epochs, at one offset: of all that any
//	               consumer, replica, disk or the bucket ever showed; offsets are dense
//	no duplicates  and no gaps: batches of idempotent producers are there once, in order
//	one owner      a leader epoch has one leader; every batch has one that was handed out
//	bucket         the ledger names what is there, and nothing else is there
//	convergence    within a bound of virtual time after everything is mended
//	availability   no broker ends by itself unless its disk failed
//	budgets        what is held for requests is given back
//	metadata       metadata.Check after every change; the image does not grow with the data
//
// The program mutants breaks the product in ways that have been made elsewhere, and demands
// that the checks notice.
//
// # What is not modeled
//
// A process that is stopped and goes on (SIGSTOP): Isolate comes near. Clocks that disagree.
// Consumers by franz-go, alone or in groups: the client waits with locks held there, which
// stops virtual time. Deletion of topics. Rot on disks. With the twin a process that starts knows all of the metadata at once.
// A plan and its trace of faults depend on the seed alone, the rest does not: goroutines run
// in any order within an instant, so that a seed may fail in one of several tries.
//
// # Deadlocks
//
// Virtual time stands while a goroutine waits for a mutex. A lock that is held across a wait
// therefore stops the simulation for good, which the tests report with all stacks: such a
// lock is a bug by the rules of this repository.
package sim
