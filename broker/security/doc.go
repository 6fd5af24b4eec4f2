// Package security says who a connection acts for.
//
// The packages below it find that out and judge by it: transport makes the TLS of a
// listener and reads a name from a client's certificate, sasl conducts the exchanges
// by which a client proves its name, acl says what a name may do. This package has
// what they and the rest of the broker share, and does nothing by itself.
//
// A Principal is immutable once it is made, and may be shared between goroutines.
// Principals hold no secret.
package security
