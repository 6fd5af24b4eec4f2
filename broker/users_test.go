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

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
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
