package once

import (
	"os"
	"path/filepath"
	"testing"
)

// told is a small run, whose parts a test may falsify: two inputs, of which the first attempt was aborted.
type told struct {
	ends map[int32]int64
	all  *sightings
	j    *journals
	hot  *reading
	cold *reading
}

func newTold() *told {
	t := &told{
		ends: map[int32]int64{0: 2}, all: newSightings(),
		j:    &journals{attempts: make(map[attempt]*fate), starts: make(map[string][]start)},
		hot:  &reading{topic: "hot", partitions: make(map[int32][]seen)},
		cold: &reading{topic: "cold", partitions: make(map[int32][]seen)},
	}
	t.j.note(started, "slot", attempt{"a", 0}, 10)
	t.j.note(aborts, "slot", attempt{"a", 1}, 20)
	t.j.note(aborted, "slot", attempt{"a", 1}, 21)
	t.j.note(commits, "slot", attempt{"a", 2}, 30)
	t.j.note(committed, "slot", attempt{"a", 2}, 31)
	for at := range int64(2) {
		t.show(t.hot, at, attempt{"a", 2}, 32)
		t.show(t.cold, at, attempt{"a", 2}, 33)
	}
	return t
}

// show has a reader be given an output of an input.
func (t *told) show(r *reading, in int64, a attempt, at int64) {
	next := int64(len(r.partitions[0]))
	r.partitions[0] = append(r.partitions[0], seen{next, input{0, in}, t.all.see(a, at)})
}

func TestJudge(t *testing.T) {
	for name, c := range map[string]struct {
		lie  func(*told)
		want Kind
	}{
		"the truth": {lie: func(*told) {}},
		"an output is missing": {want: Missing, lie: func(x *told) {
			x.hot.partitions[0], x.cold.partitions[0] = x.hot.partitions[0][:1], x.cold.partitions[0][:1]
		}},
		"an input was processed twice": {want: Duplicate, lie: func(x *told) { x.show(x.hot, 1, attempt{"a", 2}, 34) }},
		"half of a transaction": {want: Torn, lie: func(x *told) {
			x.j.note(commits, "slot", attempt{"a", 3}, 40)
			x.cold.partitions[0][1].attempt = x.all.see(attempt{"a", 3}, 50)
		}},
		"an aborted record":             {want: Aborted, lie: func(x *told) { x.all.see(attempt{"a", 1}, 25) }},
		"a record of an open one":       {want: Early, lie: func(x *told) { x.all.see(attempt{"a", 2}, 29) }},
		"a record of a dead one":        {want: Early, lie: func(x *told) { x.all.see(attempt{"a", 9}, 29) }},
		"an output of no input":         {want: Foreign, lie: func(x *told) { x.show(x.hot, 2, attempt{"a", 2}, 34) }},
		"a zombie":                      {want: Unfenced, lie: func(x *told) { x.j.note(started, "slot", attempt{"b", 0}, 25) }},
		"a commit before the takeover":  {lie: func(x *told) { x.j.note(started, "slot", attempt{"b", 0}, 35) }},
		"nobody knows, but it is there": {lie: func(x *told) { x.j.attempts[attempt{"a", 2}].outcome = "" }},
	} {
		x := newTold()
		c.lie(x)
		var r Result
		r.judge(x.ends, []*reading{x.hot, x.cold}, x.all, x.j)
		if c.want == "" && !r.OK() || c.want != "" && r.Counts[c.want] == 0 {
			t.Errorf("%s: violations=%v %v, want %q", name, r.Counts, r.Examples, c.want)
		}
	}
}

func TestCompare(t *testing.T) {
	x := newTold()
	shorter := &reading{topic: "hot", partitions: map[int32][]seen{0: x.hot.partitions[0][:1]}}
	var r Result
	if r.compare(shorter, x.hot); !r.OK() {
		t.Errorf("a beginning: %v", r.Examples)
	}
	if r.compare(x.hot, shorter); r.Counts[Unsteady] != 1 {
		t.Errorf("records that are gone: %v", r.Counts)
	}
	x.cold.partitions[0][0].input.offset = 1
	if r.compare(x.hot, x.cold); r.Counts[Unsteady] != 2 {
		t.Errorf("another record: %v", r.Counts)
	}
}

func TestJournal(t *testing.T) {
	w := Worker{TransactionalID: "slot", Attempt: "a", Journal: filepath.Join(t.TempDir(), "0-a.journal")}
	j, err := openJournal(&w)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []struct {
		v verb
		n int64
	}{{started, 0}, {commits, 1}, {committed, 1}, {aborts, 2}} {
		if err := j.write(line.v, line.n); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	all, err := readJournals(filepath.Dir(w.Journal))
	if err != nil {
		t.Fatal(err)
	}
	first, second := all.attempts[attempt{"a", 1}], all.attempts[attempt{"a", 2}]
	if len(all.starts["slot"]) != 1 || first == nil || first.outcome != committed || first.asked == 0 || second == nil || second.asked != 0 || second.outcome != "" {
		t.Errorf("starts=%v first=%+v second=%+v", all.starts, first, second)
	}
	if err := os.WriteFile(w.Journal, []byte("nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readJournals(filepath.Dir(w.Journal)); err == nil {
		t.Error("nonsense was read as a journal")
	}
}

func TestOutput(t *testing.T) {
	want := output{partition: 7, offset: 1 << 40, attempt: attempt{"0badcafe", 12}}
	got, err := parseOutput(want.append(nil))
	if err != nil || got != want {
		t.Errorf("%+v %v, want %+v", got, err, want)
	}
	for _, bad := range []string{"", "1 2 a", "x 2 a 1", "1 x a 1", "1 2 a x", "1 2 a 1 1"} {
		if _, err := parseOutput([]byte(bad)); err == nil {
			t.Errorf("%q was taken for an output", bad)
		}
	}
}
