package ownership

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"github.com/tidelinehq/tideline/loadtest/lifeline"
	"github.com/tidelinehq/tideline/loadtest/stage"
)

// streamsMember is a member of a streams group (KIP-1071), which no Go client has: heartbeats by hand, of an application with one
// subtopology that reads the topic. Its tasks are the topic's partitions.
type streamsMember struct {
	life
	o           *Options
	name        string
	coordinator int32 // -1: not known
	told        bool  // the coordinator knows what is owned

	mu    sync.Mutex // for who commits; the heartbeats change what follows
	epoch int32
	owned []int32
}

// oldCommit is the last version of OffsetCommit that names topics.
const oldCommit = 9

func startStreamsMember(o *Options, j *journal, id int) (*streamsMember, error) {
	m := &streamsMember{life: life{id: id, line: lifeline.New(), journal: j}, o: o, name: uuid.NewString(), coordinator: -1}
	versions := kversion.Stable()
	versions.SetMaxKeyVersion(88, 0) // StreamsGroupHeartbeat, which the client does not know to be stable
	versions.SetMaxKeyVersion(8, oldCommit)
	var err error
	if m.client, err = kgo.NewClient(kgo.SeedBrokers(o.Brokers...), kgo.Dialer(m.line.Dial), kgo.MaxVersions(versions), kgo.DisableClientMetrics(),
		kgo.MetadataMinAge(50*time.Millisecond), kgo.RequestRetries(2), kgo.RequestTimeoutOverhead(heartbeat)); err != nil {
		return nil, err
	}
	m.begin(m.beats, m.commits)
	return m, nil
}

func (m *streamsMember) beats(ctx context.Context) {
	for {
		wait := heartbeat
		if again := m.beat(ctx); again {
			wait = 0 // there is something to tell
		}
		if stage.Wait(ctx, wait) != nil {
			return
		}
	}
}

// commits is beside the heartbeats, which must not wait for a coordinator that is gone.
func (m *streamsMember) commits(ctx context.Context) {
	for stage.Wait(ctx, heartbeat) == nil {
		m.mu.Lock()
		epoch, owned := m.epoch, slices.Clone(m.owned)
		m.mu.Unlock()
		if len(owned) > 0 {
			m.commit(ctx, epoch, owned)
		}
	}
}

func (m *streamsMember) set(epoch int32, owned []int32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.epoch, m.owned = epoch, owned
}

// beat sends one heartbeat and does what the answer says; it reports whether there is something to tell.
func (m *streamsMember) beat(ctx context.Context) (again bool) {
	req := kmsg.NewPtrStreamsGroupHeartbeatRequest()
	req.Group, req.MemberID, req.MemberEpoch, req.RebalanceTimeoutMillis = m.o.Group, m.name, m.epoch, -1
	joins := m.epoch == 0
	if joins {
		sub := kmsg.NewStreamsGroupHeartbeatRequestTopologySubtopology()
		sub.SubtopologyID, sub.SourceTopics = "0", []string{m.o.Topic}
		topology := kmsg.NewStreamsGroupHeartbeatRequestTopology()
		topology.Subtopologies = append(topology.Subtopologies, sub)
		req.Topology, req.ProcessID, req.RebalanceTimeoutMillis = &topology, &m.name, int32(10*heartbeat/time.Millisecond)
	}
	if joins || !m.told {
		req.ActiveTasks, req.StandbyTasks, req.WarmupTasks = []kmsg.TaskIDs{}, []kmsg.TaskIDs{}, []kmsg.TaskIDs{}
		if len(m.owned) > 0 {
			req.ActiveTasks = append(req.ActiveTasks, tasks(m.owned))
		}
	}
	resp, err := m.ask(ctx, req)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	switch {
	case errors.Is(err, kerr.UnknownMemberID), errors.Is(err, kerr.FencedMemberEpoch):
		m.note(lose, m.owned)
		m.set(0, nil)
		m.told = false
		return false
	case err != nil:
		m.coordinator = -1 // another one is on its way
		return false
	}
	m.set(resp.MemberEpoch, m.owned)
	m.told = true
	return resp.ActiveTasks != nil && m.reconcile(resp.ActiveTasks)
}

// ask sends a heartbeat to the coordinator, which the client does not find for this request.
func (m *streamsMember) ask(ctx context.Context, req *kmsg.StreamsGroupHeartbeatRequest) (*kmsg.StreamsGroupHeartbeatResponse, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*heartbeat)
	defer cancel()
	if m.coordinator < 0 {
		found := kadm.NewClient(m.client).FindGroupCoordinators(ctx, m.o.Group)
		if err := found.Error(); err != nil {
			return nil, err
		}
		m.coordinator = found[m.o.Group].NodeID
	}
	resp, err := m.client.Broker(int(m.coordinator)).Request(ctx, req)
	if err != nil {
		return nil, err
	}
	return resp.(*kmsg.StreamsGroupHeartbeatResponse), nil
}

// reconcile gives back what is not assigned any more, and then takes what is.
func (m *streamsMember) reconcile(assigned []kmsg.TaskIDs) (changed bool) {
	var want []int32
	for _, t := range assigned {
		want = append(want, t.Partitions...)
	}
	var gone, came []int32
	for _, p := range m.owned {
		if !slices.Contains(want, p) {
			gone = append(gone, p)
		}
	}
	for _, p := range want {
		if !slices.Contains(m.owned, p) {
			came = append(came, p)
		}
	}
	m.note(give, gone)
	m.note(take, came)
	slices.Sort(want)
	m.set(m.epoch, want)
	if len(gone)+len(came) > 0 {
		m.told = false
	}
	return !m.told
}

func (m *streamsMember) note(k kind, partitions []int32) {
	if len(partitions) > 0 && !m.line.IsCut() {
		m.journal.note(k, m.id, partitions...)
	}
}

// commit moves the offsets of what is owned on by one.
func (m *streamsMember) commit(ctx context.Context, epoch int32, owned []int32) {
	ctx, cancel := context.WithTimeout(ctx, heartbeat)
	defer cancel()
	at, err := kadm.NewClient(m.client).FetchOffsets(ctx, m.o.Group)
	if err != nil || at.Error() != nil {
		return
	}
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.MemberID, req.Generation = m.o.Group, m.name, epoch
	topic := kmsg.NewOffsetCommitRequestTopic()
	topic.Topic = m.o.Topic
	for _, p := range owned {
		one := kmsg.NewOffsetCommitRequestTopicPartition()
		one.Partition = p
		was, _ := at.Lookup(m.o.Topic, p)
		one.Offset = max(was.At, 0) + 1
		topic.Partitions = append(topic.Partitions, one)
	}
	req.Topics = append(req.Topics, topic)
	_, _ = req.RequestWith(ctx, m.client) // one that is refused belongs to somebody else now
}

func tasks(partitions []int32) kmsg.TaskIDs {
	t := kmsg.NewTaskIDs()
	t.SubtopologyID, t.Partitions = "0", partitions
	return t
}
