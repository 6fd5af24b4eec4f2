// Package stage is what runs against a cluster in trouble begin with: a topic, a client that writes to it and notices soon when brokers
// come and go, and a wait that ends with the run.
package stage
