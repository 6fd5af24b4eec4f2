package retry_test

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidelinehq/tideline/tiering/objstore"
	"github.com/tidelinehq/tideline/tiering/objstore/faultstore"
	"github.com/tidelinehq/tideline/tiering/objstore/memstore"
	"github.com/tidelinehq/tideline/tiering/objstore/objstoretest"
	"github.com/tidelinehq/tideline/tiering/objstore/retry"
)

// TestHedge: a slow tail is cut, for a few percent of extra requests.
func TestHedge(t *testing.T) {
	reg := prometheus.NewRegistry()
	bubble(t, retry.Options{Registerer: reg}, func(t *testing.T, inner *memstore.Store, faults *faultstore.Store, s *retry.Store) {
		data := objstoretest.Bytes(1, 10_000)
		if _, err := inner.Put(t.Context(), "k", objstore.BytesBody(data), objstore.Condition{}); err != nil {
			t.Fatal(err)
		}
		// One request in a hundred takes 2 s, the others 10 to 20 ms.
		rnd := rand.New(rand.NewPCG(1, 2))
		read := func() time.Duration {
			faults.Heal()
			slow := 10*time.Millisecond + time.Duration(rnd.IntN(10))*time.Millisecond
			if rnd.IntN(100) == 0 {
				faults.Add(faultstore.Rule{Ops: faultstore.Get, Fault: faultstore.Slow, Delay: 2 * time.Second, Count: 1})
			}
			faults.Add(faultstore.Rule{Ops: faultstore.Get, Fault: faultstore.Slow, Delay: slow})
			start := time.Now()
			dst := make([]byte, 1000)
			if _, err := objstore.ReadRange(t.Context(), s, "k", 500, dst); err != nil || !bytes.Equal(dst, data[500:1500]) {
				t.Fatal(err)
			}
			return time.Since(start)
		}
		for range 200 {
			read()
		}
		inner.ResetCounts()
		var worst time.Duration
		const reads = 2000
		for range reads {
			worst = max(worst, read())
		}
		if worst > 100*time.Millisecond {
			t.Errorf("the slowest read took %s", worst)
		}
		if n := inner.Counts().Get; n > reads*103/100 {
			t.Errorf("%d requests for %d reads", n, reads)
		}
	})
	if won := metric(t, reg, "tideline_objstore_hedges_total", "outcome", "won"); won < 5 {
		t.Errorf("only %v hedges won", won)
	}
}

// TestHedgeBudget: when everything is slow, hedging does not double the load.
func TestHedgeBudget(t *testing.T) {
	bubble(t, retry.Options{}, func(t *testing.T, inner *memstore.Store, faults *faultstore.Store, s *retry.Store) {
		if _, err := inner.Put(t.Context(), "k", body("0123456789"), objstore.Condition{}); err != nil {
			t.Fatal(err)
		}
		read := func() {
			if _, err := objstore.ReadRange(t.Context(), s, "k", 0, make([]byte, 5)); err != nil {
				t.Fatal(err)
			}
		}
		for range 100 {
			read()
		}
		faults.Add(faultstore.Rule{Ops: faultstore.Get, Fault: faultstore.Slow, Delay: time.Second})
		for range 500 {
			read()
		}
		if n := len(faults.Events()); n > 500*105/100+10 {
			t.Errorf("%d requests for 500 reads", n)
		}
	})
}

// TestHedgeErrors: the first answer to count is the first good one.
func TestHedgeErrors(t *testing.T) {
	bubble(t, retry.Options{Attempts: 1}, func(t *testing.T, inner *memstore.Store, faults *faultstore.Store, s *retry.Store) {
		if _, err := inner.Put(t.Context(), "k", body("0123456789"), objstore.Condition{}); err != nil {
			t.Fatal(err)
		}
		for range 100 {
			if _, err := objstore.ReadRange(t.Context(), s, "k", 0, make([]byte, 5)); err != nil {
				t.Fatal(err)
			}
		}
		faults.Add(faultstore.Rule{Fault: faultstore.Slow, Delay: time.Second, Count: 1}, faultstore.Rule{Fault: faultstore.Unavailable, Count: 1})
		start := time.Now()
		if _, err := objstore.ReadRange(t.Context(), s, "k", 0, make([]byte, 5)); err != nil || time.Since(start) != time.Second {
			t.Errorf("the hedge failed, the first request did not: %v after %s", err, time.Since(start))
		}
		faults.Heal()
		faults.Add(faultstore.Rule{Fault: faultstore.Timeout, Delay: time.Second})
		if _, err := objstore.ReadRange(t.Context(), s, "k", 0, make([]byte, 5)); !objstore.Retriable(err) {
			t.Errorf("both failed: %v", err)
		}
	})
}
