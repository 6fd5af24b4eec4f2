package manifest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
)

var testID = ID{Topic: [16]byte{0: 0xaa, 15: 0x55}, Partition: 7}

// run makes n contiguous sane segments from base on.
func run(rnd *rand.Rand, base int64, n int) []Segment {
	segs := make([]Segment, n)
	ts := int64(1_700_000_000_000)
	for i := range segs {
		s := &segs[i]
		binary.LittleEndian.PutUint64(s.Object[:], rnd.Uint64()|1)
		s.Base, s.End = base, base+1+rnd.Int64N(1000)
		s.Position, s.Size, s.LogBytes = rnd.Int64N(1<<30), 1+rnd.Int64N(1<<26), 1+rnd.Int64N(1<<27)
		ts += rnd.Int64N(60_000) - 5_000
		s.MinTimestamp, s.MaxTimestamp = ts-rnd.Int64N(1000), ts+rnd.Int64N(1000)
		s.MaxTimestampOffset = s.Base + rnd.Int64N(s.End-s.Base)
		if rnd.IntN(10) == 0 {
			s.MinTimestamp, s.MaxTimestamp, s.MaxTimestampOffset = -1, -1, -1
		}
		s.Epoch, s.Flags, s.CRC = rnd.Int32N(100), rnd.Uint32N(2), rnd.Uint32()
		binary.LittleEndian.PutUint64(s.Chain[:], rnd.Uint64())
		base = s.End
	}
	return segs
}

func TestLeafRoundTrip(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{1, 2, 3, 100, MaxLeafSegments} {
		segs := run(rnd, rnd.Int64N(1<<40), n)
		b, err := AppendLeaf(nil, testID, segs)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeLeaf(b, PageRef{}, testID)
		if err != nil || !reflect.DeepEqual(got, segs) {
			t.Fatalf("n=%d: %v", n, err)
		}
		if n == MaxLeafSegments {
			t.Logf("full leaf: %d bytes, %d an entry", len(b), len(b)/n)
		}
	}
	extreme := []Segment{{Object: [16]byte{1}, Position: 0, Size: math.MaxInt64, Base: math.MaxInt64 - 1, End: math.MaxInt64, LogBytes: math.MaxInt64,
		MinTimestamp: math.MinInt64, MaxTimestamp: math.MaxInt64, MaxTimestampOffset: math.MaxInt64 - 1, Epoch: math.MaxInt32, Flags: math.MaxUint32, CRC: math.MaxUint32}}
	b, err := AppendLeaf(nil, testID, extreme)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := DecodeLeaf(b, PageRef{}, testID); err != nil || !reflect.DeepEqual(got, extreme) {
		t.Fatalf("extreme: %+v %v", got, err)
	}
}

func TestLeafRefusesWhatIsNotALog(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for name, breakIt := range map[string]func([]Segment) []Segment{
		"empty":       func(s []Segment) []Segment { return nil },
		"too many":    func(s []Segment) []Segment { return run(rnd, 0, MaxLeafSegments+1) },
		"gap":         func(s []Segment) []Segment { s[1].Base++; s[1].MaxTimestampOffset = s[1].Base; s[1].End++; return s },
		"empty range": func(s []Segment) []Segment { s[0].End = s[0].Base; return s },
		"no object":   func(s []Segment) []Segment { s[2].Object = [16]byte{}; return s },
		"no bytes":    func(s []Segment) []Segment { s[2].Size = 0; return s },
		"stray max":   func(s []Segment) []Segment { s[2].MaxTimestampOffset = s[2].End; return s },
	} {
		if _, err := AppendLeaf(nil, testID, breakIt(run(rnd, 5, 4))); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPageAnswers(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 6))
	b, err := AppendLeaf(nil, testID, run(rnd, 0, 3))
	if err != nil {
		t.Fatal(err)
	}
	ref := PageRef{Object: [16]byte{1}, Size: int32(len(b)), CRC: pageCRC(b)}
	if _, err := DecodeLeaf(b, ref, testID); err != nil {
		t.Fatal(err)
	}
	edit := func(at int, v byte) []byte {
		c := bytes.Clone(b)
		c[at] = v
		return c
	}
	other := ref
	other.CRC++
	for name, c := range map[string]struct {
		b    []byte
		ref  PageRef
		id   ID
		want error
	}{
		"torn":            {b[:len(b)-1], PageRef{}, testID, ErrTorn},
		"header only":     {b[:20], PageRef{}, testID, ErrTorn},
		"longer":          {append(bytes.Clone(b), 0), PageRef{}, testID, ErrCorrupt},
		"magic":           {edit(0, 'X'), PageRef{}, testID, ErrCorrupt},
		"version":         {edit(4, 2), PageRef{}, testID, ErrVersion},
		"flipped":         {edit(60, b[60]^1), PageRef{}, testID, ErrCorrupt},
		"other partition": {b, PageRef{}, ID{testID.Topic, 8}, ErrCorrupt},
		"other reference": {b, other, testID, ErrCorrupt},
	} {
		if _, err := DecodeLeaf(c.b, c.ref, c.id); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if _, err := DecodeInner(b, ref, testID); !errors.Is(err, ErrCorrupt) {
		t.Errorf("leaf read as inner: %v", err)
	}
}

func TestEveryFlippedBitIsNoticed(t *testing.T) {
	rnd := rand.New(rand.NewPCG(7, 8))
	b, err := AppendLeaf(nil, testID, run(rnd, 0, 2))
	if err != nil {
		t.Fatal(err)
	}
	for i := range b {
		for bit := range 8 {
			b[i] ^= 1 << bit
			if _, err := DecodeLeaf(b, PageRef{}, testID); err == nil {
				t.Fatalf("byte %d bit %d: accepted", i, bit)
			}
			b[i] ^= 1 << bit
		}
	}
}

func TestObjectDirectory(t *testing.T) {
	rnd := rand.New(rand.NewPCG(9, 10))
	object := [16]byte{9, 9}
	var buf bytes.Buffer
	w := NewObjectWriter(&buf, object)
	var want []PageEntry
	for i := range 5 {
		id := ID{testID.Topic, int32(i)}
		segs := run(rnd, 0, 1+i)
		page, err := AppendLeaf(nil, id, segs)
		if err != nil {
			t.Fatal(err)
		}
		ref, err := w.Add(id, KindLeaf, page)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, PageEntry{id, KindLeaf, ref})
		b := buf.Bytes()[ref.Position:][:ref.Size]
		if got, err := DecodeLeaf(b, ref, id); err != nil || !reflect.DeepEqual(got, segs) {
			t.Fatalf("page %d: %v", i, err)
		}
	}
	size, err := w.Close()
	if err != nil || size != int64(buf.Len()) {
		t.Fatalf("size=%d len=%d: %v", size, buf.Len(), err)
	}
	got, err := ReadDirectory(bytes.NewReader(buf.Bytes()), size, object)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("directory: %v", err)
	}
	if _, err := ReadDirectory(bytes.NewReader(buf.Bytes()), size, [16]byte{8}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("another id: %v", err)
	}
	for cut := range buf.Len() {
		if _, err := ReadDirectory(bytes.NewReader(buf.Bytes()[:cut]), int64(cut), object); err == nil {
			t.Fatalf("accepted with %d of %d bytes", cut, buf.Len())
		}
	}
	if _, err := w.Add(testID, KindLeaf, want0(buf.Bytes(), want[0].Ref)); err == nil {
		t.Error("page added to a closed object")
	}
}

func want0(b []byte, ref PageRef) []byte { return b[ref.Position:][:ref.Size] }

func TestLedgerCheck(t *testing.T) {
	segs := run(rand.New(rand.NewPCG(11, 12)), 100, 3)
	good := Ledger{LogStart: 100, Tiered: segs[2].End, Segments: 3, LogBytes: 1, StoredBytes: 1, Hot: segs}
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for name, breakIt := range map[string]func(*Ledger){
		"hot ends early": func(l *Ledger) { l.Tiered++ },
		"hole":           func(l *Ledger) { l.LogStart = 99 },
		"root end":       func(l *Ledger) { l.Root = PageRef{Object: [16]byte{1}}; l.RootEnd = 99 },
		"negative":       func(l *Ledger) { l.LogBytes = -1 },
		"count":          func(l *Ledger) { l.Segments = 2 },
	} {
		l := good
		breakIt(&l)
		if err := l.Check(); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
