package metadata

import (
	"strings"

	"github.com/tidwall/btree"

	"github.com/tidelinehq/tideline/metadata/record"
)

// The commands here change all that they name, or nothing: they work on copies
// of the trees, which share all nodes that are not written. What is kept of a
// command is copied out of its lists, or one binding would hold the memory of all
// that came with it.

// settle puts a changed tree into the place of the old one and moves its
// generation, unless it is too large. A tree that was too large already, by
// another release's bound, may shrink.
func settle[V any](e *edit, old *btree.Map[string, V], next btree.Map[string, V], max int, generation *uint64) record.Reason {
	if next.Len() > max && next.Len() >= old.Len() {
		return record.TooMany
	}
	*old, *generation = next, e.index
	return record.OK
}

func (e *edit) changeACLs(c *record.ChangeACLs) record.Reason {
	next := fork(e.acls)
	for i := range c.Remove {
		next.Delete(c.Remove[i].Key())
	}
	for i := range c.Add {
		a := c.Add[i]
		if !a.Valid() {
			return record.Invalid
		}
		next.Set(a.Key(), &a)
	}
	return settle(e, &e.acls, next, record.MaxACLs, &e.generations.security)
}

func (e *edit) setRole(c *record.SetRole) record.Reason {
	if !c.Role.Valid() {
		return record.Invalid
	}
	next := fork(e.roles)
	next.Set(c.Role.Name, &c.Role)
	return settle(e, &e.roles, next, record.MaxRoles, &e.generations.security)
}

// removeRole takes the grants along: a role that is made again under the name
// must not come into hands that nobody gave it to.
func (e *edit) removeRole(c *record.RemoveRole) record.Reason {
	if _, ok := e.roles.Delete(c.Name); !ok {
		return record.NoRole
	}
	first := c.Name + "\x00"
	var gone []string
	e.grants.Ascend(first, func(k string, _ *record.Grant) bool {
		if !strings.HasPrefix(k, first) {
			return false
		}
		gone = append(gone, k)
		return true
	})
	for _, k := range gone {
		e.grants.Delete(k)
	}
	e.generations.security = e.index
	return record.OK
}

func (e *edit) changeGrants(c *record.ChangeGrants) record.Reason {
	next := fork(e.grants)
	for i := range c.Remove {
		next.Delete(c.Remove[i].Key())
	}
	for i := range c.Add {
		g := c.Add[i]
		if !g.Valid() {
			return record.Invalid
		}
		if _, ok := e.roles.Get(g.Role); !ok {
			return record.NoRole
		}
		next.Set(g.Key(), &g)
	}
	return settle(e, &e.grants, next, record.MaxGrants, &e.generations.security)
}

func (e *edit) changeScram(c *record.ChangeScram) record.Reason {
	next := fork(e.scram)
	for _, n := range c.Remove {
		next.Delete(n.Key())
	}
	for i := range c.Set {
		s := c.Set[i]
		if !s.Valid() {
			return record.Invalid
		}
		next.Set(s.Name().Key(), &s)
	}
	return settle(e, &e.scram, next, record.MaxScram, &e.generations.scram)
}

func (e *edit) changeQuotas(c *record.ChangeQuotas) record.Reason {
	next := fork(e.quotas)
	for i := range c.Changes {
		x := &c.Changes[i]
		if !x.Valid() {
			return record.Invalid
		}
		k := x.Entity.Key()
		q, ok := next.Get(k)
		if !ok {
			q = &record.Quota{Entity: x.Entity}
		}
		switch values := q.With(x.Key, x.Value, x.Remove); {
		case len(values) == 0:
			next.Delete(k)
		case len(values) > record.MaxQuotaValues:
			return record.TooMany
		default:
			next.Set(k, &record.Quota{Entity: q.Entity, Values: values})
		}
	}
	return settle(e, &e.quotas, next, record.MaxQuotas, &e.generations.quota)
}

func (e *edit) setToken(c *record.SetToken) record.Reason {
	if !c.Token.Valid() {
		return record.Invalid
	}
	old, ok := e.tokens.Get(c.Token.ID)
	switch {
	case ok && old.Equal(&c.Token):
		return record.Already
	case ok && !c.Renew:
		return record.TokenExists
	case !ok && c.Renew:
		return record.NoToken
	case !ok && e.tokens.Len() >= record.MaxTokens:
		return record.TooMany
	}
	e.tokens.Set(c.Token.ID, &c.Token)
	e.generations.token = e.index
	return record.OK
}

func (e *edit) removeToken(c *record.RemoveToken) record.Reason {
	old, ok := e.tokens.Get(c.ID)
	if !ok {
		return record.NoToken
	}
	if old.ExpiresAt > c.ExpiresAt {
		return record.StaleEpoch
	}
	e.tokens.Delete(c.ID)
	e.generations.token = e.index
	return record.OK
}

func (e *edit) setClientMetrics(c *record.SetClientMetrics) record.Reason {
	if !record.ValidName(c.Name, record.MaxSubscriptionName) {
		return record.Invalid
	}
	configs, err := e.ClientMetricsConfigs(c.Name).Apply(c.Changes)
	_, there := e.clientMetrics.Get(c.Name)
	switch {
	case err != nil, !there && len(configs) > 0 && e.clientMetrics.Len() >= record.MaxSubscriptions:
		return record.TooMany
	case len(configs) == 0:
		e.clientMetrics.Delete(c.Name)
	default:
		e.clientMetrics.Set(c.Name, configs)
	}
	e.generations.clientMetrics = e.index
	return record.OK
}
