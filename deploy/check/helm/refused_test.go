package helm

import (
	"strings"
	"testing"
)

// TestRefused: values that make no sense do not get as far as a cluster, and the words say what is wrong.
func TestRefused(t *testing.T) {
	for name, c := range map[string]struct{ values, want string }{
		"no bucket":             {`objectStore: {}`, "/objectStore/url"},
		"credentials in a file": {`objectStore: {url: "http://minio:9000/bucket"}`, "does not match pattern"},
		"misspelt":              {`replica: 3`, "additional properties 'replica' not allowed"},
		"misspelt below":        {`persistence: {sise: 1Gi}`, "additional properties 'sise' not allowed"},
		"text for a number":     {`replicas: "3"`, "got string, want integer"},
		"two brokers":           {`replicas: 2`, "one broker, for a try, or at least three"},
		"two zones of one":      {`zones: [{name: a}, {name: b}]`, "at least three"},
		"a zone twice":          {`zones: [{name: a, replicas: 2}, {name: a}]`, "zones: a is there twice"},
		"ids that meet":         {`zones: [{name: a}, {name: b, firstNodeId: 50}, {name: c}]`, "the ids of a (from 0) and of b (from 50)"},
		"no such zone":          {"zones: [{name: a}, {name: b}, {name: c}]\nrollout: {zone: d}", "rollout.zone: d is none of zones"},
		"a setting of ours":     {`settings: {node.id: 7}`, "settings: node.id is made of the value zones[].firstNodeId"},
		"a secret one of ours":  {`secretSettings: {super.users: {name: a, key: b}}`, "secretSettings: super.users is made of the value authorization.superUsers"},
		"twice":                 {"settings: {delegation.token.secret.key: x}\nsecretSettings: {delegation.token.secret.key: {name: a, key: b}}", "is among the settings, too"},
		"a nested setting":      {`settings: {node: {id: 7}}`, "/settings/node"},
		"TLS of nothing":        {`listeners: {client: {protocol: SSL}}`, "needs a certificate: give tls.clients.secretName"},
		"no issuer":             {"listeners: {client: {protocol: SSL}}\ntls: {certManager: {clients: true}}", "tls.certManager.clients needs the name of issuerRef"},
		"SASL without a way":    {`listeners: {client: {protocol: SASL_PLAINTEXT}}`, "needs sasl.mechanisms"},
		"a mechanism":           {`sasl: {mechanisms: [GSSAPI]}`, "/sasl/mechanisms/0"},
		"no name outside":       {`listeners: {external: {enabled: true, protocol: PLAINTEXT}}`, "clients from outside need a name for broker 0"},
		"no port outside":       {`listeners: {external: {enabled: true, protocol: PLAINTEXT, type: NodePort, host: a}}`, "type NodePort needs firstNodePort"},
		"an open admin port":    {`networkPolicy: {enabled: false}`, "anybody in the cluster could move replicas"},
		"a short goodbye":       {`terminationGracePeriodSeconds: 5`, "/terminationGracePeriodSeconds"},
		"a monitor":             {`metrics: {monitor: Datadog}`, "/metrics/monitor"},
		"other variables":       {`telemetry: {env: {PATH: /}}`, "invalid propertyName 'PATH'"},
	} {
		t.Run(name, func(t *testing.T) {
			text := c.values
			if !strings.Contains(text, "objectStore") {
				text += "\nobjectStore: {url: \"s3://bucket\"}\n"
			}
			values, err := Values([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			if _, err = Render(values, release); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v\nwant %q", err, c.want)
			}
		})
	}
}
