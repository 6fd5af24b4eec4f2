package partition

import (
	"encoding/hex"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
)

// goldenState has all that a state frame can hold.
func goldenState() state {
	s := state{
		highWatermark: 300, epochs: epochs{{2, 0}, {5, 120}},
		producers: producers{
			entries: map[int64]*producerEntry{
				7: {epoch: 3, coordinatorEpoch: 4, lastSeen: 1_700_000_000_200, timestamp: 1_700_000_000_100, first: 250, count: 2, batches: [retainedBatches]batchMeta{
					{baseSequence: 0, lastSequence: 4, baseOffset: 250, lastOffset: 254, timestamp: 1_700_000_000_000},
					{baseSequence: 5, lastSequence: 5, baseOffset: 260, lastOffset: 260, timestamp: 1_700_000_000_100},
				}},
				9:  {epoch: 1, coordinatorEpoch: 6, lastSeen: 90, timestamp: 80, first: none},
				10: {epoch: 0, coordinatorEpoch: none, lastSeen: 90, timestamp: 80, first: 251, forgotten: true},
			},
			ended: decisions{floor: 100, list: []decision{
				{id: 9, marker: 130, first: 110, stable: 131, coordinatorEpoch: none, epoch: 0, known: true, aborted: true},
				{id: 9, marker: 140, first: none, stable: 141, coordinatorEpoch: 6, epoch: 1, known: true},
			}},
		},
		abortedSince: 50, aborted: []AbortedTxn{{ProducerID: 9, FirstOffset: 40, LastOffset: 60, LastStable: 61}, {ProducerID: 9, FirstOffset: 110, LastOffset: 130, LastStable: 131}},
	}
	s.producers.ongoing.rebuild(s.producers.entries)
	return s
}

// golden is the frame of goldenState in version 3, byte for byte.
const golden = `
03           version
ac02         high watermark 300
02           2 leader epochs
04 00        2 from 0
0a 78        5 from 120
03           3 producers
07 06 90a3abfef962 c8a1abfef962 08 f403   id 7, epoch 3, seen, timestamp, coordinator 4, transaction from 250
02           2 batches
00 04 fa01 fe01 80a0abfef962
05 05 8402 8402 c8a1abfef962
09 02 b401 a001 0c 01   id 9, epoch 1, seen, timestamp, coordinator 6, no transaction
00           no batches
0a 00 b401 a001 01 f603   id 10, epoch 0, seen, timestamp, no coordinator, transaction from 251
ff           its batches are forgotten
64           markers from 100 on
02           2 markers
8201 09 dc01 8301 03 00 01   at 130, id 9, from 110, stable 131, aborted and known, before: epoch 0, no coordinator
8c01 09 01 8d01 02 02 0c     at 140, id 9, no transaction, stable 141, known, before: epoch 1, coordinator 6
32           aborted transactions from 50 on
02           2 of them
3c 09 28 3d        marker 60, id 9, from 40, stable 61
8201 09 6e 8301    marker 130, id 9, from 110, stable 131
`

// bytesOf reads annotated hex: what comes before two spaces on each line.
func bytesOf(t testing.TB, annotated string) []byte {
	var digits strings.Builder
	for line := range strings.SplitSeq(strings.TrimSpace(annotated), "\n") {
		code, _, _ := strings.Cut(line, "  ")
		digits.WriteString(strings.ReplaceAll(code, " ", ""))
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestGoldenState(t *testing.T) {
	want := goldenState()
	b := bytesOf(t, golden)
	if got := want.encode(); !reflect.DeepEqual(got, b) {
		t.Errorf("encoded:\n%x\nwant:\n%x", got, b)
	}
	got, err := decodeState(b)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("decoded: %+v %v", got, err)
	}
}

// Frames of older versions are read for good: they are what a broker finds that was upgraded.
const (
	goldenV2 = `
02           version
ac02         high watermark 300
01           1 leader epoch
04 00        2 from 0
01           1 producer
07 06 90a3abfef962   id 7, epoch 3, seen
01           1 batch
00 04 fa01 fe01 80a0abfef962
`
	goldenV1 = `
01           version
00           no leader epochs
01           1 producer
07 06 90a3abfef962   id 7, epoch 3, seen
00           no batches
`
)

func TestOlderStates(t *testing.T) {
	for name, c := range map[string]struct {
		frame   string
		high    int64
		batches int8
	}{"v1": {goldenV1, math.MaxInt64, 0}, "v2": {goldenV2, 300, 1}} {
		s, err := decodeState(bytesOf(t, c.frame))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		e := s.producers.entries[7]
		if s.highWatermark != c.high || e == nil || e.epoch != 3 || e.count != c.batches || e.first != none || e.coordinatorEpoch != none || e.lastSeen != 1_700_000_000_200 {
			t.Errorf("%s: %+v %+v", name, s, e)
		}
	}
}

func TestStatesThatAreRefused(t *testing.T) {
	good := goldenState()
	for name, change := range map[string]func(s *state){
		"two transactions from one offset": func(s *state) { s.producers.entries[9].first = 250 },
		"a marker below another":           func(s *state) { s.producers.ended.list[1].marker = 130 },
		"a marker before its transaction":  func(s *state) { s.producers.ended.list[0].first = 130 },
		"an abort before its transaction":  func(s *state) { s.aborted[0].FirstOffset = 60 },
		"an abort below another":           func(s *state) { s.aborted[1].LastOffset = 60 },
	} {
		s := goldenState()
		change(&s)
		if _, err := decodeState(s.encode()); !errors.Is(err, errStateCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	b := good.encode()
	for n := 1; n < len(b); n++ {
		if _, err := decodeState(b[:n]); !errors.Is(err, errStateCorrupt) {
			t.Errorf("cut at %d: %v", n, err)
		}
	}
	b[0] = stateVersion + 1
	if _, err := decodeState(b); !errors.Is(err, errStateVersion) {
		t.Errorf("a newer version: %v", err)
	}
}

func FuzzState(f *testing.F) {
	for _, seed := range []string{golden, goldenV2, goldenV1} {
		f.Add(bytesOf(f, seed))
	}
	f.Add([]byte{stateVersion, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := decodeState(b)
		if err != nil || len(b) == 0 {
			return
		}
		again, err := decodeState(s.encode())
		if err != nil {
			t.Fatalf("decoded state does not encode: %v", err)
		}
		if !reflect.DeepEqual(again.producers.ongoing, s.producers.ongoing) || !reflect.DeepEqual(again.aborted, s.aborted) {
			t.Fatalf("another state: %+v, was %+v", again, s)
		}
		s.producers.below(s.producers.ended.floor) // whatever it says, no broker may end of it
	})
}
