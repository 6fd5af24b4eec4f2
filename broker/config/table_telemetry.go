package config

import "fmt"

// telemetrySettings are those of the metrics that clients push (KIP-714), and of the metrics of groups.
var telemetrySettings = []Setting{
	{Key: "telemetry.max.bytes", Type: Int, Default: fmt.Sprint(mib), Allowed: between(1, maxInt),
		Doc: "The most bytes of metrics that a client may push at once, compressed or not. Metrics are taken when the environment names a collector (OTEL_EXPORTER_OTLP_ENDPOINT)."},
	{Key: "metrics.group.lag.interval.ms", Type: Int, Default: "30000", Allowed: between(0, maxInt),
		Doc: "How often a group coordinator finds out how far its groups are behind (tideline_group_lag_records); 0: never."},
	{Key: "metrics.group.lag.max.series", Type: Int, Default: "5000", Allowed: between(1, 1_000_000),
		Doc: "The most partitions of groups whose lag a broker shows one by one. Above that the greatest are shown, and tideline_group_lag_left_out counts the others."},
}
