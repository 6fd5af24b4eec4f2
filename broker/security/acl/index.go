package acl

import (
	"cmp"
	"slices"
	"strings"

	"github.com/tidelinehq/tideline/metadata/record"
)

// index has the bindings of one kind of resource.
type index struct {
	// literal has the rules by name; those of Wildcard are of every name.
	literal map[string][]rule
	// prefixes are sorted by name.
	prefixes []prefix
	// bySubject has the patterns that speak of a subject; see AllowedAny.
	bySubject map[subject][]pattern
}

// rule is what the bindings of one pattern say of one subject from one host.
type rule struct {
	subject     subject
	host        string
	allow, deny mask
}

// prefix is the pattern of all names that begin with name. Such as begin with up, too,
// are found by the link.
type prefix struct {
	name  string
	up    int // the longest other prefix that name begins with; -1: there is none
	rules []rule
}

// pattern is a rule with what it speaks of.
type pattern struct {
	name     string
	prefixed bool
	rule     rule
}

// visit shows the rules of every pattern that matches a name, and reports whether there
// is one.
//
// Every prefix of the name is, in the order of strings, not after it. Let q be the last
// of all prefixes that is not after the name. What lies between a prefix of the name and
// the name begins with that prefix; so q begins with every prefix of the name that there
// is, and all of them are on q's chain of links.
func (x *index) visit(name string, show func([]rule)) (found bool) {
	if rules, ok := x.literal[name]; ok {
		found = true
		show(rules)
	}
	if rules, ok := x.literal[Wildcard]; ok && name != Wildcard {
		found = true
		show(rules)
	}
	at, exact := slices.BinarySearchFunc(x.prefixes, name, func(p prefix, name string) int { return cmp.Compare(p.name, name) })
	if !exact {
		at--
	}
	for ; at >= 0; at = x.prefixes[at].up {
		if p := &x.prefixes[at]; strings.HasPrefix(name, p.name) {
			found = true
			show(p.rules)
		}
	}
	return found
}

// builder gathers the bindings of an index.
type builder struct {
	literal, prefixed map[string][]rule
}

func (b *builder) add(x *record.ACL, s subject) {
	r := rule{subject: s, host: Wildcard}
	if x.Host != Wildcard {
		r.host = plainHost(x.Host)
	}
	if x.Permission == record.PermissionDeny {
		r.deny = bits(x.Operation)
	} else {
		r.allow = bits(x.Operation)
	}
	if b.literal == nil {
		b.literal, b.prefixed = make(map[string][]rule), make(map[string][]rule)
	}
	if x.Pattern == record.PatternPrefixed {
		b.prefixed[x.Resource] = append(b.prefixed[x.Resource], r)
	} else {
		b.literal[x.Resource] = append(b.literal[x.Resource], r)
	}
}

func (b *builder) index() index {
	x := index{literal: b.literal, bySubject: make(map[subject][]pattern)}
	for name, rules := range b.literal {
		rules = merge(rules)
		x.literal[name] = rules
		x.remember(name, false, rules)
	}
	for name, rules := range b.prefixed {
		rules = merge(rules)
		x.prefixes = append(x.prefixes, prefix{name: name, rules: rules})
		x.remember(name, true, rules)
	}
	slices.SortFunc(x.prefixes, func(a, b prefix) int { return cmp.Compare(a.name, b.name) })
	var open []int // the chain of prefixes that the last one begins with
	for i := range x.prefixes {
		p := &x.prefixes[i]
		for len(open) > 0 && !strings.HasPrefix(p.name, x.prefixes[open[len(open)-1]].name) {
			open = open[:len(open)-1]
		}
		p.up = -1
		if len(open) > 0 {
			p.up = open[len(open)-1]
		}
		open = append(open, i)
	}
	return x
}

// remember notes under each subject what speaks of it. The order does not count.
func (x *index) remember(name string, prefixed bool, rules []rule) {
	for _, r := range rules {
		x.bySubject[r.subject] = append(x.bySubject[r.subject], pattern{name, prefixed, r})
	}
}

// merge sorts rules and makes one of those of one subject and host.
func merge(rules []rule) []rule {
	slices.SortFunc(rules, func(a, b rule) int {
		return cmp.Or(cmp.Compare(a.subject, b.subject), cmp.Compare(a.host, b.host))
	})
	n := 0
	for _, r := range rules[1:] {
		if last := &rules[n]; last.subject == r.subject && last.host == r.host {
			last.allow |= r.allow
			last.deny |= r.deny
			continue
		}
		n++
		rules[n] = r
	}
	return slices.Clip(rules[:n+1])
}
