package manifest

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
)

// replaceInput is for the live segments [from, to) of the model, as one.
func (m *model) replaceInput(rnd *rand.Rand, from, to int) ReplaceInput {
	m.t.Helper()
	ctx := context.Background()
	leaves, err := m.loc.Leaves(ctx, testID, m.l.Root)
	if err != nil {
		m.t.Fatal(err)
	}
	old := slices.Clone(m.all[from:to])
	one := run(rnd, 0, 1)[0]
	one.Base, one.End, one.MaxTimestampOffset = old[0].Base, old[len(old)-1].End, old[0].Base
	one.Flags = FlagSparse
	return ReplaceInput{
		ID: testID, Root: m.l.Root, Leaves: leaves, Live: m.l.PagedSegments(), Hot: m.l.Hot, Old: old, New: []Segment{one},
		Leaf: func(l LeafRef) ([]Segment, error) { return m.loc.Leaf(ctx, testID, l) },
	}
}

// replace puts one segment in the place of some that begin in pages.
func (m *model) replace(rnd *rand.Rand, from, to int) {
	m.t.Helper()
	in := m.replaceInput(rnd, from, to)
	m.next++
	object := [16]byte{0xff, m.next}
	var buf bytes.Buffer
	w := NewObjectWriter(&buf, object)
	r, err := ReplacePages(w, in)
	if err != nil {
		m.t.Fatal(err)
	}
	if _, err := w.Close(); err != nil {
		m.t.Fatal(err)
	}
	m.store.objects[object] = buf.Bytes()
	for _, ref := range r.Released {
		m.release(ref)
	}
	if r.Pages != w.Count() || r.Pages > 2+len(m.all)/MaxLeafSegments {
		m.t.Fatalf("pages=%d written=%d", r.Pages, w.Count())
	}
	m.refs[r.Root] = true
	for _, a := range r.Added {
		m.refs[a.Ref] = true
	}
	paged := int(m.l.PagedSegments())
	if want := min(to, paged) - from; r.Paged != want {
		m.t.Fatalf("%d of the old ones were in pages, want %d", r.Paged, want)
	}
	m.all = slices.Concat(m.all[:from], in.New, m.all[to:])
	m.l.Root, m.l.RootEnd, m.l.Hot = r.Root, r.RootEnd, m.l.Hot[max(to-paged, 0):]
	m.l.Segments -= int64(to - from - 1)
	m.holey = true
}

// A tree in which entries were replaced again and again finds everything, refers to exactly the pages that are counted, and does not fall
// to pieces.
func TestReplacedEntriesAreFound(t *testing.T) {
	for seed := range uint64(2) {
		rnd := rand.New(rand.NewPCG(seed, 5))
		m := newModel(t)
		for range 60 {
			m.append(run(rnd, m.l.Tiered, 1+rnd.IntN(400)))
			if len(m.l.Hot) > 64 {
				m.spill(16)
			}
			if paged := int(m.l.PagedSegments()); paged > 1 && rnd.IntN(2) == 0 {
				from := rnd.IntN(paged)
				m.replace(rnd, from, from+1+rnd.IntN(len(m.all)-from))
				m.check(rnd)
			}
			if rnd.IntN(5) == 0 {
				m.retain(rnd.Int64N(m.l.PagedSegments()/4 + 1))
			}
			m.check(rnd)
		}
		leaves, err := m.loc.Leaves(context.Background(), testID, m.l.Root)
		if err != nil {
			t.Fatal(err)
		}
		if most := 2 + 4*len(m.all)/MaxLeafSegments; len(leaves) > most {
			t.Errorf("%d leaves for %d segments", len(leaves), len(m.all))
		}
	}
}

// What is not there, entry by entry, is not replaced.
func TestReplaceRefuses(t *testing.T) {
	rnd := rand.New(rand.NewPCG(6, 7))
	m := newModel(t)
	m.append(run(rnd, 0, 1500))
	m.spill(16)
	m.retain(10)
	for name, change := range map[string]func(in *ReplaceInput){
		"another checksum":  func(in *ReplaceInput) { in.Old[3].CRC++ },
		"one is missing":    func(in *ReplaceInput) { in.Old = slices.Delete(in.Old, 2, 3) },
		"released":          func(in *ReplaceInput) { in.Live -= 200 },
		"another hot one":   func(in *ReplaceInput) { in.Old[len(in.Old)-1].Chain[0]++ },
		"hot ones are gone": func(in *ReplaceInput) { in.Hot = nil },
		"beyond the ledger": func(in *ReplaceInput) { in.Old[len(in.Old)-1].End++; in.New[0].End++ },
		"behind what is paged": func(in *ReplaceInput) {
			in.Old = in.Hot[2:4]
			in.New[0].Base, in.New[0].End = in.Old[0].Base, in.Old[1].End
		},
		"below what is retained": func(in *ReplaceInput) { in.Old[0].Base, in.New[0].Base = 0, 0 },
	} {
		in := m.replaceInput(rnd, 100, len(m.all)-3)
		change(&in)
		var buf bytes.Buffer
		if _, err := ReplacePages(NewObjectWriter(&buf, [16]byte{1}), in); !errors.Is(err, ErrChanged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	in := m.replaceInput(rnd, 100, 200)
	in.New[0].End--
	if _, err := ReplacePages(NewObjectWriter(new(bytes.Buffer), [16]byte{1}), in); !errors.Is(err, ErrCorrupt) {
		t.Errorf("another range: %v", err)
	}
}
