package api

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/metadata/quorum"
	command "github.com/tidelinehq/tideline/metadata/record"
)

func TestUnregisterBroker(t *testing.T) {
	c := newCluster(t, 3)
	c.topic("a", []int32{1, 2})
	unregister := func(id int32) string {
		t.Helper()
		req := kmsg.NewPtrUnregisterBrokerRequest()
		req.BrokerID = id
		resp := ask[*kmsg.UnregisterBrokerResponse](c, 0, req)
		if (resp.ErrorMessage == nil) != (resp.ErrorCode == 0) {
			t.Error("message and code do not go together")
		}
		return code(resp.ErrorCode)
	}
	if got := unregister(9); got != "BROKER_ID_NOT_REGISTERED" {
		t.Errorf("unknown: %s", got)
	}
	if got := unregister(3); got != "INVALID_REQUEST" {
		t.Errorf("in service: %s", got)
	}
	c.fence(2)
	if got := unregister(2); got != "INVALID_REQUEST" {
		t.Errorf("with a replica: %s", got)
	}
	c.fence(3)
	// It comes back before the command is applied.
	c.first = func() {
		b, _ := c.Image().Broker(3)
		c.apply(&command.UnfenceBroker{ID: 3, Epoch: b.Epoch})
	}
	if got := unregister(3); got != "INVALID_REQUEST" {
		t.Errorf("back in service: %s", got)
	}
	c.fence(3)
	c.fail = quorum.ErrNotLeader
	if got := unregister(3); got != "NOT_CONTROLLER" {
		t.Errorf("without a leader: %s", got)
	}
	c.fail = nil
	if got := unregister(3); got != "NONE" {
		t.Errorf("fenced and empty: %s", got)
	}
	if _, ok := c.Image().Broker(3); ok {
		t.Error("it is still there")
	}
}
