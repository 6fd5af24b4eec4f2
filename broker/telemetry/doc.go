// Package telemetry sets up how a broker is seen from outside: log lines
// (log/slog), spans (OpenTelemetry) and the admin endpoints over HTTP with
// Prometheus metrics, health and profiles.
//
// It only builds these things; the broker hands them to its parts as
// constructor arguments, and nothing here is read from a global. The one
// exception is OpenTelemetry's error handler, which that library keeps per
// process: Tracing points it at the broker's logger.
//
// Tracing is configured by OpenTelemetry's own environment variables and by
// nothing else. Without them no exporter is made, no goroutine runs and every
// span is a no-op. With them, and without OTEL_TRACES_SAMPLER, the number of
// traces that take place here each second is bounded, in two budgets: of those that
// clients ask for with a traceparent header, and of the broker's own, so that tracing
// stays cheap at full load. A Gate decides before anything is made for a trace, and a
// collector takes spans that have ended without waking anybody.
//
// Profiles (/debug/pprof) are served on loopback listeners only: they tell about
// memory and cost CPU, and there is no login in front of them.
//
// All functions may be called from any goroutine.
package telemetry
