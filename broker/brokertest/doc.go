// Package brokertest gives tests of any package a broker.
//
// Start runs the real program, `tideline dev`, as a process of its own: it can be killed as a crash would end it,
// suspended, and started again on the same ports and data. The package inprocess runs the same node inside the test process.
//
//	p := brokertest.Start(t, brokertest.Options{Settings: map[string]string{"tier.roll.ms": "500"}})
//	p.Run("topic", "create", "orders")
//	p.Kill()
//	p.Restart()
//
// The program is built once per state of the source, into .tools/brokertest, and shared by test binaries that run at the same time.
// A test fails when a broker ends that nobody ended; whatever fails, the end of the broker's log is in the test's output.
//
// What it refuses: it does not wait by sleeping, it starts no broker outside of loopback, and a broker never outlives its test, even
// when the test binary is killed (Linux).
//
// The methods of one Process must not be called at the same time, except Log, Addr, HTTP, Dir and Command.
package brokertest
