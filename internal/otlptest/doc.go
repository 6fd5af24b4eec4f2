// Package otlptest is a receiver of OpenTelemetry's protocol that keeps what it gets, for tests
// to look at and for benchmarks to send to. It is no part of the product.
//
//	exporter ── POST /v1/traces, protobuf, gzip or not ──▶ HTTP ─┐
//	exporter ── TraceService/Export ─────────────────────▶ gRPC ─┴▶ Receiver ──▶ Spans, Await
//	(/v1/metrics, MetricsService/Export likewise)                           ──▶ Metrics, AwaitMetrics
//
// It listens on the loopback address, on ports that the system gives it, and speaks neither
// TLS nor JSON.
//
// What it keeps is bounded: of spans above MaxSpans and metrics above
// MaxMetrics it only counts how many there were, and a
// request of more than 16 MiB, inflated, is refused.
//
// All methods may be called from any goroutine.
package otlptest
