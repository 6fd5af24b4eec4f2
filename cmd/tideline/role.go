package main

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/security/acl"
	"github.com/tidelinehq/tideline/internal/adminapi"
	"github.com/tidelinehq/tideline/metadata/record"
)

const roleHelp = `A role is a named set of bindings; a grant gives all of them to a user, User:alice,
or to all whose token names a group, Group:ops.

Kafka has no requests about roles, so these commands ask the admin API of a broker.
One that does not ask who comes (http.users) answers them only on its own machine:
run them there.`

// roleCommand is `tideline role`.
func (p *program) roleCommand() *cobra.Command {
	c := p.group("role", "List, make and grant roles",
		p.roleListCommand(), p.roleShowCommand(), p.roleCreateCommand(), p.roleDeleteCommand(), p.roleGrantCommand(), p.roleRevokeCommand())
	c.Long = roleHelp
	return c
}

// rolePath is the path of one role.
func rolePath(pattern, name string) string {
	return strings.Replace(pattern, "{name}", url.PathEscape(name), 1)
}

func (p *program) roleListCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "List the roles",
		Args:  cobra.NoArgs,
	}
	conn := p.clusterFlags(c.Flags())
	c.RunE = p.does(func(ctx context.Context, _ []string) error {
		var list adminapi.Roles
		if err := conn.call(ctx, http.MethodGet, adminapi.RolesPath, nil, &list); err != nil {
			return err
		}
		t := newTable("ROLE", "BINDINGS", "PRINCIPALS", "DESCRIPTION")
		for i := range list.Roles {
			r := &list.Roles[i]
			t.add(r.Name, len(r.Bindings), dashIf(len(r.Principals) == 0, strings.Join(r.Principals, ", ")), dashIf(r.Description == "", r.Description))
		}
		return p.show(conn.output, list.Roles, t)
	})
	return c
}

// showRole prints one role.
func (p *program) showRole(how output, r *adminapi.Role) error {
	head := newTable("ROLE", "PRINCIPALS", "DESCRIPTION")
	head.add(r.Name, dashIf(len(r.Principals) == 0, strings.Join(r.Principals, ", ")), dashIf(r.Description == "", r.Description))
	bindings := newTable("PERMISSION", "OPERATION", "RESOURCE", "HOST")
	for i := range r.Bindings {
		x := &r.Bindings[i]
		kind, err := acl.ParseResource(x.Resource)
		if err != nil {
			return err
		}
		permission := "allow"
		if x.Deny {
			permission = "deny"
		}
		bindings.add(permission, x.Operation, resourceText(kind, x.Name, x.Prefixed), dashIf(x.Host == "", x.Host))
	}
	return p.show(how, r, head, bindings)
}

// roleCall is a subcommand that asks about one role and shows what it is then.
func (p *program) roleCall(c *cobra.Command, ask func(ctx context.Context, conn *clusterConnection, args []string, r *adminapi.Role) error) *cobra.Command {
	conn := p.clusterFlags(c.Flags())
	c.RunE = p.does(func(ctx context.Context, args []string) error {
		var r adminapi.Role
		if err := ask(ctx, conn, args, &r); err != nil {
			return err
		}
		return p.showRole(conn.output, &r)
	})
	return c
}

func (p *program) roleShowCommand() *cobra.Command {
	return p.roleCall(&cobra.Command{
		Use:   "show ROLE",
		Short: "Show the bindings of a role, and who has it",
		Args:  cobra.ExactArgs(1),
	}, func(ctx context.Context, conn *clusterConnection, args []string, r *adminapi.Role) error {
		return conn.call(ctx, http.MethodGet, rolePath(adminapi.RolePath, args[0]), nil, r)
	})
}

func (p *program) roleCreateCommand() *cobra.Command {
	var ready, prefix, description string
	var allow, deny []string
	c := &cobra.Command{
		Use:   "create ROLE",
		Short: "Make a role, or give one other bindings",
		Long:  "Make a role, of a ready one or of bindings. A role that is there gets these bindings in place\nof its own, and stays granted to whom it is.\n\nReady roles:\n\n" + readyHelp() + "\n\n" + roleHelp,
		Example: "  tideline role create orders-reader --ready reader --prefix orders.\n" +
			"  tideline role create clerk --allow 'read,write topic:orders.*' --deny 'write topic:orders.audit'",
		Args: cobra.ExactArgs(1),
	}
	c.Flags().StringVar(&ready, "ready", "", "`name` of a ready role to make it of")
	c.Flags().StringVar(&prefix, "prefix", "", "names that the ready role is about begin with `text`")
	c.Flags().StringVar(&description, "description", "", "what the role is for")
	c.Flags().StringArrayVar(&allow, "allow", nil, "`'OPERATION[,…] RESOURCE…'` that it allows; may be given again")
	c.Flags().StringArrayVar(&deny, "deny", nil, "`'OPERATION[,…] RESOURCE…'` that it denies; may be given again")
	return p.roleCall(c, func(ctx context.Context, conn *clusterConnection, args []string, r *adminapi.Role) error {
		asked, err := roleToCreate(args[0], ready, prefix)
		if err != nil {
			return err
		}
		if description != "" {
			asked.Description = description
		}
		for _, list := range []struct {
			texts []string
			deny  bool
		}{{allow, false}, {deny, true}} {
			for _, text := range list.texts {
				bindings, err := parseRoleBindings(text, list.deny)
				if err != nil {
					return err
				}
				asked.Bindings = append(asked.Bindings, bindings...)
			}
		}
		if len(asked.Bindings) == 0 {
			return usagef("a role of no bindings: give --ready, --allow or --deny")
		}
		return conn.call(ctx, http.MethodPut, rolePath(adminapi.RolePath, asked.Name), asked, r)
	})
}

func readyHelp() string {
	var b strings.Builder
	for i := range acl.ReadyRoles {
		r := &acl.ReadyRoles[i]
		use := ""
		switch r.Prefix {
		case acl.NeedsPrefix:
			use = " Needs --prefix."
		case acl.OptionalPrefix:
			use = " Takes --prefix."
		}
		b.WriteString("  " + r.Name + strings.Repeat(" ", 10-len(r.Name)) + r.Doc + use + "\n")
	}
	return strings.TrimRight(b.String(), "\n")
}

// roleToCreate is a role as a ready one has it; without one it is empty.
func roleToCreate(name, ready, prefix string) (*adminapi.Role, error) {
	out := &adminapi.Role{Name: name, Bindings: []adminapi.RoleBinding{}, Principals: []string{}}
	if ready == "" {
		if prefix != "" {
			return nil, usagef("--prefix belongs to --ready")
		}
		return out, nil
	}
	role, err := acl.Ready(ready, name, prefix)
	if err != nil {
		return nil, usageError{err}
	}
	out.Description = role.Description
	for i := range role.ACLs {
		x := &role.ACLs[i]
		out.Bindings = append(out.Bindings, adminapi.RoleBinding{
			Operation: acl.Operation(x.Operation).String(), Resource: acl.ResourceType(x.ResourceType).String(),
			Name: x.Resource, Prefixed: x.Pattern == record.PatternPrefixed,
		})
	}
	return out, nil
}

// parseRoleBindings reads OPERATION[,…] RESOURCE….
func parseRoleBindings(text string, deny bool) (out []adminapi.RoleBinding, err error) {
	words := strings.Fields(text)
	if len(words) < 2 {
		return nil, usagef("%q is not OPERATION[,…] RESOURCE…", text)
	}
	b, err := parseBinding(append([]string{"User:nobody"}, words...))
	if err != nil {
		return nil, err
	}
	for _, r := range b.resources {
		for _, op := range b.operations {
			out = append(out, adminapi.RoleBinding{
				Deny: deny, Operation: op.String(), Resource: r.kind.String(), Name: r.name, Prefixed: r.pattern == kmsg.ACLResourcePatternTypePrefixed,
			})
		}
	}
	return out, nil
}

func (p *program) roleDeleteCommand() *cobra.Command {
	return p.roleCall(&cobra.Command{
		Use:   "delete ROLE",
		Short: "Delete a role, and take it from all who have it",
		Args:  cobra.ExactArgs(1),
	}, func(ctx context.Context, conn *clusterConnection, args []string, r *adminapi.Role) error {
		return conn.call(ctx, http.MethodDelete, rolePath(adminapi.RolePath, args[0]), nil, r)
	})
}

func (p *program) roleGrantCommand() *cobra.Command {
	return p.roleCall(&cobra.Command{
		Use:     "grant ROLE PRINCIPAL…",
		Short:   "Give a role to users and groups",
		Example: "  tideline role grant orders-reader User:alice Group:billing",
		Args:    cobra.MinimumNArgs(2),
	}, func(ctx context.Context, conn *clusterConnection, args []string, r *adminapi.Role) error {
		return conn.call(ctx, http.MethodPost, rolePath(adminapi.GrantsPath, args[0]), &adminapi.GrantRequest{Grant: args[1:]}, r)
	})
}

func (p *program) roleRevokeCommand() *cobra.Command {
	return p.roleCall(&cobra.Command{
		Use:   "revoke ROLE PRINCIPAL…",
		Short: "Take a role from users and groups",
		Args:  cobra.MinimumNArgs(2),
	}, func(ctx context.Context, conn *clusterConnection, args []string, r *adminapi.Role) error {
		return conn.call(ctx, http.MethodPost, rolePath(adminapi.GrantsPath, args[0]), &adminapi.GrantRequest{Revoke: args[1:]}, r)
	})
}
