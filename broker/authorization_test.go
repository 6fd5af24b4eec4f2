package broker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"

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

// users is how many users a judged node knows.
const users = 300

// newJudgedNode starts a broker that judges. Its second listener asks who comes.
func newJudgedNode(t *testing.T, settings map[string]string) *node {
	var known strings.Builder
	for i := range users {
		fmt.Fprintf(&known, "%s:secret\n", userOf(i))
	}
	file := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(file, []byte(known.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	set := map[string]string{
		"listeners": "PLAINTEXT://127.0.0.1:0,SASL_PLAINTEXT://127.0.0.1:0", "sasl.enabled.mechanisms": "PLAIN", "sasl.plain.users.file": file,
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

// client is one of many users.
type client struct {
	user string
	*conn
}

// userOf is the name of the i-th user.
func userOf(i int) string { return fmt.Sprintf("u%d", i) }

// dialAs connects as a user, by SASL PLAIN.
func (n *node) dialAs(user string) *client {
	n.tb.Helper()
	c, err := dial(n.b.Address(1))
	if err != nil {
		n.tb.Fatal(err)
	}
	c.tb = n.tb
	n.tb.Cleanup(func() { _ = c.net.Close() })
	do[*kmsg.SASLHandshakeResponse](c, versioned(&kmsg.SASLHandshakeRequest{Mechanism: "PLAIN"}, 1))
	proof := &kmsg.SASLAuthenticateRequest{SASLAuthBytes: []byte("\x00" + user + "\x00secret")}
	if resp := do[*kmsg.SASLAuthenticateResponse](c, versioned(proof, 2)); resp.ErrorCode != 0 {
		n.tb.Fatalf("%s is not let in: %s", user, name(resp.ErrorCode))
	}
	return &client{user, c}
}

// allow is the binding that gives a user a right on all of the names in the table.
func allow(user string, r right) record.ACL {
	x := record.ACL{
		ResourceType: uint8(r.kind), Pattern: record.PatternPrefixed, Principal: "User:" + user, Host: "*",
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
	user := userOf(0)
	for _, kind := range []acl.ResourceType{acl.Topic, acl.Group, acl.Cluster, acl.TransactionalID} {
		n.bind(allow(user, right{kind, acl.All}))
	}
	c := n.dialAs(user)
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
		user := userOf(next)
		next++
		for _, r := range rights {
			n.bind(allow(user, r))
		}
		return n.dialAs(user)
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
			own.member = "member-" + c.user
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
	n := newJudgedNode(t, map[string]string{"super.users": "User:root;User:u7"})
	w := n.furnish()
	c := n.dialAs(userOf(7))
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
	c := n.dialAs(userOf(3))
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

// TestHosts: a binding can speak of the address that a client comes from.
func TestHosts(t *testing.T) {
	n := newJudgedNode(t, nil)
	n.furnish()
	x := allow("ANONYMOUS", right{acl.Topic, acl.Describe})
	x.Host = "127.0.0.7"
	n.bind(x)
	for host, want := range map[string]string{"127.0.0.7": "NONE", "127.0.0.8": "TOPIC_AUTHORIZATION_FAILED"} {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(host)}}
		from, err := d.DialContext(t.Context(), "tcp", n.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = from.Close() })
		c := &conn{tb: t, net: from, f: kmsg.NewRequestFormatter(kmsg.FormatterClientID("test"))}
		expect(t, host, name(do[*kmsg.MetadataResponse](c, versioned(metadataRequest(false, "t-there"), 9)).Topics[0].ErrorCode), want)
	}
}

// TestGroupsOfATokenHaveRoles: a role that a group has is that of everybody whose token names the
// group; so a client can produce and consume.
func TestGroupsOfATokenHaveRoles(t *testing.T) {
	id := newIdentity(t)
	settings := id.settings()
	settings["authorizer.class.name"] = config.StandardAuthorizer
	n := newNode(t, settings)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	secure, bearer := kgo.DialTLSConfig(id.tls(t, "")), kgo.SASL(oauth.Auth{Token: id.token(t, "alice", time.Hour)}.AsMechanism())
	owner, err := acl.Ready("owner", "team", "team-")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []record.Command{
		&record.SetRole{Role: owner}, &record.ChangeGrants{Add: []record.Grant{{Role: "team", Principal: "Group:ops"}}},
	} {
		if err := n.b.Propose(ctx, c); err != nil {
			t.Fatal(err)
		}
	}
	if err := through(ctx, n.b.Address(1), "team-topic", secure, bearer); err != nil {
		t.Errorf("the owner of the prefix: %v", err)
	}
	if err := through(ctx, n.b.Address(1), "others-topic", secure, bearer); err == nil {
		t.Error("the owner of a prefix uses what has another one")
	}
}

// TestBindingsByClient: a client that others have made sees, makes and removes bindings.
func TestBindingsByClient(t *testing.T) {
	n := newJudgedNode(t, map[string]string{"super.users": "User:u7"})
	client, err := kgo.NewClient(kgo.SeedBrokers(n.b.Address(1)), kgo.SASL(plain.Auth{User: userOf(7), Pass: "secret"}.AsMechanism()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	some := func() *kadm.ACLBuilder {
		return kadm.NewACLs().Topics("orders.").ResourcePatternType(kadm.ACLPatternPrefixed).Allow("User:alice").AllowHosts("*").Operations(kadm.OpRead, kadm.OpWrite)
	}
	for range 2 { // what is there is no error
		made, err := admin.CreateACLs(t.Context(), some())
		if err != nil || len(made) != 2 || made[0].Err != nil || made[1].Err != nil {
			t.Fatalf("made: %+v, %v", made, err)
		}
	}
	about, err := admin.DescribeACLs(t.Context(), kadm.NewACLs().Topics("orders.eu").ResourcePatternType(kadm.ACLPatternMatch).Allow().AllowHosts().Operations())
	if err != nil || len(about) != 1 || len(about[0].Described) != 2 || about[0].Described[0].Pattern != kadm.ACLPatternPrefixed {
		t.Errorf("what holds for a topic: %+v, %v", about, err)
	}
	gone, err := admin.DeleteACLs(t.Context(), some())
	if err != nil {
		t.Fatal(err)
	}
	removed := 0
	for _, g := range gone {
		removed += len(g.Deleted)
	}
	if removed != 2 {
		t.Errorf("removed: %+v", gone)
	}
	wrong, err := admin.CreateACLs(t.Context(), kadm.NewACLs().Topics("t").Allow("alice").AllowHosts("*").Operations(kadm.OpRead))
	if err != nil || len(wrong) != 1 || !errors.Is(wrong[0].Err, kerr.InvalidRequest) {
		t.Errorf("a principal without a type: %+v, %v", wrong, err)
	}
}

// TestRegularExpressions: a subscription by regular expression stands for the topics that the
// member may know of, and no others.
func TestRegularExpressions(t *testing.T) {
	n := newJudgedNode(t, nil)
	w := n.furnish()
	all := n.dialAs(userOf(0))
	all.create("t-shown", 1, nil)
	shown := allow(userOf(5), right{acl.Topic, acl.Describe})
	shown.Pattern, shown.Resource = record.PatternLiteral, "t-shown"
	n.bind(shown, allow(userOf(5), right{acl.Group, acl.Read}))
	c := n.dialAs(userOf(5))
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Group, req.MemberID, req.SubscribedTopicRegex = "g-regex", "AAAAAAAAAAAAAAAAAAAAAA", kmsg.StringPtr("t-.*")
	req.SubscribedTopicNames, req.Topics, req.RebalanceTimeoutMillis = []string{}, []kmsg.ConsumerGroupHeartbeatRequestTopic{}, 30_000
	resp := do[*kmsg.ConsumerGroupHeartbeatResponse](c.conn, versioned(req, 1))
	if resp.ErrorCode != 0 || resp.Assignment == nil || len(resp.Assignment.Topics) != 1 || resp.Assignment.Topics[0].TopicID == w.id {
		t.Errorf("assigned: %s %+v", name(resp.ErrorCode), resp.Assignment)
	}
}

// TestGroupsThatUseHiddenTopics: a group that uses a topic which the client must not know of is not
// described to it.
func TestGroupsThatUseHiddenTopics(t *testing.T) {
	n := newJudgedNode(t, nil)
	n.furnish()
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Group, req.MemberID, req.SubscribedTopicNames = "g-uses", "AAAAAAAAAAAAAAAAAAAAAA", []string{"t-there"}
	req.Topics, req.RebalanceTimeoutMillis = []kmsg.ConsumerGroupHeartbeatRequestTopic{}, 30_000
	if resp := do[*kmsg.ConsumerGroupHeartbeatResponse](n.dialAs(userOf(0)).conn, versioned(req, 1)); resp.ErrorCode != 0 {
		t.Fatalf("join: %s", name(resp.ErrorCode))
	}
	n.bind(allow(userOf(1), right{acl.Group, acl.Describe}), allow(userOf(2), right{acl.Group, acl.Describe}), allow(userOf(2), right{acl.Topic, acl.Describe}))
	for i, want := range []struct {
		code    string
		members int
	}{1: {"TOPIC_AUTHORIZATION_FAILED", 0}, 2: {"NONE", 1}} {
		if want.code == "" {
			continue
		}
		describe := &kmsg.ConsumerGroupDescribeRequest{Groups: []string{"g-uses"}}
		g := do[*kmsg.ConsumerGroupDescribeResponse](n.dialAs(userOf(i)).conn, versioned(describe, 1)).Groups[0]
		if name(g.ErrorCode) != want.code || len(g.Members) != want.members {
			t.Errorf("%s: %s with %d members", userOf(i), name(g.ErrorCode), len(g.Members))
		}
	}
}

// TestAuthorizedOperations: who asks what he may do is told just that (KIP-430), and of the cluster
// nothing where he may not describe it.
func TestAuthorizedOperations(t *testing.T) {
	n := newJudgedNode(t, nil)
	n.furnish()
	n.bind(allow(userOf(1), right{acl.Topic, acl.Write}), allow(userOf(1), right{acl.Group, acl.Read}), allow(userOf(1), right{acl.Cluster, acl.IdempotentWrite}),
		allow(userOf(2), right{acl.Cluster, acl.Describe}))
	set := func(ops ...acl.Operation) (out int32) {
		for _, op := range ops {
			out |= 1 << op
		}
		return out
	}
	c := n.dialAs(userOf(1))
	metadata := metadataRequest(false, "t-there")
	metadata.IncludeTopicAuthorizedOperations, metadata.IncludeClusterAuthorizedOperations = true, true
	m := do[*kmsg.MetadataResponse](c.conn, versioned(metadata, 9))
	pages := &kmsg.DescribeTopicPartitionsRequest{ResponsePartitionLimit: 10}
	groups := &kmsg.DescribeGroupsRequest{Groups: []string{"g-there"}, IncludeAuthorizedOperations: true}
	cluster := func(user string) int32 {
		req := kmsg.NewPtrDescribeClusterRequest()
		req.IncludeClusterAuthorizedOperations = true
		return do[*kmsg.DescribeClusterResponse](n.dialAs(user).conn, versioned(req, 1)).ClusterAuthorizedOperations
	}
	for _, x := range []struct {
		what      string
		got, want int32
	}{
		{"topic, by Metadata", m.Topics[0].AuthorizedOperations, set(acl.Write, acl.Describe)},
		{"cluster, by Metadata, for one who may not describe it", m.AuthorizedOperations, 0},
		{"topic, by DescribeTopicPartitions", do[*kmsg.DescribeTopicPartitionsResponse](c.conn, pages).Topics[0].AuthorizedOperations, set(acl.Write, acl.Describe)},
		{"group", do[*kmsg.DescribeGroupsResponse](c.conn, versioned(groups, 5)).Groups[0].AuthorizedOperations, set(acl.Read, acl.Describe)},
		{"cluster, for one who may not describe it", cluster(userOf(1)), 0},
		{"cluster", cluster(userOf(2)), set(acl.Describe)},
		{"cluster, for one who may do everything", cluster(userOf(0)), acl.AllOperations(acl.Cluster)},
	} {
		if x.got != x.want {
			t.Errorf("%s: got %b, want %b", x.what, x.got, x.want)
		}
	}
}
