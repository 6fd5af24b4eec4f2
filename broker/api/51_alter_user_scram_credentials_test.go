package api

import (
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/metadata/quorum"
)

func scramUpsert(user string, mechanism int8, iterations int32) kmsg.AlterUserSCRAMCredentialsRequestUpsertion {
	u := kmsg.NewAlterUserSCRAMCredentialsRequestUpsertion()
	u.Name, u.Mechanism, u.Iterations, u.Salt, u.SaltedPassword = user, mechanism, iterations, []byte("salt"), []byte("salted")
	return u
}

func scramDeletion(user string, mechanism int8) kmsg.AlterUserSCRAMCredentialsRequestDeletion {
	d := kmsg.NewAlterUserSCRAMCredentialsRequestDeletion()
	d.Name, d.Mechanism = user, mechanism
	return d
}

func alteredScram(r *kmsg.AlterUserSCRAMCredentialsResponse) string {
	var out []string
	for _, x := range r.Results {
		s := x.User + " " + code(x.ErrorCode)
		if (x.ErrorMessage == nil) != (x.ErrorCode == 0) {
			s += " !message"
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}

func describedScram(c *cluster, users ...string) string {
	req := kmsg.NewPtrDescribeUserSCRAMCredentialsRequest()
	for _, u := range users {
		x := kmsg.NewDescribeUserSCRAMCredentialsRequestUser()
		x.Name = u
		req.Users = append(req.Users, x)
	}
	r := ask[*kmsg.DescribeUserSCRAMCredentialsResponse](c, 0, req)
	var out []string
	for _, x := range r.Results {
		s := x.User + " " + code(x.ErrorCode)
		for _, i := range x.CredentialInfos {
			s += fmt.Sprintf(" %d:%d", i.Mechanism, i.Iterations)
		}
		out = append(out, s)
	}
	return code(r.ErrorCode) + ": " + strings.Join(out, ", ")
}

func TestUserScramCredentials(t *testing.T) {
	c := newCluster(t, 1)
	alter := func(deletions []kmsg.AlterUserSCRAMCredentialsRequestDeletion, upserts ...kmsg.AlterUserSCRAMCredentialsRequestUpsertion) string {
		req := kmsg.NewPtrAlterUserSCRAMCredentialsRequest()
		req.Deletions, req.Upsertions = deletions, upserts
		return alteredScram(ask[*kmsg.AlterUserSCRAMCredentialsResponse](c, 0, req))
	}
	del := func(user string, mechanism int8) []kmsg.AlterUserSCRAMCredentialsRequestDeletion {
		return []kmsg.AlterUserSCRAMCredentialsRequestDeletion{scramDeletion(user, mechanism)}
	}
	for _, x := range []struct{ got, want string }{
		{describedScram(c), "NONE: "},
		{alter(nil, scramUpsert("b", 2, 8192), scramUpsert("a", 1, 4096)), "b NONE, a NONE"},
		{describedScram(c), "NONE: a NONE 1:4096, b NONE 2:8192"},
		{alter(nil, scramUpsert("a", 2, 4096)), "a NONE"},
		{describedScram(c, "a", "x", "b", "b"), "NONE: a NONE 1:4096 2:4096, x RESOURCE_NOT_FOUND, b DUPLICATE_RESOURCE"},
		{alter(nil, scramUpsert("a", 1, 4095), scramUpsert("c", 1, 16385), scramUpsert("d", 3, 4096), scramUpsert("", 1, 4096), scramUpsert("e", -1, 4096)),
			"a UNACCEPTABLE_CREDENTIAL, c UNACCEPTABLE_CREDENTIAL, d UNSUPPORTED_SASL_MECHANISM,  UNACCEPTABLE_CREDENTIAL, e UNSUPPORTED_SASL_MECHANISM"},
		{alter(del("a", 1), scramUpsert("a", 2, 4096)), "a DUPLICATE_RESOURCE"},
		{alter(del("x", 1)), "x RESOURCE_NOT_FOUND"},
		{alter(del("b", 1)), "b RESOURCE_NOT_FOUND"},
		{alter(del("a", 1)), "a NONE"},
		{describedScram(c), "NONE: a NONE 2:4096, b NONE 2:8192"},
	} {
		if x.got != x.want {
			t.Errorf("got %s, want %s", x.got, x.want)
		}
	}
	c.fail = quorum.ErrNotLeader
	if got := alter(nil, scramUpsert("c", 1, 4096), scramUpsert("d", 1, 1)); got != "c NOT_CONTROLLER, d UNACCEPTABLE_CREDENTIAL" {
		t.Error(got)
	}
}
