package replication

import (
	"bytes"
	"encoding/hex"
	"errors"
	"slices"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"github.com/tidelinehq/tideline/broker/partition"
	"github.com/tidelinehq/tideline/wal"
)

var someID = wal.ID{Topic: [16]byte{0xa1, 15: 0x1a}, Partition: 7}

// goldenFrames are the bytes of one frame of each type; they never change.
var goldenFrames = []struct {
	name  string
	frame []byte
	want  string
}{
	{"open", appendOpen(nil, 3, someID, 5, 0x1234), "00000029af0c975a0100000003a100000000000000000000000000001a00000007000000050000000000001234"},
	{"cut", appendPlan(nil, 3, &partition.Plan{To: 40}, 38), "00000019601b43b5020000000300000000000000280000000000000026"},
	{"restart", appendPlan(nil, 3, &partition.Plan{To: 40, Restart: true, State: []byte("state")}, 38), "0000001e82cc4cf00300000003000000000000002800000000000000267374617465"},
	{"append", append(appendHead(nil, 3, 38, [][]byte{[]byte("bat"), []byte("ches")}), "batches"...), "00000018c34ef2380400000003000000000000002662617463686573"},
	{"commit", appendPairs(nil, typeCommit, []pair{{3, 38}, {4, 9}}), "0000001d9ef76e7905000000030000000000000026000000040000000000000009"},
	{"close", appendClose(nil, 3), "00000009c645e4290600000003"},
	{"opened", appendOpened(nil, 3, &partition.History{Start: 2, End: 40, Epochs: []partition.EpochStart{{Epoch: 1, Start: 2}, {Epoch: 4, Start: 30}}}), "000000319702a9e607000000030000000000000002000000000000002800000001000000000000000200000004000000000000001e"},
	{"ack", appendPairs(nil, typeAck, []pair{{3, 40}}), "000000118cedca0508000000030000000000000028"},
	{"refused", appendRefused(nil, 3, refusedAgain), "0000000a0dc0d7e2090000000302"},
	{"traced", appendTraced(nil, 3, someTraces), "0000006bad0952180a00000003000000000000001e000000000000002201000000000000000000000000000002030000000000000405000000000000060100000000000000230000000000000023070000000000000000000000000000000800000000000000090000000000000003"},
}

var someTraces = []traced{
	{first: 30, last: 34, id: trace.TraceID{1, 15: 2}, origin: trace.SpanID{3, 7: 4}, parent: trace.SpanID{5, 7: 6}, flags: trace.FlagsSampled},
	{first: 35, last: 35, id: trace.TraceID{7}, origin: trace.SpanID{8}, parent: trace.SpanID{9}, flags: 3},
}

func TestGoldenFrames(t *testing.T) {
	for _, g := range goldenFrames {
		if got := hex.EncodeToString(g.frame); got != g.want {
			t.Errorf("%s: %s, want %s", g.name, got, g.want)
		}
	}
}

func TestFramesReadBack(t *testing.T) {
	read := func(b []byte) (frameType, []byte) {
		t.Helper()
		in := bytes.NewReader(b)
		typ, size, sum, err := readHead(in, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		payload := make([]byte, size)
		if err := readPayload(in, typ, payload, sum); err != nil {
			t.Fatal(err)
		}
		return typ, payload
	}
	_, b := read(goldenFrames[0].frame)
	if o, err := parseOpen(b); err != nil || o != (opening{3, someID, 5, 0x1234}) {
		t.Errorf("open: %+v %v", o, err)
	}
	typ, b := read(goldenFrames[1].frame)
	if d, err := parseDirective(b, typ); err != nil || d.slot != 3 || d.at != 40 || d.highWatermark != 38 || d.state != nil {
		t.Errorf("cut: %+v %v", d, err)
	}
	typ, b = read(goldenFrames[2].frame)
	if d, err := parseDirective(b, typ); err != nil || string(d.state) != "state" {
		t.Errorf("restart: %+v %v", d, err)
	}
	_, b = read(goldenFrames[3].frame)
	if a, err := parseAppend(b); err != nil || a.slot != 3 || a.highWatermark != 38 || string(a.records) != "batches" {
		t.Errorf("append: %+v %v", a, err)
	}
	_, b = read(goldenFrames[4].frame)
	var pairs []pair
	if err := eachPair(b, func(p pair) { pairs = append(pairs, p) }); err != nil || !slices.Equal(pairs, []pair{{3, 38}, {4, 9}}) {
		t.Errorf("commit: %v %v", pairs, err)
	}
	_, b = read(goldenFrames[6].frame)
	if slot, h, err := parseOpened(b); err != nil || slot != 3 || h.Start != 2 || h.End != 40 || len(h.Epochs) != 2 {
		t.Errorf("opened: %+v %v", h, err)
	}
	_, b = read(goldenFrames[8].frame)
	if slot, why, err := parseRefused(b); err != nil || slot != 3 || why != refusedAgain {
		t.Errorf("refused: %d %d %v", slot, why, err)
	}
	_, b = read(goldenFrames[9].frame)
	if slot, traces, err := parseTraced(b); err != nil || slot != 3 || !slices.Equal(traces, someTraces) {
		t.Errorf("traced: %d %+v %v", slot, traces, err)
	}
}

// TestTracesOutOfOrder: what can not be told of one append is refused.
func TestTracesOutOfOrder(t *testing.T) {
	good := someTraces[0]
	change := func(f func(*traced)) []traced {
		bad := good
		f(&bad)
		return []traced{bad}
	}
	for name, bad := range map[string][]traced{
		"twice":              {good, good},
		"a negative offset":  change(func(x *traced) { x.first = -1 }),
		"an end before":      change(func(x *traced) { x.last = x.first - 1 }),
		"no trace":           change(func(x *traced) { x.id = trace.TraceID{} }),
		"no origin":          change(func(x *traced) { x.origin = trace.SpanID{} }),
		"no parent":          change(func(x *traced) { x.parent = trace.SpanID{} }),
		"more than may come": slices.Repeat([]traced{good}, maxTraced+1),
	} {
		if _, _, err := parseTraced(appendTraced(nil, 3, bad)[frameHead:]); !errors.Is(err, errFrame) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := parseTraced(goldenFrames[9].frame[frameHead : len(goldenFrames[9].frame)-1]); !errors.Is(err, errFrame) {
		t.Errorf("cut short: %v", err)
	}
	long := appendTraced(nil, 3, slices.Repeat([]traced{good}, maxTraced+1))
	if _, _, _, err := readHead(bytes.NewReader(long), 1<<20); !errors.Is(err, errFrame) {
		t.Errorf("a length above the bound: %v", err)
	}
}

// TestDamagedFrames: no byte of a frame can change unnoticed, and no length is believed above its bound.
func TestDamagedFrames(t *testing.T) {
	for _, g := range goldenFrames {
		for i := range g.frame {
			b := bytes.Clone(g.frame)
			b[i] ^= 0x40
			in := bytes.NewReader(b)
			typ, size, sum, err := readHead(in, 1<<10)
			if err == nil {
				err = readPayload(in, typ, make([]byte, size), sum)
			}
			if err == nil {
				t.Errorf("%s: byte %d changed and nobody noticed", g.name, i)
			}
		}
	}
	if _, _, _, err := readHead(bytes.NewReader([]byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, byte(typeAppend)}), 1<<20); !errors.Is(err, errFrame) {
		t.Errorf("a length of 4 GiB: %v", err)
	}
}

func FuzzFrames(f *testing.F) {
	for _, g := range goldenFrames {
		f.Add(g.frame)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		in := bytes.NewReader(b)
		typ, size, _, err := readHead(in, 1<<16)
		if err != nil || size > in.Len() {
			return
		}
		payload := b[frameHead : frameHead+size]
		// Whatever the checksum: what it lets through must not hurt either.
		switch typ {
		case typeOpen:
			_, err = parseOpen(payload)
		case typeCut, typeRestart:
			_, err = parseDirective(payload, typ)
		case typeAppend:
			_, err = parseAppend(payload)
		case typeCommit, typeAck:
			err = eachPair(payload, func(pair) {})
		case typeClose:
			_, err = parseSlot(payload)
		case typeOpened:
			var slot uint32
			var h partition.History
			if slot, h, err = parseOpened(payload); err == nil && !bytes.Equal(appendOpened(nil, slot, &h)[frameHead:], payload) {
				t.Errorf("opened does not encode to what it was: %+v", h)
			}
		case typeRefused:
			_, _, err = parseRefused(payload)
		case typeTraced:
			var slot uint32
			var traces []traced
			if slot, traces, err = parseTraced(payload); err == nil && !bytes.Equal(appendTraced(nil, slot, traces)[frameHead:], payload) {
				t.Errorf("traced does not encode to what it was: %+v", traces)
			}
		}
		if err != nil && !errors.Is(err, errFrame) {
			t.Errorf("an error of another kind: %v", err)
		}
	})
}
