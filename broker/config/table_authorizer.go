package config

import (
	"fmt"
	"strings"
)

// StandardAuthorizer is the name by which Kafka knows the authorizer that judges by the
// bindings in the metadata.
const StandardAuthorizer = "org.apache.kafka.metadata.authorizer.StandardAuthorizer"

// authorizerSettings are those of who may do what, and of who is told of it.
var authorizerSettings = []Setting{
	{Key: "authorizer.class.name", Type: String, Blank: true, Default: "", Allowed: orEmpty(oneOf(StandardAuthorizer), "everybody may do everything"),
		Doc: "Who may do what. With the name of Kafka's authorizer, requests are judged by access control lists and roles; only super users may do anything before there are some."},
	{Key: "super.users", Type: String, Default: "", Allowed: orEmpty(parsed("TYPE:NAME, separated by semicolons", principalList), "there are none"),
		Doc: "Principals that may do everything, as User:alice, or Group:ops for all whose token names that group. Separated by semicolons, for names of certificates have commas."},
	{Key: "allow.everyone.if.no.acl.found", Type: Bool, Default: "false",
		Doc: "Whether everybody may do everything with what no access control list and no role speaks of."},
	{Key: "audit.log.topic", Type: String, Allowed: Allowed{Text: "a topic, or empty: events are only log lines"},
		Doc: "A topic into which authentications, denials and changes are written as JSON, beside the log lines that tell of them. It is made on first use, with the defaults of the cluster, and is a topic like any other: give nobody the right to write to it. A broker writes to partitions that it leads; events that do not get there are counted by tideline_audit_dropped_total."},
}

// Principals splits a list of principals, which semicolons separate.
func Principals(text string) []string {
	var out []string
	for p := range strings.SplitSeq(text, ";") {
		if p = strings.TrimSpace(p); p != "" {
			out = append(out, p)
		}
	}
	return out
}

func principalList(text string) ([]string, error) {
	list := Principals(text)
	for _, p := range list {
		if kind, name, ok := strings.Cut(p, ":"); !ok || kind == "" || name == "" {
			return nil, fmt.Errorf("not a principal: text=%q", p)
		}
	}
	return list, nil
}
