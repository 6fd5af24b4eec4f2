package partition

import (
	"errors"
	"testing"

	"github.com/tidelinehq/tideline/internal/record"
	"github.com/tidelinehq/tideline/wal"
)

// TestFailedAppendsComeBackOneByOne: the log has the memory of an append until it
// gives that very append back, so the failure of one must not end another.
func TestFailedAppendsComeBackOneByOne(t *testing.T) {
	w := newWorld(t)
	appends := make([]*Append, 3)
	told := make([]owner, 3)
	for i := range appends {
		told[i] = make(owner, 2)
		appends[i] = &Append{p: w.Partition, owner: told[i], end: int64(i + 1), bytes: 1}
		w.acks.Lock()
		w.enqueue(appends[i])
		w.acks.Unlock()
	}
	duplicate, toldDuplicate := &Append{p: w.Partition, end: 2}, make(owner, 2)
	duplicate.owner = toldDuplicate
	w.await(duplicate)
	appends[0].AppendDone(nil, nil)
	appends[1].AppendDone(nil, wal.ErrFatal)
	if err := <-told[0]; err != nil {
		t.Errorf("the first was durable: %v", err)
	}
	for name, o := range map[string]owner{"second": told[1], "duplicate of the second": toldDuplicate} {
		if err := <-o; !errors.Is(err, wal.ErrFatal) {
			t.Errorf("%s: %v", name, err)
		}
	}
	select {
	case err := <-told[2]:
		t.Errorf("the third was given back while the log has it: %v", err)
	default:
	}
	late := &Append{p: w.Partition, end: 3}
	toldLate := make(owner, 2)
	late.owner = toldLate
	w.await(late)
	select {
	case err := <-toldLate:
		if !errors.Is(err, wal.ErrFatal) {
			t.Errorf("retry after the failure: %v", err)
		}
	default:
		t.Error("a retry after the failure waits for ever")
	}
	appends[2].AppendDone(nil, wal.ErrFatal)
	if err := <-told[2]; !errors.Is(err, wal.ErrFatal) {
		t.Errorf("third: %v", err)
	}
}

// TestDamageIsNoReasonNotToServe: a partition opens with a hole in its local log,
// and serves what is on both sides of it.
func TestDamageIsNoReasonNotToServe(t *testing.T) {
	for _, at := range []int64{10, 60, 500} { // header of the frame, header of the batch, records
		w := newWorld(t)
		for i := range 8 {
			w.mustAppend(batch(record.Options{ProducerID: 9, Sequence: int32(10 * i)}, 10, 1000))
		}
		if err := w.log.Close(); err != nil {
			t.Fatal(err)
		}
		if err := w.fs.Corrupt("wal/0000000000000001.wal", 5*4096+at, 0x10); err != nil {
			t.Fatal(err)
		}
		w.open(0, 0)
		if w.End() != 80 {
			t.Errorf("at %d: end=%d", at, w.End())
		}
		lost := 0
		for offset := int64(0); offset < 80; offset += 10 {
			chunk, err := w.Read(offset, 1, true, ReadUncommitted)
			switch {
			case errors.Is(err, wal.ErrCorrupt):
				lost++
			case err != nil:
				t.Errorf("at %d: offset %d: %v", at, offset, err)
			default:
				chunk.Release()
			}
		}
		if lost != 1 {
			t.Errorf("at %d: %d batches are lost", at, lost)
		}
		if a := w.mustAppend(batch(record.Options{ProducerID: 9, Sequence: 70}, 10, 1000)); !a.Duplicate || a.BaseOffset != 70 {
			t.Errorf("at %d: retry of the last batch: duplicate=%v offset=%d", at, a.Duplicate, a.BaseOffset)
		}
		if bytes, _ := w.Pending(); bytes == 0 {
			t.Errorf("at %d: nothing is pending", at)
		}
	}
}
