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
