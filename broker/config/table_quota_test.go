package config

import (
	"net/netip"
	"testing"
)

func TestConnectionOverrides(t *testing.T) {
	got, err := ParseConnectionOverrides("10.0.0.1:5, [::1]:6,fe80::2:0,::ffff:10.0.0.2:7")
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]int{"10.0.0.1": 5, "::1": 6, "fe80::2": 0, "10.0.0.2": 7} {
		if n, ok := got[netip.MustParseAddr(address)]; !ok || n != want {
			t.Errorf("%s: %d %t", address, n, ok)
		}
	}
	for _, bad := range []string{"10.0.0.1", "host:5", "10.0.0.1:", "10.0.0.1:-1", "10.0.0.1:x", "10.0.0.1:5,10.0.0.1:6", ":5"} {
		if _, err := ParseConnectionOverrides(bad); err == nil {
			t.Errorf("%q passes", bad)
		}
	}
}

func TestListenerLimits(t *testing.T) {
	c, err := Load(Sources{Machine: ThisMachine(), Set: []string{
		"listeners=PLAINTEXT://h:1,OTHER://h:2", "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,OTHER:PLAINTEXT", "data.dir=/d",
		"max.connections=9", "listener.name.other.max.connections=5", "listener.name.other.max.connection.creation.rate=7",
	}})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.ListenerLimits(c.Listeners[0]); got != (ListenerLimits{9, maxInt}) {
		t.Errorf("the first: %+v", got)
	}
	if got := c.ListenerLimits(c.Listeners[1]); got != (ListenerLimits{5, 7}) {
		t.Errorf("the other: %+v", got)
	}
}
