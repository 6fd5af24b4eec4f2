package broker_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// admin is a client of franz-go for administrators.
func (n *node) admin() *kadm.Client {
	n.tb.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(n.addr))
	if err != nil {
		n.tb.Fatal(err)
	}
	n.tb.Cleanup(client.Close)
	return kadm.NewClient(client)
}

// TestUsersAndQuotas: what an administrator says of users and quotas outlives the broker's
// process, and no file of the broker has a password or its salted form in it.
func TestUsersAndQuotas(t *testing.T) {
	n := newNode(t, nil)
	ctx := context.Background()
	const password = "correct horse battery staple"
	salted := bytes.Repeat([]byte("salted"), 5)
	altered, err := n.admin().AlterUserSCRAMs(ctx, nil, []kadm.UpsertSCRAM{
		{User: "alice", Mechanism: kadm.ScramSha256, Iterations: 4096, Password: password},
		{User: "bob", Mechanism: kadm.ScramSha512, Iterations: 8192, Salt: []byte("salt"), SaltedPassword: salted},
		{User: "carol", Mechanism: kadm.ScramSha512, Iterations: 4096, Password: password},
	})
	if err != nil || altered.Error() != nil {
		t.Fatal(err, altered.Error())
	}
	alice := "alice"
	entity := kadm.ClientQuotaEntity{{Type: "user", Name: &alice}, {Type: "client-id"}}
	quotas, err := n.admin().AlterClientQuotas(ctx, []kadm.AlterClientQuotaEntry{
		{Entity: entity, Ops: []kadm.AlterClientQuotaOp{{Key: "producer_byte_rate", Value: 1e6}, {Key: "request_percentage", Value: 12.5}}},
		{Entity: kadm.ClientQuotaEntity{{Type: "user", Name: &alice}}, Ops: []kadm.AlterClientQuotaOp{{Key: "producer_byte_rate", Value: 1e7}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, q := range quotas {
		if q.Err != nil {
			t.Fatal(q.Entity, q.Err)
		}
	}
	if _, err := n.admin().AlterUserSCRAMs(ctx, []kadm.DeleteSCRAM{{User: "carol", Mechanism: kadm.ScramSha512}}, nil); err != nil {
		t.Fatal(err)
	}
	n.stop()
	n.start()
	users, err := n.admin().DescribeUserSCRAMs(ctx)
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, u := range users.Sorted() {
		got += u.User
		for _, i := range u.CredInfos {
			got += fmt.Sprint(" ", i.Mechanism, ":", i.Iterations)
		}
		got += "\n"
	}
	if got != "alice SCRAM-SHA-256:4096\nbob SCRAM-SHA-512:8192\n" {
		t.Errorf("users after a restart:\n%s", got)
	}
	for strict, want := range map[bool]string{
		false: "client-id=<default>,user=alice: producer_byte_rate=1e+06 request_percentage=12.5\nuser=alice: producer_byte_rate=1e+07\n",
		true:  "user=alice: producer_byte_rate=1e+07\n",
	} {
		described, err := n.admin().DescribeClientQuotas(ctx, strict, []kadm.DescribeClientQuotaComponent{{Type: "user", MatchName: &alice}})
		if err != nil {
			t.Fatal(err)
		}
		if got := quotaLines(described); got != want {
			t.Errorf("quotas after a restart, strict=%v:\n%s", strict, got)
		}
	}
	n.stop()
	if err := filepath.WalkDir(n.settings["data.dir"], func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte(password)) || bytes.Contains(b, salted) {
			t.Errorf("a password lies in %s", path)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	n.start()
}

// TestPasswordSetOverTheWire: who got a password from an administrator comes in with it, by
// the mechanisms for which it was set and by no other, until it is changed or deleted.
func TestPasswordSetOverTheWire(t *testing.T) {
	n := newNode(t, map[string]string{
		"listeners": "PLAINTEXT://127.0.0.1:0,SASL_PLAINTEXT://127.0.0.1:0", "sasl.enabled.mechanisms": "SCRAM-SHA-256,SCRAM-SHA-512",
		"connection.failed.authentication.delay.ms": "1",
	})
	admin := n.admin()
	alter := func(del []kadm.DeleteSCRAM, set ...kadm.UpsertSCRAM) {
		t.Helper()
		if r, err := admin.AlterUserSCRAMs(t.Context(), del, set); err != nil || r.Error() != nil {
			t.Fatal(err, r.Error())
		}
	}
	in := func(mechanism sasl.Mechanism) bool {
		t.Helper()
		client, err := kgo.NewClient(kgo.SeedBrokers(n.b.Address(1)), kgo.SASL(mechanism), kgo.RetryTimeout(5*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		return client.Ping(t.Context()) == nil
	}
	check := func(what, password string, sha256, sha512 bool) {
		t.Helper()
		a := scram.Auth{User: "alice", Pass: password}
		if got := [2]bool{in(a.AsSha256Mechanism()), in(a.AsSha512Mechanism())}; got != [2]bool{sha256, sha512} {
			t.Errorf("%s: let in by %v", what, got)
		}
	}
	check("before", "first", false, false)
	alter(nil, kadm.UpsertSCRAM{User: "alice", Mechanism: kadm.ScramSha256, Iterations: 4096, Password: "first"})
	check("by one", "first", true, false)
	alter(nil, kadm.UpsertSCRAM{User: "alice", Mechanism: kadm.ScramSha512, Iterations: 5000, Password: "second"})
	check("by another", "second", false, true)
	alter(nil, kadm.UpsertSCRAM{User: "alice", Mechanism: kadm.ScramSha256, Iterations: 16384, Password: "second"})
	check("changed", "first", false, false)
	check("changed", "second", true, true)
	alter([]kadm.DeleteSCRAM{{User: "alice", Mechanism: kadm.ScramSha512}})
	check("deleted", "second", true, false)
}

func quotaLines(list kadm.DescribedClientQuotas) string {
	var lines []string
	for _, q := range list {
		var entity, values []string
		for _, p := range q.Entity {
			entity = append(entity, p.String())
		}
		for _, v := range q.Values {
			values = append(values, fmt.Sprintf("%s=%g", v.Key, v.Value))
		}
		slices.Sort(values)
		lines = append(lines, strings.Join(entity, ",")+": "+strings.Join(values, " ")+"\n")
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}
