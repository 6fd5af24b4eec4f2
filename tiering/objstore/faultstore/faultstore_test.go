package faultstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidelinehq/tideline/tiering/objstore"
	"github.com/tidelinehq/tideline/tiering/objstore/faultstore"
	"github.com/tidelinehq/tideline/tiering/objstore/memstore"
	"github.com/tidelinehq/tideline/tiering/objstore/objstoretest"
)

func TestConformance(t *testing.T) {
	objstoretest.Run(t, func(t *testing.T) objstore.Store { return faultstore.New(memstore.New(nil), 1) })
}

func put(s objstore.Store, key, value string) error {
	_, err := s.Put(context.Background(), key, objstore.BytesBody([]byte(value)), objstore.Condition{})
	return err
}

func get(s objstore.Store, key string) (string, error) {
	b, _, err := objstore.ReadAll(context.Background(), s, key, 1<<20)
	return string(b), err
}

func TestFaults(t *testing.T) {
	for _, c := range []struct {
		fault    faultstore.Fault
		class    error  // of a put
		after    string // what is there then; it was "old"
		getClass error
	}{
		{faultstore.Unavailable, objstore.ErrUnavailable, "old", objstore.ErrUnavailable},
		{faultstore.SlowDown, objstore.ErrUnavailable, "old", objstore.ErrUnavailable},
		{faultstore.Refused, objstore.ErrUnavailable, "old", objstore.ErrUnavailable},
		{faultstore.Timeout, objstore.ErrUnavailable, "old", objstore.ErrUnavailable},
		{faultstore.LostReply, objstore.ErrUnavailable, "new", objstore.ErrUnavailable},
		{faultstore.LateReply, nil, "new", nil},
		{faultstore.Slow, nil, "new", nil},
		{faultstore.Denied, objstore.ErrDenied, "old", objstore.ErrDenied},
		{faultstore.Conflict, objstore.ErrUnavailable, "old", nil},
		{faultstore.Precondition, objstore.ErrPrecondition, "old", nil},
		{faultstore.LostWrite, nil, "old", nil},
		{faultstore.ShortBody, nil, "new", objstore.ErrUnavailable},
		{faultstore.StalledBody, nil, "new", nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			inner := memstore.New(nil)
			if err := put(inner, "k", "old"); err != nil {
				t.Fatal(err)
			}
			s := faultstore.New(inner, 1, faultstore.Rule{Fault: c.fault, Delay: time.Second})
			if err := put(s, "k", "new"); objstore.ClassOf(err) != c.class {
				t.Errorf("fault %d: put: %v, want class %v", c.fault, err, c.class)
			}
			if got, err := get(inner, "k"); err != nil || got != c.after {
				t.Errorf("fault %d: object is %q (%v), want %q", c.fault, got, err, c.after)
			}
			if _, err := get(s, "k"); objstore.ClassOf(err) != c.getClass {
				t.Errorf("fault %d: get: %v, want class %v", c.fault, err, c.getClass)
			}
			s.Heal()
			if err := put(s, "k", "healed"); err != nil {
				t.Errorf("fault %d: healed: %v", c.fault, err)
			}
		})
	}
}

func TestDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := faultstore.New(memstore.New(nil), 1, faultstore.Rule{Fault: faultstore.Slow, Delay: 3 * time.Second}, faultstore.Rule{Fault: faultstore.Timeout})
		start := time.Now()
		if err := put(s, "k", "x"); err != nil || time.Since(start) != 3*time.Second {
			t.Errorf("slow put: %v after %s", err, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := s.Head(ctx, "k"); !objstore.Canceled(err) {
			t.Errorf("head that waits longer than its context: %v", err)
		}
	})
}

func TestCorruptBody(t *testing.T) {
	inner := memstore.New(nil)
	data := objstoretest.Bytes(1, 1000)
	if err := put(inner, "k", string(data)); err != nil {
		t.Fatal(err)
	}
	s := faultstore.New(inner, 1, faultstore.Rule{Ops: faultstore.Get, Fault: faultstore.CorruptBody, Count: 1})
	got, err := get(s, "k")
	if err != nil {
		t.Fatal(err)
	}
	var differ int
	for i := range data {
		if got[i] != data[i] {
			differ++
		}
	}
	if differ != 1 {
		t.Errorf("%d bytes differ, want 1", differ)
	}
	if again, err := get(s, "k"); err != nil || again != string(data) {
		t.Errorf("the second read is not the object: %v", err)
	}
}

func TestPartialDelete(t *testing.T) {
	inner := memstore.New(nil)
	for _, k := range []string{"a", "b", "c", "d"} {
		if err := put(inner, k, k); err != nil {
			t.Fatal(err)
		}
	}
	s := faultstore.New(inner, 1, faultstore.Rule{Fault: faultstore.PartialDelete})
	failed, err := s.Delete(t.Context(), []string{"a", "b", "c", "d"})
	if err != nil || len(failed) != 2 || !objstore.Retriable(failed["a"]) || !objstore.Retriable(failed["c"]) {
		t.Errorf("failed=%v err=%v", failed, err)
	}
	if diff := cmp.Diff([]string{"a", "c"}, inner.Keys()); diff != "" {
		t.Error(diff)
	}
}

func TestScript(t *testing.T) {
	s := faultstore.New(memstore.New(nil), 1,
		faultstore.Rule{Ops: faultstore.Put, Prefix: "data/", Fault: faultstore.SlowDown, Skip: 1, Count: 2})
	var got []bool
	for i := range 5 {
		got = append(got, put(s, fmt.Sprintf("data/%d", i), "x") == nil)
		if err := put(s, "root", "x"); err != nil {
			t.Errorf("another prefix: %v", err)
		}
	}
	if diff := cmp.Diff([]bool{true, false, false, true, true}, got); diff != "" {
		t.Errorf("which puts succeeded (-want +got):\n%s", diff)
	}
	want := []faultstore.Event{{Op: faultstore.Put, Key: "data/1", Fault: faultstore.SlowDown}, {Op: faultstore.Put, Key: "data/2", Fault: faultstore.SlowDown}}
	if diff := cmp.Diff(want, s.Events()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	s.SetDown(true)
	if err := put(s, "root", "x"); !objstore.Retriable(err) {
		t.Errorf("put while down: %v", err)
	}
	s.SetDown(false)
	if err := put(s, "root", "x"); err != nil {
		t.Error(err)
	}
}

// TestSeed: the faults of a seed do not depend on the order of the calls, and another seed has others.
func TestSeed(t *testing.T) {
	run := func(seed uint64, order []int) []string {
		s := faultstore.New(memstore.New(nil), seed, faultstore.Rule{Fault: faultstore.Unavailable, Probability: 0.3})
		for _, i := range order {
			// Failures are what is looked at below, from the events.
			_ = put(s, fmt.Sprintf("k%d", i%50), "x")
		}
		var keys []string
		for _, e := range s.Events() {
			keys = append(keys, e.Key)
		}
		slices.Sort(keys)
		return keys
	}
	order := make([]int, 1000)
	for i := range order {
		order[i] = i
	}
	first := run(1, order)
	rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	if diff := cmp.Diff(first, run(1, order)); diff != "" {
		t.Errorf("another order has other faults:\n%s", diff)
	}
	if n := len(first); n < 230 || n > 370 {
		t.Errorf("%d faults of 1000 at probability 0.3", n)
	}
	if slices.Equal(first, run(2, order)) {
		t.Error("another seed has the same faults")
	}
}

func TestShortBodyGivesTheFirstHalf(t *testing.T) {
	inner := memstore.New(nil)
	if err := put(inner, "k", "0123456789"); err != nil {
		t.Fatal(err)
	}
	s := faultstore.New(inner, 1, faultstore.Rule{Ops: faultstore.Get, Fault: faultstore.ShortBody})
	r, _, err := s.Get(t.Context(), "k", 2, 6)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	_, err = io.Copy(&b, r)
	if b.String() != "234" || !errors.Is(err, objstore.ErrUnavailable) {
		t.Errorf("read %q, %v", b.String(), err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}
