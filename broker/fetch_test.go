package broker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/internal/record"
)

// incremental makes a request of a session.
func incremental(version int16, session, epoch int32, parts ...at) *kmsg.FetchRequest {
	req := fetchRequest(version, parts...)
	req.SessionID, req.SessionEpoch = session, epoch
	return req
}

func forget(req *kmsg.FetchRequest, topic string, index int32) *kmsg.FetchRequest {
	f := kmsg.NewFetchRequestForgottenTopic()
	f.Topic, f.Partitions = topic, []int32{index}
	req.ForgottenTopics = append(req.ForgottenTopics, f)
	return req
}

func TestFetchSessions(t *testing.T) {
	c := newNode(t, nil).dial()
	id := c.create("a", 3, nil)
	r := c.fetch(incremental(12, 0, 0, at{topic: "a", index: 0}, at{topic: "a", index: 1}))
	if r.SessionID == 0 || len(parts(r)) != 2 {
		t.Fatalf("full fetch: session=%d partitions=%d", r.SessionID, len(parts(r)))
	}
	s := r.SessionID
	if r := c.fetch(incremental(12, s, 1)); r.SessionID != s || r.ErrorCode != 0 || len(parts(r)) != 0 {
		t.Errorf("no news: session=%d error=%s partitions=%d", r.SessionID, name(r.ErrorCode), len(parts(r)))
	}
	c.mustProduce("a", 1, values(10, "x"))
	if r := c.fetch(incremental(12, s, 2)); len(parts(r)) != 1 || parts(r)[0].Partition != 1 || len(parts(r)[0].RecordBatches) == 0 {
		t.Errorf("news of one: %+v", parts(r))
	}
	for _, epoch := range []int32{2, 4} {
		if r := c.fetch(incremental(12, s, epoch)); r.ErrorCode != kerr.InvalidFetchSessionEpoch.Code || r.SessionID != 0 {
			t.Errorf("epoch %d: %s session=%d", epoch, name(r.ErrorCode), r.SessionID)
		}
	}
	if r := c.fetch(incremental(12, s+1, 3)); r.ErrorCode != kerr.FetchSessionIDNotFound.Code {
		t.Errorf("unknown session: %s", name(r.ErrorCode))
	}
	if r := c.fetch(incremental(13, s, 3, at{id: id, index: 2})); r.ErrorCode != kerr.FetchSessionTopicIDError.Code {
		t.Errorf("ids in a session of names: %s", name(r.ErrorCode))
	}
	// A partition that has an error is told again and again, and once more when it is well.
	if r := c.fetch(incremental(12, s, 3, at{topic: "a", index: 2, offset: 7})); len(parts(r)) != 2 {
		t.Errorf("with an error: %+v", parts(r))
	}
	if r := c.fetch(incremental(12, s, 4, at{topic: "a", index: 1, offset: 1})); len(parts(r)) != 1 || parts(r)[0].ErrorCode != kerr.OffsetOutOfRange.Code {
		t.Errorf("error again: %+v", parts(r))
	}
	if r := c.fetch(incremental(12, s, 5, at{topic: "a", index: 2})); len(parts(r)) != 1 || parts(r)[0].ErrorCode != 0 {
		t.Errorf("well again: %+v", parts(r))
	}
	if r := c.fetch(forget(forget(incremental(12, s, 6), "a", 0), "a", 1)); r.SessionID != s || len(parts(r)) != 0 {
		t.Errorf("forgotten: session=%d %+v", r.SessionID, parts(r))
	}
	c.mustProduce("a", 0, values(10, "x"))
	if r := c.fetch(incremental(12, s, 7)); len(parts(r)) != 0 {
		t.Errorf("news of a forgotten partition: %+v", parts(r))
	}
	if r := c.fetch(forget(incremental(12, s, 8), "a", 2)); r.SessionID != 0 || r.ErrorCode != 0 {
		t.Errorf("a session without partitions ends: session=%d %s", r.SessionID, name(r.ErrorCode))
	}
	if r := c.fetch(incremental(12, s, 9)); r.ErrorCode != kerr.FetchSessionIDNotFound.Code {
		t.Errorf("after its end: %s", name(r.ErrorCode))
	}
	// A full fetch ends the session that it names.
	s = c.fetch(incremental(13, 0, 0, at{id: id})).SessionID
	if r := c.fetch(incremental(13, s, -1, at{id: id})); r.SessionID != 0 || len(parts(r)) != 1 {
		t.Errorf("final epoch: session=%d %+v", r.SessionID, parts(r))
	}
	if r := c.fetch(incremental(13, s, 1)); r.ErrorCode != kerr.FetchSessionIDNotFound.Code {
		t.Errorf("after the final epoch: %s", name(r.ErrorCode))
	}
}

// TestFetchSessionTurns: when a response has room for one partition, each gets its
// turn.
func TestFetchSessionTurns(t *testing.T) {
	c := newNode(t, nil).dial()
	c.create("a", 4, nil)
	var asked []at
	for i := range int32(4) {
		for range 8 {
			c.mustProduce("a", i, values(1000, "x"))
		}
		asked = append(asked, at{topic: "a", index: i})
	}
	req := incremental(12, 0, 0, asked...)
	req.MaxBytes = 1000
	r := c.fetch(req)
	turns := map[int32]int{}
	for epoch := int32(1); epoch <= 8; epoch++ {
		for _, p := range parts(r) {
			if len(p.RecordBatches) > 0 {
				turns[p.Partition]++
			}
		}
		req = incremental(12, r.SessionID, epoch)
		req.MaxBytes = 1000
		r = c.fetch(req)
	}
	for i := range int32(4) {
		if turns[i] != 2 {
			t.Errorf("turns: %v, want 2 each", turns)
			break
		}
	}
}

func TestFetchErrors(t *testing.T) {
	c := newNode(t, nil).dial()
	id := c.create("a", 1, nil)
	for range 5 {
		c.mustProduce("a", 0, values(10, "x"))
	}
	for _, offset := range []int64{-1, 6, 1 << 40} {
		p := parts(c.fetch(fetchRequest(12, at{topic: "a", offset: offset})))[0]
		if p.ErrorCode != kerr.OffsetOutOfRange.Code || p.HighWatermark != -1 || p.LastStableOffset != -1 || p.LogStartOffset != -1 {
			t.Errorf("offset %d: %s high watermark=%d stable=%d start=%d", offset, name(p.ErrorCode), p.HighWatermark, p.LastStableOffset, p.LogStartOffset)
		}
	}
	tests := map[string]struct {
		req  *kmsg.FetchRequest
		want *kerr.Error
	}{
		"unknown topic":                {fetchRequest(12, at{topic: "nix"}), kerr.UnknownTopicOrPartition},
		"unknown partition":            {fetchRequest(12, at{topic: "a", index: 1}), kerr.UnknownTopicOrPartition},
		"unknown id":                   {fetchRequest(13, at{id: [16]byte{1}}), kerr.UnknownTopicID},
		"unknown partition of id":      {fetchRequest(13, at{id: id, index: 1}), kerr.UnknownTopicOrPartition},
		"epoch that never was":         {fetchRequest(12, at{topic: "a", offset: 1, epoch: 100}), kerr.OffsetOutOfRange},
		"below the start, with epoch":  {fetchRequest(12, at{topic: "a", offset: -1, epoch: 1}), kerr.OffsetOutOfRange},
		"known id, negative max bytes": {fetchRequest(13, at{id: id, max: -5}), nil},
	}
	for what, tt := range tests {
		p := parts(c.fetch(tt.req))[0]
		want := int16(0)
		if tt.want != nil {
			want = tt.want.Code
		}
		if p.ErrorCode != want {
			t.Errorf("%s: %s", what, name(p.ErrorCode))
		}
		if want == 0 && len(p.RecordBatches) == 0 {
			t.Errorf("%s: no records", what)
		}
	}
	stale := fetchRequest(12, at{topic: "a"})
	stale.Topics[0].Partitions[0].CurrentLeaderEpoch = 50
	if p := parts(c.fetch(stale))[0]; p.ErrorCode != kerr.UnknownLeaderEpoch.Code {
		t.Errorf("epoch of the future: %s", name(p.ErrorCode))
	}
}

// TestFetchWaits: a fetch is answered when there are min bytes, not before, unless
// its time is up; it never waits for more than it lets be sent.
func TestFetchWaits(t *testing.T) {
	n := newNode(t, nil)
	c, other := n.dial(), n.dial()
	c.create("a", 2, nil)
	batch := values(100, "x")
	req := fetchRequest(12, at{topic: "a", index: 0}, at{topic: "a", index: 1})
	req.MaxWaitMillis, req.MinBytes = 100_000, int32(3*len(batch))
	start := time.Now()
	if err := c.send(req); err != nil {
		t.Fatal(err)
	}
	for i := range int32(3) {
		n.await("the fetch is parked", func() bool { return n.gauge("tideline_purgatory_parked_requests") == 1 })
		other.mustProduce("a", i%2, batch)
	}
	got, err := c.receive(req, c.id)
	if err != nil {
		t.Fatal(err)
	}
	bytes := 0
	for _, p := range parts(got.(*kmsg.FetchResponse)) {
		bytes += len(p.RecordBatches)
	}
	if bytes != 3*len(batch) || time.Since(start) > 50*time.Second {
		t.Errorf("bytes=%d of %d after %v", bytes, 3*len(batch), time.Since(start))
	}
	req = fetchRequest(12, at{topic: "a"})
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = 100_000, 1<<20, int32(len(batch))
	start = time.Now()
	if p := parts(c.fetch(req))[0]; len(p.RecordBatches) == 0 || time.Since(start) > 50*time.Second {
		t.Errorf("min bytes above max bytes: %d bytes after %v", len(p.RecordBatches), time.Since(start))
	}
	req = fetchRequest(12, at{topic: "a", offset: 2})
	req.MaxWaitMillis, req.MinBytes = 50, 1
	if p := parts(c.fetch(req))[0]; p.ErrorCode != 0 || len(p.RecordBatches) != 0 {
		t.Errorf("time is up: %s bytes=%d", name(p.ErrorCode), len(p.RecordBatches))
	}
}

// TestDeletedTopicWakesFetch: the consumer learns at once.
func TestDeletedTopicWakesFetch(t *testing.T) {
	n := newNode(t, nil)
	c, other := n.dial(), n.dial()
	for version, want := range map[int16]*kerr.Error{12: kerr.UnknownTopicOrPartition, 13: kerr.UnknownTopicID} {
		topic := fmt.Sprint("v", version)
		id := c.create(topic, 1, nil)
		req := fetchRequest(version, at{topic: topic, id: id})
		req.MaxWaitMillis = 100_000
		start := time.Now()
		if err := c.send(req); err != nil {
			t.Fatal(err)
		}
		n.await("the fetch is parked", func() bool { return n.gauge("tideline_purgatory_parked_requests") == 1 })
		other.delete(topic)
		got, err := c.receive(req, c.id)
		if err != nil {
			t.Fatal(err)
		}
		if p := parts(got.(*kmsg.FetchResponse))[0]; p.ErrorCode != want.Code || time.Since(start) > 50*time.Second {
			t.Errorf("v%d: %s after %v", version, name(p.ErrorCode), time.Since(start))
		}
	}
}

// What an answer holds lies below the high watermark that it names, and with read_committed below its last stable offset, whatever is
// appended while it is made.
func TestFetchNamesTheEndOfWhatItHolds(t *testing.T) {
	n := newNode(t, map[string]string{"tier.roll.bytes": "1GiB", "tier.roll.ms": "3600000"})
	c := n.dial()
	c.create("a", 1, nil)
	const producers, answers = 4, 3000
	stop := make(chan struct{})
	ended := make(chan error, producers)
	for range producers {
		p := n.dial()
		go func() {
			for {
				select {
				case <-stop:
					ended <- nil
					return
				default:
				}
				if _, err := p.try(produceRequest("a", 0, values(10, "x"))); err != nil {
					ended <- err
					return
				}
			}
		}()
	}
	defer func() {
		close(stop)
		for range producers {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}()
	offset := int64(0)
	for i := range answers {
		req := fetchRequest(12, at{topic: "a", offset: offset})
		req.MaxWaitMillis, req.IsolationLevel = 100, int8(i%2)
		p := parts(c.fetch(req))[0]
		for b := range record.All(p.RecordBatches) {
			offset = b.NextOffset()
		}
		if len(p.RecordBatches) > 0 && (offset > p.HighWatermark || req.IsolationLevel == 1 && offset > p.LastStableOffset) {
			t.Fatalf("answer %d: records up to %d, high watermark=%d last stable=%d isolation=%d", i, offset, p.HighWatermark, p.LastStableOffset, req.IsolationLevel)
		}
	}
}
