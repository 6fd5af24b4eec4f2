// Package trace follows one record through its life, in one trace: sent by a Python program that has OpenTelemetry's own
// instrumentation, appended, replicated and acknowledged by three brokers, taken to the object store, and read from there by
// another program after all brokers were killed and have started anew.
//
//	Python producer ── traceparent header ──▶ brokers ──▶ object store ──▶ brokers ──▶ Python consumer, which traces nothing
//	      │ OTLP                                │ OTLP
//	      └──────────────▶ internal/otlptest ◀──┘ ── Zipkin's JSON ──▶ Zipkin ◀── Chromium ──▶ docs/pictures/trace.png
//
// It is a test, for it checks that the trace is whole: all spans hang together, and none of the stages is missing. With
// -picture the spans are also given to a Zipkin server, asked back from its API, and its page is photographed: `make
// trace-picture`. The server, the browser and the Python packages are pinned and fetched by scripts/trace-tools.sh into .tools.
package trace
