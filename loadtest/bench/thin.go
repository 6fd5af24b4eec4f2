package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"golang.org/x/sync/errgroup"

	"github.com/tidelinehq/tideline/internal/record"
)

// A thin consumer asks like any other, one fetch after the other for 1 MiB of a partition, and looks at nothing but the
// headers of the batches. Beside a client that GETs whole objects it shows what the broker costs, where a full consumer on
// the same two cores shows mostly its own decoding.
const (
	thinFetchVersion   = 12
	thinPartitionBytes = 1 << 20
	thinMaxResponse    = 64 << 20
)

// thinConsumeAll reads the first partitions of a topic from offset 0 to their high watermarks, one connection for each,
// and returns the bytes of batches and the time that it took.
func thinConsumeAll(ctx context.Context, address, topic string, partitions int) (int64, time.Duration, error) {
	began := time.Now()
	var total atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for p := range partitions {
		g.Go(func() error {
			n, err := thinConsume(ctx, address, topic, int32(p))
			if err != nil {
				return fmt.Errorf("thin consumer partition=%d: %w", p, err)
			}
			total.Add(n)
			return nil
		})
	}
	err := g.Wait()
	return total.Load(), time.Since(began), err
}

func thinConsume(ctx context.Context, address, topic string, partition int32) (bytes int64, err error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	format := kmsg.NewRequestFormatter(kmsg.FormatterClientID("thin"))
	var request, body []byte
	for offset, id := int64(0), int32(0); ctx.Err() == nil; id++ {
		request = format.AppendRequest(request[:0], thinFetch(topic, partition, offset), id)
		if _, err := conn.Write(request); err != nil {
			return bytes, err
		}
		if body, err = readResponse(conn, body); err != nil {
			return bytes, err
		}
		n, next, end, err := thinNext(body, offset)
		bytes += n
		if err != nil || next >= end {
			return bytes, err
		}
		offset = next
	}
	return bytes, ctx.Err()
}

func thinFetch(topic string, partition int32, offset int64) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.Version = thinFetchVersion
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.SessionEpoch = 500, 1, 50<<20, -1
	t := kmsg.NewFetchRequestTopic()
	t.Topic = topic
	p := kmsg.NewFetchRequestTopicPartition()
	p.Partition, p.FetchOffset, p.PartitionMaxBytes = partition, offset, thinPartitionBytes
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}

// readResponse reads one response into buf, which grows as needed.
func readResponse(r io.Reader, buf []byte) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint32(size[:]))
	if n > thinMaxResponse {
		return nil, fmt.Errorf("response is too large: bytes=%d max=%d", n, thinMaxResponse)
	}
	if cap(buf) < n {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	_, err := io.ReadFull(r, buf)
	return buf, err
}

// responseHeader is what precedes the body of a flexible response: the correlation id and no tags.
const responseHeader = 5

// thinNext returns the bytes of the batches in a response, the offset after the last of them, and the high watermark.
func thinNext(body []byte, offset int64) (bytes, next, end int64, err error) {
	resp := kmsg.NewPtrFetchResponse()
	resp.Version = thinFetchVersion
	if len(body) < responseHeader {
		return 0, 0, 0, io.ErrUnexpectedEOF
	}
	if err := resp.UnsafeReadFrom(body[responseHeader:]); err != nil {
		return 0, 0, 0, err
	}
	if len(resp.Topics) != 1 || len(resp.Topics[0].Partitions) != 1 {
		return 0, 0, 0, fmt.Errorf("unexpected response: topics=%d", len(resp.Topics))
	}
	p := &resp.Topics[0].Partitions[0]
	if err := errors.Join(kerr.ErrorForCode(resp.ErrorCode), kerr.ErrorForCode(p.ErrorCode)); err != nil {
		return 0, 0, 0, err
	}
	for batch, err := range record.All(p.RecordBatches) {
		if err != nil {
			return 0, 0, 0, err
		}
		offset = batch.NextOffset()
	}
	return int64(len(p.RecordBatches)), offset, p.HighWatermark, nil
}
