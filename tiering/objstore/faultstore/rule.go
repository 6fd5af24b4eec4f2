package faultstore

import "time"

// Op is a set of operations.
type Op uint8

// The operations of a store. Zero in a Rule means AnyOp.
const (
	Put Op = 1 << iota
	Get
	Head
	Delete
	List
	AnyOp = Put | Get | Head | Delete | List
)

var opNames = map[Op]string{Put: "put", Get: "get", Head: "head", Delete: "delete", List: "list"}

// Fault is one way to fail.
type Fault uint8

// The faults. Those for one operation do nothing to others.
const (
	Unavailable   Fault = iota + 1 // 503, and nothing happened
	SlowDown                       // 503 SlowDown, and nothing happened
	Refused                        // no connection, and nothing happened
	Timeout                        // no answer for Delay (0: until the context ends), then a timeout, and nothing happened
	LostReply                      // it happened, and the answer is a broken connection
	LateReply                      // it happened at once, and the answer comes after Delay
	Slow                           // it happens after Delay: the slow tail
	Denied                         // 403
	Conflict                       // put: 409 between two writers, and nothing happened
	Precondition                   // put: 412 although the condition may hold, and nothing happened
	LostWrite                      // put: a lie. Success, and nothing happened
	PartialDelete                  // delete: every second key fails with SlowDown, the others are deleted
	ShortBody                      // get: the connection breaks after half of the range
	StalledBody                    // get: half of the range, then nothing for Delay (0: until the context ends), then the rest
	CorruptBody                    // get: one bit of the range is wrong
)

// Rule says when which fault happens.
type Rule struct {
	Ops         Op      // to which operations; 0: all
	Prefix      string  // to keys that begin so; a delete matches when one of its keys does, a list by its prefix
	Fault       Fault   // what happens
	Skip        int     // the first Skip calls that match are left alone
	Count       int     // then it happens so often; 0: without end
	Probability float64 // of each such call; 0: always
	Delay       time.Duration
}

// Event is a fault that happened.
type Event struct {
	Op    Op
	Key   string
	Fault Fault
}
