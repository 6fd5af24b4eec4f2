package broker

import (
	"testing"

	"github.com/tidelinehq/tideline/broker/config"
)

func TestThrottledReplicas(t *testing.T) {
	none, some, all := parseThrottled(nil), parseThrottled([]string{"0:1", "3:2"}), parseThrottled([]string{"*"})
	for _, c := range []struct {
		of                throttledReplicas
		partition, broker int32
		want              bool
	}{{none, 0, 1, false}, {some, 0, 1, true}, {some, 3, 2, true}, {some, 0, 2, false}, {some, 1, 1, false}, {all, 7, 7, true}} {
		if got := c.of.has(c.partition, c.broker); got != c.want {
			t.Errorf("%+v: partition %d of broker %d: %v", c.of, c.partition, c.broker, got)
		}
	}
}

func TestTuning(t *testing.T) {
	cfg, err := config.Load(config.Sources{Set: []string{"log.cleaner.backoff.ms=5", "log.cleaner.io.max.bytes.per.second=100"}, Machine: config.ThisMachine()})
	if err != nil {
		t.Fatal(err)
	}
	if got := tuningOf(cfg); got.UploadBytesPerSecond != 0 || got.CompactBytesPerSecond != 100 || got.CompactInterval.Milliseconds() != 5 || got.CompactKeyBytes != 128<<20 {
		t.Errorf("%+v", got)
	}
	if cfg, err = cfg.WithDynamic(map[string]string{"remote.log.manager.copy.max.bytes.per.second": "7"}, nil); err != nil {
		t.Fatal(err)
	}
	if got := tuningOf(cfg); got.UploadBytesPerSecond != 7 {
		t.Errorf("%+v", got)
	}
}
