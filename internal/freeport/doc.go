// Package freeport finds addresses for servers that have to be told theirs before they listen: brokers of a
// cluster that name each other as seeds, and the servers of others that tests and benchmarks run.
//
// To listen on port 0, close, and use what it was is a race that is lost once in some hundred runs: from the same range
// Linux takes the ports of clients and of everybody else who asks for port 0. An address from here is
//
//   - outside of that range, unless the machine was given another: nobody who asks for any port gets it, and a client
//     that tries to reach a server which is down is not connected to itself;
//   - claimed until the process ends, by its UDP port: no other process that asks here gets it, even while
//     nobody listens on it because the server is started again.
//
// Take may be called from any goroutine.
package freeport
