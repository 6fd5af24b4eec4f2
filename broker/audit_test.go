package broker_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/security/audit"
	"github.com/tidelinehq/tideline/internal/record"
)

// TestAudit: the log has who changed what, and who was kept from it, each once.
func TestAudit(t *testing.T) {
	n := newJudgedNode(t, map[string]string{"super.users": "User:u7"})
	root, alice := n.dialAs(userOf(7)), n.dialAs(userOf(8))
	root.create("orders", 1, nil)
	denied := &kmsg.DeleteTopicsRequest{TopicNames: []string{"orders"}, TimeoutMillis: 10_000}
	do[*kmsg.DeleteTopicsResponse](alice.conn, versioned(denied, 5))
	binding := kmsg.CreateACLsRequestCreation{
		ResourceType: kmsg.ACLResourceTypeTopic, ResourceName: "orders", ResourcePatternType: kmsg.ACLResourcePatternTypeLiteral,
		Principal: "User:u8", Host: "*", Operation: kmsg.ACLOperationRead, PermissionType: kmsg.ACLPermissionTypeAllow,
	}
	do[*kmsg.CreateACLsResponse](root.conn, versioned(&kmsg.CreateACLsRequest{Creations: []kmsg.CreateACLsRequestCreation{binding}}, 3))
	do[*kmsg.IncrementalAlterConfigsResponse](root.conn, versioned(incrementalOf(kmsg.ConfigResourceTypeTopic, "orders"), 1)) // which only tries
	n.log.mu.Lock()
	log := n.log.b.String()
	n.log.mu.Unlock()
	for _, want := range []string{
		"event=authentication principal=User:u7 host=127.0.0.1 listener=SASL_PLAINTEXT mechanism=PLAIN result=done",
		"event=admin principal=User:u7 host=127.0.0.1 listener=SASL_PLAINTEXT resource=topic:orders result=done api=CreateTopics",
		"event=authorization principal=User:u8 host=127.0.0.1 listener=SASL_PLAINTEXT operation=Delete resource=topic:orders result=denied api=DeleteTopics",
		`event=admin principal=User:u7 host=127.0.0.1 listener=SASL_PLAINTEXT resource="acl:allow User:u8 Read topic:orders from *" result=done api=CreateAcls`,
	} {
		if strings.Count(log, want) != 1 {
			t.Errorf("%d times in the log: %s", strings.Count(log, want), want)
		}
	}
	if n := strings.Count(log, "event=admin"); n != 2 {
		t.Errorf("%d changes in the log", n)
	}
}

// TestAuditTopic: the events are in a topic, as JSON.
func TestAuditTopic(t *testing.T) {
	n := newJudgedNode(t, map[string]string{"super.users": "User:u7", "audit.log.topic": "audit-log"})
	root := n.dialAs(userOf(7))
	root.create("orders", 1, nil)
	seen := map[string]bool{}
	n.await("the events are in the topic", func() bool {
		for _, topic := range do[*kmsg.FetchResponse](root.conn, fetchRequest(12, at{topic: "audit-log"})).Topics {
			for _, p := range topic.Partitions {
				for batch, err := range record.All(p.RecordBatches) {
					if err != nil {
						t.Fatal(err)
					}
					for r, err := range batch.Records(1 << 20) {
						var e audit.Event
						if err != nil || json.Unmarshal(r.Value, &e) != nil {
							t.Fatalf("not an event: %s, %v", r.Value, err)
						}
						seen[e.Event+" "+e.Principal+" "+e.Resource+" "+e.Result] = true
					}
				}
			}
		}
		return seen["authentication User:u7  done"] && seen["admin User:u7 topic:orders done"]
	})
	if got := n.gauge("tideline_audit_dropped_total"); got != 0 {
		t.Errorf("%v events were dropped", got)
	}
}
