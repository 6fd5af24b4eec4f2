package compat

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/tidelinehq/tideline/loadtest/compat/clients/worker"
)

// start of the timestamps: an hour ago, for a broker refuses what lies far in the future.
var epoch = time.Now().Add(-time.Hour).Truncate(time.Second).UnixMilli()

// makeRecords makes n records for one partition, of every shape that a client may write. Their offsets are first, first+1, …; their
// times rise by 10 ms, but for some that run ahead, so that a look-up by time has to find the first one, not the first block.
func makeRecords(partition int32, first int64, n int, label string) []worker.Record {
	random := rand.New(rand.NewPCG(uint64(partition), uint64(first)))
	records := make([]worker.Record, n)
	for i := range records {
		offset := first + int64(i)
		r := worker.Record{Partition: partition, Offset: offset, Timestamp: epoch + 10*offset}
		if offset%17 == 5 {
			r.Timestamp += 300
		}
		switch i % 5 {
		case 0: // null
		case 1:
			r.Key = []byte{}
		case 2:
			r.Key = fmt.Appendf(nil, "key-%s-%d", label, i%7)
		case 3:
			r.Key = []byte("ключ 鍵 🔑")
		case 4:
			r.Key = []byte{0, 0xff, 0x80, byte(i)}
		}
		switch i % 6 {
		case 0:
			r.Value = fmt.Appendf(nil, "%s record %d", label, offset)
		case 1:
			r.Value = []byte{}
		case 2:
			r.Value = bytes.Repeat(fmt.Appendf(nil, "%s %d ", label, offset), 200)
		case 3: // null
			if r.Key == nil {
				r.Key = []byte("deleted")
			}
		case 4, 5:
			r.Value = make([]byte, random.IntN(2000))
			for j := range r.Value {
				r.Value[j] = byte(random.Uint32())
			}
		}
		switch i % 4 {
		case 1:
			r.Headers = []worker.Header{{Name: "source", Value: []byte(label)}}
		case 2:
			r.Headers = []worker.Header{{Name: "twice", Value: []byte("a")}, {Name: "twice", Value: []byte{0, 1, 0xfe}}, {Name: "empty", Value: []byte{}}}
		case 3:
			r.Headers = []worker.Header{{Name: "null"}, {Name: "ключ", Value: []byte("значение")}}
		}
		records[i] = r
	}
	return records
}

func withoutNullHeaders(records []worker.Record) {
	for i := range records {
		records[i].Headers = slices.DeleteFunc(records[i].Headers, func(h worker.Header) bool { return h.Value == nil })
	}
}

// same fails the test unless got has exactly the records of want, each partition in its order.
func same(t testing.TB, who string, got, want []worker.Record) {
	t.Helper()
	byOffset := func(a, b worker.Record) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	}
	last := map[int32]int64{}
	for _, r := range got {
		if before, ok := last[r.Partition]; ok && r.Offset <= before {
			t.Errorf("%s: offset %d after %d in partition %d", who, r.Offset, before, r.Partition)
		}
		last[r.Partition] = r.Offset
	}
	got, want = slices.SortedFunc(slices.Values(got), byOffset), slices.SortedFunc(slices.Values(want), byOffset)
	wrong := 0
	for i := range min(len(got), len(want)) {
		if equal(got[i], want[i]) {
			continue
		}
		if wrong++; wrong <= 5 {
			t.Errorf("%s:\n got %s\nwant %s", who, show(got[i]), show(want[i]))
		}
	}
	if wrong > 5 {
		t.Errorf("%s: %d records differ", who, wrong)
	}
	if len(got) != len(want) {
		t.Errorf("%s: %d records, want %d", who, len(got), len(want))
	}
}

func equal(a, b worker.Record) bool {
	if a.Partition != b.Partition || a.Offset != b.Offset || a.Timestamp != b.Timestamp || !sameBytes(a.Key, b.Key) || !sameBytes(a.Value, b.Value) {
		return false
	}
	return slices.EqualFunc(a.Headers, b.Headers, func(a, b worker.Header) bool { return a.Name == b.Name && sameBytes(a.Value, b.Value) })
}

// sameBytes knows null from empty.
func sameBytes(a, b []byte) bool { return (a == nil) == (b == nil) && bytes.Equal(a, b) }

// after returns the records from each partition's first one with a time of at least ts on, and their count.
func after(records []worker.Record, ts int64) []worker.Record {
	first := map[int32]int64{}
	for _, r := range records {
		if at, ok := first[r.Partition]; r.Timestamp >= ts && (!ok || r.Offset < at) {
			first[r.Partition] = r.Offset
		}
	}
	return slices.DeleteFunc(slices.Clone(records), func(r worker.Record) bool {
		at, ok := first[r.Partition]
		return !ok || r.Offset < at
	})
}

// from returns the records from the offsets on.
func from(records []worker.Record, offsets map[int32]int64) []worker.Record {
	return slices.DeleteFunc(slices.Clone(records), func(r worker.Record) bool { return r.Offset < offsets[r.Partition] })
}
