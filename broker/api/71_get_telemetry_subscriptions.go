package api

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/telemetry/clientmetrics"
)

// getTelemetrySubscriptions answers GetTelemetrySubscriptions (KIP-714): which metrics
// are wanted of the client.
func getTelemetrySubscriptions(c *Call) kmsg.Response {
	req := c.Request.(*kmsg.GetTelemetrySubscriptionsRequest)
	resp := kmsg.NewPtrGetTelemetrySubscriptionsResponse()
	c.API.knowSubscriptions()
	w, err := c.API.ClientMetrics.Get(c.telemetryClient(), req.ClientInstanceID, c.API.now())
	c.watch()
	if err != nil {
		resp.ErrorCode = errorCode(err)
		return resp
	}
	resp.ClientInstanceID, resp.SubscriptionID = w.ID, w.SubscriptionID
	resp.AcceptedCompressionTypes, resp.RequestedMetrics = w.Codecs, w.Metrics
	resp.PushIntervalMillis, resp.TelemetryMaxBytes, resp.DeltaTemporality = int32(w.Interval.Milliseconds()), w.MaxBytes, true
	return resp
}

// isTelemetry: keys that are advertised only when there is a collector.
func isTelemetry(key int16) bool {
	return key == keyGetTelemetrySubscriptions || key == keyPushTelemetry
}

// telemetryClient is what is known of who sends the request.
func (c *Call) telemetryClient() clientmetrics.Client {
	client := clientmetrics.Client{ClientID: c.ClientID, Address: c.Host, Principal: c.Principal().String()}
	if c.raw == nil {
		client.HasClientID = c.ClientID != ""
		return client
	}
	conn := c.raw.Conn
	software := conn.Software()
	client.HasClientID = c.raw.ClientID != nil
	client.SoftwareName, client.SoftwareVersion = software.Name, software.Version
	client.Port, client.Conn = portOf(conn.RemoteAddr()), conn.ID()
	return client
}

// watch has the end of the connection told to whoever knows the client by it.
func (c *Call) watch() {
	if c.raw == nil {
		return
	}
	m, id := c.API.ClientMetrics, c.raw.Conn.ID()
	if m.Watch(id) {
		c.raw.Conn.OnClose(func() { m.Disconnected(id) })
	}
}

// knowSubscriptions brings what the metadata say to those who answer by it.
func (a *API) knowSubscriptions() {
	image := a.Metadata.Image()
	a.ClientMetrics.SetSubscriptions(image.ClientMetricsGeneration(), func() (all []clientmetrics.Subscription) {
		for name, settings := range image.ClientMetrics() {
			s, err := clientmetrics.Parse(name, settings.Map())
			if err != nil {
				// It was checked when it was made, by a broker of another release perhaps.
				a.logger.Warn("a subscription to the metrics of clients is left out", "subscription", name, "error", err)
				continue
			}
			all = append(all, s)
		}
		return all
	})
}
