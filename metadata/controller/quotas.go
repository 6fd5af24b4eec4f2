package controller

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"slices"

	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/record"
)

// Names of quotas.
const (
	ProducerByteRate       = "producer_byte_rate"
	ConsumerByteRate       = "consumer_byte_rate"
	RequestPercentage      = "request_percentage"
	ControllerMutationRate = "controller_mutation_rate"
	ConnectionCreationRate = "connection_creation_rate" // of an address
)

// QuotaOp sets one quota, or removes it.
type QuotaOp struct {
	Key    string
	Value  float64
	Remove bool
}

// QuotaAlteration is what is asked for one entity.
type QuotaAlteration struct {
	Entity []record.QuotaPart // in any order
	Ops    []QuotaOp
}

// QuotaResult answers for one entity.
type QuotaResult struct {
	Entity record.QuotaEntity
	Err    error
}

// AlterQuotas decides about quotas, entity by entity. There is one result for
// each, in the order in which they are named first. Of an entity that is named
// more than once the first alteration counts, and the result says that there
// were others, as in Kafka. The command is nil when nothing changes.
func AlterQuotas(m *metadata.Image, asked []QuotaAlteration) (*record.ChangeQuotas, []QuotaResult) {
	c := new(record.ChangeQuotas)
	out := make([]QuotaResult, 0, len(asked))
	at := make(map[string]int, len(asked))
	for i := range asked {
		entity := slices.Clone(asked[i].Entity)
		slices.SortStableFunc(entity, func(a, b record.QuotaPart) int { return cmp.Compare(a.Type, b.Type) })
		k := record.QuotaEntity(entity).Key()
		if first, twice := at[k]; twice {
			out[first].Err = fmt.Errorf("%w: entity named twice: %s", ErrInvalidRequest, out[first].Entity)
			continue
		}
		at[k] = len(out)
		changes, err := alterQuota(m, entity, asked[i].Ops)
		if err == nil && len(c.Changes)+len(changes) > maxChanges {
			err = fmt.Errorf("%w: max=%d", ErrTooManyChanges, maxChanges)
		}
		if err == nil {
			c.Changes = append(c.Changes, changes...)
		}
		out = append(out, QuotaResult{entity, err})
	}
	if len(c.Changes) == 0 {
		return nil, out
	}
	return c, out
}

func alterQuota(m *metadata.Image, entity record.QuotaEntity, ops []QuotaOp) ([]record.QuotaChange, error) {
	keys, err := quotaKeys(entity)
	if err != nil {
		return nil, err
	}
	now, _ := m.Quota(entity)
	seen := make(map[string]bool, len(ops))
	var out []record.QuotaChange
	for _, op := range ops {
		if seen[op.Key] {
			return nil, fmt.Errorf("%w: quota named twice: key=%s", ErrInvalidRequest, op.Key)
		}
		seen[op.Key] = true
		if !op.Remove {
			if err := checkQuota(keys, op.Key, op.Value); err != nil {
				return nil, err
			}
		}
		value, ok := now.Get(op.Key)
		switch {
		case op.Remove && ok:
			out = append(out, record.QuotaChange{Entity: entity, Key: op.Key, Remove: true})
		case !op.Remove && (!ok || value != op.Value):
			out = append(out, record.QuotaChange{Entity: entity, Key: op.Key, Value: op.Value})
		}
	}
	return out, nil
}

// quotaType is what a quota may have for a value.
type quotaType int

const (
	wholeInt  quotaType = iota // up to 2^31 - 1
	wholeLong                  // up to 2^63
	fraction
)

var (
	clientQuotas = map[string]quotaType{ProducerByteRate: wholeLong, ConsumerByteRate: wholeLong, RequestPercentage: fraction, ControllerMutationRate: fraction}
	ipQuotas     = map[string]quotaType{ConnectionCreationRate: wholeInt}
)

// quotaKeys returns which quotas an entity can have. An address must be one: the
// name of a host, which Kafka looks up, would be another one on each broker.
func quotaKeys(entity record.QuotaEntity) (map[string]quotaType, error) {
	ip := false
	for i, p := range entity {
		switch {
		case p.Type != record.QuotaUser && p.Type != record.QuotaClientID && p.Type != record.QuotaIP:
			return nil, fmt.Errorf("%w: unknown type of entity=%q", ErrInvalidRequest, p.Type)
		case i > 0 && entity[i-1].Type == p.Type:
			return nil, fmt.Errorf("%w: type of entity twice: %s", ErrInvalidRequest, p.Type)
		case !p.Default && !record.ValidName(p.Name, record.MaxPrincipal):
			return nil, fmt.Errorf("%w: %s without a name, or one of more than %d bytes", ErrInvalidRequest, p.Type, record.MaxPrincipal)
		}
		if p.Type != record.QuotaIP {
			continue
		}
		ip = true
		if _, err := netip.ParseAddr(p.Name); err != nil && !p.Default {
			return nil, fmt.Errorf("%w: not an ip address: %q", ErrInvalidRequest, p.Name)
		}
	}
	switch {
	case len(entity) == 0:
		return nil, fmt.Errorf("%w: entity without parts", ErrInvalidRequest)
	case ip && len(entity) > 1:
		return nil, fmt.Errorf("%w: an ip can not be combined with a user or client id: %s", ErrInvalidRequest, entity)
	case ip:
		return ipQuotas, nil
	}
	return clientQuotas, nil
}

func checkQuota(keys map[string]quotaType, key string, value float64) error {
	kind, ok := keys[key]
	switch {
	case !ok:
		return fmt.Errorf("%w: no such quota for this entity: key=%q", ErrInvalidRequest, key)
	case !(value > 0) || math.IsInf(value, 1):
		return fmt.Errorf("%w: a quota is greater than 0: %s=%g", ErrInvalidRequest, key, value)
	case kind == fraction:
		return nil
	case kind == wholeInt && value > math.MaxInt32, kind == wholeLong && value > math.MaxInt64:
		return fmt.Errorf("%w: quota too large: %s=%g", ErrInvalidRequest, key, value)
	case math.Mod(value, 1) > 1e-6:
		return fmt.Errorf("%w: quota with a fraction: %s=%g", ErrInvalidRequest, key, value)
	}
	return nil
}

// How a part of an entity is compared, in Kafka's numbers.
const (
	QuotaExact     uint8 = 0 // the name
	QuotaDefault   uint8 = 1 // the default of the type
	QuotaSpecified uint8 = 2 // any name, or the default
)

// QuotaFilter is a condition on one part of an entity.
type QuotaFilter struct {
	Type  string
	Match uint8
	Name  *string
}

// DescribeQuotas returns the entities that meet all conditions, with strict only
// those that have no other parts.
func DescribeQuotas(m *metadata.Image, filters []QuotaFilter, strict bool) ([]record.Quota, error) {
	if err := checkQuotaFilters(filters); err != nil {
		return nil, err
	}
	var out []record.Quota
	for q := range m.Quotas() {
		if meets(q.Entity, filters) && (!strict || len(filters) == len(q.Entity)) {
			out = append(out, q)
		}
	}
	return out, nil
}

func checkQuotaFilters(filters []QuotaFilter) error {
	seen := map[string]bool{}
	for _, f := range filters {
		switch {
		case f.Type == "":
			return fmt.Errorf("%w: empty type of entity", ErrInvalidRequest)
		case seen[f.Type]:
			return fmt.Errorf("%w: type of entity twice: %s", ErrInvalidRequest, f.Type)
		case f.Type != record.QuotaUser && f.Type != record.QuotaClientID && f.Type != record.QuotaIP:
			return fmt.Errorf("%w: type=%q", ErrUnknownEntityType, f.Type)
		case f.Match > QuotaSpecified:
			return fmt.Errorf("%w: unknown kind of match=%d", ErrInvalidRequest, f.Match)
		case f.Match == QuotaExact && f.Name == nil:
			return fmt.Errorf("%w: exact match without a name: %s", ErrInvalidRequest, f.Type)
		case f.Match != QuotaExact && f.Name != nil:
			return fmt.Errorf("%w: name with a match that has none: %s", ErrInvalidRequest, f.Type)
		}
		seen[f.Type] = true
	}
	if seen[record.QuotaIP] && len(seen) > 1 {
		return fmt.Errorf("%w: an ip can not be combined with a user or client id", ErrInvalidRequest)
	}
	return nil
}

func meets(entity record.QuotaEntity, filters []QuotaFilter) bool {
	for _, f := range filters {
		if !slices.ContainsFunc(entity, func(p record.QuotaPart) bool {
			return p.Type == f.Type && (f.Match == QuotaSpecified || p.Default == (f.Match == QuotaDefault) && (p.Default || p.Name == *f.Name))
		}) {
			return false
		}
	}
	return true
}
