package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"
)

// produceFlags is what `tideline produce` takes beside the connection.
type produceFlags struct {
	file         string
	keySeparator string
	headers      []string
	compression  string
	acks         string
	partition    int32
	tombstones   bool
	linger       time.Duration
	maxBytes     int32
}

// maxBufferedBytes bounds what waits for acknowledgements, so that memory does
// not grow with the input.
const maxBufferedBytes = 256 << 20

// produceCommand is `tideline produce`: one record for each line.
func (p *program) produceCommand() *cobra.Command {
	var f produceFlags
	c := &cobra.Command{
		Use:   "produce TOPIC",
		Short: "Write lines of standard input as records",
		Long: `Write lines of standard input, or of a file, as records.

With --key-separator what stands before its first occurrence is the key; a line
without it has no key. The status is 0 only when every record was acknowledged.
The first failure ends it; what was acknowledged stays.`,
		Example: `  echo hello | tideline produce orders
  tideline produce orders --key-separator : --compression zstd --file orders.txt`,
		Args: cobra.ExactArgs(1),
	}
	conn := p.connectionFlags(c.Flags())
	c.Flags().StringVarP(&f.file, "file", "f", "", "read this `file` in place of standard input")
	c.Flags().StringVarP(&f.keySeparator, "key-separator", "K", "", "`text` between key and value; \\t is a tab")
	c.Flags().StringArrayVarP(&f.headers, "header", "H", nil, "a header for every record, `key=value`; may be given again")
	c.Flags().StringVarP(&f.compression, "compression", "z", "none", "`codec`: none, gzip, snappy, lz4 or zstd")
	c.Flags().StringVar(&f.acks, "acks", "all", "`how many` must have a record: all (in-sync replicas), 1 (the leader) or 0 (nobody is asked)")
	c.Flags().Int32VarP(&f.partition, "partition", "p", -1, "the `partition` to write to; -1 chooses by key")
	c.Flags().BoolVar(&f.tombstones, "empty-is-null", false, "an empty value is written as null, which deletes the key when compacted")
	c.Flags().DurationVar(&f.linger, "linger", 5*time.Millisecond, "how long a batch waits for more records")
	c.Flags().Int32Var(&f.maxBytes, "max-message-bytes", 1<<20-64, "the largest batch; a longer line is refused")
	c.RunE = p.does(func(ctx context.Context, args []string) error {
		return p.produce(ctx, conn, f, args[0])
	})
	return c
}

// options turns the flags into options of the client.
func (f *produceFlags) options(topic string) ([]kgo.Opt, error) {
	options := []kgo.Opt{
		kgo.DefaultProduceTopic(topic),
		kgo.AllowAutoTopicCreation(), // the broker decides: auto.create.topics.enable
		kgo.ProducerLinger(f.linger),
		kgo.ProducerBatchMaxBytes(f.maxBytes),
		kgo.BrokerMaxWriteBytes(max(100<<20, f.maxBytes)),
		kgo.MaxBufferedRecords(1 << 20),
		kgo.MaxBufferedBytes(maxBufferedBytes),
	}
	codecs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	codec, ok := codecs[f.compression]
	if !ok {
		return nil, usagef("unknown --compression %s: allowed are none, gzip, snappy, lz4 and zstd", f.compression)
	}
	options = append(options, kgo.ProducerBatchCompression(codec))
	switch f.acks {
	case "all", "-1":
		options = append(options, kgo.RequiredAcks(kgo.AllISRAcks()))
	case "1":
		options = append(options, kgo.RequiredAcks(kgo.LeaderAck()), kgo.DisableIdempotentWrite())
	case "0":
		options = append(options, kgo.RequiredAcks(kgo.NoAck()), kgo.DisableIdempotentWrite())
	default:
		return nil, usagef("unknown --acks %s: allowed are all, 1 and 0", f.acks)
	}
	if f.partition >= 0 {
		options = append(options, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	}
	return options, nil
}

func (f *produceFlags) parseHeaders() ([]kgo.RecordHeader, error) {
	var headers []kgo.RecordHeader
	for _, pair := range f.headers {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || key == "" {
			return nil, usagef("--header takes key=value, got %q", pair)
		}
		headers = append(headers, kgo.RecordHeader{Key: key, Value: []byte(value)})
	}
	return headers, nil
}

func (p *program) produce(ctx context.Context, conn *connection, f produceFlags, topic string) error {
	options, err := f.options(topic)
	if err != nil {
		return err
	}
	headers, err := f.parseHeaders()
	if err != nil {
		return err
	}
	input, size := p.stdin, int64(-1)
	if f.file != "" && f.file != "-" {
		file, err := os.Open(f.file)
		if err != nil {
			return err
		}
		defer file.Close() //nolint:errcheck // read only
		if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
			size = info.Size()
		}
		input = file
	}
	client, err := conn.client(ctx, append(options, kgo.RecordDeliveryTimeout(max(conn.timeout, time.Minute)))...)
	if err != nil {
		return err
	}
	defer client.Close()

	begin := time.Now()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var acknowledged, ackedBytes atomic.Int64
	var once sync.Once
	bar := p.progress(size)
	promise := func(r *kgo.Record, err error) {
		if err != nil {
			once.Do(func() { cancel(fmt.Errorf("record %q was not written: %w", shorten(r.Value), err)) })
			return
		}
		acknowledged.Add(1)
		n := int64(len(r.Key) + len(r.Value))
		ackedBytes.Add(n)
		bar.add(n)
	}
	lines := newLineReader(input, int(f.maxBytes))
	separator := []byte(strings.ReplaceAll(f.keySeparator, `\t`, "\t"))
	for ctx.Err() == nil {
		line, err := lines.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			cancel(err)
			break
		}
		r := &kgo.Record{Value: line, Headers: headers, Partition: max(f.partition, 0)}
		if len(separator) > 0 {
			if key, value, ok := bytes.Cut(line, separator); ok {
				r.Key, r.Value = key, value
			}
		}
		if f.tombstones && len(r.Value) == 0 {
			r.Value = nil
		}
		client.Produce(ctx, r, promise) // waits while maxBufferedBytes are on their way
	}
	// A failed record has cancelled ctx, and Flush then does not wait for the rest.
	if err := client.Flush(ctx); err != nil && ctx.Err() == nil {
		cancel(err)
	}
	bar.end()
	if err := context.Cause(ctx); err != nil {
		if errors.Is(err, context.Canceled) {
			err = errors.New("interrupted")
		}
		return fmt.Errorf("%w (%d records were acknowledged)", err, acknowledged.Load())
	}
	if conn.output == outputJSON {
		return p.show(outputJSON, struct {
			Topic   string  `json:"topic"`
			Records int64   `json:"records"`
			Bytes   int64   `json:"bytes"`
			Seconds float64 `json:"seconds"`
		}{topic, acknowledged.Load(), ackedBytes.Load(), time.Since(begin).Seconds()})
	}
	return nil
}

// shorten makes a value fit into an error message.
func shorten(value []byte) string {
	const most = 40
	if len(value) <= most {
		return string(value)
	}
	return string(value[:most]) + "…"
}

// lineReader cuts input into lines that stay valid: they lie in chunks of memory
// that are never used again, so that a line costs no allocation of its own.
type lineReader struct {
	scanner *bufio.Scanner
	chunk   []byte
	longest int
	number  int64
}

const lineChunk = 256 << 10

func newLineReader(input io.Reader, longest int) *lineReader {
	s := bufio.NewScanner(input)
	s.Buffer(make([]byte, lineChunk), max(longest, lineChunk)+2)
	return &lineReader{scanner: s, longest: longest}
}

// next returns the next line without its end, or io.EOF.
func (l *lineReader) next() ([]byte, error) {
	l.number++
	if !l.scanner.Scan() {
		switch err := l.scanner.Err(); {
		case errors.Is(err, bufio.ErrTooLong):
			return nil, l.tooLong()
		case err != nil:
			return nil, fmt.Errorf("line %d: %w", l.number, err)
		}
		return nil, io.EOF
	}
	line := l.scanner.Bytes()
	if len(line) > l.longest {
		return nil, l.tooLong()
	}
	if len(line) > len(l.chunk) {
		l.chunk = make([]byte, max(lineChunk, len(line)))
	}
	kept := l.chunk[:copy(l.chunk, line):len(line)]
	l.chunk = l.chunk[len(line):]
	return kept, nil
}

func (l *lineReader) tooLong() error {
	return fmt.Errorf("line %d is longer than --max-message-bytes=%d", l.number, l.longest)
}
