package verify

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

var testRun = RunID{0xaa, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 0xff}

// history is what happened in one partition, for tests to lie about: two producers wrote ten records each in turn, a reader
// read them as they came, and everything was read again at the end.
type history struct {
	plan      plan
	producers [2][]entry
	reader    []entry
	replay    []entry
	marks     []entry
}

const cleanRecords = 20

// at is the time of an offset: ten a second.
func at(offset int64) int64 { return (offset + 1) * 100_000 }

// ours is a record of the clean history: producers take turns.
func ours(offset int64) run {
	return run{kind: runOurs, base: offset, count: 1, producer: uint16(offset % 2), sequence: offset / 2}
}

func clean() *history {
	h := &history{plan: plan{Run: hex.EncodeToString(testRun[:]), Began: time.Now(), Topic: "t", Partitions: 1, Producers: 2, Idempotent: true, Acks: AcksAll}}
	for o := range int64(cleanRecords) {
		r := ours(o)
		h.producers[r.producer] = append(h.producers[r.producer], acks{{0, r.sequence, o, at(o), 1500}})
		h.reader = append(h.reader, fetched{epoch: 3, at: at(o), highWatermark: o + 1, runs: []run{r}})
	}
	for p := range h.producers {
		h.producers[p] = append(h.producers[p], done{at(cleanRecords), at(cleanRecords), cleanRecords / 2})
	}
	h.replay = []entry{fetched{epoch: 3, at: at(40), highWatermark: cleanRecords}, covered{0, at(30), 0, cleanRecords}}
	for o := range int64(cleanRecords) {
		h.setReplay(func(f *fetched) { f.runs = append(f.runs, ours(o)) })
	}
	return h
}

// setReplay changes the one answer of the replay.
func (h *history) setReplay(change func(*fetched)) {
	f := h.replay[0].(fetched)
	change(&f)
	h.replay[0] = f
}

// sees adds a record that the reader and the replay see behind all others.
func (h *history) sees(runs ...run) {
	for _, r := range runs {
		end := r.base + r.count
		h.reader = append(h.reader, fetched{epoch: 3, at: at(r.base), highWatermark: end, runs: []run{r}})
		h.setReplay(func(f *fetched) { f.runs, f.highWatermark = append(f.runs, r), end })
		h.replay[len(h.replay)-1] = covered{0, at(60), 0, end}
	}
}

func (h *history) write(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := h.plan.write(dir); err != nil {
		t.Fatal(err)
	}
	began := time.Now() // of all of them
	for number, entries := range h.producers {
		writeJournal(t, dir, began, header{role: roleProducer, number: uint16(number), run: testRun}, entries)
	}
	writeJournal(t, dir, began, header{role: roleReader, run: testRun}, h.reader)
	writeJournal(t, dir, began, header{role: roleReplay, run: testRun}, h.replay)
	writeJournal(t, dir, began, header{role: roleRun, run: testRun}, h.marks)
	return dir
}

func writeJournal(t *testing.T, dir string, began time.Time, h header, entries []entry) {
	t.Helper()
	j, err := createJournalAt(dir, h, began)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if list, ok := e.(acks); ok {
			for _, a := range list {
				j.ack(a)
			}
			continue
		}
		j.put(e)
	}
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
}

func check(t *testing.T, dir string) *Result {
	t.Helper()
	r, err := Check(t.Context(), dir, CheckOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".check-*")); err != nil || len(left) > 0 {
		t.Errorf("the check left %v err=%v", left, err)
	}
	return r
}

// Each history has one lie in it, and the check must name that and nothing else.
func TestLies(t *testing.T) {
	for _, test := range []struct {
		name string
		lie  func(*history)
		want map[Class]int64
		at   int64 // the offset of the first that is explained
	}{
		{"the last acknowledged record is gone", func(h *history) {
			h.reader = h.reader[:cleanRecords-1]
			h.setReplay(func(f *fetched) { f.runs, f.highWatermark = f.runs[:cleanRecords-1], cleanRecords-1 })
			h.replay[1] = covered{0, at(30), 0, cleanRecords - 1}
		}, map[Class]int64{Loss: 1}, 19},
		{"an acknowledged record is gone and its offset left out", func(h *history) {
			h.reader = slices.Delete(h.reader, 5, 6)
			h.setReplay(func(f *fetched) { f.runs = slices.Delete(f.runs, 5, 6) })
		}, map[Class]int64{Loss: 1, Gap: 2}, 5},
		{"an acknowledged record was replaced before anybody saw it", func(h *history) {
			other := run{kind: runOurs, base: 19, count: 1, producer: 0, sequence: 10}
			h.reader[19] = fetched{epoch: 3, at: at(19), highWatermark: 20, runs: []run{other}}
			h.setReplay(func(f *fetched) { f.runs[19] = other })
		}, map[Class]int64{Loss: 1}, 19},
		{"nothing is left", func(h *history) {
			h.reader = nil
			h.replay = []entry{covered{0, at(30), 0, 0}}
		}, map[Class]int64{Loss: cleanRecords}, 0},
		{"a record that was read is replaced by another", func(h *history) {
			h.sees(run{kind: runOurs, base: 20, count: 1, producer: 0, sequence: 10})
			h.setReplay(func(f *fetched) { f.runs[20].producer = 1 })
		}, map[Class]int64{Divergence: 1}, 20},
		{"the same reader sees two records at one offset", func(h *history) {
			h.reader = append(h.reader, seek{0, at(20), 19},
				fetched{epoch: 3, at: at(21), highWatermark: 20, runs: []run{{kind: runOurs, base: 19, count: 1, producer: 0, sequence: 12}}})
		}, map[Class]int64{Divergence: 1}, 19},
		{"two records are acknowledged at one offset", func(h *history) {
			h.producers[0] = slices.Insert(h.producers[0], 10, entry(acks{{0, 10, 19, at(20), 1}}))
		}, map[Class]int64{Loss: 1}, 19},
		{"two records are acknowledged at one offset that nobody has read yet", func(h *history) {
			h.replay[1] = covered{0, at(19), 0, cleanRecords}
			h.producers[0] = slices.Insert(h.producers[0], 10, entry(acks{{0, 10, 20, at(20), 1}}))
			h.producers[1] = slices.Insert(h.producers[1], 10, entry(acks{{0, 10, 20, at(20), 1}}))
		}, map[Class]int64{Divergence: 1, Unread: 1}, 20},
		{"a record twice", func(h *history) {
			again := ours(18)
			again.base = 20
			h.sees(again)
		}, map[Class]int64{Duplicate: 1}, 20},
		{"a record that was never acknowledged twice", func(h *history) {
			h.sees(run{kind: runOurs, base: 20, count: 1, sequence: 10}, run{kind: runOurs, base: 21, count: 1, sequence: 10})
		}, map[Class]int64{Duplicate: 1}, 21},
		{"records in the wrong order", func(h *history) {
			h.sees(run{kind: runOurs, base: 20, count: 1, sequence: 11}, run{kind: runOurs, base: 21, count: 1, sequence: 10})
		}, map[Class]int64{Order: 1}, 21},
		{"a reader is given an offset again", func(h *history) {
			h.reader = append(h.reader, fetched{epoch: 3, at: at(20), highWatermark: 20, runs: []run{ours(19)}})
		}, map[Class]int64{Order: 1}, 19},
		{"a reader misses an offset that others have", func(h *history) {
			h.reader = slices.Delete(h.reader, 7, 8)
		}, map[Class]int64{Gap: 1}, 7},
		{"the log does not begin at 0", func(h *history) {
			h.setReplay(func(f *fetched) { f.runs = f.runs[1:] })
			h.replay[1] = covered{0, at(30), 1, cleanRecords}
			h.replay = slices.Insert(h.replay, 0, entry(seek{0, at(30), 1}))
		}, map[Class]int64{Gap: 1, Loss: 1}, 0},
		{"the high watermark goes back under one leader", func(h *history) {
			h.reader = append(h.reader, fetched{epoch: 3, at: at(20), highWatermark: 12})
		}, map[Class]int64{Watermark: 1}, 12},
		{"the end of the log goes back under a new leader", func(h *history) {
			h.reader = append(h.reader, listed{0, 4, at(20), 19})
		}, map[Class]int64{Watermark: 1}, 19},
		{"the end of the log goes back between two questions", func(h *history) {
			h.reader = append(h.reader, listed{0, 3, at(20), 25}, listed{0, 4, at(20), 24})
		}, map[Class]int64{Watermark: 1}, 24},
		{"the next offset is out of range", func(h *history) {
			h.reader = append(h.reader, refused{0, 4, at(20), 20, 1, "OFFSET_OUT_OF_RANGE"})
		}, map[Class]int64{OutOfRange: 1}, 20},
		{"the client finds a truncation", func(h *history) {
			h.reader = append(h.reader, refused{0, -1, at(20), 20, codeTruncated, "consumed to 20, reset to 18"}, seek{0, at(20), 18})
		}, map[Class]int64{Truncation: 1}, 20},
		{"a corrupt record", func(h *history) {
			h.sees(run{kind: runCorrupt, base: 20, count: 1, text: "value differs"})
		}, map[Class]int64{Corruption: 2}, 20},
		{"an acknowledged record is corrupt for one reader", func(h *history) {
			h.reader[4] = fetched{epoch: 3, at: at(4), highWatermark: 5, runs: []run{{kind: runCorrupt, base: 4, count: 1, text: "value differs"}}}
		}, map[Class]int64{Corruption: 1, Divergence: 1}, 4},
		{"a record that nobody wrote", func(h *history) {
			h.sees(run{kind: runForeign, base: 20, count: 1, text: "what is this"})
		}, map[Class]int64{Foreign: 2}, 20},
		{"nobody read to the end", func(h *history) {
			h.replay = h.replay[:1]
		}, map[Class]int64{Unread: 1}, -1},
		{"the replay stopped before the end", func(h *history) {
			h.replay[1] = covered{0, at(30), 0, cleanRecords + 3}
		}, map[Class]int64{Gap: 1}, 20},
		{"an earlier replay lost what a later one has", func(h *history) {
			f := h.replay[0].(fetched)
			f.runs = f.runs[:10]
			h.replay = []entry{f, covered{0, at(30), 0, 10}, seek{0, at(40), 10}}
			for o := int64(10); o < cleanRecords; o++ {
				h.replay = append(h.replay, fetched{epoch: 3, at: at(41), highWatermark: 20, runs: []run{ours(o)}})
			}
			h.replay = append(h.replay, covered{0, at(50), 0, 21})
		}, map[Class]int64{Gap: 1}, 20},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := clean()
			test.lie(h)
			r := check(t, h.write(t))
			if !equal(r.Counts, test.want) {
				t.Fatalf("violations=%v want=%v\n%v", r.Counts, test.want, r.Explained)
			}
			if !slices.ContainsFunc(r.Explained, func(v Violation) bool { return v.Offset == test.at }) {
				t.Errorf("nothing is explained at offset=%d: %v", test.at, r.Explained)
			}
			if r.OK() {
				t.Error("the result is said to be well")
			}
		})
	}
}

// What Kafka allows is no violation.
func TestOddities(t *testing.T) {
	for _, test := range []struct {
		name    string
		oddity  func(*history)
		notices map[string]int64
	}{
		{"nothing odd", func(*history) {}, nil},
		{"records that were not acknowledged are there once", func(h *history) {
			h.sees(run{kind: runOurs, base: 20, count: 3, producer: 1, sequence: 10})
			h.producers[1] = append(h.producers[1], failed{0, 10, at(21), "context canceled"})
		}, nil},
		{"records that were not acknowledged are not there", func(h *history) {
			h.producers[0] = append(h.producers[0], failed{0, 10, at(21), "context canceled"})
			h.sees(run{kind: runOurs, base: 20, count: 1, sequence: 11})
		}, nil},
		{"an acknowledgement was not written down", func(h *history) {
			h.producers[0] = slices.Delete(h.producers[0], 3, 4)
		}, nil},
		{"a producer was killed", func(h *history) {
			h.producers[0] = h.producers[0][:4]
		}, nil},
		{"acknowledgements in another order than the offsets", func(h *history) {
			h.producers[0][3], h.producers[0][4] = acks{{0, 4, 8, at(8), 1}}, acks{{0, 3, 6, at(8), 1}}
		}, nil},
		{"control records that the reader is shown", func(h *history) {
			h.sees(run{kind: runControl, base: 20, count: 2}, run{kind: runOurs, base: 22, count: 1, sequence: 10})
		}, nil},
		{"control records that the reader is not shown", func(h *history) {
			h.plan.Gaps = true
			h.sees(run{kind: runOurs, base: 22, count: 1, sequence: 10})
		}, nil},
		{"a control record behind all others, not shown", func(h *history) {
			h.plan.Gaps = true
			h.replay[1] = covered{0, at(30), 0, cleanRecords + 1}
		}, nil},
		{"a reader begins again", func(h *history) {
			h.reader = append(h.reader, seek{0, at(20), 0}, h.reader[0], h.reader[1])
			h.reader[len(h.reader)-1] = fetched{epoch: 3, at: at(21), highWatermark: 20, runs: []run{ours(1)}}
			h.reader[len(h.reader)-2] = fetched{epoch: 3, at: at(21), highWatermark: 20, runs: []run{ours(0)}}
		}, nil},
		{"a new leader does not know the high watermark yet", func(h *history) {
			h.reader = append(h.reader, fetched{epoch: 4, at: at(20), highWatermark: 15}, refused{0, 4, at(20), 20, 78, "OFFSET_NOT_AVAILABLE"}, listed{0, 4, at(21), 20})
		}, map[string]int64{NoticeWatermark: 1, "refused: OFFSET_NOT_AVAILABLE": 1}},
		{"an answer of nobody knows which leader", func(h *history) {
			h.reader = append(h.reader, fetched{epoch: -1, at: at(20), highWatermark: 15})
		}, map[string]int64{NoticeWatermark: 1}},
		{"a record above the high watermark of the same answer", func(h *history) {
			h.reader[19] = fetched{epoch: 3, at: at(19), highWatermark: 19, runs: []run{ours(19)}}
		}, map[string]int64{NoticeAbove: 1}},
		{"duplicates without idempotence", func(h *history) {
			h.plan.Idempotent = false
			again := ours(18)
			again.base = 20
			h.sees(again)
		}, map[string]int64{NoticeDuplicate: 1}},
		{"a loss where the leader alone acknowledged", func(h *history) {
			h.plan.Acks, h.plan.Idempotent = AcksLeader, false
			h.reader = h.reader[:cleanRecords-1]
			h.setReplay(func(f *fetched) { f.runs, f.highWatermark = f.runs[:cleanRecords-1], cleanRecords-1 })
			h.replay[1] = covered{0, at(30), 0, cleanRecords - 1}
		}, map[string]int64{NoticeLoss: 1}},
		{"a replay in the middle of the run", func(h *history) {
			f := h.replay[0].(fetched)
			f.runs, f.highWatermark = slices.Clone(f.runs[:10]), 10
			h.replay = append([]entry{f, covered{0, at(9), 0, 10}, seek{0, at(40), 0}}, h.replay...)
		}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := clean()
			test.oddity(h)
			r := check(t, h.write(t))
			if !r.OK() {
				t.Fatalf("violations=%v\n%v", r.Counts, r.Explained)
			}
			if !equal(r.Notices, test.notices) {
				t.Errorf("notices=%v want=%v", r.Notices, test.notices)
			}
		})
	}
}

func equal[K comparable](got, want map[K]int64) bool {
	if len(got) != len(want) {
		return false
	}
	for k, n := range want {
		if got[k] != n {
			return false
		}
	}
	return true
}

// A journal that ends anywhere is taken as far as it goes, and never accuses anybody.
func TestTornJournals(t *testing.T) {
	dir := clean().write(t)
	path := filepath.Join(dir, "producer-0.journal")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for size := range whole {
		for _, zeros := range []int{0, 100} {
			if err := os.WriteFile(path, append(slices.Clone(whole[:size]), make([]byte, zeros)...), 0o644); err != nil {
				t.Fatal(err)
			}
			r, err := Check(t.Context(), dir, CheckOptions{})
			if size < journalHeader && zeros > 0 {
				continue // a header of zeros is as corrupt as any
			}
			if err != nil || !r.OK() {
				t.Fatalf("size=%d zeros=%d err=%v violations=%v", size, zeros, err, r.Counts)
			}
		}
	}
}

func TestGapsBelongToMarks(t *testing.T) {
	h := clean()
	h.plan.Partitions = 2
	h.producers[0] = []entry{acks{{0, 0, 0, 1e6, 1}, {1, 0, 0, 1e6, 1}, {0, 1, 1, 2e6, 1}, {1, 1, 1, 2e6 + 1, 1}, // 1 s, nothing to do with anybody
		{0, 2, 2, 2.6e6, 1}, {1, 2, 2, 2.4e6, 1}, {1, 3, 3, 2.6e6, 1}, // the kill, within which the restart lies
		{0, 3, 3, 5e6, 1}, {1, 4, 4, 2.9e6, 1}, {1, 5, 5, 5e6, 1}}, done{6e6, 6.5e6, 10}}
	slices.SortStableFunc(h.producers[0][0].(acks), func(a, b ack) int { return int(a.at - b.at) })
	h.producers[1] = nil
	h.marks = []entry{mark{2.0003e6, "sigkill leader 1"}, mark{2.5e6, "restart 1"}, mark{2.65e6, "sigkill leader 2"}, mark{2.89e6, "throttle"}}
	h.reader, h.replay = nil, nil
	r := check(t, h.write(t))
	ms := func(v float64) float64 { return float64(int(v)) }
	for i, want := range []Fault{{Mark: "sigkill leader 1", GapMS: 600}, {Mark: "restart 1", GapMS: 200, Partition: 1}, {Mark: "sigkill leader 2", GapMS: 2400},
		{Mark: "throttle", GapMS: 2100, Partition: 1}} {
		if got := r.Faults[i]; got.Mark != want.Mark || ms(got.GapMS+.5) < want.GapMS-1 || ms(got.GapMS) > want.GapMS+1 || got.Partition != want.Partition {
			t.Errorf("fault %d: %+v want %+v", i, got, want)
		}
	}
	if len(r.FaultGaps) != 3 || r.FaultGaps[1].Kind != "sigkill" || r.FaultGaps[1].Count != 2 || ms(r.FaultGaps[1].MaxMS) != 2400 {
		t.Errorf("by kind: %+v", r.FaultGaps)
	}
	if got := ms(r.ProducerGapsMS[0]); got != 2100 {
		t.Errorf("gap of the producer: %v", got)
	}
	if ms(r.PartitionGapsMS[0]) != 2400 || ms(r.PartitionGapsMS[1]) != 2100 || ms(r.LongestGaps[0].MS) != 2400 || r.LongestGaps[0].After != "sigkill leader 2" {
		t.Errorf("gaps: %v %+v", r.PartitionGapsMS, r.LongestGaps)
	}
}
