package retry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidelinehq/tideline/tiering/objstore"
	"github.com/tidelinehq/tideline/tiering/objstore/faultstore"
	"github.com/tidelinehq/tideline/tiering/objstore/memstore"
	"github.com/tidelinehq/tideline/tiering/objstore/objstoretest"
	"github.com/tidelinehq/tideline/tiering/objstore/retry"
)

func TestConformance(t *testing.T) {
	objstoretest.Run(t, func(t *testing.T) objstore.Store { return wrap(t, memstore.New(nil), retry.Options{}) })
}

// TestConformanceUnderFaults: with retries, a store that fails a third of all calls in every retriable way keeps the whole contract.
func TestConformanceUnderFaults(t *testing.T) {
	objstoretest.Run(t, func(t *testing.T) objstore.Store {
		faulty := faultstore.New(memstore.New(nil), 7,
			faultstore.Rule{Fault: faultstore.SlowDown, Probability: 0.1},
			faultstore.Rule{Fault: faultstore.LostReply, Probability: 0.1},
			faultstore.Rule{Fault: faultstore.Conflict, Probability: 0.05},
			faultstore.Rule{Fault: faultstore.ShortBody, Probability: 0.1},
			faultstore.Rule{Fault: faultstore.PartialDelete, Probability: 0.1})
		return wrap(t, faulty, retry.Options{Attempts: 20, BudgetMax: 1e6, BackOff: quick})
	})
}

func wrap(t *testing.T, inner objstore.Store, opts retry.Options) *retry.Store {
	t.Helper()
	s, err := retry.Wrap(inner, opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func body(s string) objstore.Body { return objstore.BytesBody([]byte(s)) }

// bubble runs f in virtual time with a faulty store below a wrapper.
func bubble(t *testing.T, opts retry.Options, f func(t *testing.T, inner *memstore.Store, faults *faultstore.Store, s *retry.Store)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		inner := memstore.New(nil)
		faults := faultstore.New(inner, 1)
		s := wrap(t, faults, opts)
		f(t, inner, faults, s)
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
}

func TestRepeatsUntilItWorks(t *testing.T) {
	reg := prometheus.NewRegistry()
	bubble(t, retry.Options{Registerer: reg}, func(t *testing.T, inner *memstore.Store, faults *faultstore.Store, s *retry.Store) {
		faults.Add(faultstore.Rule{Fault: faultstore.SlowDown, Count: 3})
		start := time.Now()
		if _, err := s.Put(t.Context(), "data/00/x", body("x"), objstore.Condition{}); err != nil {
			t.Fatal(err)
		}
		// 100, 200 and 400 ms, each jittered by half.
		if d := time.Since(start); d < 350*time.Millisecond || d > 1050*time.Millisecond {
			t.Errorf("three back-offs took %s", d)
		}
		if n := inner.Counts().Put; n != 1 {
			t.Errorf("%d puts arrived", n)
		}
	})
	if n := metric(t, reg, "tideline_objstore_attempts_total", "status", "slow_down"); n != 3 {
		t.Errorf("metric has %v attempts with slow_down", n)
	}
	if n := metric(t, reg, "tideline_objstore_operations_total", "outcome", "recovered"); n != 1 {
		t.Errorf("metric has %v recovered operations", n)
	}
}

// metric sums a counter over all series that have the label.
func metric(t *testing.T, reg *prometheus.Registry, name, label, value string) (sum float64) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == label && l.GetValue() == value {
					sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
				}
			}
		}
	}
	return sum
}

func TestGivesUp(t *testing.T) {
	bubble(t, retry.Options{Attempts: 4}, func(t *testing.T, inner *memstore.Store, faults *faultstore.Store, s *retry.Store) {
		faults.Add(faultstore.Rule{Fault: faultstore.Unavailable})
		_, err := s.Head(t.Context(), "k")
		if !errors.Is(err, objstore.ErrUnavailable) || !strings.Contains(err.Error(), "attempts=4") || len(faults.Events()) != 4 {
			t.Errorf("head: %v after %d attempts", err, len(faults.Events()))
		}
		if _, _, err := s.List(t.Context(), "", "", 10); !objstore.Retriable(err) {
			t.Errorf("list: %v", err)
		}
	})
}

// MinIO answers AccessDenied to one put of some thousands, where deletes empty the directory that it is to go into.
func TestAPutIsDeniedTwice(t *testing.T) {
	bubble(t, retry.Options{}, func(t *testing.T, inner *memstore.Store, faults *faultstore.Store, s *retry.Store) {
		faults.Add(faultstore.Rule{Fault: faultstore.Denied, Count: 1})
		if _, err := s.Put(t.Context(), "data/00/x", body("x"), objstore.Condition{IfNoneMatch: true}); err != nil {
			t.Errorf("denied once: %v", err)
		}
		faults.Add(faultstore.Rule{Fault: faultstore.Denied})
		if _, err := s.Put(t.Context(), "data/00/y", body("y"), objstore.Condition{IfNoneMatch: true}); !errors.Is(err, objstore.ErrDenied) {
			t.Errorf("denied for good: %v", err)
		}
		if n := len(faults.Events()); n != 3 {
			t.Errorf("%d denials, want 1 and 2", n)
		}
	})
}

func TestDoesNotRepeatWhatIsFinal(t *testing.T) {
	bubble(t, retry.Options{}, func(t *testing.T, inner *memstore.Store, faults *faultstore.Store, s *retry.Store) {
		if _, err := s.Head(t.Context(), "k"); !errors.Is(err, objstore.ErrNotFound) {
			t.Error(err)
		}
		faults.Add(faultstore.Rule{Fault: faultstore.Denied})
		if _, err := s.Head(t.Context(), "k"); !errors.Is(err, objstore.ErrDenied) {
			t.Error(err)
		}
		if _, _, err := s.Get(t.Context(), "k", 0, -1); !errors.Is(err, objstore.ErrDenied) {
			t.Error(err)
		}
		if n := len(faults.Events()); n != 2 {
			t.Errorf("%d attempts for two refusals", n)
		}
	})
}

// TestBudget: in a long outage the load on the store is little more than that without retries; afterwards retries work again.
func TestBudget(t *testing.T) {
	bubble(t, retry.Options{}, func(t *testing.T, inner *memstore.Store, faults *faultstore.Store, s *retry.Store) {
		faults.SetDown(true)
		const calls = 2000
		start := time.Now()
		for range calls {
			if _, err := s.Head(t.Context(), "k"); !objstore.Retriable(err) {
				t.Fatal(err)
			}
		}
		allowed := 1.2*calls + 32 + time.Since(start).Seconds() + 1
		if n := len(faults.Events()); float64(n) > allowed {
			t.Errorf("%d requests for %d calls in an outage of %s, want at most %.0f", n, calls, time.Since(start), allowed)
		}
		faults.Heal()
		for range 20 {
			if _, err := s.Put(t.Context(), "k", body("x"), objstore.Condition{}); err != nil {
				t.Fatal(err)
			}
		}
		faults.Add(faultstore.Rule{Fault: faultstore.SlowDown, Count: 1})
		if _, err := s.Head(t.Context(), "k"); err != nil {
			t.Errorf("a single fault after the outage: %v", err)
		}
	})
}

func TestAttemptTimeout(t *testing.T) {
	bubble(t, retry.Options{AttemptTimeout: 10 * time.Second}, func(t *testing.T, inner *memstore.Store, faults *faultstore.Store, s *retry.Store) {
		faults.Add(faultstore.Rule{Fault: faultstore.Timeout, Count: 1}) // hangs for ever
		start := time.Now()
		if _, err := s.Put(t.Context(), "k", body("x"), objstore.Condition{}); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(start); d < 10*time.Second || d > 11*time.Second {
			t.Errorf("the second attempt came after %s", d)
		}
		// A body has time according to its size: 100 MiB at 1 MiB/s.
		faults.Heal()
		faults.Add(faultstore.Rule{Fault: faultstore.Slow, Delay: 105 * time.Second, Count: 1})
		big := objstore.Body{ReaderAt: zeros{}, Size: 100 << 20}
		crc, err := big.Checksum()
		if err != nil {
			t.Fatal(err)
		}
		big.CRC32C = crc
		if _, err := s.Put(t.Context(), "big", big, objstore.Condition{}); err != nil || inner.Counts().Put != 2 {
			t.Errorf("slow put of a large body: %v, %d puts", err, inner.Counts().Put)
		}
		faults.Add(faultstore.Rule{Ops: faultstore.Get, Fault: faultstore.Timeout, Count: 1})
		start = time.Now()
		if b, _, err := objstore.ReadAll(t.Context(), s, "k", 10); err != nil || string(b) != "x" {
			t.Errorf("get: %q %v", b, err)
		}
		if d := time.Since(start); d < 10*time.Second || d > 11*time.Second {
			t.Errorf("the second get came after %s", d)
		}
	})
}

type zeros struct{}

func (zeros) ReadAt(p []byte, _ int64) (int, error) {
	clear(p)
	return len(p), nil
}

func TestCallerCancels(t *testing.T) {
	bubble(t, retry.Options{}, func(t *testing.T, inner *memstore.Store, faults *faultstore.Store, s *retry.Store) {
		faults.SetDown(true)
		ctx, cancel := context.WithTimeout(t.Context(), 150*time.Millisecond)
		defer cancel()
		_, err := s.Head(ctx, "k")
		if !objstore.Canceled(err) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("head: %v", err)
		}
		if !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("the error does not tell what was tried: %v", err)
		}
	})
}

// TestLostReply: the first attempt of a conditional put happens and its reply is lost. The second is told that it was too late.
func TestLostReply(t *testing.T) {
	for _, cond := range []string{"create", "swap"} {
		bubble(t, retry.Options{}, func(t *testing.T, inner *memstore.Store, faults *faultstore.Store, s *retry.Store) {
			c := objstore.Condition{IfNoneMatch: true}
			if cond == "swap" {
				etag, err := s.Put(t.Context(), "root", body("before"), objstore.Condition{})
				if err != nil {
					t.Fatal(err)
				}
				c = objstore.Condition{IfMatch: etag}
			}
			faults.Add(faultstore.Rule{Ops: faultstore.Put, Fault: faultstore.LostReply, Count: 1})
			etag, err := s.Put(t.Context(), "root", body("write id 1"), c)
			if err != nil {
				t.Fatalf("%s: our own write is taken for a rival's: %v", cond, err)
			}
			if info, err := s.Head(t.Context(), "root"); err != nil || info.ETag != etag {
				t.Errorf("%s: etag %q, want that of the object: %+v %v", cond, etag, info, err)
			}
			_, err = s.Put(t.Context(), "root", body("write id 2"), c)
			if !errors.Is(err, objstore.ErrPrecondition) {
				t.Errorf("%s: a real rival: %v", cond, err)
			}
		})
	}
}

// TestRivalAfterLostReply: the outcome was unknown, and it was the rival who won.
func TestRivalAfterLostReply(t *testing.T) {
	bubble(t, retry.Options{}, func(t *testing.T, inner *memstore.Store, faults *faultstore.Store, s *retry.Store) {
		if _, err := inner.Put(t.Context(), "root", body("rival"), objstore.Condition{}); err != nil {
			t.Fatal(err)
		}
		faults.Add(faultstore.Rule{Ops: faultstore.Put, Fault: faultstore.Unavailable, Count: 1})
		_, err := s.Put(t.Context(), "root", body("mine"), objstore.Condition{IfNoneMatch: true})
		if !errors.Is(err, objstore.ErrPrecondition) {
			t.Errorf("put: %v", err)
		}
	})
}

// TestUnknownOutcome: nothing can be read back. The error must not claim that the put failed for good.
func TestUnknownOutcome(t *testing.T) {
	bubble(t, retry.Options{}, func(t *testing.T, inner *memstore.Store, faults *faultstore.Store, s *retry.Store) {
		faults.Add(faultstore.Rule{Ops: faultstore.Put, Fault: faultstore.LostReply, Count: 1}, faultstore.Rule{Ops: faultstore.Get, Fault: faultstore.Unavailable})
		b := body("write id 1")
		_, err := s.Put(t.Context(), "root", b, objstore.Condition{IfNoneMatch: true})
		if objstore.ClassOf(err) != objstore.ErrUnavailable {
			t.Errorf("put: %v", err)
		}
		faults.Heal()
		if mine, etag, err := objstore.ReadBack(t.Context(), s, "root", b); !mine || etag == "" || err != nil {
			t.Errorf("read back: %t %q %v", mine, etag, err)
		}
	})
}

// TestConflictThatStays: a store that says 409 where it means 412.
func TestConflictThatStays(t *testing.T) {
	bubble(t, retry.Options{Attempts: 3}, func(t *testing.T, inner *memstore.Store, faults *faultstore.Store, s *retry.Store) {
		faults.Add(faultstore.Rule{Ops: faultstore.Put, Fault: faultstore.Conflict})
		_, err := s.Put(t.Context(), "root", body("mine"), objstore.Condition{IfNoneMatch: true})
		if objstore.ClassOf(err) != objstore.ErrUnavailable {
			t.Errorf("conflict with nobody: %v", err)
		}
		etag, err := inner.Put(t.Context(), "root", body("rival"), objstore.Condition{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Put(t.Context(), "root", body("mine"), objstore.Condition{IfNoneMatch: true}); objstore.ClassOf(err) != objstore.ErrPrecondition {
			t.Errorf("conflict with a rival: %v", err)
		}
		if _, err := s.Put(t.Context(), "root", body("mine"), objstore.Condition{IfMatch: etag}); objstore.ClassOf(err) != objstore.ErrUnavailable {
			t.Errorf("conflict while the condition still holds: %v", err)
		}
	})
}

func TestReadGoesOn(t *testing.T) {
	for _, fault := range []faultstore.Fault{faultstore.ShortBody, faultstore.StalledBody} {
		bubble(t, retry.Options{}, func(t *testing.T, inner *memstore.Store, faults *faultstore.Store, s *retry.Store) {
			data := objstoretest.Bytes(1, 1<<20)
			if _, err := inner.Put(t.Context(), "k", objstore.BytesBody(data), objstore.Condition{}); err != nil {
				t.Fatal(err)
			}
			faults.Add(faultstore.Rule{Ops: faultstore.Get, Fault: fault, Count: 3})
			r, info, err := s.Get(t.Context(), "k", 1000, 500_000)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r)
			if err != nil || !bytes.Equal(got, data[1000:501_000]) || info.Size != 1<<20 {
				t.Errorf("fault %d: %d bytes, %v", fault, len(got), err)
			}
			if err := r.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
			if n := inner.Counts().Get; n != 4 {
				t.Errorf("fault %d: %d requests for three breaks", fault, n)
			}
		})
	}
}

// TestReadNeverMixesVersions: the object was replaced between the two halves of a broken read.
func TestReadNeverMixesVersions(t *testing.T) {
	bubble(t, retry.Options{}, func(t *testing.T, inner *memstore.Store, faults *faultstore.Store, s *retry.Store) {
		if _, err := inner.Put(t.Context(), "k", body("aaaaaaaaaa"), objstore.Condition{}); err != nil {
			t.Fatal(err)
		}
		faults.Add(faultstore.Rule{Ops: faultstore.Get, Fault: faultstore.ShortBody, Count: 1})
		r, _, err := s.Get(t.Context(), "k", 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := inner.Put(t.Context(), "k", body("bbbbbbbbbb"), objstore.Condition{}); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if string(got) != "aaaaa" || !objstore.Retriable(err) {
			t.Errorf("read %q, %v", got, err)
		}
		if err := r.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
}

// TestSlowConsumer: a consumer that pauses for an hour is no stall.
func TestSlowConsumer(t *testing.T) {
	bubble(t, retry.Options{}, func(t *testing.T, inner *memstore.Store, faults *faultstore.Store, s *retry.Store) {
		if _, err := inner.Put(t.Context(), "k", body("0123456789"), objstore.Condition{}); err != nil {
			t.Fatal(err)
		}
		r, _, err := s.Get(t.Context(), "k", 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		var got []byte
		for range 10 {
			b := make([]byte, 1)
			if _, err := io.ReadFull(r, b); err != nil {
				t.Fatal(err)
			}
			got = append(got, b...)
			<-time.After(time.Hour)
		}
		if string(got) != "0123456789" || inner.Counts().Get != 1 {
			t.Errorf("read %q with %d requests", got, inner.Counts().Get)
		}
		if err := r.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
}

func TestDeleteRepeatsWhatFailed(t *testing.T) {
	bubble(t, retry.Options{Attempts: 2}, func(t *testing.T, inner *memstore.Store, faults *faultstore.Store, s *retry.Store) {
		var keys []string
		for i := range 100 {
			keys = append(keys, fmt.Sprintf("k%02d", i))
			if _, err := inner.Put(t.Context(), keys[i], body("x"), objstore.Condition{}); err != nil {
				t.Fatal(err)
			}
		}
		// Half of the keys fail each time: more rounds than Attempts, and each makes progress, until one key is left.
		faults.Add(faultstore.Rule{Ops: faultstore.Delete, Fault: faultstore.PartialDelete, Count: 7})
		failed, err := s.Delete(t.Context(), keys)
		if err != nil || len(failed) != 0 || len(inner.Keys()) != 0 {
			t.Errorf("delete: %v %v, left %v", failed, err, inner.Keys())
		}
		faults.Add(faultstore.Rule{Ops: faultstore.Delete, Fault: faultstore.PartialDelete})
		failed, err = s.Delete(t.Context(), []string{"a", "b"})
		if err != nil || len(failed) != 1 || !objstore.Retriable(failed["a"]) {
			t.Errorf("a key that never goes: %v %v", failed, err)
		}
		faults.SetDown(true)
		if failed, err := s.Delete(t.Context(), []string{"a"}); !objstore.Retriable(err) || failed != nil {
			t.Errorf("outage: %v %v", failed, err)
		}
	})
}

func TestLogsOncePerWindow(t *testing.T) {
	var log bytes.Buffer
	opts := retry.Options{Logger: slog.New(slog.NewTextHandler(&log, nil)), LogWindow: time.Minute}
	bubble(t, opts, func(t *testing.T, inner *memstore.Store, faults *faultstore.Store, s *retry.Store) {
		faults.Add(faultstore.Rule{Fault: faultstore.SlowDown})
		for range 10 {
			if _, err := s.Head(t.Context(), "k"); !objstore.Retriable(err) {
				t.Fatal(err)
			}
		}
		lines := strings.Count(log.String(), "\n")
		if lines != 1 || !strings.Contains(log.String(), "operation=head") || !strings.Contains(log.String(), "status=slow_down") {
			t.Errorf("%d lines:\n%s", lines, log.String())
		}
		<-time.After(time.Minute)
		if _, err := s.Head(t.Context(), "k"); !objstore.Retriable(err) {
			t.Fatal(err)
		}
		if lines := strings.Count(log.String(), "\n"); lines != 2 || strings.Contains(log.String()[strings.Index(log.String(), "\n"):], "suppressed=0") {
			t.Errorf("the second window:\n%s", log.String())
		}
	})
}

func TestTwoStoresShareARegisterer(t *testing.T) {
	reg := prometheus.NewRegistry()
	for range 2 {
		s := wrap(t, memstore.New(nil), retry.Options{Registerer: reg})
		if _, err := s.Put(t.Context(), "root", body("x"), objstore.Condition{}); err != nil {
			t.Fatal(err)
		}
	}
	if n := metric(t, reg, "tideline_objstore_operations_total", "kind", "root"); n != 2 {
		t.Errorf("the metric has %v puts of the root", n)
	}
}
