package telemetry

import (
	"context"
	"fmt"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
)

// newResource is what all that is exported says about the process that it comes from.
func newResource(ctx context.Context, version string, nodeID int32) (*resource.Resource, error) {
	about, err := resource.New(ctx,
		resource.WithAttributes(
			attribute.String("service.name", "tideline"),
			attribute.String("service.version", version),
			attribute.String("service.instance.id", fmt.Sprint(nodeID)),
		),
		resource.WithHost(),
		resource.WithTelemetrySDK(),
		resource.WithFromEnv(), // last: OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win
	)
	if err != nil {
		return nil, fmt.Errorf("telemetry: resource: %w", err)
	}
	return about, nil
}

// exporterOf reads which exporter of a signal, TRACES or METRICS, the environment asks for.
func exporterOf(getenv func(string) string, signal string) (on bool, protocol string, err error) {
	if strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") {
		return false, "", nil
	}
	switch name := getenv("OTEL_" + signal + "_EXPORTER"); name {
	case "none":
		return false, "", nil
	case "otlp":
	case "":
		if getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && getenv("OTEL_EXPORTER_OTLP_"+signal+"_ENDPOINT") == "" {
			return false, "", nil
		}
	default:
		return false, "", fmt.Errorf("telemetry: unknown exporter: OTEL_%s_EXPORTER=%q, allowed are otlp and none", signal, name)
	}
	protocol = getenv("OTEL_EXPORTER_OTLP_" + signal + "_PROTOCOL")
	if protocol == "" {
		protocol = getenv("OTEL_EXPORTER_OTLP_PROTOCOL")
	}
	switch protocol {
	case "":
		protocol = "http/protobuf"
	case "grpc", "http/protobuf":
	default:
		return false, "", fmt.Errorf("telemetry: unknown protocol: OTEL_EXPORTER_OTLP_PROTOCOL=%q, allowed are grpc and http/protobuf", protocol)
	}
	return true, protocol, nil
}
