// Package worker is the protocol between the compat tests and the client programs that they start, one process for each client:
// so that a member of a group can be killed, and a client in any language can be asked the same.
//
// A program is called with a verb and one JSON object (Options). It reads JSON lines from standard input and writes JSON lines to
// standard output; what it has to complain about goes to standard error, with a status other than 0.
//
//	create   makes the topic
//	produce  input: records; output: one Ack for each, in any order, "i" being the index of the record in the input.
//	         acks=all, idempotent where the client can be, batches of several records.
//	consume  from the beginning, from one offset for each partition, or from a time (looked up by the broker);
//	         output: records; ends after Options.Count of them
//	group    a member of a consumer group: output is {"assigned":[partitions]} after each rebalance and the records; their offsets
//	         are committed after they were written. Leaves when its input ends.
//
// Options.Security says how the client proves who it is, and by what it knows the broker.
//
// Keys, values and header values are base64 or null. This package has the Go side of both ends; clients in other languages speak it
// for themselves.
package worker
