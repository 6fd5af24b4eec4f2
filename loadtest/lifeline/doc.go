// Package lifeline is a client's way to the brokers that can be cut: the client is as good as killed, although its process lives. It says
// no good-bye, and the brokers have to find out. A Line may be used by any goroutine.
package lifeline
