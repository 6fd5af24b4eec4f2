package broker_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/internal/record"
)

// TestRetriesAreNotAppended: a retry of any of the last five batches of a producer
// is answered with the offset of the original: at once, after a restart, and when
// the batches lie in the object store only.
func TestRetriesAreNotAppended(t *testing.T) {
	n := newNode(t, map[string]string{"log.retention.ms": "-1"})
	c := n.dial()
	id := c.create("a", 1, map[string]string{"local.retention.bytes": "0"})
	producer := do[*kmsg.InitProducerIDResponse](c, kmsg.NewPtrInitProducerIDRequest()).ProducerID
	of := func(seq int32) []byte {
		var rs []record.Record
		for i := range 3 {
			rs = append(rs, record.Record{Value: fmt.Append(nil, seq, i), Timestamp: 1000})
		}
		return build(record.Options{ProducerID: producer, Sequence: seq}, rs...)
	}
	next, offset := int32(0), int64(0)
	check := func(when string) {
		t.Helper()
		first := max(0, next-15)
		for seq := first; seq < next; seq += 3 {
			p := c.produce("a", 0, of(seq))
			if p.ErrorCode != 0 || p.BaseOffset != int64(seq) {
				t.Errorf("%s: retry of sequence %d: %s offset=%d", when, seq, name(p.ErrorCode), p.BaseOffset)
			}
		}
		if first > 0 {
			if p := c.produce("a", 0, of(first-3)); p.ErrorCode != kerr.OutOfOrderSequenceNumber.Code {
				t.Errorf("%s: retry of the sixth last: %s", when, name(p.ErrorCode))
			}
		}
		if p := c.produce("a", 0, of(next+3)); p.ErrorCode != kerr.OutOfOrderSequenceNumber.Code {
			t.Errorf("%s: gap: %s", when, name(p.ErrorCode))
		}
	}
	produce := func() {
		t.Helper()
		for range 4 {
			if got := c.mustProduce("a", 0, of(next)); got != offset {
				t.Fatalf("offset %d, want %d", got, offset)
			}
			next, offset = next+3, offset+3
		}
	}
	m := &model{t: t, n: n, c: c}
	topic := &modelTopic{name: "a", id: id}
	for round := range 4 {
		produce()
		check(fmt.Sprint("round ", round, ", at once"))
		if round%2 == 1 {
			n.await("all is tiered", func() bool { return m.listPending(topic, 0) == offset })
			check(fmt.Sprint("round ", round, ", tiered"))
		}
		m.restart()
		c = m.c
		check(fmt.Sprint("round ", round, ", after a restart"))
	}
	n.await("all is tiered", func() bool { return m.listPending(topic, 0) == offset })
	n.stop()
	if err := os.RemoveAll(filepath.Join(n.settings["data.dir"], "wal")); err != nil {
		t.Fatal(err)
	}
	n.start()
	c = n.dial()
	check("after the local log was lost")
}
