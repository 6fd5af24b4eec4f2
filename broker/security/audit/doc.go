// Package audit writes down who came in, who was kept from what, and who changed what.
//
// Each event is one structured line with fixed keys:
//
//	event      authentication, authorization, admin
//	principal  who: User:alice
//	host       from where
//	listener   through which listener
//	mechanism  of an authentication: the SASL mechanism, or SSL
//	operation  what was asked for: Read, Write, … as bindings have it
//	resource   of what: topic:orders, group:app, cluster:kafka-cluster
//	result     allowed, denied, done, failed
//	api        by which request
//	reason     why it failed, if it did
//
// Keys without a value are left out. Failures are warnings, denials and changes
// information; what was allowed is seen at the level debug only. No secret is ever
// given to this package.
//
// A client can cause as many events as it sends requests, so lines are bounded: of each
// kind of event no more than a number a second, and the line that follows tells in
// held_back how many were not written. The same holds for the topic into which events go
// as JSON, if one is wanted: they wait in a bounded queue, and what does not fit is
// dropped and counted by tideline_audit_dropped_total.
//
// Everything may be called concurrently, and nothing blocks. A nil Log writes nothing.
package audit
