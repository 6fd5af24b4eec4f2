package tiering_test

import (
	"context"
	"errors"
	"os"
	"path"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidelinehq/tideline/internal/vfs"
	"github.com/tidelinehq/tideline/tiering"
	"github.com/tidelinehq/tideline/tiering/ledgertest"
)

// fullDisk has no room for any file.
type fullDisk struct{ vfs.FS }

func (f fullDisk) Create(string, vfs.Flag) (vfs.File, error) { return nil, syscall.ENOSPC }

// TestAFullDiskDoesNotStopWhatFreesIt: without room for the spool, objects stay small enough for memory.
func TestAFullDiskDoesNotStopWhatFreesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		for i := range 5 {
			w.create(i, 0)
		}
		o := w.options(w.state.Broker(1, true))
		o.FS = fullDisk{vfs.OS()}
		o.MemoryBytes = 20_000
		_, stop := w.run(o)
		for _, l := range w.logs {
			for range 10 {
				l.append(1, 3_000)
			}
		}
		pass(30 * time.Minute)
		synctest.Wait()
		w.allTiered()
		stop()
		w.check()
	})
}

func TestSpoolIsEmptiedAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		stray, other := path.Join(w.dir, "00.spool"), path.Join(w.dir, "keep")
		for _, f := range []string{stray, other} {
			if err := os.WriteFile(f, []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		_, stop := w.run(w.options(w.state.Broker(1, true)))
		synctest.Wait()
		stop()
		if _, err := os.Stat(stray); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("left: %v", err)
		}
		if _, err := os.Stat(other); err != nil {
			t.Errorf("not ours and gone: %v", err)
		}
	})
}

// TestAFencedClusterWritesAndDeletesNothing: a restored cluster took the bucket over.
func TestAFencedClusterWritesAndDeletesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		l := w.create(0, 0)
		l.settings.RetentionMs = 60_000
		o := w.options(w.state.Broker(1, true))
		var fenced atomic.Bool
		o.Fence = func(context.Context) error {
			if fenced.Load() {
				return errors.New("another incarnation owns the bucket")
			}
			return nil
		}
		_, stop := w.run(o)
		l.append(1, 10)
		pass(90 * time.Second)
		synctest.Wait()
		stop()
		fenced.Store(true)
		keys := len(w.mem.Keys())
		e, stop := w.run(o)
		l.append(1, 10)
		pass(6 * time.Hour) // its object expired and is garbage by its own ledger
		synctest.Wait()
		if n := len(w.mem.Keys()); n != keys || keys != 1 {
			t.Errorf("%d objects became %d", keys, n)
		}
		if e.Status().Store.Err == nil {
			t.Error("the status is silent")
		}
		stop()
	})
}

// TestCommitsAndSpillsAreChunked: 1,200 partitions in one bundle are three commands, and a page object for all of them likewise.
func TestCommitsAndSpillsAreChunked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		for i := range 1200 {
			w.create(i, 0)
		}
		o := w.options(w.state.Broker(1, true))
		o.SpillAt, o.SpillKeep = 3, 1
		_, stop := w.run(o)
		for range 4 {
			for _, l := range w.logs {
				l.append(1, 1)
			}
			pass(61 * time.Second)
		}
		synctest.Wait()
		w.allTiered()
		if n := w.state.Applied("CommitUpload"); n != 4*3 {
			t.Errorf("%d commit commands", n)
		}
		if n := w.state.Applied("Spill"); n != 3 {
			t.Errorf("%d spill commands", n)
		}
		if n := w.mem.Counts().Put; n != 5 {
			t.Errorf("%d puts", n)
		}
		stop()
		w.check()
		w.clean()
	})
}

// TestLongBacklogs releases more segments than one command may, by DeleteRecords and by deletion of the topic, through
// several leaves.
func TestLongBacklogs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		cut, gone := w.create(0, 0), w.create(1, 0)
		_, stop := w.run(w.options(w.state.Broker(1, true)))
		for range 2500 {
			cut.append(1, 1)
			gone.append(1, 1)
			pass(61 * time.Second)
		}
		synctest.Wait()
		w.check()
		w.state.SetLogStart(cut.id, 2499)
		cut.lease.Changed()
		w.state.DeleteTopic(gone.id.Topic)
		gone.lease.Close()
		delete(w.logs, gone.id)
		pass(10 * time.Minute)
		synctest.Wait()
		if v := cut.view(); v.Segments != 1 || v.LogStart != 2499 || !v.Root.IsZero() {
			t.Errorf("segments=%d logStart=%d", v.Segments, v.LogStart)
		}
		pass(2 * time.Hour)
		synctest.Wait()
		stop()
		w.check()
		w.clean()
		if n := len(w.mem.Keys()); n != 1 {
			t.Errorf("%d objects", n)
		}
	})
}

func TestUploadRateIsLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		l := w.create(0, 0)
		l.settings.RollBytes = 1000
		o := w.options(w.state.Broker(1, true))
		o.UploadBytesPerSecond = 100_000
		_, stop := w.run(o)
		for range 10 {
			l.append(1, 100_000)
		}
		pass(5 * time.Second)
		synctest.Wait()
		if l.view().Tiered == 10 {
			t.Error("a megabyte went up in 5 s at 100 kB/s")
		}
		pass(10 * time.Second)
		synctest.Wait()
		w.allTiered()
		stop()
	})
}

func TestHotEntriesAreBoundedWhileSpillsFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		l := w.create(0, 0)
		l.settings.RollAfter = time.Second
		var failing atomic.Bool
		failing.Store(true)
		w.state.Fault = func(command string) ledgertest.Fault {
			if failing.Load() && command == "Spill" {
				return ledgertest.Refuse
			}
			return ledgertest.None
		}
		_, stop := w.run(w.options(w.state.Broker(1, true)))
		for range 300 {
			l.append(1, 1)
			pass(2 * time.Second)
		}
		synctest.Wait()
		if n := len(l.view().Hot); n > 128 || n < 100 {
			t.Errorf("%d hot entries", n)
		}
		failing.Store(false)
		pass(5 * time.Minute)
		synctest.Wait()
		w.allTiered()
		if n := len(l.view().Hot); n > 64 {
			t.Errorf("%d hot entries after", n)
		}
		pass(3 * time.Hour)
		synctest.Wait()
		stop()
		w.check()
		w.clean()
	})
}

func TestOptionsAreChecked(t *testing.T) {
	w := newWorld(t, 1)
	if _, err := tiering.New(tiering.Options{}); err == nil {
		t.Error("an engine without parts")
	}
	for name, breakIt := range map[string]func(*tiering.Options){
		"put longer than grace": func(o *tiering.Options) { o.PutTimeout, o.Grace = time.Hour, time.Minute },
		"object too large":      func(o *tiering.Options) { o.MaxObjectBytes = 5 << 30 },
		"spill keeps too much":  func(o *tiering.Options) { o.SpillAt, o.SpillKeep = 10, 10 },
		"negative":              func(o *tiering.Options) { o.Uploads = -1 },
	} {
		o := w.options(w.state.Broker(1, true))
		breakIt(&o)
		if _, err := tiering.New(o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	o := w.options(w.state.Broker(1, true))
	r := prometheus.NewPedanticRegistry()
	o.Registerer = r
	if _, err := tiering.New(o); err != nil {
		t.Fatal(err)
	}
	families, err := r.Gather()
	if err != nil || len(families) < 10 {
		t.Fatalf("%d metrics: %v", len(families), err)
	}
}
