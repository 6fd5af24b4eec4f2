package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidelinehq/tideline/internal/adminapi"
)

// compactMetrics are the rows of compaction.
var compactMetrics = []metric{
	{scenario: "compact", key: "peak_mib", title: "compaction: most resident memory of the broker", unit: "MiB", atMost: 256},
	{scenario: "compact", key: "compact_s", title: "the same: until all was compacted", unit: "s"},
	{scenario: "compact", key: "read_s", title: "the same: a consumer from offset 0 to the end", unit: "s"},
}

const (
	compactName  = "tideline-compact"
	compactTopic = "bench-compact"
	compactValue = 64 // bytes
	// tombstoneTime is delete.retention.ms.
	tombstoneTime = 2 * time.Second
)

// compactSettings keep what else takes memory small: the figure is that of compaction.
var compactSettings = map[string]string{"cache.memory.bytes": "16MiB", "cache.disk.bytes": "0", "wal.tail.bytes": "16MiB", "wal.max.bytes": "1GiB", "tier.roll.bytes": "32MiB"}

// written is what the last write to each key was: a round, or none after a tombstone.
type written struct {
	last []uint8 // 0: gone
	end  int64   // offsets written
}

// compact writes a topic whose compaction is off, starts the broker anew with it on, watches its memory until all is compacted,
// and reads everything back.
func (b *bench) compact(ctx context.Context) error {
	off := map[string]string{"log.cleaner.enable": "false"}
	on := map[string]string{"log.cleaner.backoff.ms": "1000"}
	for key, value := range compactSettings {
		off[key], on[key] = value, value
	}
	of, _, err := b.startTideline(ctx, compactName, off, nil)
	if err != nil {
		return err
	}
	defer func() {
		of.proc.kill()
		_ = os.RemoveAll(filepath.Join(b.dir, compactName)) // the whole directory goes at the end in any case
	}()
	if err := of.createTopic(ctx, compactTopic, 1, map[string]string{
		"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.01", "delete.retention.ms": strconv.Itoa(int(tombstoneTime.Milliseconds())),
	}); err != nil {
		return err
	}
	began := time.Now()
	w, err := b.writeKeys(ctx, of)
	if err != nil {
		return err
	}
	if err := of.settle(ctx); err != nil {
		return err
	}
	values := map[string]float64{"keys": float64(b.options.keys), "records": float64(w.end), "write_s": time.Since(began).Seconds()}
	before, err := of.tierPartition(ctx, compactTopic)
	if err != nil {
		return err
	}
	values["log_bytes_before"], values["segments_before"] = float64(before.LogBytes), float64(before.Segments)
	b.say("  %d records of %d keys, %d MiB in %d segments, after %.0f s", w.end, b.options.keys, before.LogBytes>>20, before.Segments, values["write_s"])

	if err := of.proc.stop(time.Minute); err != nil {
		return err
	}
	load := loadAverage()
	began = time.Now()
	if of, _, err = b.restart(ctx, of, on, nil); err != nil {
		return err
	}
	idle, err := residentBytes(of.proc.pid())
	if err != nil {
		return err
	}
	values["idle_mib"] = float64(idle) / (1 << 20)
	var seen *readBack
	err = until(ctx, "tombstones gone", 30*time.Minute, time.Second, func() (bool, error) {
		p, err := of.tierPartition(ctx, compactTopic)
		if err != nil || p.CleanedEnd < w.end {
			return false, err
		}
		if values["compact_s"] == 0 {
			values["compact_s"] = time.Since(began).Seconds()
			if values["rounds"], err = of.metric(ctx, "tideline_tiering_compact_rounds_total"); err != nil {
				return false, err
			}
			b.say("  compacted after %.0f s, in %.0f rounds", values["compact_s"], values["rounds"])
		}
		// Until the reader begins, the peak is that of compaction alone.
		peak, err := kilobytes(fmt.Sprintf("/proc/%d/status", of.proc.pid()), "VmHWM:")
		if err != nil {
			return false, err
		}
		if rounds, err := of.metric(ctx, "tideline_tiering_compact_rounds_total"); err != nil || rounds == values["rounds"] {
			return false, err // the round that takes the tombstones out is to come
		}
		values["peak_mib"] = float64(peak) / (1 << 20)
		if seen, err = b.readKeys(ctx, of, w); err != nil {
			return false, err
		}
		return seen.tombstones == 0, nil
	})
	if err != nil {
		return err
	}
	after, err := of.tierPartition(ctx, compactTopic)
	if err != nil {
		return err
	}
	values["log_bytes_after"], values["segments_after"] = float64(after.LogBytes), float64(after.Segments)
	values["read_s"], values["records_read"] = seen.took.Seconds(), float64(seen.records)
	b.say("  peak %.0f MiB (%.0f idle), %d MiB in %d segments, %d records read in %.0f s", values["peak_mib"], values["idle_mib"], after.LogBytes>>20, after.Segments, seen.records, seen.took.Seconds())
	return b.results.add("compact", tidelineName, 1, load, values, nil)
}

// tierPartition is what the broker says of the first partition of a topic.
func (b *broker) tierPartition(ctx context.Context, topic string) (adminapi.TierPartition, error) {
	body, err := b.get(ctx, adminapi.TierStatusPath+"?topic="+topic)
	if err != nil {
		return adminapi.TierPartition{}, err
	}
	var s adminapi.TierStatus
	if err := json.Unmarshal(body, &s); err != nil {
		return adminapi.TierPartition{}, err
	}
	if len(s.Partitions) != 1 {
		return adminapi.TierPartition{}, fmt.Errorf("no such partition topic=%s", topic)
	}
	return s.Partitions[0], nil
}

// writeKeys writes every key once, half of them again, and a tombstone to every tenth, in orders that have nothing to do with the
// keys' own.
func (b *bench) writeKeys(ctx context.Context, of *broker) (*written, error) {
	c, err := kgo.NewClient(kgo.SeedBrokers(of.addr), kgo.DefaultProduceTopic(compactTopic), kgo.ProducerBatchMaxBytes(512<<10),
		kgo.ProducerLinger(5*time.Millisecond), kgo.MaxBufferedRecords(100_000), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	n := b.options.keys
	w := &written{last: make([]uint8, n+1)}
	pad := compressible(b.options.seed).next(compactValue)
	failed := make(chan error, 1)
	promise := func(_ *kgo.Record, err error) {
		if err != nil {
			select {
			case failed <- err:
			default:
			}
		}
	}
	step := stride(n)
	for round, every := range []int{1, 2, 10} {
		for i := range n {
			k := int(int64(i) * int64(step) % int64(n))
			if k%every != 0 {
				continue
			}
			r := &kgo.Record{Key: keyOf(k)}
			w.last[k] = uint8(round + 1)
			if round == 2 {
				w.last[k] = 0
			} else {
				r.Value = append(append(make([]byte, 0, 1+compactValue), uint8(round+1)), pad...)
			}
			w.end++
			c.Produce(ctx, r, promise)
			if i%10_000 == 0 {
				select {
				case err := <-failed:
					return nil, err
				default:
				}
			}
		}
		if err := c.Flush(ctx); err != nil {
			return nil, err
		}
	}
	// One more key has the last offset, so that a reader sees the end.
	w.last[n] = 1
	w.end++
	c.Produce(ctx, &kgo.Record{Key: keyOf(n), Value: []byte{1}}, promise)
	if err := c.Flush(ctx); err != nil {
		return nil, err
	}
	select {
	case err := <-failed:
		return nil, err
	default:
		return w, nil
	}
}

// stride is a step through n places that meets each.
func stride(n int) int {
	for step := n*5/8 + 1; ; step++ {
		a, b := step, n
		for b != 0 {
			a, b = b, a%b
		}
		if a == 1 {
			return step
		}
	}
}

func keyOf(k int) []byte { return binary.BigEndian.AppendUint64([]byte("key-"), uint64(k)) }

// readBack is what a reader from offset 0 found.
type readBack struct {
	records, tombstones int64
	took                time.Duration
}

// readKeys reads the topic from offset 0 and compares: each key once, with its last value; none that was deleted, but tombstones.
func (b *bench) readKeys(ctx context.Context, of *broker, w *written) (*readBack, error) {
	c, err := kgo.NewClient(kgo.SeedBrokers(of.addr), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{compactTopic: {0: kgo.NewOffset().At(0)}}))
	if err != nil {
		return nil, err
	}
	defer c.Close()
	began := time.Now()
	seen := make([]bool, len(w.last))
	r := new(readBack)
	for offset := int64(-1); offset < w.end-1; {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, err
		}
		var wrong error
		fetches.EachRecord(func(x *kgo.Record) {
			r.records++
			if x.Offset <= offset {
				wrong = fmt.Errorf("an offset came twice offset=%d after=%d", x.Offset, offset)
			}
			offset = x.Offset
			k := int(binary.BigEndian.Uint64(x.Key[4:]))
			switch {
			case x.Value == nil:
				r.tombstones++
			case seen[k] || w.last[k] == 0 || x.Value[0] != w.last[k]:
				wrong = fmt.Errorf("a value that is not the last key=%d round=%d want=%d again=%t", k, x.Value[0], w.last[k], seen[k])
			}
			seen[k] = true
		})
		if wrong != nil {
			return nil, wrong
		}
	}
	r.took = time.Since(began)
	for k, last := range w.last {
		if last != 0 && !seen[k] {
			return nil, fmt.Errorf("a key is gone key=%d", k)
		}
	}
	return r, nil
}
