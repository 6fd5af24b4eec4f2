package record

import (
	"math"
	"slices"
	"strings"
)

// Types of the parts of an entity that has quotas.
const (
	QuotaUser     = "user"
	QuotaClientID = "client-id"
	QuotaIP       = "ip"
)

// QuotaPart is one part of an entity: a user, a client id or an address, or
// with Default all those that have no quota of their own.
type QuotaPart struct {
	Type    string
	Name    string // empty with Default
	Default bool
}

// QuotaEntity is whom a quota is for, its parts in the order of their types:
// {user}, {client-id}, {client-id, user} or {ip}.
type QuotaEntity []QuotaPart

// Valid reports whether an entity can have quotas.
func (q QuotaEntity) Valid() bool {
	for i, p := range q {
		if i > 0 && q[i-1].Type >= p.Type {
			return false
		}
		if p.Default && p.Name != "" || strings.IndexByte(p.Name, 0) >= 0 || len(p.Name) > MaxPrincipal {
			return false
		}
	}
	switch len(q) {
	case 1:
		return q[0].Type == QuotaUser || q[0].Type == QuotaClientID || q[0].Type == QuotaIP
	case 2:
		return q[0].Type == QuotaClientID && q[1].Type == QuotaUser
	}
	return false
}

// Key is the place of the entity in the order of all: the types and names of
// its parts, one that is a default before those with a name.
func (q QuotaEntity) Key() string {
	var b []byte
	for _, p := range q {
		b = append(append(b, p.Type...), 0)
		if p.Default {
			b = append(b, 0)
		} else {
			b = append(append(append(b, 1), p.Name...), 0)
		}
	}
	return string(b)
}

// String returns the entity as type=name pairs, a default as <default>.
func (q QuotaEntity) String() string {
	var b strings.Builder
	for i, p := range q {
		if i > 0 {
			b.WriteByte(',')
		}
		name := p.Name
		if p.Default {
			name = "<default>"
		}
		b.WriteString(p.Type + "=" + name)
	}
	return b.String()
}

// QuotaValue is one quota of an entity.
type QuotaValue struct {
	Key   string
	Value float64
}

// Quota is what an entity has. It is immutable.
type Quota struct {
	Entity QuotaEntity
	Values []QuotaValue // in key order, at least one
}

// Get returns a value.
func (q *Quota) Get(key string) (float64, bool) {
	i, ok := slices.BinarySearchFunc(q.Values, key, compareQuotaKey)
	if !ok {
		return 0, false
	}
	return q.Values[i].Value, true
}

func compareQuotaKey(v QuotaValue, key string) int { return strings.Compare(v.Key, key) }

// With returns the values after a change, in order. They share nothing with q.
func (q *Quota) With(key string, value float64, remove bool) []QuotaValue {
	out := slices.Clone(q.Values)
	i, ok := slices.BinarySearchFunc(out, key, compareQuotaKey)
	switch {
	case remove && ok:
		return slices.Delete(out, i, i+1)
	case remove:
		return out
	case ok:
		out[i].Value = value
		return out
	}
	return slices.Insert(out, i, QuotaValue{key, value})
}

// Valid reports whether a quota can be kept.
func (q *Quota) Valid() bool {
	for i, v := range q.Values {
		if i > 0 && q.Values[i-1].Key >= v.Key || !validQuota(v.Key, v.Value) {
			return false
		}
	}
	return q.Entity.Valid() && len(q.Values) > 0 && len(q.Values) <= MaxQuotaValues
}

func validQuota(key string, value float64) bool {
	return ValidName(key, MaxQuotaKey) && !math.IsNaN(value) && !math.IsInf(value, 0)
}

// QuotaChange sets one quota of an entity, or removes it.
type QuotaChange struct {
	Entity QuotaEntity
	Key    string
	Value  float64
	Remove bool
}

// Valid reports whether the change can be applied.
func (c *QuotaChange) Valid() bool {
	return c.Entity.Valid() && ValidName(c.Key, MaxQuotaKey) && (c.Remove || validQuota(c.Key, c.Value))
}

// ChangeQuotas changes quotas in the order of the list, all of them or none. To
// remove what is not there is no error.
type ChangeQuotas struct{ Changes []QuotaChange }

// ChunkQuotas cuts a ChangeQuotas that may be larger than one command.
func ChunkQuotas(c *ChangeQuotas) []*ChangeQuotas {
	var out []*ChangeQuotas
	for _, p := range chunk(c.Changes, maxList, 0, func(x *QuotaChange) int {
		n := 16 + len(x.Key)
		for i := range x.Entity {
			n += 8 + len(x.Entity[i].Type) + len(x.Entity[i].Name)
		}
		return n
	}) {
		out = append(out, &ChangeQuotas{Changes: p})
	}
	return out
}

// Type implements Command.
func (*ChangeQuotas) Type() Type { return TypeChangeQuotas }

func (c *ChangeQuotas) code(k *coder, _ uint8) {
	list(k, &c.Changes, maxList, 11, func(k *coder, c *QuotaChange) {
		codeEntity(k, &c.Entity)
		k.str(&c.Key, MaxQuotaKey)
		k.f64(&c.Value)
		k.bool(&c.Remove)
	})
}

func codeEntity(k *coder, q *QuotaEntity) {
	list(k, (*[]QuotaPart)(q), maxQuotaParts, 3, func(k *coder, p *QuotaPart) {
		k.str(&p.Type, 32)
		k.str(&p.Name, MaxPrincipal)
		k.bool(&p.Default)
	})
}

func (q *Quota) codeState(k *coder, _ uint8) {
	codeEntity(k, &q.Entity)
	list(k, &q.Values, MaxQuotaValues, 9, func(k *coder, v *QuotaValue) {
		k.str(&v.Key, MaxQuotaKey)
		k.f64(&v.Value)
	})
}
