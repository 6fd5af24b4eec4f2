package tiering

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/tidelinehq/tideline/tiering/objstore"
	"github.com/tidelinehq/tideline/tiering/objstore/objstoretest"
	"github.com/tidelinehq/tideline/tiering/objstore/open"
)

var benchHistory = historyOptions{segments: 8, batches: 2048, records: 16, value: 1000, random: true} // 8 × 32 MiB

// replayBytes is one consumer from the beginning to the end, as a broker would serve it, without looking at the bytes.
func (h *history) replayBytes(b *testing.B, r *Reader, most int) {
	for offset := int64(0); offset < h.end; {
		c, err := r.Read(b.Context(), h.request(offset, most))
		if err != nil {
			b.Fatal(err)
		}
		offset = c.NextOffset
		c.Release()
	}
}

// A replay from a store that costs nothing: what the reader itself costs.
func BenchmarkReplay(b *testing.B) {
	for _, random := range []bool{true, false} {
		o := benchHistory
		o.random = random
		h := newHistory(b, o)
		for _, caching := range []int64{0, 512 << 20} {
			name := fmt.Sprintf("compressed=%v/cache=%v", !random, caching > 0)
			b.Run(name, func(b *testing.B) {
				r := h.reader(b, h.store, func(o *ReaderOptions) { o.CacheBytes, o.ReadBytes = caching, 128<<20 })
				b.SetBytes(int64(len(h.bytes)))
				b.ReportAllocs()
				for b.Loop() {
					h.replayBytes(b, r, 1<<20)
				}
			})
		}
	}
}

// One warm Read of 64 KiB: allocations of the path that every consumer in the cache takes.
func BenchmarkReadWarm(b *testing.B) {
	h := newHistory(b, historyOptions{segments: 1, batches: 256, records: 16, value: 1000, random: true})
	r := h.reader(b, h.store, nil)
	h.replayBytes(b, r, 1<<20)
	b.ReportAllocs()
	offset := int64(0)
	for b.Loop() {
		c, err := r.Read(b.Context(), h.request(offset, 64<<10))
		if err != nil {
			b.Fatal(err)
		}
		if offset = c.NextOffset; offset == h.end {
			offset = 0
		}
		c.Release()
	}
}

// Against a real S3 server, TIDELINE_BENCH_S3=1: plain GETs of the same objects one after the other, one consumer, and eight.
func BenchmarkReplayS3(b *testing.B) {
	if os.Getenv("TIDELINE_BENCH_S3") == "" {
		return
	}
	m := objstoretest.StartMinIO(b)
	for _, random := range []bool{true, false} {
		o := benchHistory
		o.random = random
		h := newHistory(b, o)
		store, err := open.Open(b.Context(), m.URL("minio", fmt.Sprintf("replay-%v", random)), open.Options{})
		if err != nil {
			b.Fatal(err)
		}
		stored := int64(0)
		for _, s := range h.segs {
			stored += h.copyTo(b, store, objstore.DataKey(s.Object))
		}
		name := fmt.Sprintf("compressed=%v/", !random)
		b.Run(name+"plain", func(b *testing.B) {
			b.SetBytes(stored)
			for b.Loop() {
				for _, s := range h.segs {
					drain(b, store, objstore.DataKey(s.Object))
				}
			}
		})
		for _, most := range []int{64 << 10, 1 << 20, 16 << 20} {
			b.Run(fmt.Sprintf("%sconsumer/fetch=%d", name, most), func(b *testing.B) {
				r := h.reader(b, store, func(o *ReaderOptions) { o.CacheBytes, o.ReadBytes = 0, 128<<20 })
				b.SetBytes(stored)
				for b.Loop() {
					h.replayBytes(b, r, most)
				}
			})
		}
		b.Run(name+"consumer/round-trip=1ms", func(b *testing.B) {
			r := h.reader(b, store, func(o *ReaderOptions) { o.CacheBytes, o.ReadBytes = 0, 128<<20 })
			b.SetBytes(stored)
			for b.Loop() {
				for offset := int64(0); offset < h.end; {
					c, err := r.Read(b.Context(), h.request(offset, 1<<20))
					if err != nil {
						b.Fatal(err)
					}
					offset = c.NextOffset
					c.Release()
					<-time.After(time.Millisecond)
				}
			}
		})
		b.Run(name+"consumers=8", func(b *testing.B) {
			r := h.reader(b, store, func(o *ReaderOptions) { o.CacheBytes, o.ReadBytes = 64<<20, 128<<20 })
			b.SetBytes(8 * stored)
			for b.Loop() {
				var group sync.WaitGroup
				for range 8 {
					group.Go(func() { h.replayBytes(b, r, 1<<20) })
				}
				group.Wait()
			}
		})
		if err := store.Close(); err != nil {
			b.Error(err)
		}
	}
}

func (h *history) copyTo(b *testing.B, to objstore.Store, key string) int64 {
	whole, _, err := objstore.ReadAll(context.Background(), h.store, key, 1<<30)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := to.Put(context.Background(), key, objstore.BytesBody(whole), objstore.Condition{}); err != nil {
		b.Fatal(err)
	}
	return int64(len(whole))
}

func drain(b *testing.B, s objstore.Store, key string) {
	body, _, err := s.Get(b.Context(), key, 0, -1)
	if err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 1<<20)
	for err == nil {
		_, err = io.ReadFull(body, buf)
	}
	if err != io.EOF && err != io.ErrUnexpectedEOF {
		b.Fatal(err)
	}
	if err := body.Close(); err != nil {
		b.Fatal(err)
	}
}
