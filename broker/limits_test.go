package broker_test

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidelinehq/tideline/internal/adminapi"
	"github.com/tidelinehq/tideline/internal/record"
	command "github.com/tidelinehq/tideline/metadata/record"
	"github.com/tidelinehq/tideline/tiering/objstore/objstoretest"
)

// TestConnectionLimitsChange while the broker runs, by its settings and by quotas of addresses.
func TestConnectionLimitsChange(t *testing.T) {
	n := newNode(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	client, err := kgo.NewClient(kgo.SeedBrokers(n.addr))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	alter := func(key, value string) {
		t.Helper()
		answers, err := admin.AlterBrokerConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: key, Value: &value}}, 1)
		if err != nil || answers[0].Err != nil {
			t.Fatal(err, answers)
		}
	}
	alter("max.connections.per.ip", "9") // through connections that stay open
	rejected := func() float64 { return n.gauge("tideline_server_connections_rejected_total") }
	dialAll := func(count int) {
		t.Helper()
		for range count {
			c, err := net.Dial("tcp", n.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
		}
	}
	dialAll(20)
	n.await("a limit holds", func() bool { return rejected() >= 11 })
	before := rejected()
	alter("max.connections.per.ip.overrides", "127.0.0.1:1000")
	dialAll(20)
	n.await("all of them are served", func() bool { return n.gauge("tideline_server_connections_accepted_total") >= 29 })
	if rejected() != before {
		t.Errorf("an address with a limit of its own is refused %v times", rejected()-before)
	}
	if err := n.b.Propose(ctx, &command.ChangeQuotas{Changes: []command.QuotaChange{
		{Entity: command.QuotaEntity{{Type: command.QuotaIP, Name: "127.0.0.1"}}, Key: "connection_creation_rate", Value: 1},
	}}); err != nil {
		t.Fatal(err)
	}
	dialAll(30) // ten of them are within the window
	n.await("an address makes too many connections", func() bool { return rejected() >= before+20 })
}

// TestObjectStoreOverTLS tiers into a store that speaks TLS only, whose authority is one of its own.
func TestObjectStoreOverTLS(t *testing.T) {
	m := objstoretest.StartMinIOTLS(t)
	n := newNode(t, map[string]string{"object.store": m.URL("minio", "p"), "object.store.ca.file": m.CAFile, "object.store.tls.min.version": "TLSv1.3", "log.retention.ms": "-1"})
	c := n.dial()
	c.create("a", 1, nil)
	c.mustProduce("a", 0, build(record.Options{}, record.Record{Value: make([]byte, 100_000), Timestamp: 1000}))
	_, web := n.b.Addresses()
	n.await("it is in the bucket", func() bool {
		resp, err := http.Get("http://" + web + adminapi.TierStatusPath)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var s adminapi.TierStatus
		if err := json.NewDecoder(resp.Body).Decode(&s); err != nil {
			t.Fatal(err)
		}
		return s.Objects > 0
	})
}
