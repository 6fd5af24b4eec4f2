package compat

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidelinehq/tideline/broker/brokertest"
	"github.com/tidelinehq/tideline/loadtest/compat/clients/worker"
)

const (
	outageWAL        = 256 << 20 // the smallest wal.max.bytes
	outageValue      = 256 << 10
	outagePartitions = 2
	// produceTimeout is how long the broker may hold a produce request back before it has to refuse it.
	produceTimeout = 3 * time.Second
)

// TestOutage takes the S3 server away: producers go on until the WAL is full, are held back, then get an error that they may retry. When
// the server is back everything drains, and nothing that was acknowledged is lost. Once it answers nothing (SIGSTOP), once it is gone.
func TestOutage(t *testing.T) {
	s3, p, _ := startTiered(t, map[string]string{
		"wal.max.bytes": fmt.Sprint(outageWAL), "wal.file.bytes": "16MiB", "tier.roll.bytes": "8MiB", "tier.garbage.grace.ms": "60000",
		"wal.tail.bytes": "32MiB", "cache.memory.bytes": "32MiB",
	})
	c := newClient(t, p.Addr())
	createTopic(t, c, "outage", outagePartitions, onlyRemote)
	var written written
	for _, outage := range []struct {
		name        string
		begin, over func() error
	}{
		{"silent", func() error { return signal(s3.PID(), syscall.SIGSTOP) }, func() error { return signal(s3.PID(), syscall.SIGCONT) }},
		{"gone", s3.Kill, s3.Restart},
	} {
		if err := outage.begin(); err != nil {
			t.Fatal(err)
		}
		before := written.size()
		fillUp(t, p, &written)
		if took := written.size() - before; took < outageWAL/2 {
			t.Errorf("%s: only %d MiB were taken while the object store was away", outage.name, took>>20)
		}
		// A client with its usual retries waits until there is room again.
		patient := clientNamed(t, "java").start(t, "produce", worker.Options{Brokers: p.Addr(), Topic: "outage", Codec: "none", TimeoutMS: 120_000})
		patient.send(worker.Record{Partition: 0, Value: []byte("patient"), Timestamp: time.Now().UnixMilli()})
		patient.flush()
		if err := outage.over(); err != nil {
			t.Fatal(err)
		}
		for _, a := range decode[worker.Ack](t, patient.name, patient.finish()) {
			if a.Error != "" {
				t.Errorf("%s: a patient producer got %+v", outage.name, a)
			}
			written.add(a.Partition, a.Offset, []byte("patient"))
		}
		waitRemote(t, p, c, "outage")
	}
	p.Kill()
	p.Restart()
	written.check(t, p)
	verify(t, p)
}

func signal(pid int, s syscall.Signal) error {
	process, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	return process.Signal(s)
}

// fillUp writes until the broker refuses, one request after the other for each partition, and without retries: Sarama tells the broker's
// own error.
func fillUp(t *testing.T, p *brokertest.Process, w *written) {
	t.Helper()
	config := sarama.NewConfig()
	config.Producer.RequiredAcks = sarama.WaitForAll
	config.Producer.Timeout = produceTimeout
	config.Producer.Retry.Max = 0
	config.Producer.Return.Successes = true
	config.Producer.Partitioner = sarama.NewManualPartitioner
	producer, err := sarama.NewSyncProducer([]string{p.Addr()}, config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := producer.Close(); err != nil {
			t.Error(err)
		}
	}()
	noise := rand.NewChaCha8([32]byte{byte(w.size() >> 20)})
	for i := int32(0); ; i++ {
		value := make([]byte, outageValue)
		_, _ = noise.Read(value) // never fails
		started := time.Now()
		partition, offset, err := producer.SendMessage(&sarama.ProducerMessage{
			Topic: "outage", Partition: i % outagePartitions, Value: sarama.ByteEncoder(value),
		})
		if err == nil {
			w.add(partition, offset, value)
			if w.size() > 10*outageWAL {
				t.Fatal("the broker takes more than its WAL may hold")
			}
			continue
		}
		if !errors.Is(err, sarama.ErrNotEnoughReplicas) {
			t.Errorf("a full broker refuses with %v, want NOT_ENOUGH_REPLICAS", err)
		}
		if held := time.Since(started); held < produceTimeout/2 {
			t.Errorf("a full broker refuses after %s, before it held the producer back", held)
		}
		return
	}
}

// written remembers what was acknowledged.
type written struct {
	mu    sync.Mutex
	sums  map[place][sha256.Size]byte // guarded by mu
	bytes int64                       // guarded by mu
}

func (w *written) add(partition int32, offset int64, value []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sums == nil {
		w.sums = map[place][sha256.Size]byte{}
	}
	w.sums[place{partition, offset}] = sha256.Sum256(value)
	w.bytes += int64(len(value))
}

func (w *written) size() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.bytes
}

// check reads the topic and looks for all that was acknowledged. A record whose acknowledgement was lost may be there, too.
func (w *written) check(t *testing.T, p *brokertest.Process) {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(p.Addr()), kgo.ConsumeTopics("outage"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	total := len(w.sums)
	for left := total; left > 0; {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatalf("read: %v; %d of %d records are missing", err, left, total)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			want, ok := w.sums[place{r.Partition, r.Offset}]
			if !ok {
				return
			}
			if sha256.Sum256(r.Value) != want {
				t.Errorf("%d/%d has another value than the one that was acknowledged", r.Partition, r.Offset)
			}
			left--
		})
	}
}
