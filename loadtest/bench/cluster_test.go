package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestAGapCountsFromItsBeginning(t *testing.T) {
	a := newAcks(3)
	at := func(ms int) time.Time { return time.UnixMilli(int64(ms)) }
	for ms, partition := range []int32{0, 1, 2} {
		a.acked(partition, at(ms))
	}
	a.acked(0, at(900)) // over before anybody watches
	a.watch()
	a.acked(0, at(910))
	a.acked(1, at(1001)) // began before, ended after
	a.acked(1, at(1003))
	a.acked(7, at(5000)) // of no partition
	if want := []time.Duration{10 * time.Millisecond, time.Second, 0}; !slices.Equal(a.gaps(), want) {
		t.Errorf("gaps %v, want %v", a.gaps(), want)
	}
	for since, want := range map[int]int{0: 0, 3: 1, 911: 2, 1004: 3} {
		if got := a.silent(at(since)); got != want {
			t.Errorf("silent since %d: %d, want %d", since, got, want)
		}
	}
}

func TestRoundsThatAreNoNeighboursCompareMedians(t *testing.T) {
	r, err := newRecorder(filepath.Join(t.TempDir(), "r.jsonl"), Sample{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.file.Close()
	for system, figures := range map[string][]float64{tidelineName: {100, 50, 300}, kafkaName: {1000, 3000}} {
		for round, v := range figures {
			if err := r.add("failover", system, round+1, 0, map[string]float64{"gap": v}, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := r.conclude(metric{scenario: "failover", key: "gap", apart: true}); err != nil {
		t.Fatal(err)
	}
	got := r.ratios[0]
	if got.Median != .05 || got.Min != 50./3000 || got.Max != .3 || *got.Ours != (Range{50, 300}) || *got.Theirs != (Range{1000, 3000}) {
		t.Errorf("got %+v ours %+v theirs %+v", got, got.Ours, got.Theirs)
	}
	if text := figure(*got.Kafka, got.Theirs); text != "2000 (1000 … 3000)" {
		t.Errorf("figure %q", text)
	}
}

func TestWhatARestingClusterTells(t *testing.T) {
	one := func(leader int32, isr ...int32) replicated {
		return replicated{topic: "orders", leader: leader, replicas: []int32{2, 3, 1}, isr: isr}
	}
	for _, c := range []struct {
		of        replicated
		sync      string
		preferred string
	}{
		{one(2, 1, 2, 3), "", ""},
		{one(3, 1, 2, 3), "", "not led by the preferred replica"},
		{one(2, 1, 2), "not in sync", ""},
		{one(-1, 1, 2, 3), "not in sync", "not led by the preferred replica"},
	} {
		s := &state{partitions: []replicated{one(2, 3, 2, 1), c.of}}
		for _, v := range []struct {
			err  error
			want string
		}{{s.inSync(), c.sync}, {s.preferred(), c.preferred}} {
			if (v.err == nil) != (v.want == "") || v.err != nil && !strings.Contains(v.err.Error(), v.want) {
				t.Errorf("%+v: %v, want %q", c.of, v.err, v.want)
			}
		}
	}
	s := &state{partitions: []replicated{one(2), {topic: "other"}}}
	if len(s.of("orders")) != 1 || len(s.partitions) != 2 {
		t.Errorf("of a topic %+v, of all %+v", s.of("orders"), s.partitions)
	}
}
