package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// seen is a cluster of three brokers with topic a: one partition on all of them,
// of which two must be in sync.
func seen(change func(v *view, p *kadm.PartitionDetail)) *view {
	v := &view{
		cluster: &kmsg.DescribeClusterResponse{ControllerID: 1, Brokers: []kmsg.DescribeClusterResponseBroker{{NodeID: 1}, {NodeID: 2}, {NodeID: 3}}},
		voters:  []int32{1, 2, 3},
		adding:  map[string]map[int32][]int32{}, minISR: map[string]int{"a": 2},
	}
	p := kadm.PartitionDetail{Topic: "a", Leader: 1, Replicas: []int32{1, 2, 3}, ISR: []int32{1, 2, 3}}
	change(v, &p)
	v.topics = kadm.TopicDetails{"a": kadm.TopicDetail{Topic: "a", Partitions: kadm.PartitionDetails{0: p}}}
	return v
}

func TestProblems(t *testing.T) {
	for name, x := range map[string]struct {
		change func(v *view, p *kadm.PartitionDetail)
		want   string
	}{
		"healthy":       {func(*view, *kadm.PartitionDetail) {}, ""},
		"no controller": {func(v *view, _ *kadm.PartitionDetail) { v.cluster.ControllerID = -1 }, "no controller@cluster"},
		"few voters":    {func(v *view, _ *kadm.PartitionDetail) { v.voters = []int32{1, 3} }, "few voters@cluster(1,3 of 3)"},
		"one behind":    {func(_ *view, p *kadm.PartitionDetail) { p.ISR = []int32{1, 2} }, "under-replicated@a-0(behind 3)"},
		"two behind":    {func(_ *view, p *kadm.PartitionDetail) { p.ISR = []int32{1} }, "below min.insync.replicas@a-0(in sync 1, needed 2) under-replicated@a-0(behind 2,3)"},
		"broker away": {func(v *view, p *kadm.PartitionDetail) {
			v.cluster.Brokers[2].IsFenced = true
			p.ISR, p.OfflineReplicas = []int32{1, 2}, []int32{3}
		}, "broker fenced@broker 3 replica offline@a-0(on 3)"},
		"nobody leads": {func(_ *view, p *kadm.PartitionDetail) { p.Leader, p.ISR, p.OfflineReplicas = -1, nil, []int32{1, 2, 3} },
			"no leader@a-0(replicas 1,2,3) below min.insync.replicas@a-0(in sync none, needed 2) replica offline@a-0(on 1,2,3)"},
		"more asked than there are": {func(v *view, _ *kadm.PartitionDetail) { v.minISR["a"] = 5 }, ""},
		"one is on its way": {func(v *view, p *kadm.PartitionDetail) {
			p.ISR, v.adding["a"], v.minISR["a"] = []int32{1, 2}, map[int32][]int32{0: {3}}, 3
		}, ""},
		"one is on its way, another behind": {func(v *view, p *kadm.PartitionDetail) {
			p.ISR, v.adding["a"], v.minISR["a"] = []int32{1}, map[int32][]int32{0: {3}}, 1
		}, "under-replicated@a-0(behind 2)"},
	} {
		var got []string
		for _, p := range seen(x.change).problems() {
			text := p.What + "@" + p.where()
			if p.Detail != "" {
				text += "(" + p.Detail + ")"
			}
			if got = append(got, text); p.Advice == "" {
				t.Errorf("%s: no advice", name)
			}
		}
		if joined := strings.Join(got, " "); joined != x.want {
			t.Errorf("%s: %q, want %q", name, joined, x.want)
		}
	}
	v := seen(func(*view, *kadm.PartitionDetail) {})
	v.topics["b"] = kadm.TopicDetail{Topic: "b", Err: errors.New("broken")}
	if p := v.problems(); len(p) != 1 || p[0].where() != "b" || p[0].Detail != "broken" {
		t.Errorf("a topic that is not described: %+v", p)
	}
}

func TestProblemsShown(t *testing.T) {
	var problems []problem
	for i := range int32(healthRows + 5) {
		problems = append(problems, problem{What: "no leader", Topic: "a", Part: &i, Advice: "do"})
	}
	problems = append(problems, problem{What: "no controller", Advice: "do"})
	for _, how := range []output{outputTable, outputJSON} {
		var out bytes.Buffer
		p := &program{stdout: &out}
		err := p.showHealth(how, seen(func(*view, *kadm.PartitionDetail) {}), problems)
		if err == nil || err.Error() != "not healthy: no leader (105), no controller (1)" {
			t.Errorf("%s: %v", how, err)
		}
		if n := strings.Count(out.String(), "\n"); how == outputTable && n != healthRows+2 {
			t.Errorf("%s: %d lines\n%s", how, n, &out)
		}
		if want := "… and 6 more"; how == outputTable && !strings.Contains(out.String(), want) {
			t.Errorf("the table does not say that it is cut")
		}
		if n := strings.Count(out.String(), `"advice"`); how == outputJSON && n != len(problems) {
			t.Errorf("the JSON has %d of %d problems", n, len(problems))
		}
	}
}

func TestAdminAddress(t *testing.T) {
	for listener, want := range map[string]string{
		"127.0.0.1:8080": "127.0.0.1:8080", "0.0.0.0:8080": "host:8080", "[::]:8080": "host:8080", ":8080": "host:8080",
		"name:1": "name:1", "127.0.0.1:0": "", "": "", "nonsense": "",
	} {
		configs := kadm.ResourceConfigs{{Name: "1", Configs: []kadm.Config{{Key: "other"}, {Key: "http.listener", Value: &listener}}}}
		if want != "" {
			want = "http://" + want
		}
		if got := adminAddress(configs, "host"); got != want {
			t.Errorf("%q: %q", listener, got)
		}
	}
	listener, certificate := "a:1", "/etc/broker.pem"
	if got := adminAddress(kadm.ResourceConfigs{{Configs: []kadm.Config{
		{Key: "http.listener", Value: &listener}, {Key: "http.ssl.certificate", Value: &certificate},
	}}}, "host"); got != "https://a:1" {
		t.Errorf("with a certificate: %q", got)
	}
	if got := adminAddress(kadm.ResourceConfigs{{Name: "1"}}, "host"); got != "" {
		t.Errorf("no setting: %q", got)
	}
}
