package config

import (
	"fmt"
	"strings"
	"testing"
)

func TestGroupEntries(t *testing.T) {
	c, err := Load(Sources{Set: []string{"data.dir=/d", "group.consumer.heartbeat.interval.ms=6000"}, Machine: ThisMachine()})
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for _, e := range c.GroupEntries(map[string]string{"consumer.session.timeout.ms": "50000", "other": "1"}) {
		got += fmt.Sprintf("%s=%s %v %d\n", e.Name, e.Value, e.Source, len(e.Synonyms))
	}
	for _, want := range []string{
		"consumer.session.timeout.ms=50000 DYNAMIC_GROUP_CONFIG 2", "consumer.heartbeat.interval.ms=6000 STATIC_BROKER_CONFIG 2",
		"share.delivery.count.limit=5 DEFAULT_CONFIG 1", "share.auto.offset.reset=latest DEFAULT_CONFIG 1",
		"streams.num.standby.replicas=0 DEFAULT_CONFIG 1",
	} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("%s is not in\n%s", want, got)
		}
	}
}

func TestValidateGroup(t *testing.T) {
	c, err := Load(Sources{Set: []string{"data.dir=/d", "group.consumer.max.heartbeat.interval.ms=60000"}, Machine: ThisMachine()})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ key, value, want string }{
		{"consumer.session.timeout.ms", "45000", ""},
		{"consumer.session.timeout.ms", "44999", "group.consumer.min.session.timeout.ms"},
		{"consumer.session.timeout.ms", "60001", "group.consumer.max.session.timeout.ms"},
		{"consumer.session.timeout.ms", "x", "consumer.session.timeout.ms"},
		{"consumer.session.timeout", "45000", "consumer.session.timeout.ms"},
		{"consumer.heartbeat.interval.ms", "45000", "must be less than"},
		{"streams.session.timeout.ms", "44999", "group.streams.min.session.timeout.ms"},
		{"streams.num.standby.replicas", "2", ""},
		{"streams.num.standby.replicas", "3", "group.streams.max.standby.replicas"},
		{"streams.num.standby.replicas", "-1", "streams.num.standby.replicas"},
		{"streams.assignment.interval.ms", "15001", "group.streams.max.assignment.interval.ms"},
		{"streams.initial.rebalance.delay.ms", "0", ""},
	} {
		err := c.ValidateGroup(map[string]string{tt.key: tt.value})
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s=%s: %v", tt.key, tt.value, err)
		}
	}
}
