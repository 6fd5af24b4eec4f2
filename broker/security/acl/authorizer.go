package acl

import (
	"iter"
	"net/netip"
	"slices"

	"github.com/tidelinehq/tideline/broker/security"
	"github.com/tidelinehq/tideline/metadata/record"
)

// Bindings are what an Authorizer judges by.
type Bindings struct {
	ACLs   iter.Seq[record.ACL]
	Roles  iter.Seq[record.Role]
	Grants iter.Seq[record.Grant]
}

// Options are the settings of an Authorizer.
type Options struct {
	// SuperUsers are principals that may do everything: User:alice, or Group:ops for all
	// whose token names that group.
	SuperUsers []string
	// AllowIfNone allows everything on resources of which no binding speaks
	// (allow.everyone.if.no.acl.found).
	AllowIfNone bool
}

// Authorizer judges. It is immutable.
type Authorizer struct {
	allowIfNone bool
	super       map[string]struct{}
	// subjects numbers the principals of which bindings and grants speak.
	subjects map[string]subject
	// granted are the roles of a principal, as subjects.
	granted map[subject][]subject
	kinds   [maxResource + 1]index
}

// subject is a principal or a role, by a number of its own in one Authorizer.
type subject int32

// New makes an Authorizer.
func New(o Options, b Bindings) *Authorizer {
	a := &Authorizer{
		allowIfNone: o.AllowIfNone, super: make(map[string]struct{}, len(o.SuperUsers)),
		subjects: make(map[string]subject), granted: make(map[subject][]subject),
	}
	for _, s := range o.SuperUsers {
		a.super[s] = struct{}{}
	}
	var next subject
	number := func(principal string) subject {
		s, ok := a.subjects[principal]
		if !ok {
			s = next
			next++
			a.subjects[principal] = s
		}
		return s
	}
	var builders [maxResource + 1]builder
	for x := range b.ACLs {
		if int(x.ResourceType) < len(builders) {
			builders[x.ResourceType].add(&x, number(x.Principal))
		}
	}
	roles := make(map[string]subject) // those that are granted to anybody
	for g := range b.Grants {
		role, ok := roles[g.Role]
		if !ok {
			role = next
			next++
			roles[g.Role] = role
		}
		s := number(g.Principal)
		a.granted[s] = append(a.granted[s], role)
	}
	for r := range b.Roles {
		role, ok := roles[r.Name]
		if !ok {
			continue
		}
		for i := range r.ACLs {
			if x := &r.ACLs[i]; int(x.ResourceType) < len(builders) {
				builders[x.ResourceType].add(x, role)
			}
		}
	}
	for kind := range builders {
		a.kinds[kind] = builders[kind].index()
	}
	return a
}

// Client is a principal on a host, as the bindings of one Authorizer speak of it. It is
// immutable: whoever asks often about one client keeps it.
type Client struct {
	authorizer *Authorizer
	super      bool
	host       string
	subjects   []subject // sorted
}

// Client finds what the bindings speak of when they speak of p.
func (a *Authorizer) Client(p *security.Principal, host string) *Client {
	c := &Client{authorizer: a, host: plainHost(host)}
	add := func(principal string) {
		if _, super := a.super[principal]; super {
			c.super = true
		}
		s, ok := a.subjects[principal]
		if !ok {
			return
		}
		c.subjects = append(append(c.subjects, s), a.granted[s]...)
	}
	add(p.String())
	for _, g := range p.Groups {
		add(GroupType + ":" + g)
	}
	if s, ok := a.subjects[Everyone]; ok {
		c.subjects = append(append(c.subjects, s), a.granted[s]...)
	}
	slices.Sort(c.subjects)
	c.subjects = slices.Compact(c.subjects)
	return c
}

// plainHost brings the forms of an address together: ::ffff:10.0.0.1 is 10.0.0.1, and
// 0:0:0:0:0:0:0:1, as Java writes it, ::1.
func plainHost(host string) string {
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return host
	}
	return addr.Unmap().WithZone("").String()
}

// Allowed reports whether p, from host, may do op on a resource.
func (a *Authorizer) Allowed(p *security.Principal, host string, op Operation, kind ResourceType, name string) bool {
	return a.Client(p, host).Allowed(op, kind, name)
}

// AllowedAny reports whether p, from host, may do op on some resource of a kind.
func (a *Authorizer) AllowedAny(p *security.Principal, host string, op Operation, kind ResourceType) bool {
	return a.Client(p, host).AllowedAny(op, kind)
}

// Allowed reports whether the client may do op on a resource.
func (c *Client) Allowed(op Operation, kind ResourceType, name string) bool {
	if c.super {
		return true
	}
	if op > maxOperation || kind > maxResource {
		return false
	}
	return c.verdict(kind, name).allows(op)
}

// Operations are those that make sense for a kind of resource and are allowed, as a set
// of bits by Kafka's numbers (KIP-430).
func (c *Client) Operations(kind ResourceType, name string) int32 {
	if kind > maxResource {
		return 0
	}
	if c.super {
		return AllOperations(kind)
	}
	v := c.verdict(kind, name)
	set := mask(0)
	for _, op := range kind.Operations() {
		if v.allows(op) {
			set |= bit(op)
		}
	}
	return int32(set)
}

// AllOperations are all operations that make sense for a kind of resource, as a set of
// bits.
func AllOperations(kind ResourceType) int32 {
	set := mask(0)
	for _, op := range kind.Operations() {
		set |= bit(op)
	}
	return int32(set)
}

// verdict is what all bindings together say of a client and a resource.
type verdict struct {
	allow, deny mask
	// none: no binding speaks of the resource, and then everything is allowed.
	none bool
}

func (v verdict) allows(op Operation) bool {
	return v.deny&bit(op) == 0 && (v.none || v.allow&allowedBy[op] != 0)
}

func (c *Client) verdict(kind ResourceType, name string) verdict {
	var v verdict
	found := c.authorizer.kinds[kind].visit(name, func(rules []rule) { v.hear(c, rules) })
	v.none = !found && c.authorizer.allowIfNone
	return v
}

// hear adds what the rules of one pattern say of a client.
func (v *verdict) hear(c *Client, rules []rule) {
	for _, s := range c.subjects {
		i, _ := slices.BinarySearchFunc(rules, s, func(r rule, s subject) int { return int(r.subject) - int(s) })
		for ; i < len(rules) && rules[i].subject == s; i++ {
			if r := &rules[i]; r.host == Wildcard || r.host == c.host {
				v.allow |= r.allow
				v.deny |= r.deny
			}
		}
	}
}
