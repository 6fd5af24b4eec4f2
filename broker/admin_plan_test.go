package broker

import (
	"fmt"
	"testing"

	"github.com/tidelinehq/tideline/broker/membership"
	"github.com/tidelinehq/tideline/internal/adminapi"
	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/controller"
	command "github.com/tidelinehq/tideline/metadata/record"
)

// images applies commands to an image.
type images struct {
	t testing.TB
	*metadata.Image
}

func (i *images) apply(c command.Command) command.Result {
	i.t.Helper()
	next, r := metadata.Apply(i.Image, i.Index()+1, c)
	if r.Reason.Refused() {
		i.t.Fatalf("%s: %v", c.Type(), r.Reason)
	}
	i.Image = next
	return r
}

// threeBrokers has topic a with six partitions on brokers 1 and 2, all led by 1,
// and nothing on broker 3.
func threeBrokers(t testing.TB) *images {
	i := &images{t, new(metadata.Image)}
	i.apply(&command.InitCluster{ClusterID: "c"})
	for id := int32(1); id <= 3; id++ {
		r := i.apply(&command.RegisterBroker{ID: id, Incarnation: metadata.ID{byte(id)}, Rack: "r", Endpoints: []command.Endpoint{
			{Listener: command.InternalListener, Host: "in", Port: 1}, {Listener: "PLAINTEXT", Host: "out", Port: 2},
		}})
		i.apply(&command.UnfenceBroker{ID: id, Epoch: r.BrokerEpoch})
	}
	i.apply(&command.CreateTopic{ID: metadata.ID{7}, Name: "a", Assignments: [][]int32{{1, 2}, {1, 2}, {1, 2}, {1, 2}, {1, 2}, {1, 2}}})
	return i
}

func TestBalancePlanned(t *testing.T) {
	image := threeBrokers(t).Image
	var noLoad membership.Loads
	heavy := membership.Loads{}
	for index := range int32(6) {
		heavy[command.TopicPartition{Topic: metadata.ID{7}, Partition: index}] = controller.Load{TailBytes: int64(index) * 100}
	}
	for name, x := range map[string]struct {
		req     adminapi.RebalanceRequest
		load    membership.Loads
		moves   int
		leaders int
		bytes   int64 // at most
	}{
		"all of it":   {adminapi.RebalanceRequest{}, noLoad, 4, 0, 0},
		"one move":    {adminapi.RebalanceRequest{MaxMoves: 1}, noLoad, 1, 2, 0},
		"no bytes":    {adminapi.RebalanceRequest{MaxBytes: 99}, heavy, 1, 2, 0},
		"cheap first": {adminapi.RebalanceRequest{MaxMoves: 2}, heavy, 2, 1, 100},
	} {
		p := planBalance(image, controller.Policy{MinISR: 1}, &x.req, x.load)
		answer := p.describe(image)
		if len(answer.Moves) != x.moves || len(answer.Leaders) != x.leaders {
			t.Errorf("%s: %+v", name, answer)
		}
		var bytes int64
		moved := map[int32]bool{}
		for _, m := range answer.Moves {
			if bytes += m.Bytes; m.Topic != "a" || m.To != 3 || moved[m.Partition] {
				t.Errorf("%s: move %+v", name, m)
			}
			moved[m.Partition] = true
		}
		if bytes > x.bytes {
			t.Errorf("%s: bytes=%d", name, bytes)
		}
		for _, l := range answer.Leaders {
			if l.From != 1 || l.To != 2 || moved[l.Partition] {
				t.Errorf("%s: leader %+v, moved %v", name, l, moved)
			}
		}
	}
}

func TestDrainingMoves(t *testing.T) {
	i := threeBrokers(t)
	if moves := drainingMoves(i.Image, 1, nil); len(moves) != 0 {
		t.Errorf("a broker that does not drain: %v", moves)
	}
	i.apply(&command.DrainBroker{ID: 1, Draining: true})
	moves := drainingMoves(i.Image, 1, nil)
	if len(moves) != 6 {
		t.Fatalf("moves=%v", moves)
	}
	for _, m := range moves {
		if fmt.Sprint(m.Replicas) != "[3 2]" {
			t.Errorf("partition %d goes to %v", m.Partition, m.Replicas)
		}
	}
	if moves := drainingMoves(i.Image, 2, nil); len(moves) != 0 {
		t.Errorf("the other one: %v", moves)
	}
}

func TestAdminBroker(t *testing.T) {
	i := threeBrokers(t)
	state := func(id int32) string {
		x, _ := i.Broker(id)
		return fmt.Sprint(adminBroker(i.Image, x))
	}
	if got := state(1); got != "{1 out 2 r in service false 6 6}" {
		t.Error(got)
	}
	x, _ := i.Broker(3)
	i.apply(&command.ShutdownBroker{ID: 3, Epoch: x.Epoch})
	i.apply(&command.DrainBroker{ID: 3, Draining: true})
	if got := state(3); got != "{3 out 2 r shutting down true 0 0}" {
		t.Error(got)
	}
	i.apply(&command.FenceBroker{ID: 3, Epoch: x.Epoch})
	if got := state(3); got != "{3 out 2 r fenced true 0 0}" {
		t.Error(got)
	}
}
