package api

import (
	"net"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/server"
	"github.com/tidelinehq/tideline/broker/telemetry/clientmetrics"
)

// pushTelemetry answers PushTelemetry (KIP-714): metrics of a client, on their way to a collector.
func pushTelemetry(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.PushTelemetryRequest)
	resp := kmsg.NewPtrPushTelemetryResponse()
	c.API.knowSubscriptions()
	err := c.API.ClientMetrics.Push(c.Context, c.telemetryClient(), &clientmetrics.Push{
		ID: req.ClientInstanceID, SubscriptionID: req.SubscriptionID, Terminating: req.Terminating,
		Codec: req.CompressionType, Metrics: req.Metrics,
	}, c.API.now())
	c.watch()
	if err != nil {
		// Some clients push no more after the first refusal, and do not say why.
		c.API.logger.Debug("metrics of a client were refused", "client", c.Host, "client_id", c.ClientID, "error", err)
	}
	resp.ErrorCode = errorCode(err)
	return resp
}

// knowSoftware keeps what the client says that it is.
func (c *Call) knowSoftware(req *kmsg.ApiVersionsRequest) {
	if c.raw != nil {
		c.raw.Conn.SetSoftware(server.Software{Name: req.ClientSoftwareName, Version: req.ClientSoftwareVersion})
	}
}

// portOf returns the port of an address, 0 where it has none.
func portOf(addr net.Addr) int {
	_, text, err := net.SplitHostPort(addr.String())
	if err != nil {
		return 0
	}
	port, _ := strconv.Atoi(text)
	return port
}
