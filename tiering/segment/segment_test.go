package segment

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/tidelinehq/tideline/internal/record"
)

// batch makes one batch of count records of about size bytes each; the values shrink under zstd when fill is not random.
func batch(base int64, count, size int, ts int64, rng *rand.Rand, set func(*record.Options)) record.Batch {
	o := record.Options{BaseOffset: base, LeaderEpoch: 3, ProducerID: record.NoProducerID}
	if set != nil {
		set(&o)
	}
	b := record.NewBuilder(o)
	value := bytes.Repeat([]byte("tideline "), size/9+1)[:size]
	for i := range count {
		if rng != nil {
			for j := range value {
				value[j] = byte(rng.Uint32())
			}
		}
		if err := b.Add(record.Record{Timestamp: ts + int64(i), Key: fmt.Append(nil, base+int64(i)), Value: value}); err != nil {
			panic(err)
		}
	}
	return b.Build()
}

// log makes n batches in a row from base on and returns them with the offset after the last.
func log(base int64, n, count, size int, rng *rand.Rand) ([]byte, int64) {
	var all []byte
	for i := range n {
		all = append(all, batch(base, count, size, 1_700_000_000_000+int64(i)*1000, rng, nil)...)
		base += int64(count)
	}
	return all, base
}

type part struct {
	start   SectionStart
	end     SectionEnd
	batches [][]byte // one Append each
}

func write(t testing.TB, opts WriterOptions, parts ...part) ([]byte, Object) {
	t.Helper()
	var out bytes.Buffer
	w, err := NewWriter(&out, opts)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range parts {
		if err := w.Begin(p.start); err != nil {
			t.Fatal(err)
		}
		for _, b := range p.batches {
			if err := w.Append(b); err != nil {
				t.Fatal(err)
			}
		}
		seg, err := w.End(p.end)
		if err != nil {
			t.Fatal(err)
		}
		if seg.Object != opts.Object || seg.Base != p.start.Base {
			t.Fatalf("segment %d: %+v", i, seg)
		}
	}
	obj, err := w.Finish()
	if err != nil {
		t.Fatal(err)
	}
	if obj.Size != int64(out.Len()) || obj.Size != w.Size() {
		t.Fatalf("object size=%d, wrote size=%d", obj.Size, out.Len())
	}
	return out.Bytes(), obj
}

func source(b []byte) Source { return FromReaderAt(bytes.NewReader(b), int64(len(b))) }

func TestRoundTrip(t *testing.T) {
	for _, tc := range []struct {
		name           string
		n, count, size int
		block          int
		random         bool
		split          int // bytes per Append; 0: all at once
		codec          Codec
	}{
		{"one small batch", 1, 1, 10, 0, false, 0, Raw},
		{"many blocks compressed", 400, 10, 1000, 64 << 10, false, 0, Zstd},
		{"many blocks incompressible", 400, 10, 1000, 64 << 10, true, 0, Raw},
		{"batch larger than a block", 5, 50, 1000, 4 << 10, true, 0, Raw},
		{"batch by batch", 400, 10, 1000, 64 << 10, true, 1, Raw},
		{"default block", 300, 10, 1000, 0, true, 5, Raw},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var rng *rand.Rand
			if tc.random {
				rng = rand.New(rand.NewPCG(1, 2))
			}
			all, end := log(7, tc.n, tc.count, tc.size, rng)
			p := part{start: SectionStart{Topic: [16]byte{1}, Partition: 4, Epoch: 3, Base: 7}, end: SectionEnd{
				Epochs: []EpochStart{{3, 0}}, ProducerState: []byte("producers"),
			}}
			if tc.split == 0 {
				p.batches = [][]byte{all}
			} else {
				var run []byte
				i := 0
				for b := range Batches(all) {
					run = append(run, b...)
					if i++; i%tc.split == 0 {
						p.batches = append(p.batches, slices.Clone(run))
						run = run[:0]
					}
				}
				p.batches = append(p.batches, run)
			}
			data, obj := write(t, WriterOptions{Object: [16]byte{9}, BlockBytes: tc.block}, p)
			seg := obj.Sections[0]
			if seg.End != end || seg.LogBytes != int64(len(all)) || seg.MinTimestamp != 1_700_000_000_000 {
				t.Fatalf("segment %+v, want end=%d log_bytes=%d", seg, end, len(all))
			}

			s, err := OpenSection(t.Context(), source(data), seg.Position, seg.Size)
			if err != nil {
				t.Fatal(err)
			}
			if s.Index.CRC != seg.CRC || s.Index.Chain != seg.Chain {
				t.Fatal("index and segment differ")
			}
			var got []byte
			for b, err := range s.Batches(t.Context(), 0) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, b...)
			}
			if !bytes.Equal(got, all) {
				t.Fatalf("read %d bytes, want %d", len(got), len(all))
			}
			target := tc.block
			if target == 0 {
				target = DefaultBlockBytes
			}
			for i, k := range s.Index.Blocks {
				if k.Codec != tc.codec || int(k.Raw) > target && k.Batches > 1 {
					t.Fatalf("block %d: %+v", i, k)
				}
			}
			state, err := s.ProducerState(t.Context())
			if err != nil || string(state) != "producers" {
				t.Fatalf("producer state %q, %v", state, err)
			}
			calls := 0
			rep, err := Verify(t.Context(), source(data), func(Progress) { calls++ })
			if err != nil {
				t.Fatal(err)
			}
			if rep.Object != obj.ID || !slices.Equal(rep.Sections, obj.Sections) || rep.Records != int64(tc.n*tc.count) || calls != len(s.Index.Blocks)+1 {
				t.Fatalf("report %+v calls=%d", rep, calls)
			}
		})
	}
}

func TestBundle(t *testing.T) {
	var parts []part
	const n = 500
	for i := range n {
		all, _ := log(int64(i)*1000, 1+i%3, 2, 50, nil)
		parts = append(parts, part{start: SectionStart{Topic: [16]byte{byte(i)}, Partition: int32(i), Epoch: 1, Base: int64(i) * 1000}, batches: [][]byte{all}})
	}
	data, obj := write(t, WriterOptions{Object: [16]byte{7}}, parts...)
	r, err := Open(t.Context(), source(data))
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Sections()) != n || r.ID() != obj.ID || r.Size() != obj.Size {
		t.Fatalf("sections=%d", len(r.Sections()))
	}
	for i, e := range r.Sections() {
		s, err := r.Section(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		if s.Index.Segment(r.ID(), e.Position) != obj.Sections[i] {
			t.Fatalf("section %d differs from the ledger entry", i)
		}
	}
	if _, err := Verify(t.Context(), source(data), nil); err != nil {
		t.Fatal(err)
	}
	empty, _ := write(t, WriterOptions{})
	if rep, err := Verify(t.Context(), source(empty), nil); err != nil || rep.All != 0 {
		t.Fatalf("empty object: %+v %v", rep, err)
	}
}

func TestIndexCarriesTransactionsEpochsAndTimes(t *testing.T) {
	txn := func(o *record.Options) { o.Transactional, o.ProducerID = true, 9 }
	control := func(o *record.Options) { o.Transactional, o.Control, o.ProducerID, o.Sequence = true, true, 9, -1 }
	skewed := []int64{500, 900, 100, 950, 20}
	var all []byte
	base := int64(100)
	for _, ts := range skewed {
		all = append(all, batch(base, 2, 900, ts, nil, txn)...)
		base += 2
	}
	all = append(all, batch(base, 1, 6, 1_000_000, nil, control)...)
	data, obj := write(t, WriterOptions{BlockBytes: 2 << 10, Compression: CompressNever}, part{
		start:   SectionStart{Base: 100, Epoch: 5},
		end:     SectionEnd{Epochs: []EpochStart{{2, 0}, {5, 104}}, Aborted: []AbortedTxn{{9, 60, 110, 60}}},
		batches: [][]byte{all},
	})
	seg := obj.Sections[0]
	if seg.Flags != FlagAborted || seg.MinTimestamp != 20 || seg.MaxTimestamp != 951 || seg.MaxTimestampOffset != 106 {
		t.Fatalf("segment %+v", seg)
	}
	s, err := OpenSection(t.Context(), source(data), 0, seg.Size)
	if err != nil {
		t.Fatal(err)
	}
	x := s.Index
	if len(x.Blocks) != 5 || x.Blocks[4].Flags != BlockControl|BlockTransactional || x.Blocks[0].Flags != BlockTransactional {
		t.Fatalf("blocks %+v", x.Blocks)
	}
	for ts, want := range map[int64]int{0: 0, 501: 0, 502: 1, 901: 1, 902: 3, 951: 3, 952: 5, 1_000_000: 5} {
		if got := x.FindTimestamp(ts); got != want {
			t.Errorf("timestamp %d: block %d, want %d", ts, got, want)
		}
	}
	for offset, want := range map[int64]int{0: 0, 100: 0, 101: 0, 102: 1, 109: 4, 110: 4, 111: 5} {
		if got := x.FindOffset(offset); got != want {
			t.Errorf("offset %d: block %d, want %d", offset, got, want)
		}
	}
	for _, tc := range []struct {
		from, to int64
		want     int
	}{{100, 111, 1}, {0, 60, 0}, {0, 61, 1}, {110, 111, 1}, {111, 200, 0}} {
		if got := x.AbortedIn(nil, tc.from, tc.to); len(got) != tc.want {
			t.Errorf("aborted in [%d, %d): %v", tc.from, tc.to, got)
		}
	}
	if e, ok := x.EpochAt(103); !ok || e != 2 {
		t.Errorf("epoch %d %v", e, ok)
	}
	if e, ok := x.EpochAt(104); !ok || e != 5 {
		t.Errorf("epoch %d %v", e, ok)
	}
}

func TestSparse(t *testing.T) {
	var all []byte
	for _, base := range []int64{10, 40, 41, 90} {
		all = append(all, batch(base, 1, 900, base, nil, nil)...)
	}
	p := part{start: SectionStart{Base: 5, Sparse: true, PrevChain: [32]byte{1}}, end: SectionEnd{End: 200, ReplacedChain: [32]byte{2}}, batches: [][]byte{all}}
	data, obj := write(t, WriterOptions{BlockBytes: 1 << 10, Compression: CompressNever}, p)
	if _, err := Verify(t.Context(), source(data), nil); err != nil {
		t.Fatal(err)
	}
	s, err := OpenSection(t.Context(), source(data), 0, obj.Sections[0].Size)
	if err != nil {
		t.Fatal(err)
	}
	if s.Index.ReplacedChain != p.end.ReplacedChain || s.Index.PrevChain != p.start.PrevChain {
		t.Fatal("chains lost")
	}
	for offset, want := range map[int64]int64{0: 10, 10: 10, 11: 40, 41: 41, 42: 90} {
		for b, err := range s.Batches(t.Context(), offset) {
			if err != nil || b.BaseOffset() != want {
				t.Errorf("offset %d: base %d, want %d, %v", offset, b.BaseOffset(), want, err)
			}
			break
		}
	}
	for range s.Batches(t.Context(), 91) {
		t.Error("a batch behind the last")
	}
	if _, obj := write(t, WriterOptions{}, part{start: SectionStart{Base: 5, Sparse: true}, end: SectionEnd{End: 9}}); obj.Sections[0].End != 9 {
		t.Error("section that compaction emptied")
	}
}

func TestChainDependsOnHistoryAndContent(t *testing.T) {
	all, _ := log(0, 3, 2, 100, nil)
	other, _ := log(0, 3, 2, 101, nil)
	chain := func(start SectionStart, b []byte) [32]byte {
		_, obj := write(t, WriterOptions{}, part{start: start, batches: [][]byte{b}})
		return obj.Sections[0].Chain
	}
	a := chain(SectionStart{}, all)
	if chain(SectionStart{}, all) != a {
		t.Error("not deterministic")
	}
	for name, c := range map[string][32]byte{
		"content": chain(SectionStart{}, other), "history": chain(SectionStart{PrevChain: a}, all), "partition": chain(SectionStart{Partition: 1}, all),
		"epoch": chain(SectionStart{Epoch: 1}, all), "topic": chain(SectionStart{Topic: [16]byte{1}}, all),
	} {
		if c == a {
			t.Error("same chain for another", name)
		}
	}
}

// countingSource tells how many reads opening costs.
type countingSource struct {
	Source
	reads int
}

func (c *countingSource) ReadRange(ctx context.Context, dst []byte, off int64) error {
	c.reads++
	return c.Source.ReadRange(ctx, dst, off)
}

func TestOpeningCostsOneRead(t *testing.T) {
	all, _ := log(0, 2000, 1, 2000, nil)
	data, obj := write(t, WriterOptions{BlockBytes: 64 << 10}, part{batches: [][]byte{all}})
	c := &countingSource{Source: source(data)}
	if _, err := OpenSection(t.Context(), c, 0, obj.Sections[0].Size); err != nil || c.reads != 1 {
		t.Errorf("reads=%d %v", c.reads, err)
	}
	data, obj = write(t, WriterOptions{BlockBytes: 2 << 10}, part{batches: [][]byte{all}})
	c = &countingSource{Source: source(data)}
	if _, err := OpenSection(t.Context(), c, 0, obj.Sections[0].Size); err != nil || c.reads != 2 {
		t.Errorf("large index: reads=%d %v", c.reads, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, c); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestIndexLimits(t *testing.T) {
	if size := (&Index{Blocks: make([]Block, 160_000)}).encodedSize(); size > MaxIndexBytes {
		t.Errorf("the documented 160,000 blocks need %d", size)
	}
	huge := le.AppendUint32(nil, 0xffffffff)
	huge = append(huge, make([]byte, 8)...)
	huge = le.AppendUint32(huge, magicIndex)
	if _, err := IndexSize(huge); !errors.Is(err, ErrCorrupt) {
		t.Error(err)
	}
}
