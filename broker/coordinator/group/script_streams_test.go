package group

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/coordinator/group/streams"
	"github.com/tidelinehq/tideline/internal/scripttest"
)

// parseTasks reads subtopology/0+1,subtopology/2; "-" is none.
func parseTasks(t *testing.T, text string) []kmsg.TaskIDs {
	out := []kmsg.TaskIDs{}
	if text == "" || text == "-" {
		return out
	}
	for _, part := range strings.Split(text, ",") {
		id := kmsg.NewTaskIDs()
		subtopology, list, _ := strings.Cut(part, "/")
		id.SubtopologyID = subtopology
		for _, n := range strings.Split(list, "+") {
			p, err := strconv.Atoi(n)
			if err != nil {
				t.Fatalf("%s: %v", text, err)
			}
			id.Partitions = append(id.Partitions, int32(p))
		}
		out = append(out, id)
	}
	return out
}

func tasksText(ids []kmsg.TaskIDs) string {
	var parts []string
	for _, id := range ids {
		var ns []string
		for _, p := range id.Partitions {
			ns = append(ns, fmt.Sprint(p))
		}
		parts = append(parts, id.SubtopologyID+"/"+strings.Join(ns, "+"))
	}
	if parts == nil {
		return "-"
	}
	return strings.Join(parts, ",")
}

// parseTopology reads reads>sinks|changelogs for each subtopology, in order of their ids
// and separated by semicolons; what ends in ? is a repartition topic.
func parseTopology(text string, epoch int32) *kmsg.StreamsGroupHeartbeatRequestTopology {
	list := func(s string) []string {
		return strings.FieldsFunc(s, func(r rune) bool { return r == '+' })
	}
	top := kmsg.NewStreamsGroupHeartbeatRequestTopology()
	top.Epoch = epoch
	for i, part := range strings.Split(text, ";") {
		s := kmsg.NewStreamsGroupHeartbeatRequestTopologySubtopology()
		s.SubtopologyID = strconv.Itoa(i)
		part, logs, _ := strings.Cut(part, "|")
		reads, sinks, _ := strings.Cut(part, ">")
		s.RepartitionSinkTopics = list(sinks)
		for _, name := range list(reads) {
			if base, ok := strings.CutSuffix(name, "?"); ok {
				ti := kmsg.NewTopicInfo()
				ti.Topic = base
				s.RepartitionSourceTopics = append(s.RepartitionSourceTopics, ti)
			} else {
				s.SourceTopics = append(s.SourceTopics, name)
			}
		}
		for _, name := range list(logs) {
			ti := kmsg.NewTopicInfo()
			ti.Topic = name
			s.StateChangelogTopics = append(s.StateChangelogTopics, ti)
		}
		top.Subtopologies = append(top.Subtopologies, s)
	}
	return &top
}

func buildStreamsRequest(t *testing.T, name string, a scripttest.Line) kmsg.Request {
	switch name {
	case "stream":
		r := kmsg.NewPtrStreamsGroupHeartbeatRequest()
		r.Group, r.MemberID, r.MemberEpoch = a.Str("group", "g"), a.Str("member", ""), int32(a.Num("at", 0))
		r.InstanceID, r.RackID, r.ProcessID = a.Opt("instance"), a.Opt("rack"), a.Opt("process")
		_, shut := a.Named["shutdown"]
		r.ShutdownApplication = shut
		if _, ok := a.Named["has"]; ok || r.MemberEpoch == joinEpoch {
			r.ActiveTasks, r.StandbyTasks, r.WarmupTasks = parseTasks(t, a.Named["has"]), parseTasks(t, a.Named["copies"]), []kmsg.TaskIDs{}
		}
		if host := a.Named["endpoint"]; host != "" {
			e := kmsg.NewStreamsGroupHeartbeatRequestUserEndpoint()
			e.Host, e.Port = host, 1
			r.UserEndpoint = &e
		}
		r.EndpointInformationEpoch = int32(a.Num("endpoints", 0))
		if r.MemberEpoch == joinEpoch {
			r.RebalanceTimeoutMillis = int32(a.Dur("rebalance", 60e9).Milliseconds())
			r.Topology = parseTopology(a.Str("topology", "t"), int32(a.Num("topology-epoch", 0)))
			if r.ProcessID == nil {
				r.ProcessID = &r.MemberID
			}
		}
		return r
	case "describe-streams":
		r := kmsg.NewPtrStreamsGroupDescribeRequest()
		r.Groups = a.Words
		return r
	}
	return nil
}

func describeStreamsResponse(resp kmsg.Response, add func(string, ...any)) {
	switch r := resp.(type) {
	case *kmsg.StreamsGroupHeartbeatResponse:
		add("%s", errorName(r.ErrorCode))
		if r.ErrorCode != 0 {
			add("%q", deref(r.ErrorMessage))
			break
		}
		add("%s at=%d", r.MemberID, r.MemberEpoch)
		if r.ActiveTasks != nil {
			add("%s", tasksText(r.ActiveTasks))
			if len(r.StandbyTasks) > 0 {
				add("copies %s", tasksText(r.StandbyTasks))
			}
		}
		for _, e := range r.PartitionsByUserEndpoint {
			add("endpoint %s", e.UserEndpoint.Host)
			for _, p := range e.ActivePartitions {
				add("%s%v", p.Topic, p.Partitions)
			}
		}
		for _, s := range r.Status {
			add("status=%d %q", s.StatusCode, s.StatusDetail)
		}
	case *kmsg.StreamsGroupDescribeResponse:
		for _, g := range r.Groups {
			add("%s:%s %s epoch=%d assigned=%d", g.Group, errorName(g.ErrorCode), g.State, g.Epoch, g.AssignmentEpoch)
			if g.Topology != nil {
				for _, s := range g.Topology.Subtopologies {
					add("%s:%s", s.SubtopologyID, strings.Join(s.SourceTopics, "+"))
				}
			}
			for _, m := range g.Members {
				add("%s[%s,%s,%s]at=%d,has=%s,target=%s", m.MemberID, m.ClientID, m.ClientHost, m.ProcessID, m.MemberEpoch, tasksText(m.Assignment.ActiveTasks), tasksText(m.TargetAssignment.ActiveTasks))
			}
		}
	}
}

func setText(s streams.TaskSet) string {
	var parts []string
	for i, t := range s {
		if i > 0 && s[i-1].Subtopology == t.Subtopology {
			parts[len(parts)-1] += fmt.Sprintf("+%d", t.Partition)
		} else {
			parts = append(parts, fmt.Sprintf("%s/%d", t.Subtopology, t.Partition))
		}
	}
	if parts == nil {
		return "-"
	}
	return strings.Join(parts, ",")
}

func streamsMemberText(m *streams.Member) string {
	text := fmt.Sprintf("%s at=%d %s", m.ID, m.Epoch, setText(m.Assigned.Active))
	if len(m.Assigned.Standby) > 0 {
		text += " copies " + setText(m.Assigned.Standby)
	}
	switch m.State {
	case streams.UnrevokedTasks:
		text += " revokes " + setText(m.Revoking.Active)
	case streams.UnreleasedTasks:
		text += " waits"
	}
	return text
}

func (s *script) streamsState(id string, g *streamsGroup) {
	s.Printf("group %s %s epoch=%d assigned=%d topology=%d validated=%d", id, g.stateName(), g.Epoch, g.TargetEpoch, g.Topology.Epoch, g.ValidatedEpoch)
	for _, m := range g.Members() {
		target := "none"
		if m.Target != nil {
			target = setText(m.Target.Active)
		}
		s.Printf("  %s target=%s", streamsMemberText(m), target)
	}
}

// streamsRecord describes a record of a streams group.
func (s *script) streamsRecord(k recordKey, value []byte) string {
	what := map[int16]string{
		streams.KeyGroup: "epoch", streams.KeyMember: "member", streams.KeyTargetEpoch: "target-epoch", streams.KeyTarget: "target",
		streams.KeyAssignment: "current", streams.KeyTopology: "topology",
	}[k.version]
	head := strings.TrimSpace(fmt.Sprintf("%s %s %s", what, k.group, k.part))
	if value == nil {
		return head + " removed"
	}
	g := newStreamsGroup()
	if err := g.replay(k, value); err != nil {
		s.t.Fatal(err)
	}
	switch k.version {
	case streams.KeyGroup:
		return fmt.Sprintf("%s = %d validated=%d", head, g.Epoch, g.ValidatedEpoch)
	case streams.KeyTargetEpoch:
		return fmt.Sprintf("%s = %d", head, g.TargetEpoch)
	case streams.KeyTopology:
		return fmt.Sprintf("%s = %d %s", head, g.Topology.Epoch, strings.Join(g.Topology.Required(), "+"))
	}
	m := g.Members()[0]
	switch k.version {
	case streams.KeyTarget:
		return fmt.Sprintf("%s = %s", head, setText(m.Target.Active))
	case streams.KeyMember:
		return fmt.Sprintf("%s process=%s topology=%d", head, m.Process, m.TopologyEpoch)
	}
	return fmt.Sprintf("current %s %s", k.group, streamsMemberText(m))
}

// checkStreamsGroup asserts that no task is active in two members.
func (w *world) checkStreamsGroup(id string, g *streamsGroup) {
	w.t.Helper()
	owner := map[string]string{}
	for _, m := range g.Members() {
		for _, set := range []streams.TaskSet{m.Assigned.Active, m.Revoking.Active} {
			for _, t := range set {
				k := fmt.Sprintf("%s/%d", t.Subtopology, t.Partition)
				if other, ok := owner[k]; ok {
					w.t.Fatalf("group %q: task %s is had by %q and %q", id, k, other, m.ID)
				}
				owner[k] = m.ID
			}
		}
	}
}
