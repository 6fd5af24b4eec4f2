package coordinator

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/tidelinehq/tideline/internal/record"
)

// kv is the smallest machine that uses all of the runtime: values by key.
type kv struct {
	values map[string]string
	at     map[string]int64 // offset of the record that the value came with
	parked []*Call
	unload error
}

type put struct{ key, value string }
type get struct{ key string }
type where struct{ key string }
type park struct{}
type inTransaction struct {
	put
	producer Producer
}
type wipe struct{ key string } // takes one character off per step
type arm struct {
	key string
	at  time.Duration
}

func newKV(int32, int32) Machine { return &kv{values: map[string]string{}, at: map[string]int64{}} }

func (m *kv) Replay(_ record.Batch, offset int64, key, value []byte) error {
	if string(key) == "bad" {
		return errors.New("bad record")
	}
	m.values[string(key)], m.at[string(key)] = string(value), offset
	return nil
}

func (m *kv) Loaded(time.Time) Outcome { return Outcome{} }

func (m *kv) Decide(ev Event, now time.Time) Outcome {
	set := func(k, v string) Outcome {
		return Outcome{
			Records: []Record{{[]byte(k), []byte(v)}}, Apply: func() { m.values[k] = v }, ApplyAt: func(offset int64) { m.at[k] = offset },
		}
	}
	switch b := ev.Body.(type) {
	case put:
		// What is appended depends on the state: a lost or doubled step shows.
		out := set(b.key, m.values[b.key]+b.value)
		if ev.Call != nil {
			out.Replies = []Reply{{ev.Call, "ok " + m.values[b.key] + b.value}}
		}
		return out
	case inTransaction:
		out := m.Decide(Event{Body: b.put, Call: ev.Call}, now)
		out.Producer = &b.producer
		return out
	case get:
		return Outcome{Replies: []Reply{{ev.Call, "is " + m.values[b.key]}}}
	case where:
		return Outcome{Replies: []Reply{{ev.Call, fmt.Sprint("at ", m.at[b.key])}}}
	case park:
		return Outcome{Apply: func() { m.parked = append(m.parked, ev.Call) }}
	case wipe:
		v := m.values[b.key]
		if v == "" {
			return Outcome{Replies: []Reply{{ev.Call, "wiped"}}}
		}
		out := set(b.key, v[1:])
		out.Again = true
		return out
	case arm:
		return Outcome{Timers: []Timer{{Key: TimerKey{Key: b.key}, At: now.Add(b.at)}}, Replies: []Reply{{ev.Call, "armed"}}}
	}
	panic(fmt.Sprintf("unknown body %T", ev.Body))
}

func (m *kv) Fire(key TimerKey) (Event, bool) {
	return Event{Key: key.Key, Access: Exclusive, Body: put{key.Key, "!"}}, true
}

func (m *kv) Unload(err error) []Reply {
	m.unload = err
	var out []Reply
	for _, c := range m.parked {
		out = append(out, Reply{c, "unloaded"})
	}
	return out
}

// fakeLog is a log in memory. Appends are committed at once, or after delay.
type fakeLog struct {
	mu      sync.Mutex
	batches map[int32][]record.Batch
	end     map[int32]int64
	appends int
	replays int
	delay   time.Duration
	fail    func(partition, epoch int32) error // nil error: commit
	replay  func(ctx context.Context) error
}

func newFakeLog() *fakeLog {
	return &fakeLog{batches: map[int32][]record.Batch{}, end: map[int32]int64{}}
}

func (l *fakeLog) Append(partition, epoch int32, b record.Batch, done func(int64, error)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.appends++
	if l.fail != nil {
		if err := l.fail(partition, epoch); err != nil {
			done(-1, err)
			return
		}
	}
	base := l.end[partition]
	b.SetBaseOffset(base)
	l.end[partition] = b.NextOffset()
	l.batches[partition] = append(l.batches[partition], b)
	if l.delay > 0 {
		time.AfterFunc(l.delay, func() { done(base, nil) })
		return
	}
	done(base, nil)
}

func (l *fakeLog) Replay(ctx context.Context, partition, _ int32, fn func(record.Batch) error) error {
	l.mu.Lock()
	l.replays++
	hook := l.replay
	batches := append([]record.Batch(nil), l.batches[partition]...)
	l.mu.Unlock()
	if hook != nil {
		if err := hook(ctx); err != nil {
			return err
		}
	}
	for _, b := range batches {
		if err := fn(b); err != nil {
			return err
		}
	}
	return nil
}

// inbox collects answers.
type inbox struct {
	mu  sync.Mutex
	got []string
}

func (i *inbox) call() *Call {
	return NewCall(func(body any) {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.got = append(i.got, body.(string))
	})
}

func (i *inbox) take() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	s := strings.Join(i.got, "; ")
	i.got = nil
	return s
}

func (i *inbox) event(key string, a Access, body any) Event {
	return Event{Key: key, Access: a, Body: body, Call: i.call(), Refuse: func(err error) any { return err.Error() }}
}
