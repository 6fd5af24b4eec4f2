package linear

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/brokertest/inprocess"
)

// judge records and checks a history.
func judge(t *testing.T, o Options) *Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	history, err := Record(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Check(history, CheckOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("ops=%d topics=%d outcomes=%v", r.Ops, r.Topics, r.Outcomes)
	for _, o := range []string{"create ok", "create exists", "delete ok", "delete missing", "add-partitions ok", "add-partitions refused", "set-config ok", "set-config missing", "metadata ok", "describe ok"} {
		if r.Outcomes[o] == 0 {
			t.Errorf("nothing ended as %q", o)
		}
	}
	return r
}

func TestBroker(t *testing.T) {
	addr, _ := inprocess.Start(t, map[string]string{"wal.sync": "os"})
	if r := judge(t, Options{Brokers: []string{addr}, Ops: 1500, Seed: 1}); !r.OK() {
		t.Errorf("illegal=%v undecided=%v", r.Illegal, r.Undecided)
	}
}

// A cluster that says that it deleted a topic, and did not.
func TestLiar(t *testing.T) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	n := 0
	c.ControlKey(int16(kmsg.DeleteTopics), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		if n++; n%5 != 0 {
			return nil, nil, false
		}
		r := req.(*kmsg.DeleteTopicsRequest)
		resp := r.ResponseKind().(*kmsg.DeleteTopicsResponse)
		for _, t := range r.Topics {
			rt := kmsg.NewDeleteTopicsResponseTopic()
			rt.Topic = t.Topic
			resp.Topics = append(resp.Topics, rt)
		}
		return resp, nil, true
	})
	if r := judge(t, Options{Brokers: c.ListenAddrs(), Ops: 1500, Seed: 1}); len(r.Illegal) == 0 {
		t.Error("the lies were not noticed")
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for _, o := range []Options{{}, {Brokers: []string{"b"}, Clients: -1}, {Brokers: []string{"b"}, Ops: maxOps + 1}} {
		if _, err := Record(t.Context(), o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
}

// Clients that grow a topic at the same time are answered as if they had done so one after the other: the largest number is
// never refused, because no other can have made as many.
func TestGrowthsAtOnce(t *testing.T) {
	addr, _ := inprocess.Start(t, map[string]string{"wal.sync": "os"})
	const most = 9
	var clients []*kgo.Client
	for range most {
		client, err := newClient(&Options{Brokers: []string{addr}})
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		clients = append(clients, client)
	}
	brokers, err := members(t.Context(), clients[0])
	if err != nil {
		t.Fatal(err)
	}
	for round := range 20 {
		topic := fmt.Sprintf("grown-%d", round)
		ask := func(client *kgo.Client, kind Kind, n int32) Outcome {
			op := Op{Topic: topic, Kind: kind, Partitions: n, Value: firstValue}
			if _, err := members(t.Context(), client); err != nil || !perform(t.Context(), client.Broker(int(brokers[0])), &op) {
				t.Errorf("topic=%s %v err=%v", topic, op, err)
			}
			return op.Outcome
		}
		if got := ask(clients[0], Create, 1); got != OK {
			t.Fatalf("create: %v", got)
		}
		var growing sync.WaitGroup
		for i := range most - 1 {
			growing.Go(func() {
				n := int32(i + 2)
				if got := ask(clients[i+1], AddPartitions, n); got != OK && (got != Refused || n == most) {
					t.Errorf("topic=%s grown to %d: %v", topic, n, got)
				}
			})
		}
		growing.Wait()
	}
}
