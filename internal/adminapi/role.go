package adminapi

// Paths of the admin API about roles. {name} stands for a role's.
const (
	RolesPath  = "/v1/roles"
	RolePath   = "/v1/roles/{name}"
	GrantsPath = "/v1/roles/{name}/grants"
)

// Roles are the roles that there are, in name order.
type Roles struct {
	Roles []Role `json:"roles"`
}

// Role is a named set of bindings, and to whom it is granted.
type Role struct {
	Name        string        `json:"name"`
	Description string        `json:"description,omitempty"`
	Bindings    []RoleBinding `json:"bindings"`
	// Principals are those that have the role: "User:alice", or "Group:ops" for all whose
	// token names that group. They are changed by a GrantRequest only.
	Principals []string `json:"principals"`
}

// RoleBinding allows or denies an operation on resources.
type RoleBinding struct {
	Deny      bool   `json:"deny,omitempty"`
	Operation string `json:"operation"` // as kafka-acls has it: Read, All, …
	Resource  string `json:"resource"`  // topic, group, cluster, transactional-id, delegation-token, user
	Name      string `json:"name"`      // "*": every one
	Prefixed  bool   `json:"prefixed,omitempty"`
	Host      string `json:"host,omitempty"` // empty: every one
}

// GrantRequest gives a role to principals and takes it from others.
type GrantRequest struct {
	Grant  []string `json:"grant,omitempty"`
	Revoke []string `json:"revoke,omitempty"`
}
