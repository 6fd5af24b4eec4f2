package trail

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"go.opentelemetry.io/otel/trace"
)

func spanOf(n int) trace.SpanContext {
	return trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1, 14: byte(n >> 8), 15: byte(n)}, SpanID: trace.SpanID{1, 6: byte(n >> 8), 7: byte(n)}, TraceFlags: trace.FlagsSampled,
	})
}

func show(entries []Entry) (out string) {
	for _, e := range entries {
		id := e.Context.SpanID()
		out += fmt.Sprintf("%d-%d:%d ", e.First, e.Last, int(id[6])<<8|int(id[7]))
	}
	return out
}

func TestBetween(t *testing.T) {
	tr := New(100)
	a, b := [16]byte{1}, [16]byte{2}
	tr.Add(a, 0, 10, 19, spanOf(1))
	tr.Add(b, 0, 10, 12, spanOf(2))
	tr.Add(a, 0, 30, 30, spanOf(3))
	tr.Add(a, 1, 5, 5, spanOf(4))
	tr.Add(a, 0, 31, 40, spanOf(5))
	for _, test := range []struct {
		from, to int64
		max      int
		want     string
	}{
		{0, 100, 16, "10-19:1 30-30:3 31-40:5 "},
		{0, 100, 2, "30-30:3 31-40:5 "},
		{0, 100, 0, ""},
		{0, 10, 16, ""},
		{0, 11, 16, "10-19:1 "},
		{19, 30, 16, "10-19:1 "},
		{20, 30, 16, ""},
		{20, 31, 16, "30-30:3 "},
		{40, 41, 16, "31-40:5 "},
		{41, 100, 16, ""},
	} {
		if got := show(tr.Between(a, 0, test.from, test.to, test.max)); got != test.want {
			t.Errorf("[%d, %d) %d: %q, want %q", test.from, test.to, test.max, got, test.want)
		}
	}
	tr.Forget(a, 0, 35)
	tr.Forget(b, 7, 0)
	if got := show(tr.Between(a, 0, 0, 100, 16)); got != "10-19:1 30-30:3 " {
		t.Errorf("after a truncation: %q", got)
	}
	tr.Add(a, 0, 12, 12, spanOf(6)) // written anew
	if got := show(tr.Between(a, 0, 0, 100, 16)); got != "12-12:6 " {
		t.Errorf("written anew: %q", got)
	}
	tr.Forget(a, 0, 0)
	if got := show(tr.Between(a, 0, 0, 100, 16)); got != "" || len(tr.newest) != 2 {
		t.Errorf("all is forgotten: %q, partitions=%d", got, len(tr.newest))
	}
}

// TestModel compares it with a list, of which the oldest are dropped.
func TestModel(t *testing.T) {
	type fact struct {
		part int32
		Entry
	}
	const room = 7
	r := rand.New(rand.NewPCG(3, 4))
	tr := New(room)
	var facts []fact // of the last rooms numbers; a forgotten one keeps its place
	ends := map[int32]int64{}
	for step := range 20_000 {
		part := int32(r.IntN(4))
		drop := func(from int64) {
			for i := range facts {
				if facts[i].part == part && facts[i].Last >= from {
					facts[i].part = -1
				}
			}
		}
		switch r.IntN(5) {
		case 0:
			from := max(ends[part]-int64(r.IntN(6)), 0)
			tr.Forget([16]byte{}, part, from)
			drop(from)
			ends[part] = from
		default:
			first := ends[part] + int64(r.IntN(3))
			e := Entry{First: first, Last: first + int64(r.IntN(4)), Context: spanOf(step)}
			tr.Add([16]byte{}, part, e.First, e.Last, e.Context)
			facts = append(facts, fact{part, e})
			if len(facts) > room {
				facts = facts[1:]
			}
			ends[part] = e.Last + 1
		}
		from := max(ends[part]-int64(r.IntN(12)), 0)
		to, most := from+int64(r.IntN(12)), 1+r.IntN(4)
		var want []Entry
		for _, f := range slices.Backward(facts) {
			if f.part == part && f.Last >= from && f.First < to && len(want) < most {
				want = append(want, f.Entry)
			}
		}
		slices.Reverse(want)
		if got := tr.Between([16]byte{}, part, from, to, most); show(got) != show(want) {
			t.Fatalf("step %d: [%d, %d) of %d: %q, want %q", step, from, to, part, show(got), show(want))
		}
		if len(tr.newest) > room {
			t.Fatalf("%d partitions are remembered", len(tr.newest))
		}
	}
}

func TestOffIsNothing(t *testing.T) {
	var off *Trail
	c := spanOf(1)
	if n := testing.AllocsPerRun(100, func() {
		off.Add([16]byte{}, 0, 0, 1, c)
		off.Forget([16]byte{}, 0, 0)
		if off.Between([16]byte{}, 0, 0, 10, 16) != nil {
			t.Error("a trail that is off has something")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	empty := New(10)
	if n := testing.AllocsPerRun(100, func() { empty.Between([16]byte{}, 0, 0, 10, 16) }); n != 0 {
		t.Errorf("%v allocations to find nothing", n)
	}
}

func TestConcurrently(t *testing.T) {
	tr := New(64)
	var all sync.WaitGroup
	for g := range int32(4) {
		all.Go(func() {
			for i := range int64(2000) {
				tr.Add([16]byte{}, g, i, i, spanOf(int(i)))
				if got := tr.Between([16]byte{}, g, i, i+1, 16); len(got) > 1 {
					t.Errorf("partition %d offset %d: %q", g, i, show(got))
				}
			}
		})
	}
	all.Wait()
}
