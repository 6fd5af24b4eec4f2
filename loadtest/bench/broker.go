package main

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// broker is one of the two under comparison, running.
type broker struct {
	name string
	addr string // of the Kafka protocol
	http string // of metrics and profiles; only Tideline has one
	proc *process
}

const (
	kafkaName    = "kafka"
	tidelineName = "tideline"
)

// launch is a broker whose process runs, and which may not serve yet.
type launch struct {
	of     *broker
	began  time.Time                   // of the process
	serves func(context.Context) error // returns when it does
}

// ready waits until the broker serves and returns it with the time that this took. One that does not is killed.
func (l *launch) ready(ctx context.Context) (*broker, time.Duration, error) {
	if err := l.serves(ctx); err != nil {
		l.of.proc.kill()
		return nil, 0, err
	}
	return l.of, time.Since(l.began), nil
}

// admin makes a client for the things around a measurement.
func (b *broker) admin() (*kadm.Client, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(b.addr), kgo.RetryTimeout(30*time.Second))
	if err != nil {
		return nil, err
	}
	return kadm.NewClient(client), nil
}

// createTopic creates a topic without replication and returns when it has leaders.
func (b *broker) createTopic(ctx context.Context, topic string, partitions int, configs map[string]string) error {
	return b.createReplicated(ctx, topic, partitions, 1, configs)
}

// createReplicated creates a topic and returns when it has leaders.
func (b *broker) createReplicated(ctx context.Context, topic string, partitions int, replicas int16, configs map[string]string) error {
	adm, err := b.admin()
	if err != nil {
		return err
	}
	defer adm.Close()
	set := map[string]*string{}
	for key, value := range configs {
		set[key] = &value
	}
	if _, err := adm.CreateTopic(ctx, int32(partitions), replicas, set, topic); err != nil {
		return fmt.Errorf("create topic broker=%s topic=%s: %w", b.name, topic, err)
	}
	// Kafka names a leader before that has opened its logs; the leader itself answers for its offsets.
	return until(ctx, "leaders of "+topic, 2*time.Minute, 50*time.Millisecond, func() (bool, error) {
		offsets, err := adm.ListEndOffsets(ctx, topic)
		led := 0
		offsets.Each(func(o kadm.ListedOffset) {
			if o.Err == nil {
				led++
			}
		})
		return err == nil && led == partitions, context.Cause(ctx)
	})
}

// deleteTopic deletes a topic.
func (b *broker) deleteTopic(ctx context.Context, topic string) error {
	adm, err := b.admin()
	if err != nil {
		return err
	}
	defer adm.Close()
	if _, err := adm.DeleteTopic(ctx, topic); err != nil {
		return fmt.Errorf("delete topic broker=%s topic=%s: %w", b.name, topic, err)
	}
	return nil
}

// serves waits until the broker answers with so many brokers of the cluster, of which it is one.
func (b *broker) serves(ctx context.Context, brokers int, limit time.Duration) error {
	adm, err := b.admin()
	if err != nil {
		return err
	}
	defer adm.Close()
	return until(ctx, "start of "+b.name, limit, 100*time.Millisecond, func() (bool, error) {
		select {
		case <-b.proc.done:
			return false, fmt.Errorf("%s ended: %w\n%s", b.name, b.proc.err, b.proc.tail())
		default:
		}
		ask, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		found, err := adm.ListBrokers(ask)
		return err == nil && len(found) == brokers, nil
	})
}

// settle returns when the broker has done what its last load left behind: everything tiered, no processor time used, no
// dirty page of anybody on the way to the disk.
func (b *broker) settle(ctx context.Context) error {
	if b.http != "" {
		err := until(ctx, "tiering of all that was written", 2*time.Minute, 250*time.Millisecond, func() (bool, error) {
			pending, err := b.metric(ctx, "tideline_tiering_pending_bytes")
			return pending == 0, err
		})
		if err != nil {
			return err
		}
	}
	return b.quiet(ctx)
}

// quiet returns when the broker's process uses next to no processor time.
func (b *broker) quiet(ctx context.Context) error {
	syncDisks()
	const interval = 500 * time.Millisecond
	for range 60 { // a broker that does not come to rest in half a minute is measured as it is
		before, err := cpuTime(b.proc.pid())
		if err != nil {
			return err
		}
		if err := pause(ctx, interval); err != nil {
			return err
		}
		after, err := cpuTime(b.proc.pid())
		if err != nil {
			return err
		}
		if after-before <= interval/25 {
			return nil
		}
	}
	return nil
}

// cpu is the processor time that the broker has used so far.
func (b *broker) cpu() (time.Duration, error) { return cpuTime(b.proc.pid()) }
