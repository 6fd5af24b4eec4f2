package api

import (
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/metadata/quorum"
)

// quotaEntry asks for one value of an entity of "type=name" or "type" for the default.
func quotaEntry(key string, value float64, entity ...string) kmsg.AlterClientQuotasRequestEntry {
	e := kmsg.NewAlterClientQuotasRequestEntry()
	for _, s := range entity {
		p := kmsg.NewAlterClientQuotasRequestEntryEntity()
		kind, name, named := strings.Cut(s, "=")
		if p.Type = kind; named {
			p.Name = &name
		}
		e.Entity = append(e.Entity, p)
	}
	op := kmsg.NewAlterClientQuotasRequestEntryOp()
	op.Key, op.Value, op.Remove = key, value, value < 0
	e.Ops = append(e.Ops, op)
	return e
}

func alterQuotas(entries ...kmsg.AlterClientQuotasRequestEntry) *kmsg.AlterClientQuotasRequest {
	req := kmsg.NewPtrAlterClientQuotasRequest()
	req.Entries = entries
	return req
}

func alteredQuotas(r *kmsg.AlterClientQuotasResponse) string {
	var out []string
	for _, e := range r.Entries {
		s := ""
		for _, p := range e.Entity {
			name := "<default>"
			if p.Name != nil {
				name = *p.Name
			}
			s += p.Type + "=" + name + " "
		}
		if (e.ErrorMessage == nil) != (e.ErrorCode == 0) {
			s += "!message "
		}
		out = append(out, s+code(e.ErrorCode))
	}
	return strings.Join(out, ", ")
}

func describedQuotas(r *kmsg.DescribeClientQuotasResponse) string {
	if r.Entries == nil {
		return code(r.ErrorCode)
	}
	var out []string
	for _, e := range r.Entries {
		s := ""
		for _, p := range e.Entity {
			name := "<default>"
			if p.Name != nil {
				name = *p.Name
			}
			s += p.Type + "=" + name + " "
		}
		for _, v := range e.Values {
			s += fmt.Sprintf("%s:%g", v.Key, v.Value)
		}
		out = append(out, s)
	}
	return code(r.ErrorCode) + " " + strings.Join(out, ", ")
}

func TestClientQuotas(t *testing.T) {
	for version := range int16(2) {
		c := newCluster(t, 1)
		for _, x := range []struct{ got, want string }{
			{alteredQuotas(ask[*kmsg.AlterClientQuotasResponse](c, version, alterQuotas(
				quotaEntry("producer_byte_rate", 1024, "user=a", "client-id"),
				quotaEntry("consumer_byte_rate", 10, "user"),
				quotaEntry("connection_creation_rate", 5, "ip=::1"),
				quotaEntry("connection_creation_rate", 5, "user=a"),
				quotaEntry("producer_byte_rate", 1, "user=x", "user=y"),
			))), "client-id=<default> user=a NONE, user=<default> NONE, ip=::1 NONE, user=a INVALID_REQUEST, user=y NONE"},
			{describedQuotas(describeAllQuotas(c, version)),
				"NONE client-id=<default> user=a producer_byte_rate:1024, ip=::1 connection_creation_rate:5, user=<default> consumer_byte_rate:10, user=y producer_byte_rate:1"},
			{alteredQuotas(ask[*kmsg.AlterClientQuotasResponse](c, version, alterQuotas(quotaEntry("producer_byte_rate", -1, "user=y"), quotaEntry("connection_creation_rate", -1, "ip=::1")))),
				"user=y NONE, ip=::1 NONE"},
			{describedQuotas(describeAllQuotas(c, version)), "NONE client-id=<default> user=a producer_byte_rate:1024, user=<default> consumer_byte_rate:10"},
		} {
			if x.got != x.want {
				t.Errorf("v%d: got %s, want %s", version, x.got, x.want)
			}
		}
		only := alterQuotas(quotaEntry("producer_byte_rate", 7, "user=z"), quotaEntry("x", 7, "user=w"))
		only.ValidateOnly = true
		if got := alteredQuotas(ask[*kmsg.AlterClientQuotasResponse](c, version, only)); got != "user=z NONE, user=w INVALID_REQUEST" || c.Image().QuotaCount() != 2 {
			t.Error("validate only:", got, c.Image().QuotaCount())
		}
		c.fail = quorum.ErrUnknown
		failing := alterQuotas(quotaEntry("producer_byte_rate", 7, "user=z"), quotaEntry("x", 7, "user=w"))
		if got := alteredQuotas(ask[*kmsg.AlterClientQuotasResponse](c, version, failing)); got != "user=z REQUEST_TIMED_OUT, user=w INVALID_REQUEST" {
			t.Error("no leader:", got)
		}
	}
}

func describeAllQuotas(c *cluster, version int16) *kmsg.DescribeClientQuotasResponse {
	return ask[*kmsg.DescribeClientQuotasResponse](c, version, kmsg.NewPtrDescribeClientQuotasRequest())
}

func TestDescribeClientQuotas(t *testing.T) {
	c := newCluster(t, 1)
	ask[*kmsg.AlterClientQuotasResponse](c, 1, alterQuotas(quotaEntry("producer_byte_rate", 1, "user=a", "client-id=c"), quotaEntry("producer_byte_rate", 2, "user=a")))
	name := "a"
	for what, x := range map[string]struct {
		kind   string
		match  int8
		name   *string
		strict bool
		want   string
	}{
		"exact":        {"user", 0, &name, false, "NONE client-id=c user=a producer_byte_rate:1, user=a producer_byte_rate:2"},
		"strict":       {"user", 0, &name, true, "NONE user=a producer_byte_rate:2"},
		"default":      {"user", 1, nil, false, "NONE "},
		"specified":    {"client-id", 2, nil, false, "NONE client-id=c user=a producer_byte_rate:1"},
		"unknown type": {"topic", 2, nil, false, "UNSUPPORTED_VERSION"},
		"no type":      {"", 2, nil, false, "INVALID_REQUEST"},
		"no match":     {"user", 3, nil, false, "INVALID_REQUEST"},
		"negative":     {"user", -1, nil, false, "INVALID_REQUEST"},
	} {
		req := kmsg.NewPtrDescribeClientQuotasRequest()
		req.Strict = x.strict
		p := kmsg.NewDescribeClientQuotasRequestComponent()
		p.EntityType, p.MatchType, p.Match = x.kind, kmsg.QuotasMatchType(x.match), x.name
		req.Components = append(req.Components, p)
		if got := describedQuotas(ask[*kmsg.DescribeClientQuotasResponse](c, 1, req)); got != x.want {
			t.Errorf("%s: got %s, want %s", what, got, x.want)
		}
	}
}
