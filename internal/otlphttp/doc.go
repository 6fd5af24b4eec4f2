// Package otlphttp takes what exporters of OpenTelemetry send by HTTP as protobuf (the OTLP specification,
// "OTLP/HTTP"): for the receiver of the tests, and for the page of traces of a cluster on one machine.
//
// Post may be called for several paths of one mux; what it is given is called from many goroutines at once.
package otlphttp
