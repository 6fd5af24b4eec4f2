package tiering

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidelinehq/tideline/internal/vfs"
	"github.com/tidelinehq/tideline/tiering/manifest"
	"github.com/tidelinehq/tideline/tiering/objstore"
)

// TestPace: in virtual time, bytes pass at the rate, and another rate counts for those who wait already.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pace
		begin := time.Now()
		if err := p.wait(t.Context(), 1<<40); err != nil || time.Since(begin) != 0 {
			t.Errorf("without a limit: %v after %v", err, time.Since(begin))
		}
		p.set(1000)
		if err := p.wait(t.Context(), 5000); err != nil {
			t.Error(err)
		}
		if took := time.Since(begin); took < 3*time.Second || took > 6*time.Second {
			t.Errorf("5000 bytes at 1000 a second took %v", took)
		}
		p.set(1)
		done := make(chan error, 1)
		go func() { done <- p.wait(t.Context(), 1<<20) }()
		synctest.Wait()
		p.set(0)
		begin = time.Now()
		if err := <-done; err != nil || time.Since(begin) > 2*time.Second {
			t.Errorf("no limit any more: %v after %v", err, time.Since(begin))
		}
		p.set(1)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { done <- p.wait(ctx, 1<<20) }()
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	})
}

func TestTune(t *testing.T) {
	e, err := New(Options{
		Ledger: struct{ Ledger }{}, Store: struct{ objstore.Store }{}, FS: struct{ vfs.FS }{}, Locator: new(manifest.Locator), Dir: "spool",
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Tune(Tuning{CompactKeyLoad: 2}); err == nil {
		t.Error("a load factor of 2 is taken")
	}
	if err := e.Tune(Tuning{UploadBytesPerSecond: -1}); err == nil {
		t.Error("a negative rate is taken")
	}
	if got := e.tuned.Load(); got.CompactKeyLoad != 0.9 || e.uploadPace.limiter.Load() != nil {
		t.Errorf("what was refused counts: %+v", got)
	}
	if err := e.Tune(Tuning{UploadBytesPerSecond: 1 << 30, CompactBytesPerSecond: 7, CompactInterval: time.Second}); err != nil {
		t.Fatal(err)
	}
	if got := e.tuned.Load(); got.CompactInterval != time.Second || got.CompactKeyBytes != 128<<20 || e.compactPace.limiter.Load().Burst() != 7 {
		t.Errorf("%+v", got)
	}
}
