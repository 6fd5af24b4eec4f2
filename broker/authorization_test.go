package broker_test

import (
	"bytes"
	"fmt"
	"net"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/config"
	"github.com/tidelinehq/tideline/broker/security/acl"
	"github.com/tidelinehq/tideline/metadata/record"
)

// rightless are the keys that need no right, so that the table does not have them.
var rightless = []int16{
	17, 18, 36, // who comes in, and what can be asked
	39, 40, 41, // a token says itself who may renew it; whose tokens are seen is a test of its own
	71, 72, // the metrics of a client
}

// newJudgedNode starts a broker that judges.
func newJudgedNode(t *testing.T, settings map[string]string) *node {
	set := map[string]string{
		"authorizer.class.name": config.StandardAuthorizer, "auto.create.topics.enable": "true", "group.initial.rebalance.delay.ms": "0",
		"offsets.topic.num.partitions": "1", "transaction.state.log.num.partitions": "1", "share.coordinator.state.topic.num.partitions": "1",
	}
	for k, v := range settings {
		set[k] = v
	}
	return newNode(t, set)
}

// bind makes bindings, without asking anybody.
func (n *node) bind(acls ...record.ACL) {
	n.tb.Helper()
	if err := n.b.Propose(n.tb.Context(), &record.ChangeACLs{Add: acls}); err != nil {
		n.tb.Fatal(err)
	}
}

// client is one of many principals: none has a name, so a binding speaks of the address
// from which it comes.
type client struct {
	host string
	*conn
}

// hostOf is the address of the i-th client.
func hostOf(i int) string { return fmt.Sprintf("127.0.%d.%d", 1+i/200, 1+i%200) }

func (n *node) dialFrom(host string) *client {
	n.tb.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(host)}}
	c, err := d.DialContext(n.tb.Context(), "tcp", n.addr)
	if err != nil {
		n.tb.Fatal(err)
	}
	n.tb.Cleanup(func() { _ = c.Close() })
	return &client{host, &conn{tb: n.tb, net: c, f: kmsg.NewRequestFormatter(kmsg.FormatterClientID("test"))}}
}

// allow is the binding that gives a client a right on all of the names in the table.
func allow(host string, r right) record.ACL {
	x := record.ACL{
		ResourceType: uint8(r.kind), Pattern: record.PatternPrefixed, Principal: "User:ANONYMOUS", Host: host,
		Operation: uint8(r.op), Permission: record.PermissionAllow,
	}
	switch r.kind {
	case acl.Topic:
		x.Resource = "t-"
	case acl.Group:
		x.Resource = "g-"
	case acl.TransactionalID:
		x.Resource = "x-"
	case acl.Cluster:
		x.Pattern, x.Resource = record.PatternLiteral, acl.ClusterName
	default:
		x.Pattern, x.Resource = record.PatternLiteral, acl.Wildcard
	}
	return x
}

// everyRight is every single right that there is.
func everyRight() (out []right) {
	for _, kind := range []acl.ResourceType{acl.Topic, acl.Group, acl.Cluster, acl.TransactionalID, acl.DelegationToken, acl.User} {
		out = append(out, right{kind, acl.All})
		for _, op := range kind.Operations() {
			out = append(out, right{kind, op})
		}
	}
	return out
}

// includes reports whether one right is as good as another.
func (r right) includes(o right) bool {
	if r.kind != o.kind {
		return false
	}
	switch {
	case r.op == o.op, r.op == acl.All:
		return true
	case o.op == acl.Describe:
		return slices.Contains([]acl.Operation{acl.Read, acl.Write, acl.Delete, acl.Alter}, r.op)
	case o.op == acl.DescribeConfigs:
		return r.op == acl.AlterConfigs
	}
	return false
}

// met reports whether a client with these rights has what is needed.
func (n need) met(rights []right) bool {
	for _, one := range n.rights {
		for _, r := range rights {
			if r.includes(one) {
				return true
			}
		}
	}
	return false
}

// want is what becomes of the row for a client with these rights.
func (r *row) want(rights []right) string {
	for _, n := range r.needs {
		if !n.met(rights) {
			return name(n.code)
		}
	}
	if r.hides == "" {
		return "done"
	}
	for _, n := range r.sees {
		if !n.met(rights) {
			return "hidden"
		}
	}
	return "seen"
}

// got is what became of it.
func (r *row) got(resp kmsg.Response) string {
	for _, code := range errorCodes(reflect.ValueOf(resp)) {
		switch code {
		case topicDenied, groupDenied, clusterDenied, transactionalDenied, tokenDenied:
			return name(code)
		}
	}
	switch {
	case r.hides == "":
		return "done"
	case bytes.Contains(resp.AppendTo(nil), []byte(r.hides)):
		return "seen"
	}
	return "hidden"
}

// errorCodes are all error codes of a response.
func errorCodes(v reflect.Value) (out []int16) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			return errorCodes(v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			out = append(out, errorCodes(v.Index(i))...)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Field(i); strings.HasSuffix(v.Type().Field(i).Name, "ErrorCode") {
				out = append(out, int16(f.Int()))
			} else if v.Type().Field(i).IsExported() {
				out = append(out, errorCodes(f)...)
			}
		}
	}
	return out
}

// furnish makes what the table is about, by a client that may do everything.
func (n *node) furnish() *authWorld {
	n.tb.Helper()
	host := hostOf(0)
	for _, kind := range []acl.ResourceType{acl.Topic, acl.Group, acl.Cluster, acl.TransactionalID} {
		n.bind(allow(host, right{kind, acl.All}))
	}
	c := n.dialFrom(host)
	w := &authWorld{topic: "t-there", missing: "t-missing", group: "g-there", txn: "x-there"}
	w.id = c.create(w.topic, 1, nil)
	n.await("an offset is committed", func() bool {
		do[*kmsg.FindCoordinatorResponse](c.conn, versioned(findCoordinators(0, w.group), 6))
		return do[*kmsg.OffsetCommitResponse](c.conn, versioned(offsetCommit(w), 9)).Topics[0].Partitions[0].ErrorCode == 0
	})
	n.await("a transactional id is known", func() bool {
		do[*kmsg.FindCoordinatorResponse](c.conn, versioned(findCoordinators(1, w.txn), 6))
		return do[*kmsg.InitProducerIDResponse](c.conn, versioned(initProducer(&w.txn), 4)).ErrorCode == 0
	})
	return w
}

func versioned(req kmsg.Request, version int16) kmsg.Request {
	req.SetVersion(version)
	return req
}

// served are the keys that the broker answers.
func (c *conn) served() map[int16]bool {
	out := make(map[int16]bool)
	for _, k := range do[*kmsg.ApiVersionsResponse](c, versioned(kmsg.NewPtrApiVersionsRequest(), 0)).ApiKeys {
		out[k.ApiKey] = true
	}
	return out
}

// TestAuthorizationTable holds every key against clients that have no right, each single right, and
// just what the key needs.
func TestAuthorizationTable(t *testing.T) {
	n := newJudgedNode(t, nil)
	w := n.furnish()
	next := 1
	join := func(rights ...right) *client {
		host := hostOf(next)
		next++
		for _, r := range rights {
			n.bind(allow(host, r))
		}
		return n.dialFrom(host)
	}
	none := join()
	single := everyRight()
	clients := make([]*client, len(single))
	for i, r := range single {
		clients[i] = join(r)
	}
	served := none.served()
	covered := make(map[int16]bool)
	for i := range authTable {
		r := &authTable[i]
		req := r.request(w)
		if covered[req.Key()] = true; !served[req.Key()] {
			continue
		}
		hold := func(c *client, who string, rights ...right) {
			own := *w
			own.member = "member-" + c.host
			resp, err := c.try(versioned(r.request(&own), r.version))
			if err != nil {
				t.Fatalf("%s, %s: %v", r.what, who, err)
			}
			if got, want := r.got(resp), r.want(rights); got != want {
				t.Errorf("%s, %s: got %s, want %s: %+v", r.what, who, got, want, resp)
			}
		}
		hold(none, "no right")
		for j, one := range single {
			hold(clients[j], fmt.Sprintf("%s %s", one.kind, one.op), one)
		}
		if enough := r.least(); len(enough) != 1 {
			hold(join(enough...), "what it needs", enough...)
		}
	}
	for key := range served {
		if !covered[key] && !slices.Contains(rightless, key) {
			t.Errorf("the table has nothing about %s", kmsg.NameForKey(key))
		}
	}
}

// least are the first of the rights that the row needs.
func (r *row) least() (out []right) {
	for _, n := range append(slices.Clone(r.needs), r.sees...) {
		out = append(out, n.rights[0])
	}
	return out
}

// TestSuperUser: a super user may do all of it, without a single binding.
func TestSuperUser(t *testing.T) {
	n := newJudgedNode(t, map[string]string{"super.users": "User:root;User:ANONYMOUS"})
	w := n.furnish()
	c := n.dialFrom(hostOf(7))
	served := c.served()
	for i := range authTable {
		r := &authTable[i]
		w.member = "member"
		if req := r.request(w); !served[req.Key()] {
			continue
		}
		resp, err := c.try(versioned(r.request(w), r.version))
		if err != nil {
			t.Fatalf("%s: %v", r.what, err)
		}
		if got := r.got(resp); got != "done" && got != "seen" {
			t.Errorf("%s: got %s: %+v", r.what, got, resp)
		}
	}
}

// TestNothingLeaks: whoever has no right gets the same answer about what is there and about what
// is not.
func TestNothingLeaks(t *testing.T) {
	n := newJudgedNode(t, nil)
	there := n.furnish()
	gone := &authWorld{topic: "t-gone!", missing: there.missing, id: there.id, group: "g-gone!", txn: "x-gone!", member: "member"}
	there.member = "member"
	c := n.dialFrom(hostOf(3))
	served := c.served()
	for i := range authTable {
		r := &authTable[i]
		if req := r.request(there); !served[req.Key()] {
			continue
		}
		answer := func(w *authWorld) string {
			resp, err := c.try(versioned(r.request(w), r.version))
			if err != nil {
				t.Fatalf("%s: %v", r.what, err)
			}
			return strings.NewReplacer("gone!", "there").Replace(string(resp.AppendTo(nil)))
		}
		if a, b := answer(there), answer(gone); a != b {
			t.Errorf("%s tells what is there from what is not:\n%q\n%q", r.what, a, b)
		}
	}
}

// TestUnjudged: without an authorizer everybody may do everything, bindings cannot be asked about,
// and who wants to know what he may do is told: everything.
func TestUnjudged(t *testing.T) {
	n := newNode(t, nil)
	c := n.dial()
	c.create("orders", 1, nil)
	req := metadataRequest(false, "orders")
	req.IncludeTopicAuthorizedOperations = true
	if got, want := do[*kmsg.MetadataResponse](c, versioned(req, 9)).Topics[0].AuthorizedOperations, acl.AllOperations(acl.Topic); got != want {
		t.Errorf("operations: got %b, want %b", got, want)
	}
	describe := &kmsg.DescribeACLsRequest{ResourceType: 1, ResourcePatternType: 1, Operation: 1, PermissionType: 1}
	if got := name(do[*kmsg.DescribeACLsResponse](c, versioned(describe, 3)).ErrorCode); got != "SECURITY_DISABLED" {
		t.Errorf("bindings: %s", got)
	}
}
