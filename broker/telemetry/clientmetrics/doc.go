// Package clientmetrics takes the metrics that clients push (KIP-714) and hands them
// on as OpenTelemetry metrics.
//
// An operator makes subscriptions: which metrics, how often, of which clients. A client
// asks what is wanted of it (Manager.Get) and is told the union of the subscriptions
// that match it, under an id that follows from the answer and from the client. It pushes
// under that id (Manager.Push), until the subscriptions change and the id is refused.
// Both are decisions about an instance of a client, whose state is a few times and
// flags; any broker can begin it anew, since the id comes out the same.
//
// What is pushed is OTLP, compressed by a codec of Kafka's. It is never decoded into
// objects: a few bytes of protobuf make hundreds of them. Stamp walks the bytes, checks
// that they are what OTLP's definition says, and splices in who the client is and
// which broker it spoke to; what a client says of itself under those names is left out.
//
// An Exporter sends the result to the collector that OpenTelemetry's environment
// variables name, by HTTP or gRPC. It has a queue that is bounded in bytes; what does
// not fit is dropped and counted, because clients must not wait for a collector. Without
// such a variable there is no exporter, nothing is advertised to clients, and what a
// client pushes all the same is checked and thrown away, as Apache Kafka does
// without a receiver.
//
// Bounds: 16,384 instances, of which the one that was silent longest goes first; the
// bytes that a push becomes when it is decompressed, of one push and of all that are
// being read at a time; the exporter's queue.
//
// Everything may be called concurrently.
package clientmetrics
