package verify

import (
	"math/rand/v2"
	"testing"
)

// More pages than are cached: what was entered first is what is found, by offset and in order.
func TestTableBeyondItsCache(t *testing.T) {
	tables, err := newTables(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := tables.close(); err != nil {
			t.Error(err)
		}
	}()
	want := [2]map[int64]claim{{}, {}}
	random := rand.New(rand.NewPCG(1, 2))
	for range 4 * cachedPages {
		partition, offset := random.Int32N(2), random.Int64N(3*cachedPages*pageEntries/2)
		c := claim{kind: runKind(random.IntN(4)), id: identity{uint16(random.Uint32()), random.Int64N(maxSequence + 1)}, witness: uint16(random.Uint32()), at: random.Int64N(1 << 32)}
		for range 2 {
			was, known, err := tables.meet(partition, offset, c)
			if before, entered := want[partition][offset]; err != nil || known != entered || known && was != before {
				t.Fatalf("offset=%d: was=%v known=%v err=%v, want %v %v", offset, was, known, err, before, entered)
			} else if !entered {
				want[partition][offset] = c
			}
		}
	}
	for partition := range want {
		last, n := int64(-1), 0
		var failure error
		for offset, c := range tables.all(int32(partition), &failure) {
			if offset <= last || c != want[partition][offset] {
				t.Fatalf("offset=%d after=%d: %v want %v", offset, last, c, want[partition][offset])
			}
			last, n = offset, n+1
		}
		if failure != nil || n != len(want[partition]) {
			t.Errorf("entries=%d want=%d err=%v", n, len(want[partition]), failure)
		}
	}
	for _, offset := range []int64{-1, maxOffset} {
		if _, _, err := tables.meet(0, offset, claim{}); err == nil {
			t.Errorf("offset=%d was entered", offset)
		}
	}
}

func TestSequencesAndSpans(t *testing.T) {
	s := sequences{}
	for _, n := range []int64{0, 63, 64, sequenceBits - 1, sequenceBits, maxSequence} {
		if !s.add(n) || s.add(n) {
			t.Errorf("sequence=%d", n)
		}
	}
	var held spans
	for _, r := range [][2]int64{{0, 3}, {3, 5}, {7, 8}, {10, 20}} {
		held.add(r[0], r[1])
	}
	if len(held) != 3 {
		t.Errorf("ranges: %v", held)
	}
	for offset := int64(-1); offset < 22; offset++ {
		if want := offset >= 0 && offset < 5 || offset == 7 || offset >= 10 && offset < 20; held.holds(offset) != want {
			t.Errorf("holds(%d) = %v", offset, !want)
		}
	}
}
