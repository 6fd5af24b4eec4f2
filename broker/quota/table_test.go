package quota

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"testing"
)

// all eight levels, each with a limit of its own.
var allLevels = []Limit{
	{User: Named("alice"), Client: Named("app"), Value: 1},
	{User: Named("alice"), Client: Default(), Value: 2},
	{User: Named("alice"), Value: 3},
	{User: Default(), Client: Named("app"), Value: 4},
	{User: Default(), Client: Default(), Value: 5},
	{User: Default(), Value: 6},
	{Client: Named("app"), Value: 7},
	{Client: Default(), Value: 8},
}

// TestPrecedence takes levels away from the top, and asks who gets which.
func TestPrecedence(t *testing.T) {
	for _, c := range []struct {
		user, client string
		want         [9]float64 // without the first n levels
	}{
		{"alice", "app", [9]float64{1, 2, 3, 4, 5, 6, 7, 8, 0}},
		{"alice", "other", [9]float64{2, 2, 3, 5, 5, 6, 8, 8, 0}},
		{"bob", "app", [9]float64{4, 4, 4, 4, 5, 6, 7, 8, 0}},
		{"bob", "other", [9]float64{5, 5, 5, 5, 5, 6, 8, 8, 0}},
		{"bob", "", [9]float64{5, 5, 5, 5, 5, 6, 8, 8, 0}},
	} {
		for n, want := range c.want {
			table := NewTable(slices.Values(allLevels[n:]))
			got, _, ok := table.find(Producer, c.user, c.client)
			if got != want || ok != (want != 0) {
				t.Errorf("%s %s without %d levels: %v, want %v", c.user, c.client, n, got, want)
			}
			if _, _, ok := table.find(Consumer, c.user, c.client); ok {
				t.Error("a limit of one kind is one of another")
			}
		}
	}
}

// TestSharing says whose sensor it is.
func TestSharing(t *testing.T) {
	for i, want := range []struct{ user, client bool }{
		{true, true}, {true, true}, {true, false}, {true, true}, {true, true}, {true, false}, {false, true}, {false, true},
	} {
		table := NewTable(slices.Values(allLevels[i : i+1]))
		_, key, ok := table.find(Producer, "alice", "app")
		if !ok || (key.user == "alice") != want.user || (key.client == "app") != want.client {
			t.Errorf("level %d: %+v", i, key)
		}
	}
}

// TestDefaultIsNoName: a user or client may be called whatever it likes.
func TestDefaultIsNoName(t *testing.T) {
	table := NewTable(slices.Values([]Limit{{User: Default(), Value: 9}, {Client: Named(""), Value: 5}, {User: Named("<default>"), Value: 2}}))
	if got, _, _ := table.find(Producer, "<default>", ""); got != 2 {
		t.Errorf("limit %v", got)
	}
	if got, _, _ := table.find(Producer, "eve", ""); got != 9 {
		t.Errorf("limit %v", got)
	}
}

func TestTableLeavesOut(t *testing.T) {
	table := NewTable(slices.Values([]Limit{
		{User: Named("a"), Value: 0}, {User: Named("a"), Value: -1}, {User: Named("a"), Value: math.NaN()}, {Value: 5},
		{IP: Named("10.0.0.1"), Value: 5}, {IP: Named("no address"), Kind: Connection, Value: 5},
		{User: Named("a"), Kind: Connection, Value: 5}, {User: Named("a"), Kind: kinds, Value: 5},
	}))
	for k := range kinds {
		if _, _, ok := table.find(k, "a", "b"); ok {
			t.Errorf("%s has a limit", k.Key())
		}
	}
	if _, ok := table.connection(netip.MustParseAddr("10.0.0.1")); ok {
		t.Error("an address has a limit")
	}
}

func TestAddresses(t *testing.T) {
	table := NewTable(slices.Values([]Limit{
		{IP: Named("10.0.0.1"), Kind: Connection, Value: 5}, {IP: Named("::ffff:10.0.0.2"), Kind: Connection, Value: 6}, {IP: Default(), Kind: Connection, Value: 7},
	}))
	for address, want := range map[string]float64{"10.0.0.1": 5, "10.0.0.2": 6, "10.0.0.3": 7} {
		if got, ok := table.connection(netip.MustParseAddr(address)); !ok || got != want {
			t.Errorf("%s: %v", address, got)
		}
	}
}

func TestKinds(t *testing.T) {
	for k := range kinds {
		if got, ok := KindOf(k.Key()); !ok || got != k {
			t.Error(fmt.Sprint(k), k.Key())
		}
	}
	if _, ok := KindOf("consumer_byte_rates"); ok {
		t.Error("an unknown key has a kind")
	}
}
