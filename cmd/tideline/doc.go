// Command tideline is the whole product in one binary: the broker and the
// commands that a user needs beside it.
//
// One file holds one subcommand. A subcommand turns flags into a request, sends
// it with an ordinary Kafka client (or to the admin API over HTTP) and prints the
// answer; it knows nothing of a broker's inside. Only serve.go and node.go
// start one.
//
// # Promises to scripts
//
// The exit status is 0 when it is done, 1 when it failed, 2 when it was called
// wrongly. A failure is one line on standard error. With --output json standard
// output has JSON and nothing else. dev and server print one line to standard
// output, "ready kafka=HOST:PORT http=HOST:PORT", when they serve.
//
// # For tests
//
// Everything that a command touches of its process is in program: arguments,
// the three streams, the environment and the signal context. Script tests run
// it against a fake cluster in the same process; see testdata.
package main
