package api

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tidelinehq/tideline/broker/coordinator/group/streams"
	"github.com/tidelinehq/tideline/metadata/controller"
	command "github.com/tidelinehq/tideline/metadata/record"
)

// streamsTopics makes the internal topics of streams groups, each once at a time: every
// heartbeat of every member asks for them until they are there. What failed is told to
// whoever asks, and not tried again for a while.
type streamsTopics struct {
	now func() time.Time

	mu       sync.Mutex
	underWay map[string]bool
	failed   map[string]topicFailure
	closed   bool
	running  sync.WaitGroup
}

type topicFailure struct {
	text  string
	until time.Time
}

const (
	// maxTopicsUnderWay bounds the topics that are being made, and those whose failure is
	// remembered. Those beyond it are left to a later heartbeat.
	maxTopicsUnderWay = 1000
	// topicBackoff is how long a topic that could not be made is left alone: two
	// heartbeats, as in Kafka.
	topicBackoff = 10 * time.Second
	// topicTimeout bounds how long the controller may take.
	topicTimeout = 30 * time.Second
)

func newStreamsTopics(now func() time.Time) *streamsTopics {
	return &streamsTopics{now: now, underWay: make(map[string]bool), failed: make(map[string]topicFailure)}
}

// create begins to make the topics, and says which of them could not be made lately. It
// does not wait.
func (s *streamsTopics) create(a *API, topics []streams.InternalTopic) (failures []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	for name, f := range s.failed {
		if !now.Before(f.until) {
			delete(s.failed, name)
		}
	}
	var begin []streams.InternalTopic
	for _, t := range topics {
		if f, ok := s.failed[t.Name]; ok {
			failures = append(failures, fmt.Sprintf("%s (%s)", t.Name, f.text))
		} else if !s.closed && !s.underWay[t.Name] && len(s.underWay) < maxTopicsUnderWay {
			s.underWay[t.Name] = true
			begin = append(begin, t)
		}
	}
	if len(begin) > 0 {
		s.running.Add(1)
		go func() {
			defer s.running.Done()
			for _, t := range begin {
				s.done(t.Name, a.createStreamsTopic(t))
			}
		}()
	}
	return failures
}

func (s *streamsTopics) done(name string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.underWay, name)
	if err != nil && len(s.failed) < maxTopicsUnderWay {
		s.failed[name] = topicFailure{err.Error(), s.now().Add(topicBackoff)}
	}
}

// close waits for what is under way, and begins nothing more.
func (s *streamsTopics) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.running.Wait()
}

// createStreamsTopic makes one topic. It is no error when another request was first.
func (a *API) createStreamsTopic(t streams.InternalTopic) error {
	ctx, cancel := context.WithTimeout(a.ctx, topicTimeout)
	defer cancel()
	n := &newTopic{name: t.Name, partitions: t.Partitions, replication: t.ReplicationFactor, configs: make(map[string]string, len(t.Configs))}
	if n.replication == 0 {
		n.replication = -1
	}
	for _, kv := range t.Configs {
		n.configs[kv.Key] = kv.Value
	}
	_, err := a.createTopic(ctx, n, false)
	if errors.Is(err, controller.ErrTopicExists) || errors.Is(err, command.TopicExists) {
		return nil
	}
	if err != nil {
		a.logger.Warn("internal topic of a streams group could not be created", "topic", t.Name, "partitions", t.Partitions, "error", err)
		return err
	}
	a.logger.Info("internal topic of a streams group created", "topic", t.Name, "partitions", t.Partitions)
	return nil
}
