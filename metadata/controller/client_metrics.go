package controller

import (
	"fmt"

	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/record"
)

// ClientMetrics resolves incremental operations on the settings of a subscription to the
// metrics of clients, whose lists are empty where it has none.
func ClientMetrics(m *metadata.Image, name string, ops []ConfigOp) (*record.SetClientMetrics, error) {
	if name == "" || len(name) > record.MaxSubscriptionName {
		return nil, fmt.Errorf("%w: subscription=%q", ErrInvalidRequest, name)
	}
	changes, err := resolve(m.ClientMetricsConfigs(name), ops, nil)
	if err != nil {
		return nil, err
	}
	return &record.SetClientMetrics{Name: name, Changes: changes}, nil
}
