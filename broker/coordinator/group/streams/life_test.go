package streams

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func (a *app) statuses() []int8 {
	var out []int8
	for _, s := range a.status {
		out = append(out, s.StatusCode)
	}
	return out
}

func wantStatus(t *testing.T, a *app, want ...int8) {
	t.Helper()
	if got := a.statuses(); !slices.Equal(got, want) {
		t.Errorf("statuses of %s: got %v %v, want %v", a.id, got, a.status, want)
	}
}

func wantState(t *testing.T, w *world, want string) {
	t.Helper()
	if got := w.g.StateName(); got != want {
		t.Errorf("state: got %s, want %s", got, want)
	}
}

func wantCode(t *testing.T, r Result, want *kerr.Error) {
	t.Helper()
	if r.Response.ErrorCode != want.Code {
		t.Errorf("got %v, want %v", kerr.ErrorForCode(r.Response.ErrorCode), want)
	}
}

func TestLife(t *testing.T) {
	w := newWorld(t, map[string]int32{})
	a, b := newApp("a", "p1"), newApp("b", "p2")
	w.beat(a)
	wantStatus(t, a, statusMissingSourceTopics)
	wantState(t, w, stateNotReady)
	if a.epoch != 2 || w.g.Epoch != 2 {
		t.Errorf("epochs after the first join: member %d, group %d", a.epoch, w.g.Epoch)
	}

	w.topics.create("in", 4)
	r := w.beat(a)
	wantStatus(t, a, statusMissingInternalTopics)
	if len(r.Create) != 2 || r.Create[0].Name != "log" || r.Create[0].Partitions != 4 || r.Create[1].Name != "rep" || r.Create[1].Partitions != 4 {
		t.Fatalf("topics to create: %+v", r.Create)
	}
	w.beat(a)
	wantStatus(t, a)
	wantState(t, w, stateStable)
	if len(a.owned.Active) != 8 {
		t.Fatalf("the only member owns %v", a.owned)
	}

	w.beat(b) // gets nothing before a has given up what it is to lose
	wantState(t, w, stateReconciling)
	if !b.owned.empty() || b.epoch != w.g.Epoch {
		t.Fatalf("b owns %v in epoch %d", b.owned, b.epoch)
	}
	before := a.epoch
	w.beat(a)
	if a.epoch != before || len(a.owned.Active) != 4 {
		t.Fatalf("a owns %v in epoch %d, before %d", a.owned, a.epoch, before)
	}
	w.settle(a, b)
	if len(b.owned.Active) != 4 || a.epoch != w.g.Epoch || b.epoch != w.g.Epoch {
		t.Fatalf("a %+v, b %+v", a, b)
	}

	leave := b.request()
	leave.MemberEpoch = -1
	if r := w.heartbeat(leave); r.Response.ErrorCode != 0 || r.Response.MemberEpoch != -1 {
		t.Fatalf("leave: %+v", r.Response)
	}
	wantState(t, w, stateAssigning)
	w.settle(a)
	if len(a.owned.Active) != 8 {
		t.Fatalf("a owns %v", a.owned)
	}

	w.advance(46 * time.Second)
	wantState(t, w, stateEmpty)
	wantCode(t, w.heartbeat(a.request()), kerr.UnknownMemberID)
}

func TestInitialDelay(t *testing.T) {
	w := newWorld(t, map[string]int32{"in": 4, "rep": 4, "log": 4})
	w.env.Config.InitialRebalanceDelay = 3 * time.Second
	a, b := newApp("a", "p1"), newApp("b", "p2")
	w.beat(a)
	w.beat(b)
	wantStatus(t, a, statusAssignmentDelayed)
	wantStatus(t, b, statusAssignmentDelayed)
	if a.epoch != 1 {
		t.Errorf("epoch during the delay: %d", a.epoch)
	}
	w.advance(2 * time.Second)
	w.beat(a)
	wantStatus(t, a, statusAssignmentDelayed)
	w.advance(time.Second)
	wantState(t, w, stateReconciling)
	w.beat(a)
	w.beat(b)
	wantState(t, w, stateStable)
	if len(a.owned.Active) != 4 || len(b.owned.Active) != 4 || a.epoch != b.epoch {
		t.Fatalf("a %+v, b %+v", a, b)
	}
}

func TestAssignmentInterval(t *testing.T) {
	w := newWorld(t, map[string]int32{"in": 4, "rep": 4, "log": 4})
	w.env.Config.AssignmentInterval = time.Second
	a, b := newApp("a", "p1"), newApp("b", "p2")
	w.beat(a)
	w.beat(b)
	wantStatus(t, b, statusAssignmentDelayed)
	w.advance(time.Second)
	w.beat(b)
	wantStatus(t, b)
	w.settle(a, b)
}

func TestRebalanceTimeout(t *testing.T) {
	w := newWorld(t, map[string]int32{"in": 4, "rep": 4, "log": 4})
	a, b := newApp("a", "p1"), newApp("b", "p2")
	w.settle(a)
	w.beat(b)
	owned := a.owned
	w.beat(a)
	a.owned = owned // it does not give up anything
	for range 3 {
		w.advance(3 * time.Second)
		w.beat(a)
		a.owned = owned
		w.beat(b)
	}
	w.advance(2 * time.Second)
	wantCode(t, w.heartbeat(a.request()), kerr.UnknownMemberID)
	w.settle(b)
	if len(b.owned.Active) != 8 {
		t.Fatalf("b owns %v", b.owned)
	}
}

func TestFencing(t *testing.T) {
	w := newWorld(t, map[string]int32{"in": 4, "rep": 4, "log": 4})
	a, b := newApp("a", "p1"), newApp("b", "p2")
	w.settle(a)

	ahead := a.request()
	ahead.MemberEpoch++
	wantCode(t, w.heartbeat(ahead), kerr.FencedMemberEpoch)

	// The answer with the new epoch is lost: the old one is good for what is still assigned.
	before := *a
	w.beat(b)
	w.beat(a)
	lost := *a
	w.beat(a)
	if a.epoch == lost.epoch {
		t.Fatal("a was to get another epoch")
	}
	again := lost.request()
	r := w.heartbeat(again)
	if r.Response.ErrorCode != 0 || r.Response.MemberEpoch != a.epoch {
		t.Fatalf("got %+v", r.Response)
	}
	old := before.request() // with tasks that are not its any more
	wantCode(t, w.heartbeat(old), kerr.FencedMemberEpoch)
	silent := lost.request()
	silent.ActiveTasks, silent.StandbyTasks, silent.WarmupTasks = nil, nil, nil
	wantCode(t, w.heartbeat(silent), kerr.FencedMemberEpoch)

	wrong := a.request()
	wrong.ActiveTasks = append(wrong.ActiveTasks, kmsg.TaskIDs{SubtopologyID: "7", Partitions: []int32{0}})
	wantCode(t, w.heartbeat(wrong), kerr.InvalidRequest)
	wrong.ActiveTasks[len(wrong.ActiveTasks)-1] = kmsg.TaskIDs{SubtopologyID: "0", Partitions: []int32{4}}
	wantCode(t, w.heartbeat(wrong), kerr.InvalidRequest)

	// A member that joins anew keeps what it has in the log.
	a.epoch, a.owned = 0, Tasks{}
	w.settle(a, b)
	if len(a.owned.Active) != 4 {
		t.Fatalf("a owns %v", a.owned)
	}
}

func TestTopologyOfAnother(t *testing.T) {
	w := newWorld(t, map[string]int32{"in": 4, "rep": 4, "log": 4})
	a, b := newApp("a", "p1"), newApp("b", "p2")
	a.topology.Epoch = 1
	w.settle(a)
	w.beat(b)
	if s := b.statuses(); len(s) == 0 || s[0] != statusStaleTopology {
		t.Errorf("statuses of a member with an older topology: %v", b.status)
	}
	c := newApp("c", "p3")
	c.topology.Epoch = 1
	c.topology.Subtopologies[0].SourceTopics = []string{"elsewhere"}
	wantCode(t, w.heartbeat(c.request()), kerr.InvalidRequest)
	c.topology.Epoch = 2
	wantCode(t, w.heartbeat(c.request()), kerr.InvalidRequest)
	c.topology = wordCount()
	c.topology.Epoch = 1
	slices.Reverse(c.topology.Subtopologies) // the order says nothing
	if r := w.heartbeat(c.request()); r.Response.ErrorCode != 0 {
		t.Errorf("got %v", *r.Response.ErrorMessage)
	}
}

func TestShutdown(t *testing.T) {
	w := newWorld(t, map[string]int32{"in": 4, "rep": 4, "log": 4})
	a, b := newApp("a", "p1"), newApp("b", "p2")
	w.settle(a, b)
	req := a.request()
	req.ShutdownApplication = true
	a.hear(w.heartbeat(req).Response)
	w.beat(b)
	wantStatus(t, a, statusShutdownApplication)
	wantStatus(t, b, statusShutdownApplication)
	for _, m := range []*app{a, b} {
		leave := m.request()
		leave.MemberEpoch = -1
		w.heartbeat(leave)
	}
	c := newApp("c", "p1")
	w.beat(c)
	wantStatus(t, c)
}

func TestEndpoints(t *testing.T) {
	w := newWorld(t, map[string]int32{"in": 4, "rep": 4, "log": 4})
	a, b := newApp("a", "p1"), newApp("b", "p2")
	a.endpoint, b.endpoint = "ha", "hb"
	w.beat(a)
	if a.resp.PartitionsByUserEndpoint == nil {
		t.Error("a member that has heard of no endpoints is told none")
	}
	w.settle(a, b)
	w.settle(a, b)
	if a.resp.PartitionsByUserEndpoint != nil {
		t.Error("a member is told again what it knows")
	}
	a.endpoints = -1
	w.beat(a)
	got := a.resp.PartitionsByUserEndpoint
	if len(got) != 2 || got[0].UserEndpoint.Host != "hb" || got[1].UserEndpoint.Host != "ha" {
		t.Fatalf("endpoints: %+v", got)
	}
	n := 0
	for _, e := range got {
		for _, p := range e.ActivePartitions {
			n += len(p.Partitions)
		}
	}
	if n != 8 {
		t.Errorf("endpoints have %d partitions: %+v", n, got)
	}
}

func TestSettingsOfTheGroup(t *testing.T) {
	w := newWorld(t, map[string]int32{"in": 4, "rep": 4, "log": 4})
	a, b := newApp("a", "p1"), newApp("b", "p2")
	w.settle(a, b)
	w.env.Config.StandbyReplicas = 1
	w.settle(a, b)
	if n := len(a.owned.Standby) + len(b.owned.Standby); n != 4 { // one copy of each task with state
		t.Errorf("%d standby tasks: %+v %+v", n, a.owned, b.owned)
	}
	w.env.Config.StandbyReplicas = 0
	w.settle(a, b)
	if n := len(a.owned.Standby) + len(b.owned.Standby); n != 0 {
		t.Errorf("%d standby tasks", n)
	}
}

func TestTopicsChange(t *testing.T) {
	w := newWorld(t, map[string]int32{"in": 4, "rep": 4, "log": 4})
	a := newApp("a", "p1")
	w.settle(a)
	w.topics.create("unrelated", 1)
	if n := len(w.log); w.beat(a).Response.ErrorCode != 0 || len(w.log) != n {
		t.Error("a topic that the application does not read led to records")
	}
	w.topics.create("in", 6) // wider than its repartition topic
	w.beat(a)
	wantStatus(t, a, statusIncorrectlyPartitioned)
	w.beat(a)
	wantState(t, w, stateNotReady)
	w.topics.create("rep", 6)
	w.topics.create("log", 6)
	w.settle(a)
	if len(a.owned.Active) != 12 {
		t.Errorf("a owns %v", a.owned)
	}
}

func TestLimits(t *testing.T) {
	w := newWorld(t, map[string]int32{"in": 4, "rep": 4, "log": 4})
	a, b := newApp("a", "p1"), newApp("b", "p2")
	w.env.Config.Limits.Tasks = 7
	wantCode(t, w.beat(a), kerr.StreamsInvalidTopology)
	w.env.Config.Limits = DefaultConfig().Limits
	w.env.Config.Limits.TopologyBytes = 20
	wantCode(t, w.beat(a), kerr.StreamsInvalidTopology)
	w.env.Config.Limits = DefaultConfig().Limits
	w.env.Config.Limits.MemberBytes = 20
	wantCode(t, w.beat(a), kerr.InvalidRequest)
	w.env.Config.Limits = DefaultConfig().Limits
	w.env.Config.MaxSize = 1
	w.settle(a)
	wantCode(t, w.beat(b), kerr.GroupMaxSizeReached)
	w.env.Config.MaxSize, w.env.Config.Limits.GroupBytes = 2, 100
	wantCode(t, w.beat(b), kerr.GroupMaxSizeReached)
	a.epoch, a.owned = 0, Tasks{}
	w.settle(a)
}

func TestCheck(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*kmsg.StreamsGroupHeartbeatRequest)
		want   *kerr.Error
	}{
		"static":         {func(r *kmsg.StreamsGroupHeartbeatRequest) { r.InstanceID = ptr("i") }, kerr.InvalidRequest},
		"task offsets":   {func(r *kmsg.StreamsGroupHeartbeatRequest) { r.TaskOffsets = []kmsg.TaskOffset{} }, kerr.InvalidRequest},
		"no member":      {func(r *kmsg.StreamsGroupHeartbeatRequest) { r.MemberID = "" }, kerr.InvalidRequest},
		"long member":    {func(r *kmsg.StreamsGroupHeartbeatRequest) { r.MemberID = strings.Repeat("m", 32001) }, kerr.InvalidRequest},
		"no group":       {func(r *kmsg.StreamsGroupHeartbeatRequest) { r.Group = "" }, kerr.InvalidRequest},
		"no timeout":     {func(r *kmsg.StreamsGroupHeartbeatRequest) { r.RebalanceTimeoutMillis = -1 }, kerr.InvalidRequest},
		"no topology":    {func(r *kmsg.StreamsGroupHeartbeatRequest) { r.Topology = nil }, kerr.InvalidRequest},
		"owns and joins": {func(r *kmsg.StreamsGroupHeartbeatRequest) { r.ActiveTasks = active("0", 0, 1).ids() }, kerr.InvalidRequest},
		"epoch -3":       {func(r *kmsg.StreamsGroupHeartbeatRequest) { r.MemberEpoch = -3 }, kerr.InvalidRequest},
		"epoch -2":       {func(r *kmsg.StreamsGroupHeartbeatRequest) { r.MemberEpoch = -2 }, kerr.InvalidRequest},
		"late topology":  {func(r *kmsg.StreamsGroupHeartbeatRequest) { r.MemberEpoch = 1 }, kerr.InvalidRequest},
		"half of tasks":  {func(r *kmsg.StreamsGroupHeartbeatRequest) { r.StandbyTasks = nil }, kerr.InvalidRequest},
		"regex": {func(r *kmsg.StreamsGroupHeartbeatRequest) {
			r.Topology.Subtopologies[0].SourceTopicRegex = []string{"a.*"}
		}, kerr.InvalidRequest},
		"changelog": {func(r *kmsg.StreamsGroupHeartbeatRequest) {
			r.Topology.Subtopologies[1].StateChangelogTopics[0].NumPartitions = 2
		}, kerr.StreamsInvalidTopology},
		"negative": {func(r *kmsg.StreamsGroupHeartbeatRequest) {
			r.Topology.Subtopologies[1].RepartitionSourceTopics[0].NumPartitions = -2
		}, kerr.StreamsInvalidTopology},
	} {
		req := newApp("a", "p1").request()
		tt.change(req)
		if r := Check(req); r == nil || r.ErrorCode != tt.want.Code {
			t.Errorf("%s: got %+v, want %v", name, r, tt.want)
		}
	}
	if r := Check(newApp("a", "p1").request()); r != nil {
		t.Errorf("a good request: %s", *r.ErrorMessage)
	}
}

func TestCommits(t *testing.T) {
	w := newWorld(t, map[string]int32{"in": 4, "rep": 4, "log": 4})
	if _, code := w.g.CheckCommit(Commit{Epoch: -1}); code != 0 {
		t.Error("an admin may not set offsets of an empty group")
	}
	a, b := newApp("a", "p1"), newApp("b", "p2")
	w.settle(a)
	old := a.epoch
	w.settle(a, b)
	for name, tt := range map[string]struct {
		c    Commit
		want int16
	}{
		"current":       {Commit{Member: "a", Epoch: a.epoch, Version: 9}, 0},
		"ahead":         {Commit{Member: "a", Epoch: a.epoch + 1, Version: 9}, kerr.StaleMemberEpoch.Code},
		"unknown":       {Commit{Member: "x", Epoch: a.epoch, Version: 9}, kerr.UnknownMemberID.Code},
		"admin":         {Commit{Epoch: -1, Version: 9}, kerr.UnknownMemberID.Code},
		"old request":   {Commit{Member: "a", Epoch: a.epoch, Version: 8}, kerr.UnsupportedVersion.Code},
		"transaction":   {Commit{Epoch: -1, Txn: true}, 0},
		"txn of member": {Commit{Member: "a", Epoch: a.epoch, Txn: true}, 0},
	} {
		if each, code := w.g.CheckCommit(tt.c); code != tt.want || each != nil {
			t.Errorf("%s: got %v", name, code)
		}
	}
	each, code := w.g.CheckCommit(Commit{Member: "a", Epoch: old, Version: 9})
	if code != 0 || each == nil {
		t.Fatalf("a member with an older epoch: %d", code)
	}
	kept, given := a.owned.Active[0], b.owned.Active[0]
	topicOf := map[string]string{"0": "in", "1": "rep"}
	if code := each(topicOf[kept.Subtopology], kept.Partition); code != 0 {
		t.Errorf("a task that it has had all the time: %d", code)
	}
	if code := each(topicOf[given.Subtopology], given.Partition); code != kerr.StaleMemberEpoch.Code {
		t.Errorf("a task that is another's: %d", code)
	}
	if code := each("unrelated", 0); code != kerr.StaleMemberEpoch.Code {
		t.Errorf("a topic that is not read: %d", code)
	}
	for _, tt := range []struct {
		member *string
		epoch  int32
		want   int16
	}{{nil, -1, 0}, {ptr("a"), a.epoch, 0}, {ptr("a"), old, kerr.StaleMemberEpoch.Code}, {ptr("x"), 1, kerr.UnknownMemberID.Code}} {
		if code := w.g.CheckFetch(tt.member, tt.epoch); code != tt.want {
			t.Errorf("fetch by %v in %d: %d", tt.member, tt.epoch, code)
		}
	}
}

func TestDescribe(t *testing.T) {
	w := newWorld(t, map[string]int32{"in": 4})
	a := newApp("a", "p1")
	w.beat(a)
	d := w.g.Describe("g")
	if d.State != stateNotReady || d.Topology.Subtopologies[1].RepartitionSourceTopics[0].NumPartitions != 0 {
		t.Errorf("before the topics are there: %+v", d)
	}
	w.settle(a)
	d = w.g.Describe("g")
	if d.State != stateStable || d.Epoch != w.g.Epoch || d.AssignmentEpoch != w.g.Epoch || len(d.Members) != 1 ||
		d.Topology.Subtopologies[1].RepartitionSourceTopics[0].NumPartitions != 4 || d.Topology.Subtopologies[1].StateChangelogTopics[0].NumPartitions != 4 {
		t.Errorf("%+v", d)
	}
	if m := d.Members[0]; m.MemberID != "a" || m.MemberEpoch != a.epoch || m.ProcessID != "p1" || len(m.Assignment.ActiveTasks) != 2 || len(m.TargetAssignment.ActiveTasks) != 2 {
		t.Errorf("%+v", m)
	}
}

// TestLargestAssignment: what the limits let in fits in a batch of records.
func TestLargestAssignment(t *testing.T) {
	limits := DefaultConfig().Limits
	g, d := New(), 0
	configured := &Configured{Subtopologies: []ConfiguredSubtopology{{ID: "0", Tasks: int32(limits.Tasks), Changelogs: []InternalTopic{{Name: "log"}}}}}
	for i := 0; ; i++ {
		m := newMember(fmt.Sprintf("member-%022d", i))
		m.Process = fmt.Sprintf("process-%d", i%3)
		env := &Env{GroupID: "application", Config: DefaultConfig()}
		if newDecision(env, g).idBytes(m.ID) > limits.GroupBytes {
			break
		}
		g.put(m)
		d++
	}
	g.configured, g.Epoch = configured, 2
	dec := newDecision(&Env{GroupID: "application", Config: DefaultConfig()}, g)
	dec.assign([]KeyValue{{"num.standby.replicas", "2"}})
	bytes := 0
	for _, r := range dec.out.Records {
		bytes += len(r.Key) + len(r.Value) + 12
	}
	if bytes > 1<<20-2<<10 {
		t.Errorf("%d members with %d tasks and two copies of each have records of %d bytes", d, limits.Tasks, bytes)
	}
}
