package acl

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tidelinehq/tideline/metadata/record"
)

// ReadyRole is a role that somebody has thought about already. From it a role of the
// cluster is made, which is then like any other.
type ReadyRole struct {
	Name, Doc string
	// Prefix says whether the role is about names that begin alike.
	Prefix PrefixUse
	allows []allowed
}

// PrefixUse says what a ready role does with a prefix.
type PrefixUse uint8

// Uses of a prefix.
const (
	NoPrefix       PrefixUse = iota // the role is about the whole cluster
	OptionalPrefix                  // without one it is about every name
	NeedsPrefix
)

// allowed are operations on resources: on those with the prefix, on all of them, or on
// the cluster.
type allowed struct {
	kind       ResourceType
	prefixed   bool
	operations []Operation
}

// ReadyRoles are the ready roles, the smallest first.
var ReadyRoles = []ReadyRole{
	{
		Name: "reader", Prefix: OptionalPrefix,
		Doc: "Reads topics, and takes part in consumer and share groups.",
		allows: []allowed{
			{Topic, true, []Operation{Read, DescribeConfigs}},
			{Group, true, []Operation{Read}},
		},
	},
	{
		Name: "writer", Prefix: OptionalPrefix,
		Doc: "Writes to topics that are there, also in transactions.",
		allows: []allowed{
			{Topic, true, []Operation{Write, DescribeConfigs}},
			{TransactionalID, true, []Operation{Write}},
		},
	},
	{
		Name: "owner", Prefix: NeedsPrefix,
		Doc: "Does everything with the topics, groups and transactional ids of a prefix: creates, alters, reads, writes, deletes.",
		allows: []allowed{
			{Topic, true, []Operation{All}},
			{Group, true, []Operation{All}},
			{TransactionalID, true, []Operation{All}},
		},
	},
	{
		Name: "auditor", Prefix: NoPrefix,
		Doc: "Sees everything but records: topics, settings, groups, bindings, users, quotas.",
		allows: []allowed{
			{Topic, false, []Operation{Describe, DescribeConfigs}},
			{Group, false, []Operation{Describe, DescribeConfigs}},
			{TransactionalID, false, []Operation{Describe}},
			{DelegationToken, false, []Operation{Describe}},
			{User, false, []Operation{DescribeTokens}},
			{Cluster, false, []Operation{Describe, DescribeConfigs}},
		},
	},
	{
		Name: "operator", Prefix: NoPrefix,
		Doc: "Runs the cluster: topics, settings, quotas, replicas, brokers. Reads and writes no records, but may alter bindings and roles, and so give itself more.",
		allows: []allowed{
			{Topic, false, []Operation{Create, Delete, Alter, Describe, DescribeConfigs, AlterConfigs}},
			{Group, false, []Operation{Delete, Describe, DescribeConfigs, AlterConfigs}},
			{TransactionalID, false, []Operation{Describe}},
			{Cluster, false, []Operation{Create, Alter, Describe, DescribeConfigs, AlterConfigs}},
		},
	},
}

// Errors of Ready.
var (
	ErrNoReadyRole = errors.New("there is no such ready role")
	ErrPrefix      = errors.New("wrong use of a prefix")
)

// Ready makes the role name of a ready one.
func Ready(ready, name, prefix string) (record.Role, error) {
	for i := range ReadyRoles {
		if r := &ReadyRoles[i]; r.Name == ready {
			return r.role(name, prefix)
		}
	}
	return record.Role{}, fmt.Errorf("%w: ready=%q known=%s", ErrNoReadyRole, ready, strings.Join(readyNames(), ","))
}

func readyNames() []string {
	names := make([]string, len(ReadyRoles))
	for i := range ReadyRoles {
		names[i] = ReadyRoles[i].Name
	}
	return names
}

func (r *ReadyRole) role(name, prefix string) (record.Role, error) {
	switch {
	case r.Prefix == NoPrefix && prefix != "":
		return record.Role{}, fmt.Errorf("%w: %s is about the whole cluster: prefix=%q", ErrPrefix, r.Name, prefix)
	case r.Prefix == NeedsPrefix && prefix == "":
		return record.Role{}, fmt.Errorf("%w: %s needs one", ErrPrefix, r.Name)
	}
	out := record.Role{Name: name, Description: r.Doc}
	for _, a := range r.allows {
		x := record.ACL{
			ResourceType: uint8(a.kind), Pattern: record.PatternLiteral, Resource: Wildcard, Host: Wildcard, Permission: record.PermissionAllow,
		}
		switch {
		case a.kind == Cluster:
			x.Resource = ClusterName
		case a.prefixed && prefix != "":
			x.Pattern, x.Resource = record.PatternPrefixed, prefix
		}
		for _, op := range a.operations {
			x.Operation = uint8(op)
			out.ACLs = append(out.ACLs, x)
		}
	}
	return out, nil
}
