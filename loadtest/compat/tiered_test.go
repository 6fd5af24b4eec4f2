package compat

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidelinehq/tideline/broker/brokertest"
	"github.com/tidelinehq/tideline/loadtest/compat/clients/worker"
	"github.com/tidelinehq/tideline/tiering/objstore"
	"github.com/tidelinehq/tideline/tiering/objstore/minios3"
	"github.com/tidelinehq/tideline/tiering/objstore/objstoretest"
)

// onlyRemote are the topic settings under which nothing stays on the disk once it is in the object store.
var onlyRemote = map[string]string{"local.retention.bytes": "1", "local.retention.ms": "1"}

// startTiered starts MinIO and a broker that uploads early, and returns the part of the bucket that the broker has.
func startTiered(t *testing.T, settings map[string]string) (*objstoretest.MinIO, *brokertest.Process, objstore.Store) {
	t.Helper()
	s3 := objstoretest.StartMinIO(t)
	prefix := objstoretest.Prefix(t)
	all := map[string]string{
		"object.store": s3.URL("minio", prefix), "tier.roll.bytes": "262144", "tier.roll.ms": "300", "tier.garbage.grace.ms": "3000",
		"log.retention.check.interval.ms": "500", "cache.disk.bytes": "0",
	}
	maps.Copy(all, quick)
	maps.Copy(all, settings)
	p := brokertest.Start(t, brokertest.Options{Settings: all, Env: s3.Env()})
	bucket, err := minios3.Open(s3.Config(prefix))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := bucket.Close(); err != nil {
			t.Error(err)
		}
	})
	return s3, p, bucket
}

// createTopic makes a topic with the test's own client.
func createTopic(t testing.TB, c *kgo.Client, topic string, partitions int32, configs map[string]string) {
	t.Helper()
	given := map[string]*string{}
	for key, value := range configs {
		given[key] = &value
	}
	if _, err := kadm.NewClient(c).CreateTopic(t.Context(), partitions, 1, given, topic); err != nil {
		t.Fatal(err)
	}
}

// eventually looks every now and then until look returns nothing, and fails the test with its last answer when the time is over.
func eventually(t testing.TB, timeout time.Duration, look func() string) {
	t.Helper()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(timeout)
	for {
		complaint := look()
		if complaint == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %s: %s", timeout, complaint)
		}
		<-tick.C
	}
}

// tierStatus is what `tideline tier status` tells.
type tierStatus struct {
	Objects        int64 `json:"objects"`
	GarbageObjects int64 `json:"garbage_objects"`
	OpenUploads    int64 `json:"open_uploads"`
	PendingBytes   int64 `json:"pending_bytes"`
	Partitions     []struct {
		Topic         string `json:"topic"`
		Partition     int32  `json:"partition"`
		LogStart      int64  `json:"log_start_offset"`
		TieredEnd     int64  `json:"tiered_end_offset"`
		HighWatermark int64  `json:"high_watermark"`
		Segments      int64  `json:"segments"`
	} `json:"partitions"`
}

func statusOf(t testing.TB, p *brokertest.Process) tierStatus {
	t.Helper()
	var s tierStatus
	if err := json.Unmarshal([]byte(p.Run("tier", "status", "--output", "json")), &s); err != nil {
		t.Fatalf("tier status: %v", err)
	}
	return s
}

// earliestLocal asks ListOffsets for the first offset that is on the broker's disk (KIP-405).
const earliestLocal = -4

// waitRemote waits until the topic's records are in the object store, all of them, and nowhere else.
func waitRemote(t testing.TB, p *brokertest.Process, c *kgo.Client, topic string) {
	t.Helper()
	admin := kadm.NewClient(c)
	eventually(t, workerTimeout, func() string {
		for _, one := range statusOf(t, p).Partitions {
			if one.Topic == topic && one.TieredEnd < one.HighWatermark {
				return fmt.Sprintf("%s/%d: tiered to %d of %d", topic, one.Partition, one.TieredEnd, one.HighWatermark)
			}
		}
		ends, err := admin.ListEndOffsets(t.Context(), topic)
		if err != nil {
			t.Fatal(err)
		}
		local, err := admin.ListOffsetsAfterMilli(t.Context(), earliestLocal, topic)
		if err != nil {
			t.Fatal(err)
		}
		complaint := ""
		ends.Each(func(end kadm.ListedOffset) {
			if l, ok := local.Lookup(topic, end.Partition); !ok || l.Err != nil || l.Offset != end.Offset {
				complaint = fmt.Sprintf("%s/%d ends at %d; local from %+v", topic, end.Partition, end.Offset, l)
			}
		})
		return complaint
	})
}

// TestTiered writes records, waits until they exist in the bucket only, kills the broker, and reads them back with two foreign clients.
// Then it deletes the topics and expects nothing of them in the bucket.
func TestTiered(t *testing.T) {
	_, p, bucket := startTiered(t, nil)
	c := newClient(t, p.Addr())
	const topic, lines, partitions = "archive", "lines", 3
	createTopic(t, c, topic, partitions, onlyRemote)
	createTopic(t, c, lines, 1, onlyRemote)
	writer := &partitionWriter{client: c, topic: topic, partitions: partitions}
	for range 30 {
		writer.write(t, 50, "tiered")
	}
	var text strings.Builder
	for i := range 20000 {
		fmt.Fprintf(&text, "%08d a line that is read back byte for byte\n", i)
	}
	runTool(t, text.String(), consoleProducer, "--bootstrap-server", p.Addr(), "--topic", lines, "--compression-codec", "zstd")
	waitRemote(t, p, c, topic)
	waitRemote(t, p, c, lines)

	p.Kill()
	p.Restart()
	offsets := map[int32]int64{0: 0, 1: 777, 2: 1499}
	at := epoch + 10*1010 + 3
	t.Run("read", func(t *testing.T) {
		for _, name := range []string{"java", "librdkafka"} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				reader := clientNamed(t, name)
				for _, one := range []struct {
					o    worker.Options
					want []worker.Record
				}{
					{worker.Options{From: "beginning"}, writer.written},
					{worker.Options{From: "offset", Offsets: offsets}, from(writer.written, offsets)},
					{worker.Options{From: "time", Time: at}, after(writer.written, at)},
				} {
					one.o.Brokers, one.o.Topic, one.o.Count = p.Addr(), topic, len(one.want)
					same(t, name+" from "+one.o.From, reader.consume(t, one.o), one.want)
				}
			})
		}
		t.Run("console", func(t *testing.T) {
			t.Parallel()
			got := runTool(t, "", consoleConsumer, "--bootstrap-server", p.Addr(), "--topic", lines, "--partition", "0", "--offset", "earliest",
				"--max-messages", "20000", "--timeout-ms", "60000")
			if got != text.String() {
				t.Errorf("the console consumer printed %d bytes, which are not the %d that were written", len(got), text.Len())
			}
		})
	})
	verify(t, p)

	c = newClient(t, p.Addr())
	if _, err := kadm.NewClient(c).DeleteTopics(t.Context(), topic, lines); err != nil {
		t.Fatal(err)
	}
	waitEmpty(t, p, bucket)
}

// verify has the program prove that the bucket is whole.
func verify(t testing.TB, p *brokertest.Process) {
	t.Helper()
	output := strings.TrimSpace(p.Run("tier", "verify", "--output", "json"))
	var last struct {
		Segments      int64 `json:"segments"`
		TotalSegments int64 `json:"total_segments"`
		Faults        int64 `json:"faults"`
		Done          bool  `json:"done"`
	}
	if err := json.Unmarshal([]byte(output[strings.LastIndexByte(output, '\n')+1:]), &last); err != nil {
		t.Fatalf("tier verify: %v", err)
	}
	if !last.Done || last.Faults != 0 || last.Segments == 0 || last.Segments != last.TotalSegments {
		t.Errorf("tier verify:\n%s", output)
	}
}

// waitEmpty waits until no data and no manifest page is in the bucket.
func waitEmpty(t testing.TB, p *brokertest.Process, bucket objstore.Store) {
	t.Helper()
	eventually(t, workerTimeout, func() string {
		ctx, cancel := context.WithTimeout(t.Context(), workerTimeout)
		defer cancel()
		var left bytes.Buffer
		for _, prefix := range []string{"data/", "manifest/"} {
			keys, _, err := bucket.List(ctx, prefix, "", 1000)
			if err != nil {
				t.Fatal(err)
			}
			for _, key := range keys {
				fmt.Fprintf(&left, "%s ", key.Key)
			}
		}
		if left.Len() > 0 {
			return fmt.Sprintf("left in the bucket: %s status: %+v", left.Bytes(), statusOf(t, p))
		}
		return ""
	})
}
