package segment

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"
)

func BenchmarkWriter(b *testing.B) {
	for name, rng := range map[string]*rand.Rand{"compressible": nil, "random": rand.New(rand.NewPCG(1, 1))} {
		b.Run(name, func(b *testing.B) {
			all, _ := log(0, 1024, 16, 1000, rng)
			b.SetBytes(int64(len(all)))
			b.ReportAllocs()
			for b.Loop() {
				w, err := NewWriter(io.Discard, WriterOptions{})
				if err != nil {
					b.Fatal(err)
				}
				if err := w.Begin(SectionStart{}); err != nil {
					b.Fatal(err)
				}
				if err := w.Append(all); err != nil {
					b.Fatal(err)
				}
				if _, err := w.End(SectionEnd{}); err != nil {
					b.Fatal(err)
				}
				if _, err := w.Finish(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for name, rng := range map[string]*rand.Rand{"zstd": nil, "raw": rand.New(rand.NewPCG(1, 1))} {
		b.Run(name, func(b *testing.B) {
			all, _ := log(0, 100, 10, 1000, rng)
			data, obj := write(b, WriterOptions{}, part{batches: [][]byte{all}})
			s, err := OpenSection(b.Context(), source(data), 0, obj.Sections[0].Size)
			if err != nil {
				b.Fatal(err)
			}
			k := &s.Index.Blocks[0]
			dst := make([]byte, 0, k.Raw)
			b.SetBytes(int64(k.Raw))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := k.Decode(dst, data[:k.Stored], 0); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParseIndex(b *testing.B) {
	all, _ := log(0, 1000, 1, 1000, nil)
	data, obj := write(b, WriterOptions{BlockBytes: 16 << 10}, part{batches: [][]byte{all}})
	section := bytes.Clone(data[:obj.Sections[0].Size])
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseIndex(section, int64(len(section))); err != nil {
			b.Fatal(err)
		}
	}
}
