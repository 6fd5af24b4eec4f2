package audit

import (
	"context"
	"encoding/json"
)

// queueEvents bounds the events that wait for the topic, and batchEvents those that are
// written at once.
const (
	queueEvents = 10_000
	batchEvents = 500
)

// Queue holds events on their way into a topic.
type Queue struct {
	events chan []byte
}

// NewQueue makes a queue.
func NewQueue() *Queue { return &Queue{events: make(chan []byte, queueEvents)} }

// put reports whether there was room.
func (q *Queue) put(e *Event) bool {
	value, err := json.Marshal(e)
	if err != nil {
		return false
	}
	select {
	case q.events <- value:
		return true
	default:
		return false
	}
}

// Run hands the events to write, some at a time and in order, until ctx ends. What write
// refuses is lost, and counted: an event must not keep back those after it.
func (l *Log) Run(ctx context.Context, write func(ctx context.Context, events [][]byte) error) {
	for {
		var batch [][]byte
		select {
		case e := <-l.queue.events:
			batch = append(batch, e)
		case <-ctx.Done():
			return
		}
		for len(batch) < batchEvents && len(l.queue.events) > 0 {
			batch = append(batch, <-l.queue.events)
		}
		if err := write(ctx, batch); err != nil {
			l.metrics.dropped.Add(float64(len(batch)))
			l.logger.WarnContext(ctx, "events did not get into the audit topic", "events", len(batch), "error", err)
		}
	}
}
