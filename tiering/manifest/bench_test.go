package manifest

import (
	"math/rand/v2"
	"testing"
)

func BenchmarkDecodeFullLeaf(b *testing.B) {
	page, err := AppendLeaf(nil, testID, run(rand.New(rand.NewPCG(1, 2)), 0, MaxLeafSegments))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(page)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeLeaf(page, PageRef{}, testID); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkLocateCached(b *testing.B) {
	m := newModel(b)
	m.append(run(rand.New(rand.NewPCG(1, 2)), 0, 10_000))
	m.spill(16)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.loc.Locate(b.Context(), testID.Topic, testID.Partition, m.all[5000].Base); err != nil {
			b.Fatal(err)
		}
	}
}
