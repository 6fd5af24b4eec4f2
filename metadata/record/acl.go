package record

import "strings"

// ResourceType is what a binding speaks of, in Kafka's numbers.
const (
	ResourceTopic           uint8 = 2
	ResourceGroup           uint8 = 3
	ResourceCluster         uint8 = 4
	ResourceTransactionalID uint8 = 5
	ResourceDelegationToken uint8 = 6
	ResourceUser            uint8 = 7
)

// Pattern is how the resource of a binding is compared with a name, in Kafka's numbers.
const (
	PatternLiteral  uint8 = 3 // the name itself; "*" is every name
	PatternPrefixed uint8 = 4 // names that begin with it
)

// Operation is what a binding speaks of, in Kafka's numbers.
const (
	OperationAll             uint8 = 2
	OperationRead            uint8 = 3
	OperationWrite           uint8 = 4
	OperationCreate          uint8 = 5
	OperationDelete          uint8 = 6
	OperationAlter           uint8 = 7
	OperationDescribe        uint8 = 8
	OperationClusterAction   uint8 = 9
	OperationDescribeConfigs uint8 = 10
	OperationAlterConfigs    uint8 = 11
	OperationIdempotentWrite uint8 = 12
	OperationCreateTokens    uint8 = 13
	OperationDescribeTokens  uint8 = 14
	OperationTwoPhaseCommit  uint8 = 15
)

// Permission is what a binding says, in Kafka's numbers.
const (
	PermissionDeny  uint8 = 2
	PermissionAllow uint8 = 3
)

// ACL is one binding: a principal, coming from a host, may (or must not) do an
// operation on the resources of a pattern. It is immutable.
type ACL struct {
	ResourceType uint8
	Pattern      uint8
	Resource     string
	Principal    string // "User:alice", "User:*", "Group:ops"; empty in a role
	Host         string // address or "*"
	Operation    uint8
	Permission   uint8
}

// Valid reports whether a binding that stands for itself can be kept.
func (a *ACL) Valid() bool { return a.pattern() && ValidPrincipal(a.Principal) }

// pattern reports whether all but the principal can be kept.
func (a *ACL) pattern() bool {
	return a.ResourceType >= ResourceTopic && a.ResourceType <= ResourceUser &&
		(a.Pattern == PatternLiteral || a.Pattern == PatternPrefixed) &&
		a.Operation >= OperationAll && a.Operation <= OperationTwoPhaseCommit &&
		(a.Permission == PermissionDeny || a.Permission == PermissionAllow) &&
		ValidName(a.Resource, MaxResourceName) && ValidName(a.Host, maxHost)
}

// ValidName reports whether a name of something in the state is not empty, no
// longer than max bytes, and without the byte that ends a name in a key.
func ValidName(name string, max int) bool {
	return name != "" && len(name) <= max && strings.IndexByte(name, 0) < 0
}

// ValidPrincipal reports whether a principal has a type and a name.
func ValidPrincipal(p string) bool {
	kind, name, ok := strings.Cut(p, ":")
	return ok && kind != "" && name != "" && ValidName(p, MaxPrincipal)
}

// Key is the place of the binding in the order of all: by type of resource,
// pattern, resource, principal, host, operation, permission. Different bindings
// have different keys, since no name has the byte 0.
func (a *ACL) Key() string {
	b := make([]byte, 0, len(a.Resource)+len(a.Principal)+len(a.Host)+7)
	b = append(append(b, a.ResourceType, a.Pattern), a.Resource...)
	b = append(append(b, 0), a.Principal...)
	b = append(append(b, 0), a.Host...)
	return string(append(b, 0, a.Operation, a.Permission))
}

// ChangeACLs removes bindings, then adds others, all of them or none. To remove
// what is not there and to add what is there are no errors.
type ChangeACLs struct {
	Add, Remove []ACL
}

// Type implements Command.
func (*ChangeACLs) Type() Type { return TypeChangeACLs }

func (c *ChangeACLs) code(k *coder, _ uint8) {
	list(k, &c.Add, MaxACLs, aclMin, codeACL)
	list(k, &c.Remove, MaxACLs, aclMin, codeACL)
}

const aclMin = 7 // bytes of a binding with empty names

func codeACL(k *coder, a *ACL) {
	k.u8(&a.ResourceType)
	k.u8(&a.Pattern)
	k.str(&a.Resource, MaxResourceName)
	k.str(&a.Principal, MaxPrincipal)
	k.str(&a.Host, maxHost)
	k.u8(&a.Operation)
	k.u8(&a.Permission)
}

func (a *ACL) codeState(k *coder, _ uint8) { codeACL(k, a) }

// ChunkACLs cuts a ChangeACLs that may be larger than one command: what is
// added comes first, so that a deny never is away while its substitute is on
// its way.
func ChunkACLs(c *ChangeACLs) []*ChangeACLs {
	var out []*ChangeACLs
	size := func(a *ACL) int { return 16 + len(a.Resource) + len(a.Principal) + len(a.Host) }
	whole := 0
	for _, l := range [][]ACL{c.Add, c.Remove} {
		for i := range l {
			whole += size(&l[i])
		}
	}
	if whole <= chunkBytes {
		return append(out, c)
	}
	if len(c.Add) > 0 {
		for _, p := range chunk(c.Add, MaxACLs, 0, size) {
			out = append(out, &ChangeACLs{Add: p})
		}
	}
	if len(c.Remove) > 0 {
		for _, p := range chunk(c.Remove, MaxACLs, 0, size) {
			out = append(out, &ChangeACLs{Remove: p})
		}
	}
	return out
}
