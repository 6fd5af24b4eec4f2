package streams

import (
	"fmt"
	"hash/fnv"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// cluster is the topics of a test.
type cluster struct {
	topics  map[string]int32
	version uint64
}

func (c *cluster) Partitions(topic string) (int32, bool) {
	n, ok := c.topics[topic]
	return n, ok
}

func (c *cluster) Hash(topics []string) int64 {
	h := fnv.New64a()
	found := false
	for _, t := range topics {
		if n, ok := c.topics[t]; ok {
			found = true
			fmt.Fprintf(h, "%s=%d,", t, n)
		}
	}
	if !found {
		return 0
	}
	return int64(h.Sum64())
}

func (c *cluster) create(topic string, partitions int32) {
	c.topics[topic] = partitions
	c.version++
}

// world is a group, its log and its timers.
type world struct {
	t      testing.TB
	topics *cluster
	env    Env
	g      *Group
	log    []coordinator.Record
	timers map[Timer]time.Time // by kind and member
	sparse int                 // compare with the log at every sparse decision only
	taken  int
}

func newWorld(t testing.TB, topics map[string]int32) *world {
	c := &cluster{topics: topics, version: 1}
	w := &world{t: t, topics: c, g: New(), timers: make(map[Timer]time.Time)}
	w.env = Env{GroupID: "g", Now: time.UnixMilli(1_700_000_000_000), Topics: c, Config: DefaultConfig()}
	w.env.Config.InitialRebalanceDelay, w.env.Config.AssignmentInterval = 0, 0
	return w
}

// take applies a result, and checks it.
func (w *world) take(r Result) Result {
	w.t.Helper()
	if r.Group == nil {
		return r
	}
	w.g = r.Group
	w.log = append(w.log, r.Records...)
	for _, tm := range r.Timers {
		k := Timer{Kind: tm.Kind, Member: tm.Member}
		if delete(w.timers, k); !tm.At.IsZero() {
			w.timers[k] = tm.At
		}
	}
	w.checkOwners()
	if w.taken++; w.sparse > 0 && w.taken%w.sparse != 0 {
		return r
	}
	w.checkLog()
	return r
}

// checkLog compares the group with what the log makes of it.
func (w *world) checkLog() {
	w.t.Helper()
	soft := cmpopts.IgnoreFields(Group{}, "configured", "seen", "delayed", "shutdown", "endpointEpoch", "fresh")
	if diff := cmp.Diff(w.g, replay(w.t, w.log), exported, soft, cmpopts.EquateEmpty()); diff != "" {
		w.t.Fatalf("the log makes another group (-memory +log):\n%s", diff)
	}
}

// checkOwners looks at what the coordinator believes.
func (w *world) checkOwners() {
	w.t.Helper()
	active := map[Task]string{}
	inProcess := map[string]string{}
	for _, m := range w.g.members {
		for _, held := range []*Tasks{&m.Assigned, &m.Revoking} {
			for _, task := range held.Active {
				if other, ok := active[task.key()]; ok && other != m.ID {
					w.t.Fatalf("task %v is active in %s and %s", task.key(), other, m.ID)
				}
				active[task.key()] = m.ID
			}
			for _, task := range slices.Concat(held.Active, held.Standby, held.Warmup) {
				k := fmt.Sprint(m.Process, task.key())
				if other, ok := inProcess[k]; ok && other != m.ID {
					w.t.Fatalf("process %s has task %v in %s and %s", m.Process, task.key(), other, m.ID)
				}
				inProcess[k] = m.ID
			}
		}
	}
}

func (w *world) env1() *Env {
	w.env.TopicsVersion = w.topics.version
	return &w.env
}

func (w *world) heartbeat(req *kmsg.StreamsGroupHeartbeatRequest) Result {
	w.t.Helper()
	if resp := Check(req); resp != nil {
		return Result{Response: resp}
	}
	client := Client{"client", "/127.0.0.1"}
	r := Heartbeat(w.env1(), w.g, client, req)
	if r.Group == w.g { // the short way gives what the long one does
		d := newDecision(&w.env, w.g)
		if err := d.heartbeat(client, req); err != nil {
			w.t.Fatalf("the long way fails: %v", err)
		}
		if diff := cmp.Diff(d.result(), r, cmp.Exporter(func(reflect.Type) bool { return true }), cmpopts.EquateEmpty()); diff != "" {
			w.t.Fatalf("the short way differs (-long +short):\n%s", diff)
		}
	}
	return w.take(r)
}

// advance lets time pass, and fires what is due.
func (w *world) advance(d time.Duration) {
	w.t.Helper()
	end := w.env.Now.Add(d)
	for {
		var due []Timer
		for k, at := range w.timers {
			if !at.After(end) {
				due = append(due, Timer{k.Kind, k.Member, at})
			}
		}
		if len(due) == 0 {
			break
		}
		slices.SortFunc(due, func(a, b Timer) int { return cmpTimers(a, b) })
		tm := due[0]
		delete(w.timers, Timer{Kind: tm.Kind, Member: tm.Member})
		if tm.At.After(w.env.Now) {
			w.env.Now = tm.At
		}
		w.take(TimedOut(w.env1(), w.g, tm.Kind, tm.Member))
	}
	w.env.Now = end
}

func cmpTimers(a, b Timer) int {
	if c := a.At.Compare(b.At); c != 0 {
		return c
	}
	return slices.Compare([]string{fmt.Sprint(a.Kind), a.Member}, []string{fmt.Sprint(b.Kind), b.Member})
}

// failover loads the log anew.
func (w *world) failover() {
	g := replay(w.t, w.log)
	g.Settle()
	w.g = g
	w.timers = make(map[Timer]time.Time)
	for _, tm := range g.Resume(w.env.Now, w.env.Config.SessionTimeout) {
		w.timers[Timer{Kind: tm.Kind, Member: tm.Member}] = tm.At
	}
}

// app is a member as a client has it.
type app struct {
	id, process string
	topology    *kmsg.StreamsGroupHeartbeatRequestTopology
	epoch       int32
	endpoints   int32
	owned       Tasks
	wanted      Tasks // the last assignment that was heard of
	endpoint    string
	status      []kmsg.StreamsGroupHeartbeatResponseStatus
	resp        *kmsg.StreamsGroupHeartbeatResponse
}

func (a *app) request() *kmsg.StreamsGroupHeartbeatRequest {
	req := kmsg.NewPtrStreamsGroupHeartbeatRequest()
	req.Group, req.MemberID, req.MemberEpoch, req.EndpointInformationEpoch = "g", a.id, a.epoch, a.endpoints
	req.ActiveTasks, req.StandbyTasks, req.WarmupTasks = a.owned.Active.ids(), a.owned.Standby.ids(), a.owned.Warmup.ids()
	if a.epoch == 0 {
		req.Topology, req.ProcessID, req.RebalanceTimeoutMillis = a.topology, &a.process, 10_000
		if a.endpoint != "" {
			e := kmsg.NewStreamsGroupHeartbeatRequestUserEndpoint()
			e.Host, e.Port = a.endpoint, 1
			req.UserEndpoint = &e
		}
	}
	return req
}

// hear takes in an answer. What is not wanted any more is given up at once, what is new is
// begun after that.
func (a *app) hear(r *kmsg.StreamsGroupHeartbeatResponse) {
	a.resp = r
	if r.ErrorCode != 0 {
		a.epoch, a.owned, a.wanted = 0, Tasks{}, Tasks{}
		return
	}
	a.epoch, a.endpoints, a.status = r.MemberEpoch, r.EndpointInformationEpoch, r.Status
	if r.ActiveTasks != nil {
		a.wanted = Tasks{taskSet(r.ActiveTasks), taskSet(r.StandbyTasks), taskSet(r.WarmupTasks)}
		a.owned = a.wanted
	}
}

func (w *world) beat(a *app) Result {
	w.t.Helper()
	r := w.heartbeat(a.request())
	a.hear(r.Response)
	for _, it := range r.Create {
		w.topics.create(it.Name, it.Partitions)
	}
	return r
}

// settle lets all members send heartbeats until nothing changes.
func (w *world) settle(apps ...*app) {
	w.t.Helper()
	for range 20 {
		n := len(w.log)
		for _, a := range apps {
			w.beat(a)
			w.env.Now = w.env.Now.Add(10 * time.Millisecond)
		}
		if len(w.log) == n && w.g.StateName() == stateStable {
			return
		}
	}
	w.t.Fatalf("not stable: %s", w.g.StateName())
}

// A topology of two parts: "in" is repartitioned into "rep", which has state.
func wordCount() *kmsg.StreamsGroupHeartbeatRequestTopology {
	t := kmsg.NewStreamsGroupHeartbeatRequestTopology()
	first, second := kmsg.NewStreamsGroupHeartbeatRequestTopologySubtopology(), kmsg.NewStreamsGroupHeartbeatRequestTopologySubtopology()
	first.SubtopologyID, first.SourceTopics, first.RepartitionSinkTopics = "0", []string{"in"}, []string{"rep"}
	second.SubtopologyID = "1"
	second.RepartitionSourceTopics = []kmsg.TopicInfo{topicInfo("rep", 0)}
	second.StateChangelogTopics = []kmsg.TopicInfo{topicInfo("log", 0)}
	t.Subtopologies = []kmsg.StreamsGroupHeartbeatRequestTopologySubtopology{first, second}
	return &t
}

func topicInfo(name string, partitions int32) kmsg.TopicInfo {
	ti := kmsg.NewTopicInfo()
	ti.Topic, ti.NumPartitions = name, partitions
	return ti
}

func newApp(id, process string) *app {
	return &app{id: id, process: process, topology: wordCount(), endpoints: -1}
}
