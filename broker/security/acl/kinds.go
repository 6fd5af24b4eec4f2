package acl

import (
	"fmt"
	"strings"

	"github.com/tidelinehq/tideline/metadata/record"
)

// Operation is what somebody wants to do. The numbers are Kafka's.
type Operation uint8

// The operations.
const (
	All             = Operation(record.OperationAll)
	Read            = Operation(record.OperationRead)
	Write           = Operation(record.OperationWrite)
	Create          = Operation(record.OperationCreate)
	Delete          = Operation(record.OperationDelete)
	Alter           = Operation(record.OperationAlter)
	Describe        = Operation(record.OperationDescribe)
	ClusterAction   = Operation(record.OperationClusterAction)
	DescribeConfigs = Operation(record.OperationDescribeConfigs)
	AlterConfigs    = Operation(record.OperationAlterConfigs)
	IdempotentWrite = Operation(record.OperationIdempotentWrite)
	CreateTokens    = Operation(record.OperationCreateTokens)
	DescribeTokens  = Operation(record.OperationDescribeTokens)
	TwoPhaseCommit  = Operation(record.OperationTwoPhaseCommit)
)

// ResourceType is a kind of resource. The numbers are Kafka's.
type ResourceType uint8

// The kinds of resources.
const (
	Topic           = ResourceType(record.ResourceTopic)
	Group           = ResourceType(record.ResourceGroup)
	Cluster         = ResourceType(record.ResourceCluster)
	TransactionalID = ResourceType(record.ResourceTransactionalID)
	DelegationToken = ResourceType(record.ResourceDelegationToken)
	User            = ResourceType(record.ResourceUser)
)

const (
	maxResource  = User
	maxOperation = TwoPhaseCommit
)

// ClusterName is the name of the only resource of the kind Cluster.
const ClusterName = "kafka-cluster"

// Wildcard is the name of a literal pattern that matches every name, and the host that
// matches every host.
const Wildcard = "*"

// Everyone is the principal of bindings that speak of every principal.
const Everyone = "User:*"

// GroupType is the type of the principals that stand for the groups of a token.
const GroupType = "Group"

// mask is a set of operations: bit n is that of Kafka's number n.
type mask uint32

const anything = ^mask(0)

func bit(op Operation) mask { return 1 << op }

// bits are the operations that a binding speaks of.
func bits(op uint8) mask {
	if Operation(op) == All {
		return anything
	}
	return bit(Operation(op))
}

// allowedBy are the operations each of which, when it is allowed, allows op.
var allowedBy = func() (by [maxOperation + 1]mask) {
	for op := All; op <= maxOperation; op++ {
		by[op] = bit(op)
	}
	by[Describe] |= bit(Read) | bit(Write) | bit(Delete) | bit(Alter)
	by[DescribeConfigs] |= bit(AlterConfigs)
	return by
}()

var operationNames = [maxOperation + 1]string{
	All: "All", Read: "Read", Write: "Write", Create: "Create", Delete: "Delete", Alter: "Alter", Describe: "Describe",
	ClusterAction: "ClusterAction", DescribeConfigs: "DescribeConfigs", AlterConfigs: "AlterConfigs", IdempotentWrite: "IdempotentWrite",
	CreateTokens: "CreateTokens", DescribeTokens: "DescribeTokens", TwoPhaseCommit: "TwoPhaseCommit",
}

// String returns the operation's name as kafka-acls takes it.
func (op Operation) String() string {
	if op <= maxOperation && operationNames[op] != "" {
		return operationNames[op]
	}
	return fmt.Sprintf("Operation(%d)", uint8(op))
}

var resourceNames = [maxResource + 1]string{
	Topic: "topic", Group: "group", Cluster: "cluster", TransactionalID: "transactional-id", DelegationToken: "delegation-token", User: "user",
}

// String returns the name of a kind of resource as kafka-acls has its options.
func (r ResourceType) String() string {
	if r <= maxResource && resourceNames[r] != "" {
		return resourceNames[r]
	}
	return fmt.Sprintf("ResourceType(%d)", uint8(r))
}

// Operations are those that make sense for a kind of resource, as Kafka has it, by number.
func (r ResourceType) Operations() []Operation {
	if r > maxResource {
		return nil
	}
	return operationsOf[r]
}

var operationsOf = [maxResource + 1][]Operation{
	Topic:           {Read, Write, Create, Delete, Alter, Describe, DescribeConfigs, AlterConfigs},
	Group:           {Read, Delete, Describe, DescribeConfigs, AlterConfigs},
	Cluster:         {Create, Alter, Describe, ClusterAction, DescribeConfigs, AlterConfigs, IdempotentWrite},
	TransactionalID: {Write, Describe, TwoPhaseCommit},
	DelegationToken: {Describe},
	User:            {CreateTokens, DescribeTokens},
}

// ParseOperation reads the name of an operation, in any case, with or without
// underscores or hyphens between its words.
func ParseOperation(s string) (Operation, error) {
	for op := All; op <= maxOperation; op++ {
		if plain(s) == plain(operationNames[op]) {
			return op, nil
		}
	}
	return 0, fmt.Errorf("not an operation: name=%q", s)
}

// ParseResource reads the name of a kind of resource likewise.
func ParseResource(s string) (ResourceType, error) {
	for r := Topic; r <= maxResource; r++ {
		if plain(s) == plain(resourceNames[r]) {
			return r, nil
		}
	}
	return 0, fmt.Errorf("not a kind of resource: name=%q", s)
}

func plain(s string) string { return strings.NewReplacer("_", "", "-", "").Replace(strings.ToLower(s)) }
