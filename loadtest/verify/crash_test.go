package verify

import (
	"context"
	"testing"
	"time"

	"github.com/tidelinehq/tideline/broker/brokertest"
)

// A broker that is killed twice in the middle of the writing, and once more before the last reading, keeps every promise. What it
// acknowledged leaves its disk for the object store within a second, so that the last reading comes from there.
func TestKilledBroker(t *testing.T) {
	p := brokertest.Start(t, brokertest.Options{Settings: map[string]string{
		"wal.sync": "always", "tier.roll.ms": "300", "tier.roll.bytes": "65536", "wal.file.bytes": "16MiB", "log.retention.check.interval.ms": "500"}})
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	r, err := Start(ctx, Options{Brokers: []string{p.Addr()}, Dir: t.TempDir(), Partitions: 4, Producers: 3, Rate: 2000, Records: 8000,
		TopicConfigs: map[string]string{"local.retention.bytes": "1", "local.retention.ms": "1"}})
	if err != nil {
		t.Fatal(err)
	}
	crash := func(acked int64) {
		if err := r.Await(ctx, acked); err != nil {
			t.Fatal(err)
		}
		if err := r.Mark("sigkill the broker"); err != nil {
			t.Fatal(err)
		}
		p.Kill()
		p.Restart()
	}
	crash(1500)
	crash(4000)
	select {
	case <-r.Done():
	case <-ctx.Done():
		t.Fatalf("acknowledged=%d: %v", r.Acked(), ctx.Err())
	}
	if err := r.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	p.Kill()
	p.Restart()
	result, err := r.Check(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if !result.OK() || result.Acked != 8000 || result.Failed != 0 {
		t.Errorf("violations=%v acked=%d failed=%d\n%v", result.Counts, result.Acked, result.Failed, result.Explained)
	}
	if len(result.Faults) != 2 || len(result.FaultGaps) != 1 || result.FaultGaps[0].MinMS <= 0 {
		t.Errorf("faults=%+v", result.Faults)
	}
	result.WriteSummary(t.Output())
}
