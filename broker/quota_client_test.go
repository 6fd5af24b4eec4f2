package broker_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// throttles are what a client was told to wait.
type throttles chan time.Duration

// OnBrokerThrottle implements kgo.HookBrokerThrottle.
func (t throttles) OnBrokerThrottle(_ kgo.BrokerMetadata, d time.Duration, after bool) {
	if !after {
		d = -d // it waits although the broker does not
	}
	select {
	case t <- d:
	default:
	}
}

// TestQuotasOfAClient has a client that is not ours set quotas, run into them, and be told so.
func TestQuotasOfAClient(t *testing.T) {
	n := newNode(t, nil)
	told := make(throttles, 16)
	open := func(id string) (*kgo.Client, *kadm.Client) {
		cl, err := kgo.NewClient(kgo.SeedBrokers(n.addr), kgo.ClientID(id), kgo.WithHooks(told), kgo.RecordPartitioner(kgo.ManualPartitioner()),
			kgo.ProducerBatchCompression(kgo.NoCompression()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cl.Close)
		return cl, kadm.NewClient(cl)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, admin := open("admin")
	set := func(key string, value float64) {
		t.Helper()
		id := "app"
		altered, err := admin.AlterClientQuotas(ctx, []kadm.AlterClientQuotaEntry{{
			Entity: kadm.ClientQuotaEntity{{Type: "client-id", Name: &id}}, Ops: []kadm.AlterClientQuotaOp{{Key: key, Value: value}},
		}})
		if err != nil || altered[0].Err != nil {
			t.Fatal(err, altered)
		}
	}
	if _, err := admin.CreateTopic(ctx, 1, 1, nil, "a"); err != nil {
		t.Fatal(err)
	}
	set("producer_byte_rate", 1000)
	set("controller_mutation_rate", 0.01)
	app, _ := open("app")
	if err := app.ProduceSync(ctx, &kgo.Record{Topic: "a", Value: make([]byte, 30_000)}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if d := <-told; d < 20*time.Second || d > 25*time.Second {
		t.Errorf("told to wait for %v", d)
	}
	// Another connection, since that one is not read for a while.
	_, appAdmin := open("app")
	if _, err := appAdmin.CreateTopic(ctx, 5, 1, nil, "b"); err != nil {
		t.Error(err)
	}
	if _, err := appAdmin.CreateTopic(ctx, 1, 1, nil, "c"); !errors.Is(err, kerr.ThrottlingQuotaExceeded) {
		t.Errorf("one partition too many: %v", err)
	}
}
