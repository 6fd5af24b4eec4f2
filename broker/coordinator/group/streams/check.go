package streams

import (
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Check says what is wrong with a request, whatever group it is for; nil if nothing is.
// What Kafka 4.3 does not support is refused in its words.
func Check(req *kmsg.StreamsGroupHeartbeatRequest) *kmsg.StreamsGroupHeartbeatResponse {
	if err := check(req); err != nil {
		return refused(req.Version, err).Response
	}
	return nil
}

// maxID bounds ids that clients choose: they must fit the int16 lengths of record keys.
const maxID = 32000

func check(req *kmsg.StreamsGroupHeartbeatRequest) error {
	invalid := func(message string) error { return refuse(kerr.InvalidRequest, "%s", message) }
	switch {
	case req.InstanceID != nil:
		return invalid("Static membership is not yet supported.")
	case req.TaskOffsets != nil:
		return invalid("TaskOffsets are not supported yet.")
	case req.TaskEndOffsets != nil:
		return invalid("TaskEndOffsets are not supported yet.")
	case len(req.WarmupTasks) > 0:
		return invalid("WarmupTasks are not supported yet.")
	}
	if req.Topology != nil {
		for i := range req.Topology.Subtopologies {
			if len(req.Topology.Subtopologies[i].SourceTopicRegex) > 0 {
				return invalid("Regular expressions for source topics are not supported yet.")
			}
		}
	}
	switch {
	case req.MemberID == "":
		return invalid("MemberId can't be empty.")
	case req.Group == "":
		return invalid("GroupId can't be empty.")
	case max(len(req.Group), len(req.MemberID)) > maxID:
		return refuse(kerr.InvalidRequest, "GroupId and MemberId must not have more than %d bytes.", maxID)
	case req.RackID != nil && *req.RackID == "":
		return invalid("RackId can't be empty.")
	}
	if req.MemberEpoch == epochJoin {
		switch {
		case req.RebalanceTimeoutMillis == -1:
			return invalid("RebalanceTimeoutMs must be provided in first request.")
		case len(req.ActiveTasks) > 0:
			return invalid("ActiveTasks must be empty when (re-)joining.")
		case len(req.StandbyTasks) > 0:
			return invalid("StandbyTasks must be empty when (re-)joining.")
		case req.Topology == nil:
			return invalid("Topology must be non-null when (re-)joining.")
		}
		if err := checkTopology(req.Topology); err != nil {
			return err
		}
	} else if req.MemberEpoch == epochLeaveStatic {
		return invalid("InstanceId can't be null.")
	} else if req.MemberEpoch < epochLeaveStatic {
		return refuse(kerr.InvalidRequest, "MemberEpoch is %d, but must be greater than or equal to -2.", req.MemberEpoch)
	}
	roles := 0
	for _, given := range []bool{req.ActiveTasks != nil, req.StandbyTasks != nil, req.WarmupTasks != nil} {
		if given {
			roles++
		}
	}
	if roles != 0 && roles != 3 {
		return invalid("If one task-type is non-null, all must be non-null.")
	}
	if req.MemberEpoch != epochJoin && req.Topology != nil {
		return invalid("Topology can only be provided when (re-)joining.")
	}
	return nil
}

// checkTopology refuses numbers that make no sense. Kafka looks at the first of them only,
// and fails with an unknown error on the others.
func checkTopology(t *kmsg.StreamsGroupHeartbeatRequestTopology) error {
	invalid := func(format string, args ...any) error { return refuse(kerr.StreamsInvalidTopology, format, args...) }
	if t.Epoch < 0 {
		return invalid("Topology epoch must be non-negative.")
	}
	for i := range t.Subtopologies {
		s := &t.Subtopologies[i]
		for _, ti := range s.StateChangelogTopics {
			if ti.NumPartitions != 0 {
				return invalid("Changelog topic %s must have an undefined partition count, but it is set to %d.", ti.Topic, ti.NumPartitions)
			}
		}
		for _, ti := range s.RepartitionSourceTopics {
			if ti.NumPartitions < 0 {
				return invalid("Repartition topic %s must not have a negative partition count, but it is set to %d.", ti.Topic, ti.NumPartitions)
			}
		}
	}
	return nil
}

// ownedBy is what the member says it holds; nil if it does not say.
func ownedBy(req *kmsg.StreamsGroupHeartbeatRequest) *Tasks {
	if req.ActiveTasks == nil || req.StandbyTasks == nil || req.WarmupTasks == nil {
		return nil
	}
	return &Tasks{taskSet(req.ActiveTasks), taskSet(req.StandbyTasks), taskSet(req.WarmupTasks)}
}

// checkEpoch fences a member that is not in the epoch that it should be in. One that has the
// epoch before, and nothing that it should not have, may have missed an answer.
func checkEpoch(m *Member, epoch int32, owned *Tasks) error {
	const rejoin = "The member must abandon all its partitions and rejoin."
	switch {
	case epoch == epochJoin || epoch == m.Epoch:
		return nil
	case epoch > m.Epoch:
		return refuse(kerr.FencedMemberEpoch, "The streams group member has a greater member epoch (%d) than the one known by the group coordinator (%d). %s", epoch, m.Epoch, rejoin)
	case epoch != m.Previous || owned == nil || !owned.within(m.Assigned):
		return refuse(kerr.FencedMemberEpoch, "The streams group member has a smaller member epoch (%d) than the one known by the group coordinator (%d). %s", epoch, m.Epoch, rejoin)
	}
	return nil
}

// checkTasks refuses tasks that the topology does not have.
func checkTasks(c *Configured, owned *Tasks) error {
	if owned == nil {
		return nil
	}
	for _, set := range []TaskSet{owned.Active, owned.Standby, owned.Warmup} {
		for _, t := range set {
			s := c.subtopology(t.Subtopology)
			if s == nil {
				return refuse(kerr.InvalidRequest, "Subtopology %s does not exist in the topology.", t.Subtopology)
			}
			if t.Partition < 0 || t.Partition >= s.Tasks {
				return refuse(kerr.InvalidRequest, "Task %d for subtopology %s is invalid. Number of tasks for this subtopology: %d", t.Partition, t.Subtopology, s.Tasks)
			}
		}
	}
	return nil
}
