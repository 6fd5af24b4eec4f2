// Verify puts a load on a cluster and judges the cluster by what came back; see the package it lies below.
//
//	verify run -brokers HOST:PORT -dir DIR [-duration 1m]   write, read, read all again, check
//	verify produce -brokers HOST:PORT -dir DIR              write, and read what comes, until a signal
//	verify mark -dir DIR sigkill leader 2                   write down that something is done to the cluster
//	verify check -brokers HOST:PORT -dir DIR                read all again, and check; -offline: check only
//
//	verify metadata -brokers HOST:PORT -dir DIR             are operations on topics linearizable?
//
// A summary goes to standard error, the result as one line of JSON to standard output and to results.jsonl of the directory. Exit
// status: 0 every promise was kept, 1 one was broken or something failed, 2 bad usage. Where -brokers is not given, the
// environment variable TIDELINE_BROKERS is used.
//
// The first signal ends the writing, and the check is made of what there is; the second ends the program.
package main
