// Package queue puts share groups to the test: members that take records, accept, release or reject them, and are killed, and a check
// of what was delivered to whom.
//
// # What is promised, and what breaks it
//
//	missing  a record was never delivered
//	again    a record was delivered after its acceptance or rejection was acknowledged
//	undone   at the end a record is neither accepted, nor rejected, nor delivered as often as the group allows, nor is the outcome of
//	         an acknowledgement unknown
//	count    the delivery count of a record is below what was acknowledged before, above what the group allows, or skips a number
//	         while nothing was killed
//
// Members live in this process. One is killed by cutting its lifeline.
//
// # Concurrency
//
// The methods of Run are called by one goroutine. A journal may be written to by any.
package queue
