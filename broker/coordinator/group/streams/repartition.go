package streams

import (
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
)

// repartition decides how many partitions the repartition topics have: what the
// application says, or else as many as the widest source of whoever writes to them. That
// source may be a repartition topic itself, so this goes on until all are known.
func (c *configuring) repartition() error {
	subs := c.t.Subtopologies
	for i := range subs {
		for _, ti := range subs[i].RepartitionSources {
			if ti.Partitions != 0 {
				c.decided[ti.Name] = ti.Partitions
			}
		}
	}
	for {
		open, progress := false, false
		for i := range subs {
			for _, sink := range subs[i].RepartitionSinks {
				if _, ok := c.decided[sink]; ok {
					continue
				}
				if n := c.widest(&subs[i]); n > 0 {
					c.decided[sink], progress = n, true
				} else {
					open = true
				}
			}
		}
		if !open {
			break
		}
		if !progress {
			return refuse(kerr.StreamsInvalidTopology, "Failed to compute number of partitions for all repartition topics. There may be loops in the topology that cannot be resolved.")
		}
	}
	for i := range subs {
		for _, ti := range subs[i].RepartitionSources {
			if _, ok := c.decided[ti.Name]; !ok {
				return refuse(kerr.StreamsInvalidTopology, "Failed to compute number of partitions for all repartition topics, because a repartition source topic is never used as a sink topic.")
			}
		}
	}
	return nil
}

// widest is the largest number of partitions among the sources whose number is known; 0
// if none is.
func (c *configuring) widest(s *Subtopology) int32 {
	var n int32
	for _, ti := range s.RepartitionSources {
		n = max(n, c.decided[ti.Name])
	}
	for _, topic := range s.Sources {
		if p, ok := c.partitions(topic); ok {
			n = max(n, p)
		}
	}
	return n
}

// copartition gives the repartition topics of each copartition group equally many
// partitions, or says which topics stand in the way.
func (c *configuring) copartition() error {
	fixed, flexible := c.repartitionSources()
	for i := range c.t.Subtopologies {
		s := &c.t.Subtopologies[i]
		for _, g := range s.Copartitioned {
			names, ok := s.copartitioned(g)
			if !ok {
				return refuse(kerr.StreamsInvalidTopology, "A copartition group of subtopology %s names a topic that is not there.", s.ID)
			}
			if err := c.enforce(names, fixed, flexible); err != nil {
				return err
			}
		}
	}
	return nil
}

// repartitionSources are all of them, by whether the application fixes their partitions.
func (c *configuring) repartitionSources() (fixed, flexible []string) {
	for i := range c.t.Subtopologies {
		for _, ti := range c.t.Subtopologies[i].RepartitionSources {
			if ti.Partitions != 0 {
				fixed = append(fixed, ti.Name)
			} else {
				flexible = append(flexible, ti.Name)
			}
		}
	}
	return sortedSet(fixed), sortedSet(flexible)
}

type sizedTopic struct {
	name       string
	partitions int32
}

func (c *configuring) enforce(names, fixed, flexible []string) error {
	var internal, external []sizedTopic
	for _, name := range names {
		n, ok := c.partitions(name)
		if !ok {
			return refuse(kerr.StreamsInvalidTopology, "Number of partitions is not set for topic: %s", name)
		}
		if contains(fixed, name) || contains(flexible, name) {
			internal = append(internal, sizedTopic{name, n})
		} else {
			external = append(external, sizedTopic{name, n})
		}
	}
	if len(names) == 0 {
		return nil
	}
	var n int32
	switch {
	case len(external) > 0: // which must agree, and the others follow
		n = external[0].partitions
		if slices.ContainsFunc(external, func(t sizedTopic) bool { return t.partitions != n }) {
			return &status{statusIncorrectlyPartitioned, "Following topics do not have the same number of partitions: [" + listSized(external) + "]"}
		}
	case len(fixed) > 0: // of the whole topology: so Kafka has it
		n, _ = c.partitions(fixed[0])
		for _, name := range fixed {
			if p, _ := c.partitions(name); p != n {
				return &status{statusIncorrectlyPartitioned, "Following topics do not have the same number of partitions: [" + listSized(internal) + "]"}
			}
		}
	default:
		for _, t := range internal {
			n = max(n, t.partitions)
		}
	}
	for _, t := range internal {
		if contains(fixed, t.name) && t.partitions != n {
			return &status{statusIncorrectlyPartitioned, fmt.Sprintf(
				"Number of partitions [%d] of repartition topic [%s] doesn't match number of partitions [%d] of the source topic.", t.partitions, t.name, n)}
		}
		c.decided[t.name] = n
	}
	return nil
}

func contains(sorted []string, name string) bool {
	_, ok := slices.BinarySearch(sorted, name)
	return ok
}

// listSized writes topics as Java writes a map.
func listSized(ts []sizedTopic) string {
	parts := make([]string, len(ts))
	for i, t := range ts {
		parts[i] = fmt.Sprintf("%s=%d", t.name, t.partitions)
	}
	return "{" + strings.Join(parts, ", ") + "}"
}
