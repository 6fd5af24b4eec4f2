// Package membership is a broker's place in its cluster: it keeps its session with the
// controller by heartbeats, and on the broker that leads the metadata it is the
// controller: it carries out what metadata/controller decides.
//
//	Member  every broker      registers, sends heartbeats, asks for a controlled shutdown
//	Steward the leader's      takes heartbeats, watches processes, proposes what is due:
//	                          fences, elections, ISRs after a fence, reassignments that end
//
// Heartbeats do not go through the metadata log; only what follows from them does. A
// heartbeat says how far the broker's own image is and that it acts on it, so that nobody
// is put into service who does not know what it leads.
//
// # Heartbeat, by peer.Call of type HeartbeatRequest
//
// Integers are big endian.
//
//	request  0 version u8 = 1   1 broker epoch i64   9 index u64 that it acts on   17 flags u8: 1 wants to be fenced, 2 to shut down
//	answer   0 version u8 = 1   1 flags u8: 1 stale, 2 fenced, 4 shutting down, 8 caught up, 16 may stop, 32 does not lead
//
// # What ends a session
//
// No heartbeat for the session timeout, which counts on, once, when the controller itself slept
// through its end; or the end of the broker's process, which the
// steward sees by its connection (peer.Watch) within milliseconds.
//
// # Concurrency
//
// All methods may be called by any goroutine. One goroutine of the steward proposes; it
// does nothing while this broker does not lead.
package membership
