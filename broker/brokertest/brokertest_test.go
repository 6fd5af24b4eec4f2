package brokertest_test

import (
	"strings"
	"testing"

	"github.com/tidelinehq/tideline/broker/brokertest"
)

func TestProcess(t *testing.T) {
	p := brokertest.Start(t, brokertest.Options{})
	p.Run("topic", "create", "orders", "--partitions", "2")
	addr := p.Addr()
	p.Kill()
	p.Restart()
	if p.Addr() != addr {
		t.Errorf("address after a restart: %s, before: %s", p.Addr(), addr)
	}
	if topics := p.Run("topic", "list"); !strings.Contains(topics, "orders") {
		t.Errorf("the topic is not there after a crash:\n%s", topics)
	}
	p.Stop()
	p.Restart()
	if !strings.Contains(p.Log(), "stopping") {
		t.Errorf("the log of the first run is gone:\n%s", p.Log())
	}
}
