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
// StartCluster runs several that make a cluster, `tideline server`, whose brokers are killed, suspended, stopped, started again and robbed
// of their disks by number.
//
//	c := brokertest.StartCluster(t, 3, brokertest.ClusterOptions{})
//	leader, err := c.Leader(ctx, "orders", 0)
//	c.Kill(leader)
//	c.Restart(leader)
//	c.AwaitRest(ctx) // all replicas are in sync, and all brokers say so
//
// The program is built once per state of the source, into .tools/brokertest, and shared by test binaries that run at the same time.
// A test fails when a broker ends that nobody ended; whatever fails, the end of the broker's log is in the test's output.
//
// What it refuses: it does not wait by sleeping, it starts no broker outside of loopback or of the places that a test has made, and a
// broker never outlives its test, even when the test binary is killed (Linux).
//
// The methods of one Process or Cluster must not be called at the same time, except Log, Logs, Addr,
// Addresses, HTTP, Dir, Command, State, Await, Rest, Leader and Controller.
package brokertest
