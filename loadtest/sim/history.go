package sim

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"sync"

	"github.com/tidelinehq/tideline/internal/record"
)

// spot names a partition.
type spot struct {
	topic string
	index int32
}

func (s spot) String() string { return fmt.Sprintf("%s/%d", s.topic, s.index) }

// entry is what is at one offset.
type entry struct {
	name   string // producer:number, unique
	digest uint64 // of key and value
	epoch  int32  // of the batch; -1: not known
	source string // who saw it first
}

// history is the model of all logs: one entry at an offset, for ever.
type history struct {
	violate func(check, format string, args ...any)

	mu    sync.Mutex // guards what follows
	parts map[spot]*past
}

// past is one partition's.
type past struct {
	entries map[int64]entry
	acked   map[int64]struct{} // with acks=all
	start   int64              // that clients may have moved the log start to
	free    bool               // retention may move the log start, too
}

func newHistory(violate func(check, format string, args ...any)) *history {
	return &history{violate: violate, parts: make(map[spot]*past)}
}

// of returns a partition's. The mutex is held.
func (h *history) of(s spot) *past {
	p := h.parts[s]
	if p == nil {
		p = &past{entries: make(map[int64]entry), acked: make(map[int64]struct{})}
		h.parts[s] = p
	}
	return p
}

// see notes what somebody saw at an offset that is committed.
func (h *history) see(s spot, offset int64, e entry) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.note(s, h.of(s), offset, e)
}

func (h *history) note(s spot, p *past, offset int64, e entry) {
	old, known := p.entries[offset]
	if !known {
		p.entries[offset] = e
		return
	}
	if old.digest != e.digest || old.name != e.name {
		h.violate("one history", "%s offset=%d: %s saw %s, %s sees %s", s, offset, old.source, old.name, e.source, e.name)
	}
	if old.epoch >= 0 && e.epoch >= 0 && old.epoch != e.epoch {
		h.violate("one history", "%s offset=%d %s: %s saw leader epoch %d, %s sees %d", s, offset, e.name, old.source, old.epoch, e.source, e.epoch)
	}
	if old.epoch < 0 {
		p.entries[offset] = e
	}
}

// ack notes that records were acknowledged by all replicas in sync.
func (h *history) ack(s spot, base int64, entries []entry) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.of(s)
	for i, e := range entries {
		e.epoch = -1
		h.note(s, p, base+int64(i), e)
		p.acked[base+int64(i)] = struct{}{}
	}
}

// allow says that the log start may be moved as far as offset; below 0: by retention, as far as it likes.
func (h *history) allow(s spot, offset int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.of(s)
	if offset < 0 {
		p.free = true
	}
	p.start = max(p.start, offset)
}

// seen returns how many offsets are known, and how many of them were acknowledged.
func (h *history) seen() (known, acked int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.parts {
		known += len(p.entries)
		acked += len(p.acked)
	}
	return known, acked
}

// settle compares a partition with what it finally is: the records from start to end.
func (h *history) settle(s spot, start, end int64, final map[int64]entry, idempotent func(producer string) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.of(s)
	if start > p.start && !p.free {
		h.violate("acknowledged", "%s: the log starts at %d, and nobody has asked for more than %d to be deleted", s, start, p.start)
	}
	for offset, e := range p.entries {
		if offset < start {
			continue
		}
		f, ok := final[offset]
		_, acked := p.acked[offset]
		switch {
		case !ok && acked:
			h.violate("acknowledged", "%s offset=%d %s was acknowledged (%s) and is gone: start=%d end=%d", s, offset, e.name, e.source, start, end)
		case !ok:
			h.violate("one history", "%s offset=%d %s was seen by %s and is gone: start=%d end=%d", s, offset, e.name, e.source, start, end)
		case f.name != e.name || f.digest != e.digest:
			h.violate("one history", "%s offset=%d: %s saw %s, in the end it is %s", s, offset, e.source, e.name, f.name)
		}
	}
	where := make(map[string]int64, len(final))
	next := make(map[string]int, 8)
	last := int32(-1)
	for offset := start; offset < end; offset++ {
		f, ok := final[offset]
		if !ok {
			h.violate("one history", "%s offset=%d is missing: start=%d end=%d", s, offset, start, end)
			continue
		}
		if at, twice := where[f.name]; twice {
			h.violate("no duplicates", "%s: %s is at offset=%d and at offset=%d", s, f.name, at, offset)
		}
		where[f.name] = offset
		if f.epoch >= 0 && f.epoch < last {
			h.violate("one owner", "%s offset=%d: leader epoch %d after %d", s, offset, f.epoch, last)
		}
		last = max(last, f.epoch)
		producer, number := split(f.name)
		if n, known := next[producer]; idempotent(producer) && known && number != n {
			h.violate("no gaps", "%s offset=%d: %s after number %d of the same producer", s, offset, f.name, n-1)
		}
		next[producer] = number + 1
	}
}

// split takes a name apart.
func split(name string) (producer string, number int) {
	producer, text, _ := strings.Cut(name, ":")
	number, err := strconv.Atoi(text)
	if err != nil {
		return name, -1
	}
	return producer, number
}

// entryOf describes a record, whose key is its name.
func entryOf(r *record.Record, epoch int32, source string) entry {
	h := fnv.New64a()
	h.Write(r.Key)
	h.Write([]byte{0})
	h.Write(r.Value)
	return entry{name: string(r.Key), digest: h.Sum64(), epoch: epoch, source: source}
}

// eachRecord calls fn for the records of batches that lie at or above from. It returns where they end.
func eachRecord(b []byte, from int64, source string, fn func(offset int64, e entry)) (next int64, err error) {
	next = from
	for batch, err := range record.All(b) {
		if err != nil {
			return next, err
		}
		if err := batch.ValidateCRC(); err != nil {
			return next, err
		}
		for r, err := range batch.Records(16 << 20) {
			if err != nil {
				return next, err
			}
			if r.Offset >= from {
				fn(r.Offset, entryOf(&r, batch.LeaderEpoch(), source))
			}
		}
		next = max(next, batch.NextOffset())
	}
	return next, nil
}

// complete cuts a torn batch off the end of a response.
func complete(b []byte) []byte {
	at := 0
	for at < len(b) {
		batch, _, err := record.Next(b[at:])
		if err != nil {
			break
		}
		at += len(batch)
	}
	return bytes.Clone(b[:at])
}
