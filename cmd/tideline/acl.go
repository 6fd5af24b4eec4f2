package main

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/security/acl"
)

const aclHelp = `A binding allows or denies a principal, coming from a host, an operation on
resources:

  PRINCIPAL   User:alice, User:* for everybody, Group:ops for all whose token
              names that group
  OPERATION   All, Read, Write, Create, Delete, Alter, Describe, ClusterAction,
              DescribeConfigs, AlterConfigs, IdempotentWrite, CreateTokens,
              DescribeTokens, TwoPhaseCommit; several with commas
  RESOURCE    topic:NAME, group:NAME, transactional-id:NAME, delegation-token:ID,
              user:PRINCIPAL, or cluster. A NAME that ends with * stands for all
              names that begin so, * alone for every name.

Who is denied something is denied it whatever else allows it. To allow reading,
writing, deleting or altering allows describing.`

// aclCommand is `tideline acl`.
func (p *program) aclCommand() *cobra.Command {
	c := p.group("acl", "List and change who may do what",
		p.aclListCommand(), p.aclAddCommand("allow", "Allow", permissionAllow), p.aclAddCommand("deny", "Deny", permissionDeny), p.aclRemoveCommand())
	c.Long = aclHelp
	return c
}

// Permission types, in Kafka's numbers.
const (
	permissionAny   = 1
	permissionDeny  = 2
	permissionAllow = 3
)

// anyOperation selects bindings of every operation, resource type or pattern.
const anyOperation = 1

// resource is what a command names: a kind of resource and a pattern.
type resource struct {
	kind    acl.ResourceType
	name    string
	pattern kmsg.ACLResourcePatternType
}

func parseResource(text string) (r resource, err error) {
	kind, name, named := strings.Cut(text, ":")
	if r.kind, err = acl.ParseResource(kind); err != nil {
		return r, usagef("%q is not KIND:NAME: kinds are topic, group, cluster, transactional-id, delegation-token and user", text)
	}
	r.name, r.pattern = name, kmsg.ACLResourcePatternTypeLiteral
	switch {
	case r.kind == acl.Cluster && (!named || name == acl.ClusterName):
		r.name = acl.ClusterName
	case r.kind == acl.Cluster:
		return r, usagef("the cluster has no other name than %s", acl.ClusterName)
	case name == "":
		return r, usagef("%q names no %s", text, r.kind)
	case name != acl.Wildcard && strings.HasSuffix(name, acl.Wildcard):
		r.name, r.pattern = strings.TrimSuffix(name, acl.Wildcard), kmsg.ACLResourcePatternTypePrefixed
	}
	return r, nil
}

// resourceText is the opposite of parseResource.
func resourceText(kind acl.ResourceType, name string, prefixed bool) string {
	if kind == acl.Cluster {
		return kind.String()
	}
	if prefixed {
		name += acl.Wildcard
	}
	return kind.String() + ":" + name
}

// bindingArgs are the arguments of commands that are about certain bindings.
type bindingArgs struct {
	principal  string
	operations []acl.Operation
	resources  []resource
}

func parseBinding(args []string) (b bindingArgs, err error) {
	b.principal = args[0]
	if kind, name, ok := strings.Cut(b.principal, ":"); !ok || kind == "" || name == "" {
		return b, usagef("a principal is TYPE:NAME, as User:alice: %q", b.principal)
	}
	for text := range strings.SplitSeq(args[1], ",") {
		op, err := acl.ParseOperation(text)
		if err != nil {
			return b, usagef("%q is not an operation", text)
		}
		b.operations = append(b.operations, op)
	}
	for _, text := range args[2:] {
		r, err := parseResource(text)
		if err != nil {
			return b, err
		}
		b.resources = append(b.resources, r)
	}
	return b, nil
}

// shownACL is one binding, as it is printed.
type shownACL struct {
	Permission string `json:"permission"`
	Principal  string `json:"principal"`
	Host       string `json:"host"`
	Operation  string `json:"operation"`
	Resource   string `json:"resource"`
}

type shownACLs []shownACL

func (list shownACLs) table() *table {
	t := newTable("PERMISSION", "PRINCIPAL", "HOST", "OPERATION", "RESOURCE")
	for _, x := range list {
		t.add(x.Permission, x.Principal, x.Host, x.Operation, x.Resource)
	}
	return t
}

func permissionText(permission int) string {
	if permission == permissionDeny {
		return "deny"
	}
	return "allow"
}

func (p *program) aclListCommand() *cobra.Command {
	var principal, about string
	c := &cobra.Command{
		Use:     "list",
		Short:   "List bindings",
		Example: "  tideline acl list --principal User:alice\n  tideline acl list --about topic:orders",
		Args:    cobra.NoArgs,
	}
	conn := p.connectionFlags(c.Flags())
	c.Flags().StringVar(&principal, "principal", "", "only those of this `principal`")
	c.Flags().StringVar(&about, "about", "", "only those that hold for this `resource`, by whatever pattern")
	c.RunE = p.does(func(ctx context.Context, _ []string) error {
		req := kmsg.NewPtrDescribeACLsRequest()
		req.ResourceType, req.ResourcePatternType, req.Operation, req.PermissionType = anyOperation, anyOperation, anyOperation, permissionAny
		if principal != "" {
			req.Principal = &principal
		}
		if about != "" {
			r, err := parseResource(about)
			if err != nil {
				return err
			}
			req.ResourceType, req.ResourceName, req.ResourcePatternType = kmsg.ACLResourceType(r.kind), &r.name, kmsg.ACLResourcePatternTypeMatch
		}
		return conn.connected(ctx, func(ctx context.Context, client *kgo.Client) error {
			resp, err := req.RequestWith(ctx, client)
			if err == nil {
				err = answered("list bindings", kerr.ErrorForCode(resp.ErrorCode), fromPointer(resp.ErrorMessage))
			}
			if err != nil {
				return err
			}
			list := shownACLs{}
			// Brokers may tell in any order; people look for a resource.
			slices.SortStableFunc(resp.Resources, func(a, b kmsg.DescribeACLsResponseResource) int {
				return cmp.Or(cmp.Compare(a.ResourceType, b.ResourceType), cmp.Compare(a.ResourceName, b.ResourceName), cmp.Compare(a.ResourcePatternType, b.ResourcePatternType))
			})
			for i := range resp.Resources {
				r := &resp.Resources[i]
				slices.SortStableFunc(r.ACLs, func(a, b kmsg.DescribeACLsResponseResourceACL) int {
					return cmp.Or(cmp.Compare(a.PermissionType, b.PermissionType), cmp.Compare(a.Principal, b.Principal), cmp.Compare(a.Host, b.Host), cmp.Compare(a.Operation, b.Operation))
				})
				for _, x := range r.ACLs {
					list = append(list, shownACL{
						permissionText(int(x.PermissionType)), x.Principal, x.Host, acl.Operation(x.Operation).String(),
						resourceText(acl.ResourceType(r.ResourceType), r.ResourceName, r.ResourcePatternType == kmsg.ACLResourcePatternTypePrefixed),
					})
				}
			}
			return p.show(conn.output, list, list.table())
		})
	})
	return c
}

// aclAddCommand is `tideline acl allow` or deny.
func (p *program) aclAddCommand(verb, title string, permission int) *cobra.Command {
	var host string
	c := &cobra.Command{
		Use:     verb + " PRINCIPAL OPERATION[,…] RESOURCE…",
		Short:   title + " a principal operations on resources",
		Long:    aclHelp,
		Example: "  tideline acl " + verb + " User:alice read,describe 'topic:orders.*' group:billing",
		Args:    cobra.MinimumNArgs(3),
	}
	conn := p.connectionFlags(c.Flags())
	c.Flags().StringVar(&host, "host", acl.Wildcard, "only from this `address`")
	c.RunE = p.does(func(ctx context.Context, args []string) error {
		b, err := parseBinding(args)
		if err != nil {
			return err
		}
		req := kmsg.NewPtrCreateACLsRequest()
		list := shownACLs{}
		for _, r := range b.resources {
			for _, op := range b.operations {
				x := kmsg.NewCreateACLsRequestCreation()
				x.ResourceType, x.ResourceName, x.ResourcePatternType = kmsg.ACLResourceType(r.kind), r.name, r.pattern
				x.Principal, x.Host, x.Operation, x.PermissionType = b.principal, host, kmsg.ACLOperation(op), kmsg.ACLPermissionType(permission) //nolint:gosec // 2 or 3
				req.Creations = append(req.Creations, x)
				list = append(list, shownACL{verb, b.principal, host, op.String(), resourceText(r.kind, r.name, r.pattern == kmsg.ACLResourcePatternTypePrefixed)})
			}
		}
		return conn.connected(ctx, func(ctx context.Context, client *kgo.Client) error {
			resp, err := req.RequestWith(ctx, client)
			if err != nil {
				return err
			}
			var failed []error
			done := shownACLs{}
			for i := range resp.Results {
				err := answered(list[min(i, len(list)-1)].Resource, kerr.ErrorForCode(resp.Results[i].ErrorCode), fromPointer(resp.Results[i].ErrorMessage))
				if failed = append(failed, err); err == nil && i < len(list) {
					done = append(done, list[i])
				}
			}
			return errors.Join(append(failed, p.show(conn.output, done, done.table()))...)
		})
	})
	return c
}

func (p *program) aclRemoveCommand() *cobra.Command {
	var host string
	c := &cobra.Command{
		Use:     "remove PRINCIPAL OPERATION[,…] RESOURCE…",
		Short:   "Remove bindings, those that allow and those that deny",
		Long:    "Remove bindings that are exactly as given, whether they allow or deny. What was removed\nis shown; what is not there is no error.\n\n" + aclHelp,
		Example: "  tideline acl remove User:alice read 'topic:orders.*'",
		Args:    cobra.MinimumNArgs(3),
	}
	conn := p.connectionFlags(c.Flags())
	c.Flags().StringVar(&host, "host", "", "only those from this `address`; empty: from every one")
	c.RunE = p.does(func(ctx context.Context, args []string) error {
		b, err := parseBinding(args)
		if err != nil {
			return err
		}
		req := kmsg.NewPtrDeleteACLsRequest()
		for i := range b.resources {
			r := &b.resources[i]
			for _, op := range b.operations {
				f := kmsg.NewDeleteACLsRequestFilter()
				f.ResourceType, f.ResourceName, f.ResourcePatternType = kmsg.ACLResourceType(r.kind), &r.name, r.pattern
				f.Principal, f.Operation, f.PermissionType = &b.principal, kmsg.ACLOperation(op), permissionAny
				if host != "" {
					f.Host = &host
				}
				req.Filters = append(req.Filters, f)
			}
		}
		return conn.connected(ctx, func(ctx context.Context, client *kgo.Client) error {
			resp, err := req.RequestWith(ctx, client)
			if err != nil {
				return err
			}
			var failed []error
			gone := shownACLs{}
			for i := range resp.Results {
				failed = append(failed, answered("remove bindings", kerr.ErrorForCode(resp.Results[i].ErrorCode), fromPointer(resp.Results[i].ErrorMessage)))
				for _, x := range resp.Results[i].MatchingACLs {
					gone = append(gone, shownACL{
						permissionText(int(x.PermissionType)), x.Principal, x.Host, acl.Operation(x.Operation).String(),
						resourceText(acl.ResourceType(x.ResourceType), x.ResourceName, x.ResourcePatternType == kmsg.ACLResourcePatternTypePrefixed),
					})
				}
			}
			return errors.Join(append(failed, p.show(conn.output, gone, gone.table()))...)
		})
	})
	return c
}
