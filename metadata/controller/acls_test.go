package controller

import (
	"errors"
	"fmt"
	"testing"

	"github.com/tidelinehq/tideline/metadata/record"
)

func text(s string) *string { return &s }

func binding(kind, pattern uint8, resource, principal string) record.ACL {
	return record.ACL{ResourceType: kind, Pattern: pattern, Resource: resource, Principal: principal, Host: "*", Operation: record.OperationRead, Permission: record.PermissionAllow}
}

// anyACL selects everything.
func anyACL() ACLFilter {
	return ACLFilter{ResourceType: FilterAny, Pattern: FilterAny, Operation: FilterAny, Permission: FilterAny}
}

func TestACLFilterMatches(t *testing.T) {
	literal := binding(record.ResourceTopic, record.PatternLiteral, "foo", "User:a")
	prefix := binding(record.ResourceTopic, record.PatternPrefixed, "fo", "User:a")
	all := binding(record.ResourceTopic, record.PatternLiteral, "*", "User:a")
	group := binding(record.ResourceGroup, record.PatternLiteral, "foo", "User:b")
	for name, x := range map[string]struct {
		change func(*ACLFilter)
		want   string // literal, prefix, all, group
	}{
		"any":              {func(*ACLFilter) {}, "[true true true true]"},
		"topics":           {func(f *ACLFilter) { f.ResourceType = record.ResourceTopic }, "[true true true false]"},
		"name":             {func(f *ACLFilter) { f.Resource = text("foo") }, "[true false false true]"},
		"name of a prefix": {func(f *ACLFilter) { f.Resource = text("fo") }, "[false true false false]"},
		"match":            {func(f *ACLFilter) { f.Pattern, f.Resource = FilterMatch, text("foo") }, "[true true true true]"},
		"match longer":     {func(f *ACLFilter) { f.Pattern, f.Resource = FilterMatch, text("foobar") }, "[false true true false]"},
		"match no name":    {func(f *ACLFilter) { f.Pattern = FilterMatch }, "[true true true true]"},
		"match a star":     {func(f *ACLFilter) { f.Pattern, f.Resource = FilterMatch, text("*") }, "[false false true false]"},
		"literal":          {func(f *ACLFilter) { f.Pattern = record.PatternLiteral }, "[true false true true]"},
		"literal name":     {func(f *ACLFilter) { f.Pattern, f.Resource = record.PatternLiteral, text("fo") }, "[false false false false]"},
		"prefixed name":    {func(f *ACLFilter) { f.Pattern, f.Resource = record.PatternPrefixed, text("fo") }, "[false true false false]"},
		"prefixed longer":  {func(f *ACLFilter) { f.Pattern, f.Resource = record.PatternPrefixed, text("foo") }, "[false false false false]"},
		"principal":        {func(f *ACLFilter) { f.Principal = text("User:b") }, "[false false false true]"},
		"host":             {func(f *ACLFilter) { f.Host = text("10.0.0.1") }, "[false false false false]"},
		"operation":        {func(f *ACLFilter) { f.Operation = record.OperationWrite }, "[false false false false]"},
		"all is not any":   {func(f *ACLFilter) { f.Operation = record.OperationAll }, "[false false false false]"},
		"permission":       {func(f *ACLFilter) { f.Permission = record.PermissionDeny }, "[false false false false]"},
	} {
		f := anyACL()
		x.change(&f)
		if err := f.Check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := fmt.Sprint([]bool{f.Matches(&literal), f.Matches(&prefix), f.Matches(&all), f.Matches(&group)}); got != x.want {
			t.Errorf("%s: got %s, want %s", name, got, x.want)
		}
	}
}

func TestACLFilterRefusesTheUnknown(t *testing.T) {
	for name, change := range map[string]func(*ACLFilter){
		"resource type 0": func(f *ACLFilter) { f.ResourceType = 0 },
		"resource type 8": func(f *ACLFilter) { f.ResourceType = 8 },
		"pattern 0":       func(f *ACLFilter) { f.Pattern = 0 },
		"pattern 5":       func(f *ACLFilter) { f.Pattern = 5 },
		"operation 0":     func(f *ACLFilter) { f.Operation = 0 },
		"operation 16":    func(f *ACLFilter) { f.Operation = 16 },
		"permission 0":    func(f *ACLFilter) { f.Permission = 0 },
		"permission 4":    func(f *ACLFilter) { f.Permission = 4 },
	} {
		f := anyACL()
		change(&f)
		if err := f.Check(); !errors.Is(err, ErrInvalidRequest) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCreateACLs(t *testing.T) {
	w := newCluster(t, 1)
	a, b := binding(record.ResourceTopic, record.PatternLiteral, "a", "User:a"), binding(record.ResourceTopic, record.PatternLiteral, "b", "User:a")
	w.apply(&record.ChangeACLs{Add: []record.ACL{a}})
	bad := func(change func(*record.ACL)) record.ACL {
		x := b
		change(&x)
		return x
	}
	c, errs := CreateACLs(w.Image, []record.ACL{
		a, b,
		bad(func(x *record.ACL) { x.ResourceType = FilterAny }),
		bad(func(x *record.ACL) { x.Pattern = FilterMatch }),
		bad(func(x *record.ACL) { x.Operation = FilterAny }),
		bad(func(x *record.ACL) { x.Permission = FilterAny }),
		bad(func(x *record.ACL) { x.Resource = "" }),
		bad(func(x *record.ACL) { x.ResourceType = record.ResourceCluster }),
		bad(func(x *record.ACL) { x.Principal = "a" }),
		bad(func(x *record.ACL) { x.Host = "" }),
	})
	if len(c.Add) != 1 || c.Add[0] != b {
		t.Fatalf("adds %v", c.Add)
	}
	for i, err := range errs {
		if (i < 2) != (err == nil) || i >= 2 && !errors.Is(err, ErrInvalidRequest) {
			t.Errorf("%d: %v", i, err)
		}
	}
	w.apply(c)
	if c, errs := CreateACLs(w.Image, []record.ACL{a, b}); c != nil || errs[0] != nil || errs[1] != nil {
		t.Error("what is there is added again")
	}
	cluster := binding(record.ResourceCluster, record.PatternLiteral, ClusterResource, "User:a")
	many := make([]record.ACL, maxChanges+1)
	for i := range many {
		many[i] = binding(record.ResourceTopic, record.PatternLiteral, fmt.Sprint(i), "User:a")
	}
	many[0] = cluster
	if c, errs = CreateACLs(w.Image, many); len(c.Add) != maxChanges || errs[0] != nil || !errors.Is(errs[maxChanges], ErrTooManyChanges) {
		t.Error(len(c.Add), errs[0], errs[maxChanges])
	}
}

func TestDeleteACLs(t *testing.T) {
	w := newCluster(t, 1)
	a, b := binding(record.ResourceTopic, record.PatternLiteral, "a", "User:a"), binding(record.ResourceTopic, record.PatternPrefixed, "a", "User:b")
	w.apply(&record.ChangeACLs{Add: []record.ACL{a, b, binding(record.ResourceGroup, record.PatternLiteral, "a", "User:a")}})
	topics, match, unknown, none := anyACL(), anyACL(), anyACL(), anyACL()
	topics.ResourceType = record.ResourceTopic
	match.ResourceType, match.Pattern, match.Resource = record.ResourceTopic, FilterMatch, text("ab")
	unknown.Operation = 0
	none.Principal = text("User:nobody")
	c, out := DeleteACLs(w.Image, []ACLFilter{topics, match, unknown, none})
	if got := fmt.Sprint(len(out[0].ACLs), len(out[1].ACLs), len(out[3].ACLs)); got != "2 1 0" || !errors.Is(out[2].Err, ErrInvalidRequest) || out[3].Err != nil {
		t.Fatal(got, out)
	}
	if len(c.Remove) != 2 {
		t.Fatalf("removes %v", c.Remove)
	}
	w.apply(c)
	if n := w.Image.ACLCount(); n != 1 {
		t.Fatal(n)
	}
	if c, _ := DeleteACLs(w.Image, []ACLFilter{none}); c != nil {
		t.Error("something is removed for nothing")
	}
	if c, out := DeleteACLs(w.Image, make([]ACLFilter, maxFilters+1)); c != nil || !errors.Is(out[0].Err, ErrTooManyChanges) {
		t.Error("so many filters")
	}
	all := new(record.ChangeACLs)
	for i := range maxChanges {
		all.Add = append(all.Add, binding(record.ResourceTopic, record.PatternLiteral, fmt.Sprint(i), "User:a"))
	}
	for _, c := range record.ChunkACLs(all) {
		w.apply(c)
	}
	if c, out := DeleteACLs(w.Image, []ACLFilter{anyACL()}); c != nil || !errors.Is(out[0].Err, ErrTooManyChanges) || out[0].ACLs != nil {
		t.Error("more is removed than may be")
	}
	if c, _ := DeleteACLs(w.Image, []ACLFilter{topics}); len(c.Remove) != maxChanges {
		t.Error("as many may be removed")
	}
}
