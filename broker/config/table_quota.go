package config

import (
	"fmt"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
)

// quotaSettings are the bounds on clients. The limits themselves are not settings: tools set them for users, client ids and addresses.
var quotaSettings = []Setting{
	{Key: "quota.window.num", Type: Int, Default: "11", Allowed: between(1, 360),
		Doc: "The samples over which rates of bytes, time and connections are taken, of which the last is being filled."},
	{Key: "quota.window.size.seconds", Type: Int, Default: "1", Allowed: between(1, 3600),
		Doc: "The time of one of those samples. A client that spent too much time, and a connection too many, wait no longer than that at once."},
	{Key: "controller.quota.window.num", Type: Int, Default: "11", Allowed: between(1, 360),
		Doc: "The samples, as a number, whose worth of partitions a client may create or delete at once under a controller_mutation_rate."},
	{Key: "controller.quota.window.size.seconds", Type: Int, Default: "1", Allowed: between(1, 3600),
		Doc: "The time of one of those samples."},
	{Key: "max.connections.per.ip.overrides", Type: String, Blank: true, Update: PerBroker,
		Allowed: orEmpty(parsed("ADDRESS:NUMBER, separated by commas; an IPv6 address in brackets or bare", ParseConnectionOverrides), "none"),
		Doc:     "max.connections.per.ip for addresses that have one of their own. Names of hosts are not looked up."},
	{Key: "max.connection.creation.rate", Type: Int, Default: fmt.Sprint(maxInt), Allowed: between(1, maxInt), Update: PerBroker, PerListener: true,
		Doc: "The connections per second that are accepted, over all listeners, or by one. Those above wait to be accepted."},
	{Key: "max.unauthenticated.connections", Type: Int, Default: "1000", Allowed: between(1, maxInt), Update: PerBroker,
		Doc: "The connections that may be open at once whose client has yet to prove who it is. One more closes the one that takes longest."},
	{Key: "connections.authentication.timeout.ms", Type: Int, Default: "30000", Allowed: between(100, 3_600_000),
		Doc: "How long a client may take to prove who it is, from the moment at which it connected: TLS handshake and SASL exchange together."},
	{Key: "sasl.server.max.receive.size", Type: Int, Default: "524288", Allowed: between(1024, maxInt),
		Doc: "The largest request that is read from a client that has yet to prove who it is."},
}

// ListenerLimits bound the connections of one listener; where it has none of its own they are the broker's.
type ListenerLimits struct {
	Connections            int32 `key:"max.connections"`
	ConnectionCreationRate int32 `key:"max.connection.creation.rate"`
}

// ListenerLimits returns what holds for a listener.
func (c *Config) ListenerLimits(l Listener) (limits ListenerLimits) {
	bindFields(reflect.ValueOf(&limits).Elem(), "key", func(key string) string { return c.listenerText(l.Name, "", key) })
	return limits
}

// ParseConnectionOverrides reads ADDRESS:NUMBER, separated by commas.
func ParseConnectionOverrides(text string) (map[netip.Addr]int, error) {
	overrides := map[netip.Addr]int{}
	for _, item := range splitList(text) {
		i := strings.LastIndexByte(item, ':')
		if i < 0 {
			return nil, fmt.Errorf("not ADDRESS:NUMBER: %q", item)
		}
		a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(item[:i]), "["), "]"))
		if err != nil {
			return nil, fmt.Errorf("not an address: %q", item[:i])
		}
		n, err := strconv.ParseInt(strings.TrimSpace(item[i+1:]), 10, 32)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("not a number of connections: %q", item[i+1:])
		}
		if _, twice := overrides[a.Unmap()]; twice {
			return nil, fmt.Errorf("address is named twice: %q", item[:i])
		}
		overrides[a.Unmap()] = int(n)
	}
	return overrides, nil
}
