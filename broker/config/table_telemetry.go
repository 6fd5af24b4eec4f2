package config

import "fmt"

// telemetrySettings are those of the metrics that clients push (KIP-714).
var telemetrySettings = []Setting{
	{Key: "telemetry.max.bytes", Type: Int, Default: fmt.Sprint(mib), Allowed: between(1, maxInt),
		Doc: "The most bytes of metrics that a client may push at once, compressed or not. Metrics are taken when the environment names a collector (OTEL_EXPORTER_OTLP_ENDPOINT)."},
}
