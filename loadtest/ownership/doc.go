// Package ownership puts groups to the test: members that are killed, coordinators that are killed, and a check of who owned which
// partition when.
//
//	topic of many partitions ──▶ members ──▶ journal of takes, gives, deaths ──▶ Judge
//	                                    └──▶ committed offsets ──▶ watcher
//
// # What is promised, and what breaks it
//
//	double    a partition was given to a member while another one, alive, had it
//	orphan    a partition had no owner for longer than allowed, counted from the end of the session of the last member that
//	          died, or from the moment when a new coordinator was there
//	backward  a committed offset went back
//
// A member that learns that it was removed (its partitions are lost, not revoked) has had them for longer than it should have: that is
// counted and is no violation, for its commits are refused.
//
// Members live in this process. One is killed by taking its network away: it says no good-bye, and the coordinator has to find out.
//
// # Concurrency
//
// The methods of Run are called by one goroutine. A journal may be written to by any.
package ownership
