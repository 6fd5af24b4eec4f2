package api

import (
	"testing"

	"github.com/tidelinehq/tideline/broker/wire"
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
