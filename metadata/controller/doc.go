// Package controller decides what happens to the cluster: it validates
// requests against an image and returns the commands that carry them out.
//
// Every decision is a pure function of an image and a request. It proposes
// nothing, knows no clock, and draws no random numbers; ids and the spread of
// replicas come with the request. Applying the command decides once more: what
// another command took meanwhile is refused there (record.TopicExists and the
// like), so decisions need no lock.
//
// Errors are those of errors.go, one for each answer that a client can get,
// with the offending value; the mapping to protocol codes is the broker's.
package controller
