package api

import (
	"fmt"
	"slices"
	"testing"

	"github.com/tidelinehq/tideline/broker/security"
	"github.com/tidelinehq/tideline/broker/security/acl"
	"github.com/tidelinehq/tideline/broker/wire"
	command "github.com/tidelinehq/tideline/metadata/record"
)

// judgedElsewhere are the keys without a guard, and why.
var judgedElsewhere = map[int16]string{
	keyProduce:     "authorize_produce.go",
	keyFetch:       "authorize_fetch.go",
	keyApiVersions: "everybody may ask what can be asked",
	17:             "SaslHandshake: who has no name yet has no rights",
	36:             "SaslAuthenticate: likewise",
	39:             "RenewDelegationToken: a token names who may renew it",
	40:             "ExpireDelegationToken: likewise",
	71:             "GetTelemetrySubscriptions: of every client",
	72:             "PushTelemetry: likewise",
}

// TestEveryKeyIsJudged: whoever adds a key to the table says what it needs.
func TestEveryKeyIsJudged(t *testing.T) {
	for i := range table {
		key := table[i].key
		_, elsewhere := judgedElsewhere[key]
		if (guards[key] == nil) != elsewhere {
			t.Errorf("%s has a guard: %v; is judged elsewhere: %v", wire.KeyName(key), guards[key] != nil, elsewhere)
		}
	}
}

// TestRememberedTopicsAllocateNothing: a producer or consumer that is judged costs no memory for
// topics that its connection has used before; and what is remembered has a bound.
func TestRememberedTopicsAllocateNothing(t *testing.T) {
	bindings := acl.Bindings{
		ACLs: slices.Values([]command.ACL{{
			ResourceType: command.ResourceTopic, Pattern: command.PatternPrefixed, Resource: "orders", Principal: "User:alice", Host: "*",
			Operation: command.OperationWrite, Permission: command.PermissionAllow,
		}}),
		Roles: slices.Values([]command.Role(nil)), Grants: slices.Values([]command.Grant(nil)),
	}
	client := acl.New(acl.Options{}, bindings).Client(&security.Principal{Type: security.UserType, Name: "alice"}, "10.0.0.1")
	x := &access{client: client, topics: make(map[string]topicAccess)}
	name := []byte("orders.eu")
	if !x.topic(acl.Write, name) || x.topic(acl.Read, name) || x.topicNamed(acl.Write, "bills") {
		t.Error("wrongly judged")
	}
	if n := testing.AllocsPerRun(100, func() { x.topic(acl.Write, name); x.topicNamed(acl.Read, "orders.eu") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	for i := range 3 * maxRememberedTopics {
		x.topicNamed(acl.Read, fmt.Sprint(i))
	}
	if len(x.topics) > maxRememberedTopics || !x.topic(acl.Write, name) {
		t.Errorf("%d topics are remembered", len(x.topics))
	}
}
