package record

// Role is a named set of bindings, which a grant gives to a principal. Its
// bindings have a host and no principal. It is immutable.
type Role struct {
	Name, Description string
	ACLs              []ACL
}

// Valid reports whether a role can be kept.
func (r *Role) Valid() bool {
	for i := range r.ACLs {
		if r.ACLs[i].Principal != "" || !r.ACLs[i].pattern() {
			return false
		}
	}
	return ValidName(r.Name, MaxRoleName) && len(r.ACLs) <= MaxRoleACLs
}

func codeRole(k *coder, r *Role) {
	k.str(&r.Name, MaxRoleName)
	k.str(&r.Description, MaxRoleDescription)
	list(k, &r.ACLs, MaxRoleACLs, aclMin, codeACL)
}

func (r *Role) codeState(k *coder, _ uint8) { codeRole(k, r) }

// SetRole makes a role, or puts other contents into it.
type SetRole struct{ Role Role }

// Type implements Command.
func (*SetRole) Type() Type { return TypeSetRole }

func (c *SetRole) code(k *coder, _ uint8) { codeRole(k, &c.Role) }

// RemoveRole removes a role and all grants of it.
type RemoveRole struct{ Name string }

// Type implements Command.
func (*RemoveRole) Type() Type { return TypeRemoveRole }

func (c *RemoveRole) code(k *coder, _ uint8) { k.str(&c.Name, MaxRoleName) }

// Grant gives a role to a principal: a user, or the members of a group that a
// token names.
type Grant struct {
	Role, Principal string // of the principal: "User:alice", "Group:ops"
}

// Valid reports whether a grant can be kept, if its role is there.
func (g *Grant) Valid() bool { return ValidName(g.Role, MaxRoleName) && ValidPrincipal(g.Principal) }

// Key is the place of the grant in the order of all: by role, then principal.
func (g *Grant) Key() string { return g.Role + "\x00" + g.Principal }

func codeGrant(k *coder, g *Grant) {
	k.str(&g.Role, MaxRoleName)
	k.str(&g.Principal, MaxPrincipal)
}

func (g *Grant) codeState(k *coder, _ uint8) { codeGrant(k, g) }

// ChangeGrants removes grants, then adds others, all of them or none. To remove
// what is not there and to add what is there are no errors; to grant a role
// that is not there is one.
type ChangeGrants struct {
	Add, Remove []Grant
}

// Type implements Command.
func (*ChangeGrants) Type() Type { return TypeChangeGrants }

func (c *ChangeGrants) code(k *coder, _ uint8) {
	list(k, &c.Add, MaxGrants, 2, codeGrant)
	list(k, &c.Remove, MaxGrants, 2, codeGrant)
}
