package once

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// attemptTimeout bounds one transaction: one that takes longer was aborted by the coordinator anyway.
const attemptTimeout = 3 * transactionTimeout

// Work reads, processes and writes in transactions until the context ends, or something happens after which a client has to begin anew:
// whoever runs the process starts it again.
func Work(ctx context.Context, w Worker) error {
	j, err := openJournal(&w)
	if err != nil {
		return err
	}
	defer j.Close() //nolint:errcheck // every line was written through
	session, err := kgo.NewGroupTransactSession(
		kgo.SeedBrokers(w.Brokers...), kgo.ClientID(w.Attempt), kgo.TransactionalID(w.TransactionalID), kgo.TransactionTimeout(transactionTimeout),
		kgo.ConsumerGroup(w.Group), kgo.ConsumeTopics(w.Input), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.SessionTimeout(sessionTimeout), kgo.HeartbeatInterval(sessionTimeout/6),
		kgo.MetadataMinAge(50*time.Millisecond), kgo.DialTimeout(time.Second), kgo.DisableClientMetrics(),
		kgo.FetchMaxWait(200*time.Millisecond),
	)
	if err != nil {
		return fmt.Errorf("session: %w", err)
	}
	defer session.Close()
	if _, _, err := session.Client().ProducerID(ctx); err != nil {
		return fmt.Errorf("producer id: %w", err)
	}
	if err := j.write(started, 0); err != nil {
		return err
	}
	random := rand.New(rand.NewPCG(w.Seed, 0))
	for number := int64(1); ctx.Err() == nil; number++ {
		if err := attemptOne(ctx, session, &w, j, number, random.IntN(abortOneIn) == 0); err != nil {
			return err
		}
	}
	return nil
}

// attemptOne is one transaction.
func attemptOne(ctx context.Context, session *kgo.GroupTransactSession, w *Worker, j *journal, number int64, giveUp bool) error {
	fetches := session.PollRecords(ctx, maxPoll)
	if fetches.IsClientClosed() || ctx.Err() != nil {
		return ctx.Err()
	}
	// An error of one partition is the client's to retry.
	if fetches.NumRecords() == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	if err := session.Begin(); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	failed := kgo.AbortingFirstErrPromise(session.Client())
	fetches.EachRecord(func(r *kgo.Record) {
		o := output{partition: r.Partition, offset: r.Offset, attempt: attempt{w.Attempt, number}}
		value := o.append(nil)
		session.Produce(ctx, &kgo.Record{Topic: w.Hot, Key: r.Key, Value: value}, failed.Promise())
		session.Produce(ctx, &kgo.Record{Topic: w.Cold, Key: r.Key, Value: value}, failed.Promise())
	})
	try := kgo.TryCommit
	if failed.Err() != nil || giveUp {
		try = kgo.TryAbort
	}
	// What is asked for is written down before: a reader may see the records as soon as the coordinator has decided.
	v := commits
	if !try {
		v = aborts
	}
	if err := j.write(v, number); err != nil {
		return err
	}
	done, err := session.End(ctx, try)
	if err != nil {
		return fmt.Errorf("end of a transaction: %w", err)
	}
	v = aborted
	if done {
		v = committed
	}
	return j.write(v, number)
}
