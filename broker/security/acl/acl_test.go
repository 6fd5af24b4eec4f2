package acl

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/tidelinehq/tideline/broker/security"
	"github.com/tidelinehq/tideline/metadata/record"
)

// parse reads bindings, one a line: allow|deny PRINCIPAL OPERATION KIND NAME [from HOST];
// a name that ends with "..." is a prefix.
func parse(t testing.TB, text string) (out []record.ACL) {
	t.Helper()
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		op, err := ParseOperation(f[2])
		kind, err2 := ParseResource(f[3])
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		x := record.ACL{ResourceType: uint8(kind), Pattern: record.PatternLiteral, Resource: f[4], Principal: f[1], Host: "*", Operation: uint8(op), Permission: record.PermissionAllow}
		if f[0] == "deny" {
			x.Permission = record.PermissionDeny
		}
		if name, ok := strings.CutSuffix(x.Resource, "..."); ok {
			x.Pattern, x.Resource = record.PatternPrefixed, name
		}
		if len(f) == 7 {
			x.Host = f[6]
		}
		out = append(out, x)
	}
	return out
}

func authorizer(t testing.TB, o Options, text string) *Authorizer {
	return New(o, Bindings{ACLs: slices.Values(parse(t, text)), Roles: slices.Values([]record.Role(nil)), Grants: slices.Values([]record.Grant(nil))})
}

var alice = &security.Principal{Type: "User", Name: "alice"}

func TestEvaluation(t *testing.T) {
	for _, c := range []struct {
		what     string
		bindings string
		op       Operation
		kind     ResourceType
		name     string
		want     bool
	}{
		{"nothing is allowed that nobody allows", "", Read, Topic, "t", false},
		{"a name", "allow User:alice read topic t", Read, Topic, "t", true},
		{"another name", "allow User:alice read topic t", Read, Topic, "t2", false},
		{"another kind", "allow User:alice read topic t", Read, Group, "t", false},
		{"another principal", "allow User:bob read topic t", Read, Topic, "t", false},
		{"every principal", "allow User:* read topic t", Read, Topic, "t", true},
		{"every name", "allow User:alice read topic *", Read, Topic, "t", true},
		{"a prefix", "allow User:alice read topic orders....", Read, Topic, "orders.eu", true},
		{"a prefix is its own name, too", "allow User:alice read topic orders...", Read, Topic, "orders", true},
		{"a prefix of a prefix", "allow User:alice read topic o...\nallow User:bob read topic orders...", Read, Topic, "orders.eu", true},
		{"a prefix beside the name in the order", "allow User:alice read topic o...\nallow User:bob read topic oa...", Read, Topic, "ob", true},
		{"a star is no prefix of every name", "allow User:alice read topic *...", Read, Topic, "t", false},
		{"all operations", "allow User:alice all topic t", AlterConfigs, Topic, "t", true},
		{"deny first", "allow User:alice all topic t\ndeny User:alice read topic *", Read, Topic, "t", false},
		{"deny says no more than it says", "allow User:alice all topic t\ndeny User:alice read topic *", Describe, Topic, "t", true},
		{"deny to everyone", "allow User:alice all topic t\ndeny User:* all topic t", Read, Topic, "t", false},
		{"reading allows describing", "allow User:alice read topic t", Describe, Topic, "t", true},
		{"writing allows describing", "allow User:alice write topic t", Describe, Topic, "t", true},
		{"deleting allows describing", "allow User:alice delete topic t", Describe, Topic, "t", true},
		{"altering allows describing", "allow User:alice alter topic t", Describe, Topic, "t", true},
		{"creating does not", "allow User:alice create topic t", Describe, Topic, "t", false},
		{"altering settings allows describing them", "allow User:alice alterconfigs topic t", DescribeConfigs, Topic, "t", true},
		{"altering settings does not allow describing", "allow User:alice alterconfigs topic t", Describe, Topic, "t", false},
		{"the host", "allow User:alice read topic t from 10.0.0.1", Read, Topic, "t", true},
		{"the host in another form", "allow User:alice read topic t from ::ffff:10.0.0.1", Read, Topic, "t", true},
		{"another host", "allow User:alice read topic t from 10.0.0.2", Read, Topic, "t", false},
	} {
		if got := authorizer(t, Options{}, c.bindings).Allowed(alice, "10.0.0.1", c.op, c.kind, c.name); got != c.want {
			t.Errorf("%s: got %v", c.what, got)
		}
	}
}

// TestNoBinding: where nothing speaks of a resource, a setting decides.
func TestNoBinding(t *testing.T) {
	a := authorizer(t, Options{AllowIfNone: true, SuperUsers: []string{"User:root", "Group:ops"}}, "allow User:bob read topic t\ndeny User:* write topic t")
	for _, c := range []struct {
		p    *security.Principal
		op   Operation
		name string
		want bool
	}{
		{alice, Read, "free", true}, {alice, Read, "t", false}, {alice, Write, "t", false},
		{&security.Principal{Type: "User", Name: "root"}, Write, "t", true},
		{&security.Principal{Type: "User", Name: "alice", Groups: []string{"ops"}}, Write, "t", true},
	} {
		if got := a.Allowed(c.p, "10.0.0.1", c.op, Topic, c.name); got != c.want {
			t.Errorf("%s may %s %s: got %v", c.p, c.op, c.name, got)
		}
	}
}

// TestRoles: a role counts for those to whom it is granted.
func TestRoles(t *testing.T) {
	reader, err := Ready("reader", "orders-reader", "orders.")
	if err != nil {
		t.Fatal(err)
	}
	grants := []record.Grant{{Role: "orders-reader", Principal: "User:alice"}, {Role: "orders-reader", Principal: "Group:dev"}, {Role: "gone", Principal: "User:bob"}}
	a := New(Options{}, Bindings{ACLs: slices.Values([]record.ACL(nil)), Roles: slices.Values([]record.Role{reader}), Grants: slices.Values(grants)})
	bob, dev := &security.Principal{Type: "User", Name: "bob"}, &security.Principal{Type: "User", Name: "bob", Groups: []string{"dev"}}
	for _, c := range []struct {
		p    *security.Principal
		op   Operation
		kind ResourceType
		name string
		want bool
	}{
		{alice, Read, Topic, "orders.eu", true}, {alice, Describe, Topic, "orders.eu", true}, {alice, Read, Group, "orders.app", true},
		{alice, Read, Topic, "bills", false}, {alice, Write, Topic, "orders.eu", false},
		{bob, Read, Topic, "orders.eu", false}, {dev, Read, Topic, "orders.eu", true},
	} {
		if got := a.Allowed(c.p, "h", c.op, c.kind, c.name); got != c.want {
			t.Errorf("%s may %s %s %s: got %v", c.p, c.op, c.kind, c.name, got)
		}
	}
}

// TestOperations: one look answers about all operations (KIP-430).
func TestOperations(t *testing.T) {
	a := authorizer(t, Options{SuperUsers: []string{"User:root"}}, "allow User:alice write topic t\nallow User:alice all group *\ndeny User:alice delete group g")
	if got, want := a.Client(alice, "h").Operations(Topic, "t"), int32(bit(Write)|bit(Describe)); got != want {
		t.Errorf("topic: got %b, want %b", got, want)
	}
	if got, want := a.Client(alice, "h").Operations(Group, "g"), AllOperations(Group)&^int32(bit(Delete)); got != want {
		t.Errorf("group: got %b, want %b", got, want)
	}
	if got := a.Client(&security.Principal{Type: "User", Name: "root"}, "h").Operations(Cluster, ClusterName); got != AllOperations(Cluster) {
		t.Errorf("super user: got %b", got)
	}
}

// TestReadyRoles: each can be made, and uses its prefix as it says.
func TestReadyRoles(t *testing.T) {
	for _, r := range ReadyRoles {
		for _, prefix := range []string{"", "orders."} {
			role, err := Ready(r.Name, "x", prefix)
			fits := r.Prefix == OptionalPrefix || (r.Prefix == NeedsPrefix) == (prefix != "")
			if fits != (err == nil) {
				t.Errorf("%s with prefix %q: %v", r.Name, prefix, err)
			}
			if err == nil && (!role.Valid() || len(role.ACLs) == 0) {
				t.Errorf("%s cannot be kept: %+v", r.Name, role)
			}
			for _, x := range role.ACLs {
				if op := Operation(x.Operation); op != All && !slices.Contains(ResourceType(x.ResourceType).Operations(), op) {
					t.Errorf("%s: %s makes no sense for %s", r.Name, op, ResourceType(x.ResourceType))
				}
			}
		}
	}
	if _, err := Ready("king", "x", ""); !errors.Is(err, ErrNoReadyRole) {
		t.Errorf("unknown role: %v", err)
	}
}

func TestNames(t *testing.T) {
	for op := All; op <= maxOperation; op++ {
		if got, err := ParseOperation(strings.ToUpper(op.String())); err != nil || got != op {
			t.Errorf("%s: got %v, %v", op, got, err)
		}
	}
	for r := Topic; r <= maxResource; r++ {
		if got, err := ParseResource(strings.ReplaceAll(r.String(), "-", "_")); err != nil || got != r {
			t.Errorf("%s: got %v, %v", r, got, err)
		}
	}
}

// TestAllowedAllocates: a client that is kept is judged without memory of its own.
func TestAllowedAllocates(t *testing.T) {
	c := authorizer(t, Options{}, "allow User:alice read topic orders....\ndeny User:* write topic *").Client(alice, "10.0.0.1")
	if n := testing.AllocsPerRun(100, func() { c.Allowed(Read, Topic, "orders.eu") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
