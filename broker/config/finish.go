package config

import (
	"fmt"
	"strings"
)

// finish derives what more than one key decides, and checks the combinations.
func (c *Config) finish() Errors {
	var faults Errors
	refuse := func(key, why string) {
		v := c.values[key]
		faults = append(faults, &Error{Key: key, Value: v.text, Origin: v.origin, Allowed: why})
	}
	if c.RPCAdvertised == "" {
		c.RPCAdvertised = c.RPCListener
		c.values["rpc.advertised"] = value{text: c.RPCListener, source: SourceDefault}
	}
	if _, ok := c.values["node.id"]; !ok {
		refuse("node.id", "it must be given when cluster.seeds is")
	}
	if v := c.values["object.store"]; len(c.ClusterSeeds) > 0 && v.source == SourceDefault {
		refuse("object.store", "it must be given when cluster.seeds is: all brokers of a cluster share one bucket")
	}
	if c.BrokerHeartbeatInterval > c.BrokerSessionTimeout/2 {
		refuse("broker.heartbeat.interval.ms", "it must not exceed half of broker.session.timeout.ms")
	}
	c.listen(refuse)
	c.checkPorts(refuse)

	if c.GroupMinSessionTimeout > c.GroupMaxSessionTimeout {
		refuse("group.min.session.timeout.ms", "it must not exceed group.max.session.timeout.ms")
	}
	if t := c.ConsumerSessionTimeout; t < c.ConsumerMinSessionTimeout || t > c.ConsumerMaxSessionTimeout {
		refuse("group.consumer.session.timeout.ms", "it must not be below group.consumer.min.session.timeout.ms or above group.consumer.max.session.timeout.ms")
	}
	if t := c.ConsumerHeartbeatInterval; t < c.ConsumerMinHeartbeatInterval || t > c.ConsumerMaxHeartbeatInterval {
		refuse("group.consumer.heartbeat.interval.ms", "it must not be below group.consumer.min.heartbeat.interval.ms or above group.consumer.max.heartbeat.interval.ms")
	}
	if t := c.ShareSessionTimeout; t < c.ShareMinSessionTimeout || t > c.ShareMaxSessionTimeout {
		refuse("group.share.session.timeout.ms", "it must not be below group.share.min.session.timeout.ms or above group.share.max.session.timeout.ms")
	}
	if t := c.ShareHeartbeatInterval; t < c.ShareMinHeartbeatInterval || t > c.ShareMaxHeartbeatInterval {
		refuse("group.share.heartbeat.interval.ms", "it must not be below group.share.min.heartbeat.interval.ms or above group.share.max.heartbeat.interval.ms")
	}
	if c.ShareHeartbeatInterval >= c.ShareSessionTimeout {
		refuse("group.share.heartbeat.interval.ms", "it must be less than group.share.session.timeout.ms")
	}
	if c.ConsumerHeartbeatInterval >= c.ConsumerSessionTimeout {
		refuse("group.consumer.heartbeat.interval.ms", "it must be less than group.consumer.session.timeout.ms")
	}
	if c.GroupShareRecordLockDuration < c.GroupShareMinRecordLockDuration || c.GroupShareRecordLockDuration > c.GroupShareMaxRecordLockDuration {
		refuse("group.share.record.lock.duration.ms", "it must lie between group.share.min.record.lock.duration.ms and group.share.max.record.lock.duration.ms")
	}
	if t := c.StreamsSessionTimeout; t < c.StreamsMinSessionTimeout || t > c.StreamsMaxSessionTimeout {
		refuse("group.streams.session.timeout.ms", "it must not be below group.streams.min.session.timeout.ms or above group.streams.max.session.timeout.ms")
	}
	if t := c.StreamsHeartbeatInterval; t < c.StreamsMinHeartbeatInterval || t > c.StreamsMaxHeartbeatInterval {
		refuse("group.streams.heartbeat.interval.ms", "it must not be below group.streams.min.heartbeat.interval.ms or above group.streams.max.heartbeat.interval.ms")
	}
	if c.StreamsHeartbeatInterval >= c.StreamsSessionTimeout {
		refuse("group.streams.heartbeat.interval.ms", "it must be less than group.streams.session.timeout.ms")
	}
	if t := c.StreamsAssignmentInterval; t < c.StreamsMinAssignmentInterval || t > c.StreamsMaxAssignmentInterval {
		refuse("group.streams.assignment.interval.ms", "it must not be below group.streams.min.assignment.interval.ms or above group.streams.max.assignment.interval.ms")
	}
	if n := c.GroupShareDeliveryCountLimit; n < c.GroupShareMinDeliveryCountLimit || n > c.GroupShareMaxDeliveryCountLimit {
		refuse("group.share.delivery.count.limit", "it must lie between group.share.min.delivery.count.limit and group.share.max.delivery.count.limit")
	}
	if n := c.GroupShareMaxRecordLocks; n < c.GroupShareMinMaxRecordLocks || n > c.GroupShareMaxMaxRecordLocks {
		refuse("group.share.partition.max.record.locks", "it must lie between group.share.min.partition.max.record.locks and group.share.max.partition.max.record.locks")
	}
	if c.StreamsNumStandbyReplicas > c.StreamsMaxStandbyReplicas {
		refuse("group.streams.num.standby.replicas", "it must not be above group.streams.max.standby.replicas")
	}
	if c.WALFileBytes > c.WALMaxBytes/4 {
		refuse("wal.file.bytes", fmt.Sprintf("it must not exceed a quarter of wal.max.bytes=%d", c.WALMaxBytes))
	}
	if int64(c.SocketRequestMaxBytes) > c.QueuedMaxRequestBytes {
		v := c.values["socket.request.max.bytes"]
		if v.source == SourceDefault {
			// A small machine: what does not fit the budget is not taken.
			c.SocketRequestMaxBytes = int32(c.QueuedMaxRequestBytes)
			c.values["socket.request.max.bytes"] = value{text: fmt.Sprint(c.QueuedMaxRequestBytes), source: SourceDefault}
		} else {
			refuse("socket.request.max.bytes", fmt.Sprintf("it must not exceed queued.max.request.bytes=%d", c.QueuedMaxRequestBytes))
		}
	}
	if text := c.values["message.max.bytes"].text; parseLong(text) > int64(c.SocketRequestMaxBytes) {
		refuse("message.max.bytes", fmt.Sprintf("it must not exceed socket.request.max.bytes=%d", c.SocketRequestMaxBytes))
	}
	return faults
}

// listen parses the listeners and what is advertised for them.
func (c *Config) listen(refuse func(key, why string)) {
	protocols, err := parseProtocolMap(strings.Join(c.ProtocolMapText, ","))
	if err != nil {
		refuse("listener.security.protocol.map", err.Error())
		return
	}
	if c.Listeners, err = ParseListeners(strings.Join(c.ListenersText, ","), protocols); err != nil {
		refuse("listeners", err.Error())
		return
	}
	if len(c.Listeners) == 0 {
		refuse("listeners", "at least one listener is needed")
		return
	}
	c.checkListenerKeys(refuse)
	given, err := parseAdvertised(c.AdvertisedText, protocols)
	if err != nil {
		refuse("advertised.listeners", err.Error())
		return
	}
	if c.Advertised, err = advertise(c.Listeners, given, c.machine.Hostname); err != nil {
		key := "advertised.listeners"
		if len(given) == 0 {
			key = "listeners"
		}
		refuse(key, err.Error())
	}
}

// parseAdvertised reads advertised.listeners. Unlike listeners, two of them may
// have one port: they may lead to different machines, or to one proxy.
func parseAdvertised(items []string, protocols map[string]Protocol) ([]Listener, error) {
	var given []Listener
	seen := map[string]bool{}
	for _, item := range items {
		l, err := parseListener(item, protocols)
		if err != nil {
			return nil, err
		}
		if seen[l.Name] {
			return nil, fmt.Errorf("two listeners are named %s", l.Name)
		}
		seen[l.Name] = true
		given = append(given, l)
	}
	return given, nil
}
