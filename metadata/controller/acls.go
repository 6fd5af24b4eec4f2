package controller

import (
	"fmt"
	"strings"

	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/record"
)

// Bounds of a request that changes many small things: as many as in Kafka, and
// so many filters that comparing each with each binding takes no minutes.
const (
	maxChanges = 10_000
	maxFilters = 1000
)

// ClusterResource is the only name that a resource of the type cluster can have.
const ClusterResource = "kafka-cluster"

// Values of an ACLFilter beside those of bindings, in Kafka's numbers. 0 is what
// a newer client means and this release does not know.
const (
	FilterAny   uint8 = 1
	FilterMatch uint8 = 2 // of the pattern: whatever applies to the resource
)

// ACLFilter selects bindings. A nil text is every text.
type ACLFilter struct {
	ResourceType          uint8
	Resource              *string
	Pattern               uint8
	Principal, Host       *string
	Operation, Permission uint8
}

// Check refuses a filter that has something unknown in it.
func (f *ACLFilter) Check() error {
	known := func(v, first, last uint8) bool { return v == FilterAny || v >= first && v <= last }
	switch {
	case !known(f.ResourceType, record.ResourceTopic, record.ResourceUser):
		return fmt.Errorf("%w: unknown resource type=%d", ErrInvalidRequest, f.ResourceType)
	case !known(f.Pattern, FilterMatch, record.PatternPrefixed):
		return fmt.Errorf("%w: unknown pattern type=%d", ErrInvalidRequest, f.Pattern)
	case !known(f.Operation, record.OperationAll, record.OperationTwoPhaseCommit):
		return fmt.Errorf("%w: unknown operation=%d", ErrInvalidRequest, f.Operation)
	case !known(f.Permission, record.PermissionDeny, record.PermissionAllow):
		return fmt.Errorf("%w: unknown permission type=%d", ErrInvalidRequest, f.Permission)
	}
	return nil
}

// Matches reports whether a binding is selected.
func (f *ACLFilter) Matches(a *record.ACL) bool {
	is := func(want, v uint8) bool { return want == FilterAny || want == v }
	text := func(want *string, v string) bool { return want == nil || *want == v }
	return is(f.ResourceType, a.ResourceType) && f.matchesName(a) &&
		text(f.Principal, a.Principal) && text(f.Host, a.Host) && is(f.Operation, a.Operation) && is(f.Permission, a.Permission)
}

// matchesName compares pattern and name. With FilterMatch the name is that of a
// resource, and the bindings that apply to it are selected, whatever their
// pattern.
func (f *ACLFilter) matchesName(a *record.ACL) bool {
	switch {
	case f.Pattern != FilterAny && f.Pattern != FilterMatch && f.Pattern != a.Pattern:
		return false
	case f.Resource == nil:
		return true
	case f.Pattern != FilterMatch:
		return *f.Resource == a.Resource
	case a.Pattern == record.PatternPrefixed:
		return strings.HasPrefix(*f.Resource, a.Resource)
	}
	return a.Resource == *f.Resource || a.Resource == "*"
}

// DescribeACLs returns the bindings that a filter selects, in the order of the
// image.
func DescribeACLs(m *metadata.Image, f *ACLFilter) ([]record.ACL, error) {
	if err := f.Check(); err != nil {
		return nil, err
	}
	return f.among(m), nil
}

func (f *ACLFilter) among(m *metadata.Image) []record.ACL {
	all := m.ACLs()
	if f.ResourceType != FilterAny {
		all = m.ACLsOf(f.ResourceType)
	}
	var out []record.ACL
	for a := range all {
		if f.Matches(&a) {
			out = append(out, a)
		}
	}
	return out
}

// CreateACLs adds bindings. Each is judged for itself; errors are in the order
// of the request. The command is nil when nothing is to be added.
func CreateACLs(m *metadata.Image, asked []record.ACL) (*record.ChangeACLs, []error) {
	errs := make([]error, len(asked))
	c := new(record.ChangeACLs)
	for i := range asked {
		if errs[i] = checkACL(&asked[i]); errs[i] != nil || m.HasACL(asked[i]) {
			continue
		}
		if len(c.Add) == maxChanges {
			errs[i] = fmt.Errorf("%w: max=%d", ErrTooManyChanges, maxChanges)
			continue
		}
		c.Add = append(c.Add, asked[i])
	}
	if len(c.Add) == 0 {
		return nil, errs
	}
	return c, errs
}

func checkACL(a *record.ACL) error {
	switch {
	case a.ResourceType < record.ResourceTopic || a.ResourceType > record.ResourceUser:
		return fmt.Errorf("%w: resource type=%d", ErrInvalidRequest, a.ResourceType)
	case a.Pattern != record.PatternLiteral && a.Pattern != record.PatternPrefixed:
		return fmt.Errorf("%w: pattern type=%d", ErrInvalidRequest, a.Pattern)
	case a.Operation < record.OperationAll || a.Operation > record.OperationTwoPhaseCommit:
		return fmt.Errorf("%w: operation=%d", ErrInvalidRequest, a.Operation)
	case a.Permission != record.PermissionDeny && a.Permission != record.PermissionAllow:
		return fmt.Errorf("%w: permission type=%d", ErrInvalidRequest, a.Permission)
	case a.Resource == "":
		return fmt.Errorf("%w: resource without a name", ErrInvalidRequest)
	case a.ResourceType == record.ResourceCluster && a.Resource != ClusterResource:
		return fmt.Errorf("%w: the only resource of type cluster is %s: name=%q", ErrInvalidRequest, ClusterResource, a.Resource)
	case !record.ValidPrincipal(a.Principal):
		return fmt.Errorf("%w: a principal is TYPE:NAME: principal=%q", ErrInvalidRequest, a.Principal)
	case !a.Valid():
		return fmt.Errorf("%w: name or host too long: resource=%q host=%q", ErrInvalidRequest, a.Resource, a.Host)
	}
	return nil
}

// DeletedACLs are the bindings that one filter selects to be removed, or why
// there are none.
type DeletedACLs struct {
	ACLs []record.ACL
	Err  error
}

// DeleteACLs removes the bindings that filters select. Each filter is judged for
// itself; a binding that several select is told of under each. The command is
// nil when nothing is to be removed. A request that would remove too many
// removes none.
func DeleteACLs(m *metadata.Image, filters []ACLFilter) (*record.ChangeACLs, []DeletedACLs) {
	out := make([]DeletedACLs, len(filters))
	refuse := func(why string, max int) (*record.ChangeACLs, []DeletedACLs) {
		for i := range out {
			out[i] = DeletedACLs{Err: fmt.Errorf("%w: %s: max=%d", ErrTooManyChanges, why, max)}
		}
		return nil, out
	}
	if len(filters) > maxFilters {
		return refuse("filters", maxFilters)
	}
	c := new(record.ChangeACLs)
	seen := map[string]bool{}
	told := 0
	for i := range filters {
		if out[i].Err = filters[i].Check(); out[i].Err != nil {
			continue
		}
		out[i].ACLs = filters[i].among(m)
		if told += len(out[i].ACLs); told > maxChanges {
			return refuse("bindings to be removed", maxChanges)
		}
		for _, a := range out[i].ACLs {
			if k := a.Key(); !seen[k] {
				seen[k] = true
				c.Remove = append(c.Remove, a)
			}
		}
	}
	if len(c.Remove) == 0 {
		return nil, out
	}
	return c, out
}
