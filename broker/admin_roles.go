package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"

	"github.com/tidelinehq/tideline/broker/security"
	"github.com/tidelinehq/tideline/broker/security/acl"
	"github.com/tidelinehq/tideline/broker/security/audit"
	"github.com/tidelinehq/tideline/internal/adminapi"
	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/controller"
	command "github.com/tidelinehq/tideline/metadata/record"
)

// maxRoleRequest bounds the body of a request about a role: a thousand bindings.
const maxRoleRequest = 2 << 20

// roleTimeout bounds how long the metadata group may take.
const roleTimeout = 30 * time.Second

// errNotLocal refuses requests about roles from other machines, of which nobody knows who sends them.
var errNotLocal = errors.New("without http.users=scram roles are shown and changed only from the broker's own machine")

// roleRoutes adds the part of the admin API that is about roles, for which Kafka has no
// requests.
func (b *Broker) roleRoutes(mux *http.ServeMux) {
	same := http.NewCrossOriginProtection()
	add := func(pattern string, h func(r *http.Request) (any, error)) {
		mux.Handle(pattern, same.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			answer, err := any(nil), errNotLocal
			if b.cfg.HTTPUsers == adminScram || isLocal(r) {
				answer, err = h(r)
			}
			if err != nil {
				b.refuseAdmin(w, err)
				return
			}
			b.answerAdmin(w, answer)
		})))
	}
	add("GET "+adminapi.RolesPath, b.adminRoles)
	add("GET "+adminapi.RolePath, b.adminRole)
	add("PUT "+adminapi.RolePath, b.adminSetRole)
	add("DELETE "+adminapi.RolePath, b.adminRemoveRole)
	add("POST "+adminapi.GrantsPath, b.adminGrant)
}

// isLocal reports whether a request came over the loopback interface.
func isLocal(r *http.Request) bool {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && from.Addr().Unmap().IsLoopback()
}

func (b *Broker) adminRoles(*http.Request) (any, error) {
	image := b.meta.Image()
	answer := &adminapi.Roles{Roles: []adminapi.Role{}}
	granted := make(map[string][]string)
	for g := range image.Grants() {
		granted[g.Role] = append(granted[g.Role], g.Principal)
	}
	for r := range image.Roles() {
		answer.Roles = append(answer.Roles, roleOf(&r, granted[r.Name]))
	}
	return answer, nil
}

func (b *Broker) adminRole(r *http.Request) (any, error) {
	return b.describeRole(b.meta.Image(), r.PathValue("name"))
}

func (b *Broker) describeRole(image *metadata.Image, name string) (any, error) {
	role, ok := image.Role(name)
	if !ok {
		return nil, fmt.Errorf("%w: role=%s", command.NoRole, name)
	}
	var principals []string
	for g := range image.Grants() {
		if g.Role == name {
			principals = append(principals, g.Principal)
		}
	}
	out := roleOf(&role, principals)
	return &out, nil
}

func (b *Broker) adminSetRole(r *http.Request) (any, error) {
	var asked adminapi.Role
	if err := decodeRole(r, &asked); err != nil {
		return nil, err
	}
	role, err := roleAsked(r.PathValue("name"), &asked)
	if err != nil {
		return nil, err
	}
	return b.changeRole(r, "role:"+role.Name, role.Name, &command.SetRole{Role: role})
}

func (b *Broker) adminRemoveRole(r *http.Request) (any, error) {
	name := r.PathValue("name")
	gone, err := b.describeRole(b.meta.Image(), name)
	if err != nil {
		return nil, err
	}
	_, err = b.proposeRole(r, "role:"+name, &command.RemoveRole{Name: name})
	return gone, err
}

func (b *Broker) adminGrant(r *http.Request) (any, error) {
	var asked adminapi.GrantRequest
	if err := decodeRole(r, &asked); err != nil {
		return nil, err
	}
	name := r.PathValue("name")
	change := &command.ChangeGrants{}
	for _, list := range []struct {
		principals []string
		to         *[]command.Grant
	}{{asked.Grant, &change.Add}, {asked.Revoke, &change.Remove}} {
		for _, p := range list.principals {
			g := command.Grant{Role: name, Principal: p}
			if !g.Valid() {
				return nil, fmt.Errorf("%w: a principal is TYPE:NAME: role=%q principal=%q", controller.ErrInvalidRequest, name, p)
			}
			*list.to = append(*list.to, g)
		}
	}
	return b.changeRole(r, "grant:"+name, name, change)
}

// changeRole has the metadata group decide, and answers with the role as it is then.
func (b *Broker) changeRole(r *http.Request, what, name string, c command.Command) (any, error) {
	if _, err := b.proposeRole(r, what, c); err != nil {
		return nil, err
	}
	return b.describeRole(b.meta.Image(), name)
}

func (b *Broker) proposeRole(r *http.Request, what string, c command.Command) (command.Result, error) {
	ctx, cancel := context.WithTimeout(r.Context(), roleTimeout)
	defer cancel()
	result, err := b.meta.Propose(ctx, c)
	host, _, _ := net.SplitHostPort(r.RemoteAddr) // which the server has made
	who := security.Anonymous
	if user, _, given := r.BasicAuth(); given && b.cfg.HTTPUsers == adminScram {
		who = &security.Principal{Type: security.UserType, Name: user, Mechanism: "BASIC"}
	}
	b.audit.Changed(audit.Client{Principal: who, Host: host, Listener: adminListener}, what, r.Method+" "+r.URL.Path, err)
	return result, err
}

func decodeRole(r *http.Request, v any) error {
	in := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxRoleRequest))
	in.DisallowUnknownFields()
	if err := in.Decode(v); err != nil {
		return fmt.Errorf("%w: body: %w", controller.ErrInvalidRequest, err)
	}
	return nil
}

// roleOf is a role as the admin API has it.
func roleOf(r *command.Role, principals []string) adminapi.Role {
	out := adminapi.Role{Name: r.Name, Description: r.Description, Bindings: []adminapi.RoleBinding{}, Principals: append([]string{}, principals...)}
	for i := range r.ACLs {
		x := &r.ACLs[i]
		one := adminapi.RoleBinding{
			Deny: x.Permission == command.PermissionDeny, Operation: acl.Operation(x.Operation).String(),
			Resource: acl.ResourceType(x.ResourceType).String(), Name: x.Resource, Prefixed: x.Pattern == command.PatternPrefixed,
		}
		if x.Host != acl.Wildcard {
			one.Host = x.Host
		}
		out.Bindings = append(out.Bindings, one)
	}
	return out
}

// roleAsked is the role that a request describes.
func roleAsked(name string, asked *adminapi.Role) (command.Role, error) {
	role := command.Role{Name: name, Description: asked.Description}
	for i := range asked.Bindings {
		one := &asked.Bindings[i]
		op, err := acl.ParseOperation(one.Operation)
		if err != nil {
			return role, fmt.Errorf("%w: %w", controller.ErrInvalidRequest, err)
		}
		kind, err := acl.ParseResource(one.Resource)
		if err != nil {
			return role, fmt.Errorf("%w: %w", controller.ErrInvalidRequest, err)
		}
		x := command.ACL{
			ResourceType: uint8(kind), Pattern: command.PatternLiteral, Resource: one.Name, Host: one.Host,
			Operation: uint8(op), Permission: command.PermissionAllow,
		}
		if one.Deny {
			x.Permission = command.PermissionDeny
		}
		if one.Prefixed {
			x.Pattern = command.PatternPrefixed
		}
		if x.Host == "" {
			x.Host = acl.Wildcard
		}
		role.ACLs = append(role.ACLs, x)
	}
	if !role.Valid() {
		return role, fmt.Errorf("%w: role=%q bindings=%d of at most %d, each with a name that is not too long", controller.ErrInvalidRequest, name, len(role.ACLs), command.MaxRoleACLs)
	}
	return role, nil
}
