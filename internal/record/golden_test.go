package record_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/internal/record"
)

var rewrite = flag.Bool("rewrite", false, "have a foreign client produce the golden batches anew")

// goldenRecords are what every golden batch holds: null, empty and present keys,
// values and header values, and a body long enough to compress.
func goldenRecords() []record.Record {
	const ts = 1_700_000_000_000
	return []record.Record{
		{Offset: 0, Timestamp: ts, Key: []byte("key"), Value: []byte("value")},
		{Offset: 1, Timestamp: ts + 5, Value: []byte("no key")},
		{Offset: 2, Timestamp: ts + 2, Key: []byte("tombstone")},
		{Offset: 3, Timestamp: ts - 1, Key: []byte{}, Value: []byte{}},
		{Offset: 4, Timestamp: ts + 5, Key: []byte("h"), Value: bytes.Repeat([]byte("tide "), 60), Headers: []record.Header{
			{Key: []byte("traceparent"), Value: []byte("00-1")},
			{Key: []byte("null"), Value: nil},
			{Key: []byte(""), Value: []byte{}},
		}},
	}
}

var goldenCodecs = map[record.Codec]kgo.CompressionCodec{
	record.None: kgo.NoCompression(), record.Gzip: kgo.GzipCompression(), record.Snappy: kgo.SnappyCompression(),
	record.LZ4: kgo.Lz4Compression(), record.Zstd: kgo.ZstdCompression(),
}

// foreignBatch has franz-go produce the golden records and returns the batch as
// it went over the wire.
func foreignBatch(t *testing.T, codec kgo.CompressionCodec) []byte {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "golden"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	captured := make(chan []byte, 8)
	cluster.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
		captured <- bytes.Clone(r.(*kmsg.ProduceRequest).Topics[0].Partitions[0].Records)
		return nil, nil, false
	})
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ProducerBatchCompression(codec),
		kgo.ManualFlushing(), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	failed := make(chan error, 8)
	for _, r := range goldenRecords() {
		out := &kgo.Record{Topic: "golden", Key: r.Key, Value: r.Value, Timestamp: time.UnixMilli(r.Timestamp)}
		for _, h := range r.Headers {
			out.Headers = append(out.Headers, kgo.RecordHeader{Key: string(h.Key), Value: h.Value})
		}
		client.Produce(context.Background(), out, func(_ *kgo.Record, err error) { failed <- err })
	}
	if err := client.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	for range goldenRecords() {
		if err := <-failed; err != nil {
			t.Fatal(err)
		}
	}
	return <-captured
}

var headerFields = []struct {
	name string
	size int
}{
	{"base offset", 8}, {"batch length", 4}, {"partition leader epoch", 4}, {"magic", 1}, {"crc-32c", 4},
	{"attributes", 2}, {"last offset delta", 4}, {"first timestamp", 8}, {"max timestamp", 8},
	{"producer id", 8}, {"producer epoch", 2}, {"base sequence", 4}, {"record count", 4},
}

func annotate(title string, b []byte) []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "# %s\n", title)
	for _, f := range headerFields {
		fmt.Fprintf(&out, "%-18x # %s\n", b[:f.size], f.name)
		b = b[f.size:]
	}
	fmt.Fprintf(&out, "# records\n")
	for ; len(b) > 0; b = b[min(32, len(b)):] {
		fmt.Fprintf(&out, "%x\n", b[:min(32, len(b))])
	}
	return out.Bytes()
}

func readHex(t testing.TB, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var digits strings.Builder
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		digits.WriteString(strings.TrimSpace(line))
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func goldenPath(c record.Codec) string {
	return filepath.Join("testdata", "golden", "v1", "franz-"+c.String()+".hex")
}

// TestGolden reads the batches of a foreign client, and compares our own
// encoding with the uncompressed one byte by byte.
func TestGolden(t *testing.T) {
	for codec, foreign := range goldenCodecs {
		t.Run(codec.String(), func(t *testing.T) {
			if *rewrite {
				text := annotate("five records produced by franz-go, compression "+codec.String(), foreignBatch(t, foreign))
				if err := os.WriteFile(goldenPath(codec), text, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			b, err := record.Parse(readHex(t, goldenPath(codec)))
			if err != nil {
				t.Fatal(err)
			}
			if b.Codec() != codec {
				t.Fatalf("codec %v, want %v", b.Codec(), codec)
			}
			s, err := b.ValidateProduced(1 << 20)
			if err != nil {
				t.Fatal(err)
			}
			if s.MaxTimestamp != b.MaxTimestamp() || s.MaxTimestampDelta != 1 || s.NullKeys != 1 || s.FirstNullKey != 1 {
				t.Fatalf("summary %+v", s)
			}
			wantRecords(t, b, goldenRecords())
			if codec != record.None {
				return
			}
			w := record.NewBuilder(record.Options{ProducerID: b.ProducerID(), ProducerEpoch: b.ProducerEpoch(), Sequence: b.BaseSequence(), LeaderEpoch: b.LeaderEpoch()})
			for _, r := range goldenRecords() {
				if err := w.Add(r); err != nil {
					t.Fatal(err)
				}
			}
			if got := w.Build(); !bytes.Equal(got, b) {
				t.Fatalf("our batch differs\n got %x\nwant %x", got, b)
			}
		})
	}
}
