package config

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// Protocol is what is spoken below the Kafka protocol on a listener.
type Protocol string

// The security protocols, with Kafka's names.
const (
	Plaintext     Protocol = "PLAINTEXT"
	SSL           Protocol = "SSL"
	SASLPlaintext Protocol = "SASL_PLAINTEXT"
	SASLSSL       Protocol = "SASL_SSL"
)

func parseProtocol(text string) (Protocol, bool) {
	switch p := Protocol(strings.ToUpper(text)); p {
	case Plaintext, SSL, SASLPlaintext, SASLSSL:
		return p, true
	}
	return "", false
}

// Listener is one address that clients connect to.
type Listener struct {
	Name     string // upper case
	Protocol Protocol
	Host     string // empty: every interface
	Port     int    // 0 in `listeners`: the system chooses one
}

// Address returns host and port in the form that net.Listen takes.
func (l Listener) Address() string { return net.JoinHostPort(l.Host, strconv.Itoa(l.Port)) }

// String returns the listener as it is written in the configuration.
func (l Listener) String() string { return l.Name + "://" + l.Address() }

// Wildcard reports whether the host stands for every interface, so that it
// cannot be advertised.
func (l Listener) Wildcard() bool {
	if l.Host == "" {
		return true
	}
	ip := net.ParseIP(l.Host)
	return ip != nil && ip.IsUnspecified()
}

// ParseListeners reads NAME://HOST:PORT, separated by commas. The protocol of a
// listener is what protocols says of its name; a name that is a protocol
// stands for itself.
func ParseListeners(text string, protocols map[string]Protocol) ([]Listener, error) {
	var listeners []Listener
	for _, item := range splitList(text) {
		l, err := parseListener(item, protocols)
		if err != nil {
			return nil, err
		}
		for _, other := range listeners {
			if other.Name == l.Name {
				return nil, fmt.Errorf("two listeners are named %s", l.Name)
			}
			if other.Port == l.Port && l.Port != 0 && overlap(other, l) {
				return nil, fmt.Errorf("two listeners have port %d", l.Port)
			}
		}
		listeners = append(listeners, l)
	}
	return listeners, nil
}

// overlap reports whether two listeners with one port would collide: they do
// unless their hosts are different addresses.
func overlap(a, b Listener) bool {
	return a.Wildcard() || b.Wildcard() || a.Host == b.Host
}

func parseListener(item string, protocols map[string]Protocol) (Listener, error) {
	name, address, ok := strings.Cut(item, "://")
	if !ok || name == "" {
		return Listener{}, fmt.Errorf("listener is not NAME://HOST:PORT: %q", item)
	}
	name = strings.ToUpper(name)
	for _, c := range name {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' && c != '.' {
			return Listener{}, fmt.Errorf("listener name has a character that is not a letter, digit, '_', '-' or '.': %q", item)
		}
	}
	host, port, err := splitHostPort(address)
	if err != nil {
		return Listener{}, fmt.Errorf("listener is not NAME://HOST:PORT: %q", item)
	}
	protocol, ok := protocols[name]
	if !ok {
		if protocol, ok = parseProtocol(name); !ok {
			return Listener{}, fmt.Errorf("listener.security.protocol.map has no protocol for listener %s", name)
		}
	}
	return Listener{Name: name, Protocol: protocol, Host: host, Port: port}, nil
}

// splitHostPort cuts HOST:PORT, where HOST may be empty or an IPv6 address in
// brackets.
func splitHostPort(address string) (host string, port int, err error) {
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	if strings.ContainsAny(host, " /\\\t\n\"'@?#") {
		return "", 0, fmt.Errorf("not a host: %q", host)
	}
	n, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("not a port: %q", portText)
	}
	return host, int(n), nil
}

// hostPort checks HOST:PORT.
func hostPort(address string) (string, error) {
	_, _, err := splitHostPort(address)
	return address, err
}

// hostPortList checks HOST:PORT, separated by commas; hosts must be given and
// ports must not be 0, because others connect to them.
func hostPortList(text string) ([]string, error) {
	items := splitList(text)
	for _, item := range items {
		host, port, err := splitHostPort(item)
		if err != nil {
			return nil, err
		}
		if host == "" || port == 0 {
			return nil, fmt.Errorf("host or port missing: %q", item)
		}
	}
	return items, nil
}

// parseProtocolMap reads NAME:PROTOCOL, separated by commas.
func parseProtocolMap(text string) (map[string]Protocol, error) {
	m := map[string]Protocol{}
	for _, item := range splitList(text) {
		name, value, ok := strings.Cut(item, ":")
		name = strings.ToUpper(strings.TrimSpace(name))
		p, known := parseProtocol(strings.TrimSpace(value))
		if !ok || name == "" || !known {
			return nil, fmt.Errorf("not NAME:PROTOCOL: %q", item)
		}
		if _, twice := m[name]; twice {
			return nil, fmt.Errorf("listener named twice: %q", name)
		}
		m[name] = p
	}
	return m, nil
}

// advertise returns what clients are told for each listener. A listener that
// advertised.listeners does not name is advertised as it is; one on every
// interface, written with an empty host, gets this machine's name. As in
// Kafka, the addresses 0.0.0.0 and :: cannot be advertised. The port 0 stays 0
// here, and the broker puts in the one that it was given.
func advertise(listeners, given []Listener, hostname func() (string, error)) ([]Listener, error) {
	advertised := make([]Listener, 0, len(listeners))
	named := map[string]Listener{}
	for _, l := range given {
		named[l.Name] = l
	}
	for _, l := range listeners {
		a, ok := named[l.Name]
		delete(named, l.Name)
		if ok {
			if a.Port == 0 {
				return nil, fmt.Errorf("port 0 cannot be advertised: %s", a)
			}
		} else {
			a = l
		}
		if a.Host == "" {
			name, err := hostname()
			if err != nil {
				return nil, fmt.Errorf("no name of this machine to advertise for %s: %w", a, err)
			}
			a.Host = name
		}
		if a.Wildcard() {
			return nil, fmt.Errorf("%s stands for every interface and cannot be advertised: name in advertised.listeners the host that clients reach", a)
		}
		advertised = append(advertised, a)
	}
	for _, l := range given {
		if _, left := named[l.Name]; left {
			return nil, fmt.Errorf("advertised listener %s is not among listeners", l.Name)
		}
	}
	return advertised, nil
}
