package acl

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/tidelinehq/tideline/broker/security"
	"github.com/tidelinehq/tideline/metadata/record"
)

// naive judges as the page of the package says, binding by binding.
type naive struct {
	o      Options
	acls   []record.ACL
	roles  []record.Role
	grants []record.Grant
}

// all are the bindings with those that grants make of roles. A role that is granted to
// somebody else speaks of nobody here, but of its resources it does.
func (n *naive) all() []record.ACL {
	out := slices.Clone(n.acls)
	for _, r := range n.roles {
		for _, g := range n.grants {
			for _, x := range r.ACLs {
				if g.Role == r.Name {
					x.Principal = g.Principal
					out = append(out, x)
				}
			}
		}
	}
	return out
}

func (n *naive) speaksOf(x *record.ACL, p *security.Principal, host string) bool {
	who := x.Principal == p.String() || x.Principal == Everyone
	for _, g := range p.Groups {
		who = who || x.Principal == "Group:"+g
	}
	return who && (x.Host == "*" || x.Host == host)
}

func (n *naive) super(p *security.Principal) bool {
	for _, s := range n.o.SuperUsers {
		for _, g := range p.Groups {
			if s == "Group:"+g {
				return true
			}
		}
		if s == p.String() {
			return true
		}
	}
	return false
}

func (n *naive) allowed(p *security.Principal, host string, op Operation, kind ResourceType, name string) bool {
	if n.super(p) {
		return true
	}
	found, allow := false, false
	for _, x := range n.all() {
		matches := x.Resource == name || x.Pattern == record.PatternLiteral && x.Resource == "*" || x.Pattern == record.PatternPrefixed && strings.HasPrefix(name, x.Resource)
		if x.ResourceType != uint8(kind) || !matches {
			continue
		}
		found = true
		if !n.speaksOf(&x, p, host) {
			continue
		}
		same := x.Operation == uint8(op) || x.Operation == uint8(All)
		if x.Permission == record.PermissionDeny {
			if same {
				return false
			}
			continue
		}
		switch op {
		case Describe:
			same = same || slices.Contains([]Operation{Read, Write, Delete, Alter}, Operation(x.Operation))
		case DescribeConfigs:
			same = same || x.Operation == uint8(AlterConfigs)
		}
		allow = allow || same
	}
	return allow || !found && n.o.AllowIfNone
}

func (n *naive) allowedAny(p *security.Principal, host string, op Operation, kind ResourceType) bool {
	if n.super(p) || n.allowed(p, host, op, kind, "hardcode") {
		return true
	}
	var allows, denies []record.ACL
	for _, x := range n.all() {
		if x.ResourceType == uint8(kind) && n.speaksOf(&x, p, host) && (x.Operation == uint8(op) || x.Operation == uint8(All)) {
			if x.Permission == record.PermissionDeny {
				denies = append(denies, x)
			} else {
				allows = append(allows, x)
			}
		}
	}
	everyName := func(x record.ACL) bool { return x.Pattern == record.PatternLiteral && x.Resource == "*" }
	if slices.ContainsFunc(denies, everyName) {
		return false
	}
	for _, x := range allows {
		covered := slices.ContainsFunc(denies, func(d record.ACL) bool {
			if d.Pattern == record.PatternPrefixed {
				return strings.HasPrefix(x.Resource, d.Resource)
			}
			return x.Pattern == record.PatternLiteral && x.Resource == d.Resource
		})
		if everyName(x) || !covered {
			return true
		}
	}
	return false
}

// world makes few names, so that patterns meet.
func world(r *rand.Rand) *naive {
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	one := func(principal string) record.ACL {
		x := record.ACL{
			ResourceType: uint8([]ResourceType{Topic, Topic, Topic, Group, Cluster}[r.IntN(5)]),
			Pattern:      []uint8{record.PatternLiteral, record.PatternPrefixed}[r.IntN(2)],
			Resource:     pick("*", "a", "ab", "abc", "abd", "b", "ba", "c", "hard"),
			Principal:    principal, Host: pick("*", "*", "10.0.0.1", "10.0.0.2"),
			Operation: uint8([]Operation{All, Read, Write, Describe, Alter, DescribeConfigs, AlterConfigs}[r.IntN(7)]),
		}
		x.Permission = []uint8{record.PermissionAllow, record.PermissionAllow, record.PermissionDeny}[r.IntN(3)]
		return x
	}
	principal := func() string { return pick("User:alice", "User:bob", "User:*", "Group:ops", "Group:dev") }
	n := &naive{o: Options{AllowIfNone: r.IntN(3) == 0}}
	if r.IntN(4) == 0 {
		n.o.SuperUsers = []string{pick("User:alice", "Group:ops", "User:root")}
	}
	for range r.IntN(12) {
		n.acls = append(n.acls, one(principal()))
	}
	for i := range r.IntN(4) {
		role := record.Role{Name: fmt.Sprint("role", i)}
		for range r.IntN(4) {
			role.ACLs = append(role.ACLs, one(""))
		}
		n.roles = append(n.roles, role)
		for range r.IntN(3) {
			n.grants = append(n.grants, record.Grant{Role: role.Name, Principal: principal()})
		}
	}
	return n
}

func (n *naive) build() *Authorizer {
	return New(n.o, Bindings{ACLs: slices.Values(n.acls), Roles: slices.Values(n.roles), Grants: slices.Values(n.grants)})
}

// TestNaive compares the index with a look at every binding.
func TestNaive(t *testing.T) {
	people := []*security.Principal{
		{Type: "User", Name: "alice"}, {Type: "User", Name: "bob", Groups: []string{"ops"}},
		{Type: "User", Name: "carol", Groups: []string{"dev", "ops"}}, {Type: "User", Name: "dave"}, security.Anonymous,
	}
	hosts := []string{"10.0.0.1", "10.0.0.2", "10.0.0.3"}
	names := []string{"a", "ab", "abc", "abcd", "abx", "b", "bab", "c", "d", "*", "hard"}
	for seed := range uint64(1000) {
		n := world(rand.New(rand.NewPCG(seed, 1)))
		a := n.build()
		for _, p := range people {
			for _, host := range hosts {
				c := a.Client(p, host)
				for _, op := range []Operation{Read, Write, Describe, Alter, DescribeConfigs, AlterConfigs, Create} {
					if got, want := c.AllowedAny(op, Topic), n.allowedAny(p, host, op, Topic); got != want {
						t.Fatalf("seed=%d %s from %s may %s some topic: got %v, want %v\n%+v", seed, p, host, op, got, want, n)
					}
					for _, name := range names {
						if got, want := c.Allowed(op, Topic, name), n.allowed(p, host, op, Topic, name); got != want {
							t.Fatalf("seed=%d %s from %s may %s topic %s: got %v, want %v\n%+v", seed, p, host, op, name, got, want, n)
						}
					}
				}
			}
		}
	}
}
