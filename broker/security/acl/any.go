package acl

import "strings"

// hardcoded is the name that Kafka asks about to find out whether a client may do
// everything, or everything is allowed of which no binding speaks.
const hardcoded = "hardcode"

// AllowedAny reports whether there may be a resource of a kind on which the client may do
// op: a binding allows it, and no other takes back all that it allows. It looks for op
// itself, or all operations, not for what allows op on the side.
func (c *Client) AllowedAny(op Operation, kind ResourceType) bool {
	if c.super {
		return true
	}
	if op > maxOperation || kind > maxResource {
		return false
	}
	if c.Allowed(op, kind, hardcoded) {
		return true
	}
	denied := denials{names: make(map[string]struct{})}
	each := func(visit func(p *pattern) bool) bool {
		for _, s := range c.subjects {
			patterns := c.authorizer.kinds[kind].bySubject[s]
			for i := range patterns {
				if p := &patterns[i]; (p.rule.host == Wildcard || p.rule.host == c.host) && visit(p) {
					return true
				}
			}
		}
		return false
	}
	if each(func(p *pattern) bool { return p.rule.deny&bit(op) != 0 && denied.add(p) }) {
		return false
	}
	return each(func(p *pattern) bool { return p.rule.allow&bit(op) != 0 && !denied.cover(p) })
}

// denials are patterns on which something is denied.
type denials struct {
	names    map[string]struct{}
	prefixes []string
}

// add reports whether everything is denied.
func (d *denials) add(p *pattern) bool {
	switch {
	case p.prefixed:
		d.prefixes = append(d.prefixes, p.name)
	case p.name == Wildcard:
		return true
	default:
		d.names[p.name] = struct{}{}
	}
	return false
}

// cover reports whether they take back all of what a pattern allows. One that allows
// every name is never covered by some.
func (d *denials) cover(p *pattern) bool {
	if !p.prefixed {
		if p.name == Wildcard {
			return false
		}
		if _, ok := d.names[p.name]; ok {
			return true
		}
	}
	for _, prefix := range d.prefixes {
		if strings.HasPrefix(p.name, prefix) {
			return true
		}
	}
	return false
}
