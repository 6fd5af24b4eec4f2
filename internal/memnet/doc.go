// Package memnet is a network in memory that can go wrong. Together with package net it is
// the door to the network: what takes a listen function and a dialer runs on either, and
// one acceptance suite (memnet_test.go) holds for both.
//
//	Network ── Attach("10.0.0.1") ─▶ Host of a process ── Listen, Dial ─▶ net.Conn
//	   │                               │
//	   └ SetLink, Cut, Heal, Reset     └ Kill, Vanish
//
// What goes wrong, between any two machines and for each direction of its own:
//
//   - Latency, jitter and a rate. The bytes of one connection keep their order, as with TCP;
//     those of two connections overtake each other.
//   - A cut: nothing arrives until it is healed. Nothing is lost then, for TCP sends again;
//     but whoever dials waits, and deadlines pass. A cut of one direction lets the other's
//     bytes through.
//   - A reset of all connections.
//   - The end of a process (Kill): its ports refuse, its connections end or are reset. What
//     it has written before may still arrive.
//   - The end of a machine (Vanish): nobody is told. Its connections are reset when it is
//     back (Attach) and something is written to them, or a keepalive would ask.
//
// # What it does not model
//
// Loss, corruption and duplication below TCP, datagrams, names: addresses are IP:PORT.
//
// # Invariants
//
//   - What is written and not read is bounded for each direction of a connection; a writer
//     waits for room.
//   - No lock is held while anything waits, and all waiting is on channels and timers: it
//     works in a testing/synctest bubble, in virtual time.
//   - A host that was ended can not say anything any more: what its process still does is
//     not seen by anybody.
//
// All methods may be called by any number of goroutines. Locks are taken in the order:
// that of the network → that of one direction of a connection.
package memnet
