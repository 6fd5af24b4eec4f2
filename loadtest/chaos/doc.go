// Package chaos is the campaign of faults: three real brokers and a real S3 server, producers and readers that write down all that
// they see (package verify), and one fault after another, chosen from a seed.
//
//	processes  SIGKILL of a leader, a follower, the controller, two of three, all; SIGSTOP for longer than a session; SIGTERM; rolling restarts
//	disks      slow (blkio throttle), full (a small ext4 of each broker's own)
//	network    nobody hears a broker, a broker hears nobody, two do not hear each other, loss, a thin line
//	store      away, silent, slow, refusing, losing its answers; alone, and while something of the above happens
//
//	go test ./loadtest/chaos -run TestCampaign -v -rounds 100 -seed 7 -only kill-leader,s3-away
//
// is `make chaos CHAOS='-rounds 100 -seed 7 …'`. The same seed gives the same faults in the same order; what the brokers make of them is
// theirs. `make test` runs a short campaign of a fixed seed.
//
// # A round
//
//	writing goes on ─▶ fault ─▶ lasts a while; with a majority whole, writing must go on ─▶ healed ─▶ all replicas in sync again,
//	                                                                                                  writing goes on
//
// A number of rounds share a run of verify, which is checked at its end: every record from the beginning, on all brokers and from the object
// store, against all that was acknowledged and read. Then the object store is verified against the ledger, too.
//
// # Where it runs
//
// With root on Linux, in a network namespace of its own, where nothing but loopback and a bridge exists, with each broker in a namespace and
// on a disk (a file that is mounted) of its own. All of it is gone with the process. Elsewhere the brokers share loopback, and the faults of
// network and disk are left out; the log says so.
//
// The package has tests only.
package chaos
