package tiering

import (
	"reflect"
	"testing"
	"time"
)

func TestSelectRoll(t *testing.T) {
	const mib = 1 << 20
	c := func(pendingMiB int64, age time.Duration) rollCandidate {
		return rollCandidate{pending: pendingMiB * mib, age: age, rollBytes: 64 * mib, rollAfter: time.Minute, retentionMs: -1}
	}
	fast := c(1, 1100*time.Millisecond)
	fast.rollAfter = time.Second
	small := c(1, time.Second)
	small.rollBytes = mib
	for _, tc := range []struct {
		name     string
		cs       []rollCandidate
		pressure int64
		want     []int
	}{
		{name: "nothing", cs: nil},
		{name: "nothing due", cs: []rollCandidate{c(1, 10*time.Second), c(63, 59*time.Second)}},
		{name: "time takes what has waited a quarter along", cs: []rollCandidate{c(1, time.Minute), c(1, 15*time.Second), c(1, 14*time.Second)}, want: []int{0, 1}},
		{name: "time takes what is a quarter full along", cs: []rollCandidate{c(1, time.Minute), c(16, time.Second), c(15, time.Second)}, want: []int{0, 1}},
		{name: "a full large one goes alone", cs: []rollCandidate{c(64, time.Second), c(40, time.Second), c(1, 50*time.Second)}, want: []int{0}},
		{name: "a full small one takes half full ones along", cs: []rollCandidate{small, c(32, time.Second), c(31, time.Second)}, want: []int{0, 1}},
		{name: "a fast topic does not cut up the slow ones", cs: []rollCandidate{fast, c(1, 10*time.Second), c(1, 20*time.Second)}, want: []int{0, 2}},
		{name: "pressure takes the oldest", cs: []rollCandidate{c(5, 3*time.Second), c(5, 9*time.Second), c(5, 6*time.Second)}, pressure: 6 * mib, want: []int{1, 2}},
		{name: "pressure is satisfied by what is due", cs: []rollCandidate{c(64, 3*time.Second), c(5, 9*time.Second)}, pressure: 6 * mib, want: []int{0}},
		{name: "pressure takes all there is", cs: []rollCandidate{c(5, 3*time.Second), c(5, 9*time.Second)}, pressure: 1 << 40, want: []int{0, 1}},
		{name: "no data, no roll", cs: []rollCandidate{{pending: 0, age: time.Hour, rollBytes: mib, rollAfter: time.Minute}}, pressure: 1},
	} {
		if got := selectRoll(tc.cs, tc.pressure, 32*mib); !(len(got) == 0 && len(tc.want) == 0) && !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}

func TestPack(t *testing.T) {
	const mib = 1 << 20
	limits := packLimits{objects: 100, large: 32 * mib, objectBytes: 100 * mib, segmentBytes: 80 * mib, splitBytes: 20 * mib, sections: 4}
	c := func(pendingMiB int64, ageSeconds int, days int64) rollCandidate {
		ms := int64(-1)
		if days >= 0 {
			ms = days * 86_400_000
		}
		return rollCandidate{pending: pendingMiB * mib, age: time.Duration(ageSeconds) * time.Second, retentionMs: ms}
	}
	all := func(n int) (out []int) {
		for i := range n {
			out = append(out, i)
		}
		return out
	}
	for _, tc := range []struct {
		name string
		cs   []rollCandidate
		l    func(*packLimits)
		want [][]part
	}{
		{name: "small ones share", cs: []rollCandidate{c(1, 1, 7), c(2, 1, 7), c(3, 1, 7)}, want: [][]part{{{0, mib}, {1, 2 * mib}, {2, 3 * mib}}}},
		{name: "large ones do not, and the oldest comes first", cs: []rollCandidate{c(32, 1, 7), c(40, 2, 7)}, want: [][]part{{{1, 40 * mib}}, {{0, 32 * mib}}}},
		{name: "one segment is bounded", cs: []rollCandidate{c(5000, 1, 7)}, want: [][]part{{{0, 80 * mib}}}},
		{name: "an object is bounded in bytes", cs: []rollCandidate{c(60, 3, 7), c(60, 2, 7), c(40, 1, 7)}, l: func(l *packLimits) { l.large = 1 << 40 },
			want: [][]part{{{0, 60 * mib}}, {{1, 60 * mib}, {2, 40 * mib}}}},
		{name: "an object is bounded in sections", cs: []rollCandidate{c(1, 1, 7), c(1, 1, 7), c(1, 1, 7), c(1, 1, 7), c(1, 1, 7)},
			want: [][]part{{{0, mib}, {1, mib}, {2, mib}, {3, mib}}, {{4, mib}}}},
		{name: "little data of unlike retention shares", cs: []rollCandidate{c(1, 1, 1), c(1, 1, -1)}, want: [][]part{{{0, mib}, {1, mib}}}},
		{name: "much data of unlike retention does not", cs: []rollCandidate{c(20, 2, 1), c(1, 1, 90), c(1, 1, -1)},
			want: [][]part{{{0, 20 * mib}}, {{1, mib}, {2, mib}}}},
		{name: "what does not fit stays", cs: []rollCandidate{c(32, 1, 7), c(40, 2, 7)}, l: func(l *packLimits) { l.objects = 1 }, want: [][]part{{{1, 40 * mib}}}},
	} {
		l := limits
		if tc.l != nil {
			tc.l(&l)
		}
		if got := pack(tc.cs, all(len(tc.cs)), l); !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}

// TestCohortsMeet plays the rounds of partitions that began at different times: they must come into one rhythm.
func TestCohortsMeet(t *testing.T) {
	const partitions = 1000
	since := make([]int, partitions) // second of the oldest pending append
	for i := range since {
		since[i] = i * 60 / partitions
	}
	perMinute := map[int]int{}
	for now := range 600 {
		cs := make([]rollCandidate, partitions)
		for i, s := range since {
			cs[i] = rollCandidate{pending: max(int64(now-s+1), 0) * 10_000, age: time.Duration(now-s) * time.Second, rollBytes: 64 << 20, rollAfter: time.Minute}
		}
		chosen := selectRoll(cs, 0, 32<<20)
		perMinute[now/60] += len(pack(cs, chosen, packLimits{objects: 10, large: 32 << 20, objectBytes: 1 << 30, segmentBytes: 1 << 29, splitBytes: 32 << 20, sections: maxSections}))
		for _, i := range chosen {
			since[i] = now + 1
		}
	}
	for m := 2; m < 10; m++ {
		if perMinute[m] > 1 {
			t.Errorf("minute %d: %d objects", m, perMinute[m])
		}
	}
}

func TestSelectSpill(t *testing.T) {
	for hot, want := range map[int]int{0: 0, 16: 0, 32: 0, 33: 17, 64: 48, 65: 49, 200: 184} {
		if got := selectSpill(hot, 64, 16); got != want {
			t.Errorf("hot=%d: %d, want %d", hot, got, want)
		}
	}
}

func TestBackoff(t *testing.T) {
	var b backoff
	now := time.Unix(1000, 0)
	if b.waiting(now) {
		t.Fatal("health waits")
	}
	for i := range 40 {
		b.failed(now, errSpool)
		wait := b.retryAt.Sub(now)
		if wait < backoffFirst/2 || wait > backoffLast || i > 10 && wait < backoffLast/2 {
			t.Fatalf("failure %d waits %s", i, wait)
		}
	}
	if !b.since.Equal(now) || !b.waiting(now) || b.waiting(now.Add(backoffLast)) {
		t.Fatalf("%+v", b)
	}
}

func TestFullIn(t *testing.T) {
	for _, tc := range []struct {
		free, bytes int64
		in, want    time.Duration
	}{
		{100, 10, time.Second, 10 * time.Second},
		{0, 10, time.Second, 0},
		{-5, 10, time.Second, 0},
		{100, 0, time.Second, -1},
		{100, 10, 0, -1},
		{1 << 62, 1, time.Hour, -1},
	} {
		if got := fullIn(tc.free, tc.bytes, tc.in); got != tc.want {
			t.Errorf("%+v: %s", tc, got)
		}
	}
}
