// Package peer is the internal port of a broker: the one listener on which brokers talk to one another, and the way to reach
// theirs. It knows who is at the other end of a connection and what the connection is for; what is said on it is the business of
// whoever registered for that kind.
//
//	accept ─▶ hello, answer ─┬─ raft ────────▶ metadata/quorum, as a net.Listener (Streams)
//	(or dial)                ├─ control ─────▶ requests and answers by type (Register, Call)
//	                         └─ replication ─▶ the push streams, plain or traced
//
// # Hello
//
// Whoever dials speaks first. Both messages are a frame: length u32, payload, CRC-32C of the payload u32. Integers are big
// endian.
//
//	hello    0 magic "TIDEPEER"   8 version u16   10 kind u16   12 from i32   16 to i32, or -1   20 incarnation 16 bytes
//	        36 cluster id, byte string, empty while unknown
//	answer   0 magic "TIDEPEER"   8 version u16   10 verdict u16, 0 = welcome   12 node i32      16 incarnation 16 bytes
//	        32 cluster id, byte string            then the reason of a refusal, string
//
// # Control
//
// One connection for each pair and direction carries any number of requests at once; answers come in any order.
//
//	frame    0 length u32 of what follows    4 CRC-32C u32 of all behind it    8 id u64    16 type u16    18 status u16
//	        20 payload
//
// Type 0 is a watch: it is answered when its broker closes, so that whoever sent it sees the end of the connection. The other types
// are those of who registers for them.
//
// In a request the status is 0; in an answer 0 means done, and anything else that the payload is the text of an error: 1 the handler
// failed, 2 nobody handles the type, 3 too many requests at once.
//
// # Encryption
//
// With Options.TLS both ends of every connection shake hands before anything else is said, and each shows a certificate. Options.TLS is asked for
// each connection, so that new certificates serve new connections. A handshake that fails is never taken for a proof that the other
// process is gone.
//
// # What it refuses
//
// Another cluster, another node than the one that was meant, another protocol, a frame above its bound, a handshake that takes
// longer than Options.HandshakeTimeout, and connections and requests above their numbers. Every refusal is told to the other side and
// says what to do. Cluster ids are compared only where both sides know theirs: a broker that joins has none.
//
// # Invariants
//
//   - Nothing is allocated on the word of a length above its bound.
//   - A request is answered once or its caller gets an error; after an error it may or may not have been carried out.
//   - Nothing is sent on an idle connection.
//
// # Concurrency
//
// All methods may be called by any number of goroutines. Handlers of requests run on goroutines of their own, at most
// MaxRequests for each connection; handlers of connections own theirs.
package peer
