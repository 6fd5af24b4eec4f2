package share

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCombine(t *testing.T) {
	for _, tt := range []struct {
		name       string
		a, b, want []StateBatch
		start      int64
	}{
		{"nothing", nil, nil, []StateBatch{}, -1},
		{"one", []StateBatch{{1, 5, 0, 1}}, nil, []StateBatch{{1, 5, 0, 1}}, -1},
		{"cut by the start", []StateBatch{{1, 5, 0, 1}, {6, 9, 2, 1}}, nil, []StateBatch{{4, 5, 0, 1}, {6, 9, 2, 1}}, 4},
		{"below the start", []StateBatch{{1, 5, 0, 1}}, []StateBatch{{6, 9, 2, 1}}, []StateBatch{{6, 9, 2, 1}}, 6},
		{"alike and touching", []StateBatch{{1, 5, 2, 1}}, []StateBatch{{6, 9, 2, 1}}, []StateBatch{{1, 9, 2, 1}}, -1},
		{"alike and overlapping", []StateBatch{{1, 7, 2, 1}}, []StateBatch{{3, 9, 2, 1}}, []StateBatch{{1, 9, 2, 1}}, -1},
		{"alike and apart", []StateBatch{{1, 4, 2, 1}}, []StateBatch{{6, 9, 2, 1}}, []StateBatch{{1, 4, 2, 1}, {6, 9, 2, 1}}, -1},
		{"more deliveries win", []StateBatch{{1, 9, 0, 2}}, []StateBatch{{3, 5, 2, 1}}, []StateBatch{{1, 9, 0, 2}}, -1},
		{"later state wins", []StateBatch{{1, 9, 0, 1}}, []StateBatch{{3, 5, 2, 1}}, []StateBatch{{1, 2, 0, 1}, {3, 5, 2, 1}, {6, 9, 0, 1}}, -1},
		{"state never goes back", []StateBatch{{1, 9, 2, 1}}, []StateBatch{{3, 12, 0, 1}}, []StateBatch{{1, 9, 2, 1}, {10, 12, 0, 1}}, -1},
		{"winner in the middle joins its sides", []StateBatch{{1, 3, 2, 1}, {4, 6, 0, 1}, {7, 9, 2, 1}}, []StateBatch{{4, 6, 2, 1}}, []StateBatch{{1, 9, 2, 1}}, -1},
		{"up to the last offset", []StateBatch{{1, maxOffset, 0, 1}}, []StateBatch{{5, maxOffset, 2, 1}}, []StateBatch{{1, 4, 0, 1}, {5, maxOffset, 2, 1}}, -1},
	} {
		if diff := cmp.Diff(tt.want, combine(tt.a, tt.b, tt.start)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// TestCombineOffsetByOffset compares with what each offset says by itself.
func TestCombineOffsetByOffset(t *testing.T) {
	const offsets = 24
	rng := rand.New(rand.NewPCG(1, 2))
	some := func() []StateBatch {
		var out []StateBatch
		for range rng.IntN(6) {
			first := rng.Int64N(offsets)
			out = append(out, StateBatch{first, first + rng.Int64N(offsets-first), [3]int8{0, 2, 4}[rng.IntN(3)], int16(rng.IntN(3))})
		}
		return out
	}
	for range 20_000 {
		a, b, start := some(), some(), rng.Int64N(offsets)-1
		var want [offsets]*StateBatch
		for _, list := range [][]StateBatch{a, b} {
			for i := range list {
				for o := max(list[i].First, start); o <= list[i].Last; o++ {
					if want[o] == nil || list[i].rank() > want[o].rank() {
						want[o] = &list[i]
					}
				}
			}
		}
		got := combine(a, b, start)
		var is [offsets]*StateBatch
		for i, x := range got {
			if x.First > x.Last || x.First < start || i > 0 && got[i-1].Last >= x.First {
				t.Fatalf("not ranges in order: %v of %v and %v from %d", got, a, b, start)
			}
			if i > 0 && got[i-1].Last+1 == x.First && got[i-1].like(x) {
				t.Fatalf("not joined: %v of %v and %v from %d", got, a, b, start)
			}
			for o := x.First; o <= x.Last; o++ {
				is[o] = &got[i]
			}
		}
		for o := range want {
			if (want[o] == nil) != (is[o] == nil) || want[o] != nil && !want[o].like(*is[o]) {
				t.Fatalf("offset %d: want %v, got %v: %v of %v and %v from %d", o, want[o], is[o], got, a, b, start)
			}
		}
		if diff := cmp.Diff(got, combine(got, nil, start)); diff != "" {
			t.Fatalf("combining again changes it:\n%s", diff)
		}
	}
}
