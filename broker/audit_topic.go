package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tidelinehq/tideline/broker/partition"
	"github.com/tidelinehq/tideline/broker/security/audit"
	"github.com/tidelinehq/tideline/internal/record"
)

// auditTimeout bounds how long a batch of events may take to be in all replicas in sync.
const auditTimeout = 30 * time.Second

// errNoAuditPartition: a broker writes to partitions that it leads, so that an event needs
// no other broker. What a broker that leads none has to tell is only in its log.
var errNoAuditPartition = errors.New("this broker leads no partition of the topic")

// newAudit makes the audit log, with a queue where a topic is wanted.
func (b *Broker) newAudit() *audit.Log {
	o := audit.Options{Logger: b.logger.With("part", "audit"), Now: b.now, Registerer: b.registry}
	if b.cfg.AuditLogTopic != "" {
		o.Queue = audit.NewQueue()
	}
	return audit.New(o)
}

// runAudit writes events into the topic until the broker stops.
func (b *Broker) runAudit() {
	if b.cfg.AuditLogTopic == "" {
		return
	}
	next := 0
	b.background(func() {
		b.audit.Run(b.run, func(ctx context.Context, events [][]byte) error {
			next++
			return b.writeAudit(ctx, next, events)
		})
	})
}

// auditAppend is a batch of events on its way.
type auditAppend struct {
	partition.Append
	done chan error
}

// Appended implements partition.Owner.
func (a *auditAppend) Appended(_ *partition.Append, err error) { a.done <- err }

// writeAudit writes events into one of the partitions that this broker leads, turn by turn.
func (b *Broker) writeAudit(ctx context.Context, turn int, events [][]byte) error {
	ctx, cancel := context.WithTimeout(ctx, auditTimeout)
	defer cancel()
	t, err := b.api.AuditTopic(ctx, b.cfg.AuditLogTopic)
	if err != nil {
		return err
	}
	var led []*partition.Partition
	for index := range t.Partitions {
		if p := b.table.Get(t.Name, index); p != nil && p.Leads() {
			led = append(led, p)
		}
	}
	if len(led) == 0 {
		return fmt.Errorf("%w: topic=%s", errNoAuditPartition, t.Name)
	}
	batch := record.NewBuilder(record.Options{ProducerID: record.NoProducerID})
	now := b.now().UnixMilli()
	for _, e := range events {
		if err := batch.Add(record.Record{Value: e, Timestamp: now}); err != nil {
			return err
		}
	}
	a := &auditAppend{done: make(chan error, 1)}
	if err := led[turn%len(led)].Append(&a.Append, batch.Build(), partition.FromClient, a); err != nil {
		return err
	}
	select {
	case err := <-a.done:
		return err
	case <-ctx.Done():
		a.GiveUp(ctx.Err())
		return ctx.Err()
	}
}
