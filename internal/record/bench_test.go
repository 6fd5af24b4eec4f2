package record_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/tidelinehq/tideline/internal/record"
)

// sized builds a batch of 100-byte values with about size bytes of records.
func sized(tb testing.TB, codec record.Codec, size, value int) record.Batch {
	r := rand.New(rand.NewPCG(5, 6))
	w := record.NewBuilder(record.Options{Codec: codec, ProducerID: -1})
	for w.Size() < size {
		v := make([]byte, value)
		for i := range v {
			v[i] = "abcdefghijklmnop"[r.IntN(16)]
		}
		if err := w.Add(record.Record{Timestamp: 1e12, Key: v[:8], Value: v}); err != nil {
			tb.Fatal(err)
		}
	}
	return w.Build()
}

func BenchmarkValidate(b *testing.B) {
	for _, codec := range codecs {
		for _, size := range []int{1 << 10, 1 << 20} {
			for _, value := range []int{100, 1000} {
				b.Run(fmt.Sprintf("codec=%v/size=%d/value=%d", codec, size, value), func(b *testing.B) {
					batch := sized(b, codec, size, value)
					b.SetBytes(int64(size))
					b.ReportAllocs()
					for b.Loop() {
						if _, err := batch.ValidateProduced(8 << 20); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
	}
}

func BenchmarkBuild(b *testing.B) {
	for _, codec := range codecs {
		b.Run("codec="+codec.String(), func(b *testing.B) {
			value := make([]byte, 1000)
			for i := range value {
				value[i] = byte(i * i)
			}
			w := record.NewBuilder(record.Options{Codec: codec, ProducerID: -1})
			var out []byte
			b.SetBytes(100 * 1000)
			b.ReportAllocs()
			for b.Loop() {
				w.Reset(record.Options{Codec: codec, ProducerID: -1})
				for range 100 {
					if err := w.Add(record.Record{Value: value}); err != nil {
						b.Fatal(err)
					}
				}
				out = w.AppendTo(out[:0])
			}
		})
	}
}

// BenchmarkBomb validates a batch of 48 values of a MiB of zeros.
func BenchmarkBomb(b *testing.B) {
	for _, c := range []record.Codec{record.Gzip, record.Snappy, record.LZ4, record.Zstd} {
		b.Run(c.String(), func(b *testing.B) {
			build := record.NewBuilder(record.Options{ProducerID: record.NoProducerID, Codec: c})
			for range 48 {
				if err := build.Add(record.Record{Value: make([]byte, 1<<20-64)}); err != nil {
					b.Fatal(err)
				}
			}
			batch := build.Build()
			b.ReportAllocs()
			b.SetBytes(48 << 20)
			for b.Loop() {
				if _, err := batch.ValidateRecords(record.DefaultMaxBytes); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
