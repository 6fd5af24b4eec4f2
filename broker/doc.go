// Package broker wires one node: it makes the parts, starts them in order, ties
// them together by small adapters, and stops them in the opposite order.
//
//	listen ─▶ metadata, write-ahead log ─▶ object store ─▶ parts ─▶ register ─▶ serve
//
// The adapters are where packages meet that do not know each other: ledger shows
// the Raft group to the tiering engine, source a partition; history shows the
// object store to the API; internalLog shows a partition to a coordinator.
// replicas follows the metadata image: it is the one place where partitions are
// opened, configured and dropped.
package broker
