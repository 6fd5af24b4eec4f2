// Package inprocess runs a broker, or a cluster of them, inside the test process, where the race detector and the debugger see it.
// It is apart from brokertest so that tests which only start the program do not link the whole of it.
//
// What it refuses: to be killed. A crash needs a process of its own.
package inprocess
