package quota

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"
)

var epoch = time.UnixMilli(1_700_000_000_000)

func manager(limits ...Limit) *Manager {
	m := New(Options{})
	m.SetTable(NewTable(slices.Values(limits)))
	return m
}

// TestWithoutLimits costs nothing, and is what a broker without a manager has.
func TestWithoutLimits(t *testing.T) {
	for _, m := range []*Manager{nil, New(Options{}), manager()} {
		for k := range kinds {
			if m.Enabled(k) {
				t.Error("enabled without a limit")
			}
		}
		if m.Mutations("u", "c", true) != nil {
			t.Error("a share without a limit")
		}
	}
	m := manager(Limit{User: Named("alice"), Kind: Producer, Value: 1})
	if d := m.Record(Producer, "bob", "", 1e9, epoch); d != 0 {
		t.Errorf("somebody without a limit waits for %v", d)
	}
	if m.sensors.len() != 0 {
		t.Error("somebody without a limit has a sensor")
	}
	n := testing.AllocsPerRun(100, func() {
		m.Record(Producer, "bob", "app", 1, epoch)
		m.Record(Consumer, "alice", "app", 1, epoch)
		m.Record(Producer, "alice", "app", 1, epoch)
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestShares: the client ids of a user share its limit, and two users do not.
func TestShares(t *testing.T) {
	m := manager(Limit{User: Default(), Kind: Producer, Value: 1000})
	if d := m.Record(Producer, "alice", "one", 8000, epoch); d != 0 {
		t.Fatal(d)
	}
	if d := m.Record(Producer, "alice", "two", 8000, epoch); d != 6*time.Second {
		t.Errorf("alice waits for %v", d)
	}
	if d := m.Record(Producer, "bob", "one", 8000, epoch); d != 0 {
		t.Errorf("bob waits for %v", d)
	}
}

// TestRequestIsBounded: a request that took long shuts its client out for a sample at most.
func TestRequestIsBounded(t *testing.T) {
	m := manager(Limit{Client: Default(), Kind: Request, Value: 1})
	if d := m.Record(Request, "", "c", Percent(time.Minute), epoch); d != time.Second {
		t.Errorf("waits for %v", d)
	}
}

// TestAdmit gives what is too much to one who took nothing, and else nothing.
func TestAdmit(t *testing.T) {
	m := manager(Limit{Client: Default(), Kind: Consumer, Value: 100})
	if n, ok := m.MaxAtOnce(Consumer, "", "c"); !ok || n != 1000 {
		t.Errorf("%v at once", n)
	}
	if d, ok := m.Admit(Consumer, "", "c", 5000, epoch); !ok || d != 40*time.Second {
		t.Errorf("the first: %v %v", d, ok)
	}
	d, ok := m.Admit(Consumer, "", "c", 10, epoch.Add(time.Second))
	if ok || d <= 0 {
		t.Errorf("the second: %v %v", d, ok)
	}
	again, ok := m.Admit(Consumer, "", "c", 10, epoch.Add(time.Second))
	if ok || again != d {
		t.Errorf("what was not given counts: %v, %v before", again, d)
	}
	if _, ok := m.Admit(Consumer, "", "c", 10, epoch.Add(12*time.Second)); !ok {
		t.Error("refused after the window")
	}
}

// TestMutations is strict or permissive, as KIP-599 has it.
func TestMutations(t *testing.T) {
	m := manager(Limit{User: Named("alice"), Kind: Mutation, Value: 1})
	strict := m.Mutations("alice", "", true)
	if !strict.Take(100, epoch) || strict.Throttle(epoch) != 0 {
		t.Error("a full bucket refuses, or throttles")
	}
	if strict.Take(1, epoch) {
		t.Error("an empty bucket gives")
	}
	if d := strict.Throttle(epoch); d != 89*time.Second {
		t.Errorf("throttled for %v", d)
	}
	if d := strict.Throttle(epoch.Add(time.Minute)); d != 29*time.Second {
		t.Errorf("throttled for %v after a minute", d)
	}
	permissive := m.Mutations("alice", "", false)
	if !permissive.Take(1, epoch) {
		t.Error("a permissive share refuses")
	}
	if d := permissive.Throttle(epoch); d != 90*time.Second {
		t.Errorf("throttled for %v", d)
	}
	other := m.Mutations("bob", "", true)
	for range 2 {
		if !other.Take(1e6, epoch) {
			t.Error("somebody without a limit is refused")
		}
	}
}

// TestSensorsAreBounded: a client that invents ids costs a bounded memory, and those who work are not forgotten for it.
func TestSensorsAreBounded(t *testing.T) {
	m := New(Options{MaxSensors: 160})
	m.SetTable(NewTable(slices.Values([]Limit{{Client: Default(), Kind: Producer, Value: 1000}})))
	now := epoch
	honest := 0
	for i := range 20_000 {
		m.Record(Producer, "eve", fmt.Sprint("id-", i), 1, now)
		if i%10 == 0 && m.Record(Producer, "alice", "app", 20_000, now) > 10*time.Second {
			honest++
		}
		now = now.Add(time.Millisecond)
	}
	if n := m.sensors.len(); n > 160 {
		t.Errorf("%d sensors", n)
	}
	if honest < 1990 {
		t.Errorf("the one who works was remembered %d times", honest)
	}
	now = now.Add(2 * time.Hour)
	for i := range 200 { // each shard meets somebody new
		m.Record(Producer, "eve", fmt.Sprint("late-", i), 1, now)
	}
	if n := m.sensors.len(); n > 160 {
		t.Errorf("%d sensors", n)
	}
}

// TestManySamples bounds the memory where a window has many.
func TestManySamples(t *testing.T) {
	m := New(Options{Window: Window{Samples: 360, Size: time.Second}})
	if got := m.sensors.max * shards * (sensorBytes + 24*361); got > sensorMemory {
		t.Errorf("sensors of %d bytes", got)
	}
}

func TestConnections(t *testing.T) {
	m := manager(Limit{IP: Named("10.0.0.9"), Kind: Connection, Value: 1})
	m.SetConnectionRates(100, map[string]float64{"EXTERNAL": 10})
	eve, alice := netip.MustParseAddr("10.0.0.9"), netip.MustParseAddr("10.0.0.1")
	refused := 0
	for range 30 {
		wait, refuse := m.Connect("INTERNAL", eve, epoch)
		if refuse > 0 {
			refused++
		}
		if wait > 0 || refuse > time.Second {
			t.Errorf("wait %v refuse %v", wait, refuse)
		}
	}
	if refused != 20 { // ten seconds of the window at one a second
		t.Errorf("%d of 30 refused", refused)
	}
	waits := 0
	for range 200 {
		wait, refuse := m.Connect("EXTERNAL", alice, epoch)
		if refuse > 0 || wait > time.Second {
			t.Errorf("wait %v refuse %v", wait, refuse)
		}
		if wait > 0 {
			waits++
		}
	}
	if waits != 100 {
		t.Errorf("%d of 200 waited", waits)
	}
	if wait, _ := m.Connect("INTERNAL", alice, epoch); wait != 0 {
		t.Errorf("the other listener waits for %v", wait)
	}
	for range 1000 {
		m.Connect("INTERNAL", alice, epoch)
	}
	if wait, _ := m.Connect("OTHER", alice, epoch); wait == 0 {
		t.Error("the broker has no limit")
	}
}
