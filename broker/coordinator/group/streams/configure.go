package streams

import (
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Topics is the cluster's metadata as a decision needs it. It does not change while one
// is taken, and must not block.
type Topics interface {
	// Partitions is how many partitions a topic has; false if there is no such topic.
	Partitions(topic string) (int32, bool)
	// Hash is a digest of what is known of the topics, which are in order: another one
	// means that something about them has changed. 0 if none of them is there.
	Hash(topics []string) int64
}

// Configured is a topology set against the topics of the cluster. It is worked out when
// the topology or its topics change, and never changes itself.
type Configured struct {
	Epoch int32
	// Subtopologies are in the order of their ids; nil if the topics do not allow it.
	Subtopologies []ConfiguredSubtopology
	// Create are the internal topics that are not there yet, by name.
	Create []InternalTopic
	// problem is what keeps the application from running, if anything.
	problem *status
}

// ConfiguredSubtopology is a subtopology whose numbers are known.
type ConfiguredSubtopology struct {
	ID                 string
	Tasks              int32
	Sources            []string
	RepartitionSources []InternalTopic
	RepartitionSinks   []string
	Changelogs         []InternalTopic
}

// InternalTopic is a topic that the coordinator has made for an application.
type InternalTopic struct {
	Name              string
	Partitions        int32
	ReplicationFactor int16 // 0: the cluster's default
	Configs           []KeyValue
}

// Ready says whether tasks can be assigned.
func (c *Configured) Ready() bool { return c.problem == nil }

func (c *Configured) subtopology(id string) *ConfiguredSubtopology {
	i, ok := slices.BinarySearchFunc(c.Subtopologies, id, func(s ConfiguredSubtopology, id string) int { return strings.Compare(s.ID, id) })
	if !ok {
		return nil
	}
	return &c.Subtopologies[i]
}

// The statuses of a heartbeat response.
const (
	statusStaleTopology          int8 = 0
	statusMissingSourceTopics    int8 = 1
	statusIncorrectlyPartitioned int8 = 2
	statusMissingInternalTopics  int8 = 3
	statusShutdownApplication    int8 = 4
	statusAssignmentDelayed      int8 = 5
	maxNamedTopics                    = 3 // in a detail; the others are counted
)

// status is what a member is told about its group; as an error it ends a configuration.
type status struct {
	code   int8
	detail string
}

func (s *status) Error() string { return s.detail }

// configuring is a configuration in the making.
type configuring struct {
	t       *Topology
	topics  Topics
	decided map[string]int32 // partitions of internal topics
}

// configure sets the topology against the topics. The error is a *refusal of the topology
// as such; what the topics lack is in the result.
func configure(t *Topology, topics Topics, maxTasks int) (*Configured, error) {
	c := &configuring{t: t, topics: topics, decided: make(map[string]int32)}
	out, err := c.run(maxTasks)
	if s, ok := err.(*status); ok { //nolint:errorlint // made here, never wrapped
		return &Configured{Epoch: t.Epoch, problem: s}, nil
	}
	return out, err
}

func (c *configuring) run(maxTasks int) (*Configured, error) {
	if missing := c.missingSources(); len(missing) > 0 {
		return nil, &status{statusMissingSourceTopics, "Source topics " + summary(missing) + " are missing."}
	}
	if err := c.repartition(); err != nil {
		return nil, err
	}
	if err := c.copartition(); err != nil {
		return nil, err
	}
	out := &Configured{Epoch: c.t.Epoch}
	total := int64(0)
	for i := range c.t.Subtopologies {
		s, err := c.subtopology(&c.t.Subtopologies[i])
		if err != nil {
			return nil, err
		}
		total += int64(s.Tasks)
		out.Subtopologies = append(out.Subtopologies, s)
	}
	if total > int64(maxTasks) {
		return nil, refuse(kerr.StreamsInvalidTopology, "The topology has %d tasks, which is more than the %d that can be assigned.", total, maxTasks)
	}
	missing, err := c.missingInternal(out.Subtopologies)
	if err != nil {
		return nil, err
	}
	if len(missing) > 0 {
		names := make([]string, len(missing))
		for i, m := range missing {
			names[i] = m.Name
		}
		out.Create = missing
		out.problem = &status{statusMissingInternalTopics, "Internal topics are missing: " + summary(names)}
	}
	return out, nil
}

// partitions is how many a topic has, or, as long as it is not there, will have.
func (c *configuring) partitions(topic string) (int32, bool) {
	if n, ok := c.topics.Partitions(topic); ok {
		return n, true
	}
	n, ok := c.decided[topic]
	return n, ok
}

func (c *configuring) missingSources() []string {
	var out []string
	for i := range c.t.Subtopologies {
		for _, topic := range c.t.Subtopologies[i].Sources {
			if _, ok := c.topics.Partitions(topic); !ok {
				out = append(out, topic)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// subtopology has as many tasks as the widest of its sources has partitions, and so have
// its changelogs.
func (c *configuring) subtopology(s *Subtopology) (ConfiguredSubtopology, error) {
	out := ConfiguredSubtopology{ID: s.ID, Sources: sortedSet(s.Sources), RepartitionSinks: sortedSet(s.RepartitionSinks)}
	for _, topic := range s.reads() {
		n, ok := c.partitions(topic)
		if !ok {
			return out, refuse(kerr.StreamsInvalidTopology, "Number of partitions must be set for topic %s", topic)
		}
		out.Tasks = max(out.Tasks, n)
	}
	if out.Tasks < 1 {
		return out, refuse(kerr.StreamsInvalidTopology, "No source topics found for subtopology %s", s.ID)
	}
	for _, ti := range s.RepartitionSources {
		n := ti.Partitions
		if n == 0 {
			n = c.decided[ti.Name]
		}
		out.RepartitionSources = append(out.RepartitionSources, ti.sized(n))
	}
	for _, ti := range s.Changelogs {
		out.Changelogs = append(out.Changelogs, ti.sized(out.Tasks))
	}
	sortTopics(out.RepartitionSources)
	sortTopics(out.Changelogs)
	return out, nil
}

func (ti TopicInfo) sized(partitions int32) InternalTopic {
	return InternalTopic{ti.Name, partitions, ti.ReplicationFactor, ti.Configs}
}

// missingInternal are the internal topics to be made; one that is there with another
// number of partitions than it should have is a problem that nobody here can solve.
func (c *configuring) missingInternal(subtopologies []ConfiguredSubtopology) ([]InternalTopic, error) {
	var all []InternalTopic
	for _, s := range subtopologies {
		all = append(append(all, s.RepartitionSources...), s.Changelogs...)
	}
	sortTopics(all)
	all = slices.CompactFunc(all, func(a, b InternalTopic) bool { return a.Name == b.Name })
	var missing []InternalTopic
	for _, it := range all {
		n, ok := c.topics.Partitions(it.Name)
		if !ok {
			missing = append(missing, it)
		} else if n != it.Partitions {
			return nil, &status{statusIncorrectlyPartitioned, fmt.Sprintf(
				"Existing topic %s has different number of partitions: expected %d, found %d", it.Name, it.Partitions, n)}
		}
	}
	return missing, nil
}

func sortTopics(ts []InternalTopic) {
	slices.SortStableFunc(ts, func(a, b InternalTopic) int { return strings.Compare(a.Name, b.Name) })
}

func sortedSet(in []string) []string {
	out := slices.Clone(in)
	slices.Sort(out)
	return slices.Compact(out)
}

// summary names a few topics, which are in order.
func summary(topics []string) string {
	if len(topics) <= maxNamedTopics {
		return strings.Join(topics, ", ")
	}
	return fmt.Sprintf("%s and %d additional topics", strings.Join(topics[:maxNamedTopics], ", "), len(topics)-maxNamedTopics)
}
