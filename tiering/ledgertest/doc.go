// Package ledgertest is the tiering ledger in memory, for tests: the apply rules of the Raft state in the shape of
// tiering.Ledger, shared by any number of brokers, with faults. It refuses whatever the real one refuses, and its Check
// finds what must never be.
package ledgertest
