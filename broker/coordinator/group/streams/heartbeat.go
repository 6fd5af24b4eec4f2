package streams

import (
	"fmt"
	"slices"
	"time"

	"github.com/tidelinehq/tideline/broker/coordinator"
	"github.com/tidelinehq/tideline/broker/wire"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Env is what decisions are taken from, besides the group and the request.
type Env struct {
	GroupID string
	Now     time.Time
	Topics  Topics
	// TopicsVersion grows whenever Topics may have changed.
	TopicsVersion uint64
	Config        Config
}

// Client is who sent a request.
type Client struct{ ID, Host string }

// Result is a decision: what the group is once the records are committed, what to say
// then, and which timers to set.
type Result struct {
	Group    *Group
	Records  []coordinator.Record
	Timers   []Timer
	Response *kmsg.StreamsGroupHeartbeatResponse
	// Create are internal topics that are missing.
	Create []InternalTopic
}

// TimerKind is what a timer is about.
type TimerKind uint8

// The kinds of timers.
const (
	SessionTimer   TimerKind = iota // the member must have been heard of
	RebalanceTimer                  // the member must have given up its tasks
	DelayTimer                      // the first assignment of a group is due; no member
)

// Timer sets or, with a zero At, cancels a timer.
type Timer struct {
	Kind   TimerKind
	Member string
	At     time.Time
}

// decision is a decision in the making.
type decision struct {
	env *Env
	old *Group
	g   *Group
	out Result
}

func newDecision(env *Env, g *Group) *decision { return &decision{env: env, old: g, g: g.clone()} }

func (d *decision) record(r coordinator.Record) { d.out.Records = append(d.out.Records, r) }

func (d *decision) timer(kind TimerKind, member string, at time.Time) {
	d.out.Timers = append(d.out.Timers, Timer{kind, member, at})
}

func (d *decision) result() Result {
	if len(d.out.Records) > 0 {
		d.g.fresh = false
	}
	d.out.Group = d.g // which is the old one if nothing changed
	return d.out
}

// Refused is the response to a request that is not granted.
func Refused(version, code int16, message string) *kmsg.StreamsGroupHeartbeatResponse {
	r := kmsg.NewPtrStreamsGroupHeartbeatResponse()
	r.Version, r.ErrorCode, r.Status = version, code, []kmsg.StreamsGroupHeartbeatResponseStatus{}
	if message != "" {
		message = wire.ErrorText(message)
		r.ErrorMessage = &message
	}
	return r
}

// refused is the response for an error of this package.
func refused(version int16, err error) Result {
	code, message := codeOf(err)
	return Result{Response: Refused(version, code, message)}
}

// Epochs with a meaning of their own, in requests.
const (
	epochJoin        = 0
	epochLeave       = -1
	epochLeaveStatic = -2
)

// Joins says whether the request may make a member, and a group.
func Joins(req *kmsg.StreamsGroupHeartbeatRequest) bool { return req.MemberEpoch == epochJoin }

// Heartbeat decides about a request that Check has let pass. A result without a group
// changes nothing.
func Heartbeat(env *Env, g *Group, client Client, req *kmsg.StreamsGroupHeartbeatRequest) Result {
	if req.MemberEpoch < 0 {
		return leave(env, g, req)
	}
	if r, ok := steady(env, g, client, req); ok {
		return r
	}
	d := newDecision(env, g)
	if err := d.heartbeat(client, req); err != nil {
		return refused(req.Version, err)
	}
	return d.result()
}

// steady is the answer to nearly all heartbeats: nothing is new, so nothing is cloned,
// and only the session is renewed. The group of the result is g itself.
func steady(env *Env, g *Group, client Client, req *kmsg.StreamsGroupHeartbeatRequest) (Result, bool) {
	m := g.member(req.MemberID)
	if m == nil || req.MemberEpoch != m.Epoch || !m.reconciledTo(g.TargetEpoch) || g.Epoch > g.TargetEpoch || g.delayed ||
		g.configured == nil || !g.configured.Ready() || g.seen != env.TopicsVersion || g.ValidatedEpoch != g.Topology.Epoch ||
		m.TopologyEpoch < g.Topology.Epoch || m.ClientID != client.ID || m.ClientHost != client.Host ||
		req.RackID != nil || req.RebalanceTimeoutMillis != -1 || req.Topology != nil || req.ProcessID != nil || req.ClientTags != nil || req.UserEndpoint != nil ||
		req.ShutdownApplication || g.shutdown != "" || req.EndpointInformationEpoch != g.endpointEpoch ||
		!slices.Equal(env.Config.assignmentConfigs(), g.LastConfigs) || checkTasks(g.configured, ownedBy(req)) != nil {
		return Result{}, false
	}
	d := &decision{env: env, old: g, g: g}
	d.timer(SessionTimer, m.ID, env.Now.Add(env.Config.SessionTimeout))
	d.answer(req, m, m, nil)
	return d.result(), true
}

func (d *decision) heartbeat(client Client, req *kmsg.StreamsGroupHeartbeatRequest) error {
	joining := Joins(req)
	// Kafka refuses a member of a full group that joins anew, too; here it is let in.
	member := d.old.member(req.MemberID)
	switch {
	case member != nil:
	case !joining:
		return refuse(kerr.UnknownMemberID, "Member %s is not a member of group %s.", req.MemberID, d.env.GroupID)
	case d.old.Size() >= d.env.Config.MaxSize:
		return refuse(kerr.GroupMaxSizeReached, "The streams group has reached its maximum capacity of %d members.", d.env.Config.MaxSize)
	case d.idBytes(req.MemberID) > d.env.Config.Limits.GroupBytes:
		return refuse(kerr.GroupMaxSizeReached, "The ids of the streams group's %d members have reached their maximum of %d bytes.", d.old.Size(), d.env.Config.Limits.GroupBytes)
	default:
		member = newMember(req.MemberID)
	}
	owned := ownedBy(req)
	if err := checkEpoch(member, req.MemberEpoch, owned); err != nil {
		return err
	}
	updated, bump, err := d.update(member, client, req)
	if err != nil {
		return err
	}
	var statuses []status
	topologyBefore := d.old.Topology
	if err := d.takeTopology(req); err != nil {
		return err
	}
	if t := topologyBefore; t != nil && updated.TopologyEpoch < t.Epoch {
		statuses = append(statuses, status{statusStaleTopology, fmt.Sprintf(
			"The member's topology epoch %d is behind the group's topology epoch %d.", updated.TopologyEpoch, t.Epoch)})
	}
	changed, err := d.configure()
	if err != nil {
		return err
	}
	bump = bump || changed
	validated := int32(noEpoch)
	if d.g.configured.Ready() {
		validated = d.g.Topology.Epoch
		if err := checkTasks(d.g.configured, owned); err != nil {
			return err
		}
	}
	configs := d.env.Config.assignmentConfigs()
	if bump || validated != d.g.ValidatedEpoch || !slices.Equal(configs, d.g.LastConfigs) {
		d.g.ValidatedEpoch, d.g.LastConfigs = validated, configs
		d.bump()
	}
	if d.old.Size() == 0 && d.env.Config.InitialRebalanceDelay > 0 && !d.g.delayed {
		d.g.delayed = true
		d.timer(DelayTimer, "", d.env.Now.Add(d.env.Config.InitialRebalanceDelay))
	}
	d.g.put(updated)
	target, targetEpoch := d.target(updated.ID, configs, &statuses)
	updated = d.g.member(updated.ID) // which may have another target
	if updated, err = d.reconcile(updated, targetEpoch, target, owned); err != nil {
		return err
	}
	d.g.put(updated)
	d.timer(SessionTimer, updated.ID, d.env.Now.Add(d.env.Config.SessionTimeout))
	if req.ShutdownApplication && d.g.shutdown == "" {
		d.g.shutdown = updated.ID
	}
	d.answer(req, member, updated, statuses)
	return nil
}

// idBytes is what ids take in the records of an assignment with one more member: one that
// does not fit in a batch could never be made.
func (d *decision) idBytes(joining string) int {
	n := len(joining) + (d.old.Size()+1)*(len(d.env.GroupID)+memberRecordBytes)
	for _, m := range d.old.members {
		n += len(m.ID)
	}
	return n
}

// update takes in what the member says about itself, and writes it down if that is news.
func (d *decision) update(m *Member, client Client, req *kmsg.StreamsGroupHeartbeatRequest) (*Member, bool, error) {
	u := *m
	u.known = true
	u.ClientID, u.ClientHost = client.ID, client.Host
	if req.RackID != nil {
		u.Rack = req.RackID
	}
	if req.RebalanceTimeoutMillis != -1 {
		u.RebalanceTimeout = req.RebalanceTimeoutMillis
	}
	if req.Topology != nil {
		u.TopologyEpoch = req.Topology.Epoch
	}
	if req.ProcessID != nil {
		u.Process = *req.ProcessID
	}
	if req.ClientTags != nil {
		var tags []KeyValue
		for _, t := range req.ClientTags {
			tags = append(tags, KeyValue{t.Key, t.Value})
		}
		u.Tags = sortTags(tags)
	}
	if req.UserEndpoint != nil {
		u.Endpoint = &Endpoint{req.UserEndpoint.Host, req.UserEndpoint.Port}
	}
	if u.sameMetadata(m) {
		return m, false, nil
	}
	r := memberRecord(d.env.GroupID, &u)
	if n, most := len(r.Key)+len(r.Value), d.env.Config.Limits.MemberBytes; n > most {
		return nil, false, refuse(kerr.InvalidRequest, "The metadata of the member has %d bytes, which is more than %d.", n, most)
	}
	d.record(r)
	return &u, true, nil
}

// takeTopology compares the request's topology with that of the group. The first one is
// the group's; a later epoch, or another topology, is not accepted yet, as in Kafka.
func (d *decision) takeTopology(req *kmsg.StreamsGroupHeartbeatRequest) error {
	if req.Topology == nil {
		if d.g.Topology == nil {
			return refuse(kerr.UnknownServerError, "The topology is null and the group topology is also null.")
		}
		return nil
	}
	asked := topologyOf(req.Topology)
	t, ok := asked.sorted()
	if !ok {
		return refuse(kerr.StreamsInvalidTopology, "A subtopology is named twice.")
	}
	switch has := d.g.Topology; {
	case has == nil:
		r := topologyRecord(d.env.GroupID, asked)
		if n, most := len(r.Key)+len(r.Value), d.env.Config.Limits.TopologyBytes; n > most {
			return refuse(kerr.StreamsInvalidTopology, "The topology has %d bytes, which is more than %d.", n, most)
		}
		d.record(r)
		d.g.Topology, d.g.configured = t, nil
		return nil
	case has.Epoch > t.Epoch, has.equal(t):
		return nil
	}
	return refuse(kerr.InvalidRequest, "Topology updates are not supported yet.")
}

// configure sets the topology against the topics if either may have changed, and says
// whether the topics are others than before.
func (d *decision) configure() (bool, error) {
	if d.g.configured != nil && d.g.seen == d.env.TopicsVersion {
		return false, nil
	}
	d.g.seen = d.env.TopicsVersion
	hash := d.env.Topics.Hash(d.g.Topology.Required())
	changed := hash != d.g.MetadataHash
	if d.g.configured != nil && !changed {
		return false, nil
	}
	c, err := configure(d.g.Topology, d.env.Topics, d.env.Config.Limits.Tasks)
	if err != nil {
		return false, err
	}
	d.g.configured, d.g.MetadataHash = c, hash
	return changed, nil
}

// bump begins another epoch.
func (d *decision) bump() {
	d.g.Epoch++
	d.record(groupRecord(d.env.GroupID, d.g))
}

// target is the member's target and the epoch of it. It is computed for all members if
// the group is newer than it.
func (d *decision) target(member string, configs []KeyValue, statuses *[]status) (Tasks, int32) {
	delay := func(why string) { *statuses = append(*statuses, status{statusAssignmentDelayed, why}) }
	switch {
	case d.g.delayed:
		delay("Assignment delayed due to the configured initial rebalance delay.")
		return Tasks{}, d.g.TargetEpoch
	case d.g.TargetEpoch >= d.g.Epoch:
	case !d.assignable():
		delay("Assignment delayed due to the configured assignment interval.")
	default:
		d.assign(configs)
	}
	return d.g.member(member).target(), d.g.TargetEpoch
}

// assignable says whether the assignment interval has passed. A clock that was set
// back must not keep a group from being assigned.
func (d *decision) assignable() bool {
	now := d.env.Now.UnixMilli()
	return d.g.TargetAt == 0 || now < d.g.TargetAt || now >= d.g.TargetAt+d.env.Config.AssignmentInterval.Milliseconds()
}

// assign computes targets for all members and writes those that changed. While topics
// are missing nobody has any task.
func (d *decision) assign(configs []KeyValue) {
	targets := make([]Tasks, len(d.g.members))
	if d.g.configured.Ready() {
		candidates := make([]candidate, len(d.g.members))
		for i, m := range d.g.members {
			candidates[i] = candidate{m.ID, m.Process, m.target()}
		}
		targets = assign(candidates, d.g.configured.Subtopologies, standbys(configs))
	}
	for i, m := range d.g.members {
		if m.Target != nil && m.Target.equal(targets[i]) {
			continue
		}
		u := *m
		u.Target = &targets[i]
		d.g.members[i] = &u
		d.record(targetRecord(d.env.GroupID, m.ID, targets[i]))
	}
	d.g.TargetEpoch, d.g.TargetAt = d.g.Epoch, d.env.Now.UnixMilli()
	d.record(targetEpochRecord(d.env.GroupID, d.g.TargetEpoch, d.g.TargetAt))
}

func (d *decision) reconcile(m *Member, epoch int32, target Tasks, owned *Tasks) (*Member, error) {
	if m.reconciledTo(epoch) {
		return m, nil
	}
	u, err := reconcile(m, epoch, target, owned, d.old.owners())
	if err != nil || u == m {
		return m, err
	}
	d.record(assignmentRecord(d.env.GroupID, u))
	if u.State == UnrevokedTasks {
		d.timer(RebalanceTimer, u.ID, d.env.Now.Add(time.Duration(u.RebalanceTimeout)*time.Millisecond))
	} else {
		d.timer(RebalanceTimer, u.ID, time.Time{})
	}
	return u, nil
}

// answer makes the response. Tasks are in it when they changed, or when the member
// joins and has none of its own.
func (d *decision) answer(req *kmsg.StreamsGroupHeartbeatRequest, before, after *Member, statuses []status) {
	r := Refused(req.Version, 0, "")
	r.MemberID, r.MemberEpoch = after.ID, after.Epoch
	r.HeartbeatIntervalMillis = int32(d.env.Config.HeartbeatInterval.Milliseconds())
	if Joins(req) || !before.Assigned.equal(after.Assigned) {
		r.ActiveTasks, r.StandbyTasks, r.WarmupTasks = after.Assigned.Active.ids(), after.Assigned.Standby.ids(), after.Assigned.Warmup.ids()
		if after.Endpoint != nil && !d.old.fresh {
			d.g.endpointEpoch++
		}
	}
	r.EndpointInformationEpoch = d.g.endpointEpoch
	if d.g.endpointEpoch != req.EndpointInformationEpoch || d.old.fresh && after.Endpoint != nil {
		r.PartitionsByUserEndpoint = d.endpoints(after)
	}
	if p := d.g.configured.problem; p != nil {
		statuses = append(statuses, *p)
		d.out.Create = d.g.configured.Create
	}
	if d.g.shutdown != "" {
		statuses = append(statuses, status{statusShutdownApplication, fmt.Sprintf(
			"Streams group member %s encountered a fatal error and requested a shutdown for the entire application.", d.g.shutdown)})
	}
	for _, s := range statuses {
		rs := kmsg.NewStreamsGroupHeartbeatResponseStatus()
		rs.StatusCode, rs.StatusDetail = s.code, s.detail
		r.Status = append(r.Status, rs)
	}
	d.out.Response = r
}
