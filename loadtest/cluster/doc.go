// Command cluster runs three brokers and a MinIO server on this machine, in one terminal. It is what `make cluster` starts.
//
//	MinIO  127.0.0.1:9000         bucket tideline
//	node.id  Kafka           internal        http
//	1        127.0.0.1:9092  127.0.0.1:9093  127.0.0.1:8080
//	2        127.0.0.1:9192  127.0.0.1:9193  127.0.0.1:8180
//	3        127.0.0.1:9292  127.0.0.1:9293  127.0.0.1:8280
//
// With -traces the brokers send their spans to this command, which keeps the newest and shows them as text: GET
// http://127.0.0.1:4318/traces lists them, /traces/ID is one. Programs of yours may send theirs there, too (OTLP, http/protobuf).
//
// All their output comes to standard output, each line told by who wrote it. When all serve, their addresses are printed; the line that
// begins with `ready` is the last of them. Ctrl-C stops the brokers one after the other, so that each can hand over what it leads, then
// MinIO; a second one kills all. The data stay in .data/cluster, and the next start goes on with them.
//
// What it refuses: to share its ports or its directory with a cluster that runs, to outlive its terminal, and to be anything but a
// demonstration. The secret of its object store is in this source.
package main
