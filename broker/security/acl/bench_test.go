package acl

import (
	"fmt"
	"slices"
	"testing"

	"github.com/tidelinehq/tideline/metadata/record"
)

// many are 100,000 bindings: names, prefixes below each other, and a thousand people.
func many() []record.ACL {
	out := make([]record.ACL, 0, 100_000)
	for i := range cap(out) {
		x := record.ACL{
			ResourceType: uint8(Topic), Pattern: record.PatternLiteral, Resource: fmt.Sprintf("team-%d.topic-%d", i%1000, i),
			Principal: fmt.Sprintf("User:u%d", i%1000), Host: "*", Operation: uint8(Read), Permission: record.PermissionAllow,
		}
		if i%4 == 0 {
			x.Pattern, x.Resource = record.PatternPrefixed, fmt.Sprintf("team-%d.area-%d.", i%1000, i%100)
		}
		out = append(out, x)
	}
	return out
}

func BenchmarkNew(b *testing.B) {
	acls := many()
	for b.Loop() {
		New(Options{}, Bindings{ACLs: slices.Values(acls), Roles: slices.Values([]record.Role(nil)), Grants: slices.Values([]record.Grant(nil))})
	}
}

func BenchmarkAllowed(b *testing.B) {
	a := New(Options{}, Bindings{ACLs: slices.Values(many()), Roles: slices.Values([]record.Role(nil)), Grants: slices.Values([]record.Grant(nil))})
	c := a.Client(alice, "10.0.0.1")
	b.ReportAllocs()
	for b.Loop() {
		c.Allowed(Read, Topic, "team-44.area-44.x")
	}
}
