package faultstore

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/fnv"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tidelinehq/tideline/tiering/objstore"
)

// maxEvents bounds what Events remembers: the newest are dropped, because the first faults of a run explain it.
const maxEvents = 10_000

// Store is an objstore.Store with faults.
type Store struct {
	inner objstore.Store
	seed  uint64

	mu     sync.Mutex // guards what follows; not held while a call is under way
	rules  []*ruleState
	calls  map[call]uint64 // how often each operation was called for each key
	down   bool
	events []Event
}

type ruleState struct {
	Rule
	id    uint64
	seen  int // calls that matched
	fired int
}

type call struct {
	op  Op
	key string
}

// New wraps inner. The seed decides where rules have a probability.
func New(inner objstore.Store, seed uint64, rules ...Rule) *Store {
	s := &Store{inner: inner, seed: seed, calls: make(map[call]uint64)}
	s.Add(rules...)
	return s
}

// Add appends rules behind those that are there.
func (s *Store) Add(rules ...Rule) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range rules {
		if r.Ops == 0 {
			r.Ops = AnyOp
		}
		s.rules = append(s.rules, &ruleState{Rule: r, id: uint64(len(s.rules))})
	}
}

// Heal removes all rules and ends an outage.
func (s *Store) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules, s.down = nil, false
}

// SetDown begins or ends an outage: every call is Refused, before any rule is asked.
func (s *Store) SetDown(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

// Events returns the faults that have happened, in order, at most the first maxEvents.
func (s *Store) Events() []Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

// next decides what happens to a call. The zero Rule: nothing.
func (s *Store) next(op Op, keys ...string) Rule {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := ""
	if len(keys) > 0 {
		key = keys[0]
	}
	c := call{op, key}
	nth := s.calls[c]
	s.calls[c]++
	if s.down {
		s.note(op, key, Refused)
		return Rule{Fault: Refused}
	}
	for _, r := range s.rules {
		matches := func(key string) bool { return strings.HasPrefix(key, r.Prefix) }
		if r.Ops&op == 0 || (r.Prefix != "" && !slices.ContainsFunc(keys, matches)) {
			continue
		}
		r.seen++
		if r.seen <= r.Skip || (r.Count > 0 && r.fired == r.Count) || !s.chance(r, c, nth) {
			continue
		}
		r.fired++
		s.note(op, key, r.Fault)
		return r.Rule
	}
	return Rule{}
}

func (s *Store) note(op Op, key string, f Fault) {
	if len(s.events) < maxEvents {
		s.events = append(s.events, Event{Op: op, Key: key, Fault: f})
	}
}

// chance draws from a hash and not from a generator, so that the order of goroutines does not matter.
func (s *Store) chance(r *ruleState, c call, nth uint64) bool {
	if r.Probability == 0 || r.Probability >= 1 {
		return true
	}
	var b []byte
	for _, v := range []uint64{s.seed, r.id, uint64(c.op), nth} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	h := fnv.New64a()
	h.Write(append(b, c.key...))
	x := h.Sum64()
	// The high bits of FNV of similar inputs are similar; one round of mixing spreads them.
	x ^= x >> 32
	x *= 0x9e3779b97f4a7c15
	x ^= x >> 29
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 32
	return float64(x>>11)/(1<<53) < r.Probability
}

// wait waits for d, or for the context to end, then or when d is 0.
func wait(ctx context.Context, d time.Duration) error {
	if d == 0 {
		<-ctx.Done()
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// before does what happens instead of the call, or before it. proceed is false when the call must not be made.
func before(ctx context.Context, r Rule, op Op, key string) (proceed bool, err error) {
	e := &objstore.Error{Class: objstore.ErrUnavailable, Op: opNames[op], Key: key, Detail: "injected"}
	switch r.Fault {
	case Unavailable:
		e.Status, e.Code = 503, "ServiceUnavailable"
	case SlowDown:
		e.Status, e.Code = 503, "SlowDown"
	case Refused:
		e.Detail = "injected: connection refused"
	case Timeout:
		if err := wait(ctx, r.Delay); err != nil {
			return false, err
		}
		e.Detail = "injected: timeout"
	case Denied:
		e.Class, e.Status, e.Code = objstore.ErrDenied, 403, "AccessDenied"
	case Slow:
		err := wait(ctx, r.Delay)
		return err == nil, err
	case Conflict:
		if op != Put {
			return true, nil
		}
		e.Status, e.Code = 409, "ConditionalRequestConflict"
	case Precondition:
		if op != Put {
			return true, nil
		}
		e.Class, e.Status, e.Code = objstore.ErrPrecondition, 412, "PreconditionFailed"
	default:
		return true, nil
	}
	return false, e
}

// after does what happens to the answer of a call that was made and returned err.
func after(ctx context.Context, r Rule, op Op, key string, err error) error {
	switch r.Fault {
	case LostReply:
		return &objstore.Error{Class: objstore.ErrUnavailable, Op: opNames[op], Key: key, Detail: "injected: connection reset, reply lost"}
	case LateReply:
		if werr := wait(ctx, r.Delay); werr != nil {
			return werr
		}
	}
	return err
}

// Put implements objstore.Store.
func (s *Store) Put(ctx context.Context, key string, body objstore.Body, cond objstore.Condition) (string, error) {
	r := s.next(Put, key)
	if proceed, err := before(ctx, r, Put, key); !proceed {
		return "", err
	}
	if r.Fault == LostWrite {
		return "lost", nil
	}
	etag, err := s.inner.Put(ctx, key, body, cond)
	if err = after(ctx, r, Put, key, err); err != nil {
		return "", err
	}
	return etag, nil
}

// Get implements objstore.Store.
func (s *Store) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, objstore.Info, error) {
	r := s.next(Get, key)
	if proceed, err := before(ctx, r, Get, key); !proceed {
		return nil, objstore.Info{}, err
	}
	body, info, err := s.inner.Get(ctx, key, off, n)
	if aerr := after(ctx, r, Get, key, err); aerr != nil {
		if err == nil {
			aerr = errors.Join(aerr, body.Close())
		}
		return nil, objstore.Info{}, aerr
	}
	switch r.Fault {
	case ShortBody, StalledBody, CorruptBody:
		length, err := objstore.Span(key, off, n, info.Size)
		if err != nil {
			return nil, objstore.Info{}, errors.Join(err, body.Close())
		}
		return &faultyBody{ReadCloser: body, ctx: ctx, rule: r, key: key, at: length / 2}, info, nil
	}
	return body, info, nil
}

// Head implements objstore.Store.
func (s *Store) Head(ctx context.Context, key string) (objstore.Info, error) {
	r := s.next(Head, key)
	if proceed, err := before(ctx, r, Head, key); !proceed {
		return objstore.Info{}, err
	}
	info, err := s.inner.Head(ctx, key)
	if err = after(ctx, r, Head, key, err); err != nil {
		return objstore.Info{}, err
	}
	return info, nil
}

// Delete implements objstore.Store.
func (s *Store) Delete(ctx context.Context, keys []string) (map[string]error, error) {
	r := s.next(Delete, keys...)
	if proceed, err := before(ctx, r, Delete, ""); !proceed {
		return nil, err
	}
	do := keys
	var failed map[string]error
	if r.Fault == PartialDelete {
		do = nil
		failed = make(map[string]error)
		for i, key := range keys {
			if i%2 == 0 {
				failed[key] = &objstore.Error{Class: objstore.ErrUnavailable, Op: "delete", Key: key, Code: "SlowDown", Detail: "injected"}
			} else {
				do = append(do, key)
			}
		}
	}
	more, err := s.inner.Delete(ctx, do)
	if err = after(ctx, r, Delete, "", err); err != nil {
		return nil, err
	}
	if len(failed) == 0 {
		return more, nil
	}
	for key, err := range more {
		failed[key] = err
	}
	return failed, nil
}

// List implements objstore.Store.
func (s *Store) List(ctx context.Context, prefix, start string, max int) ([]objstore.Info, bool, error) {
	r := s.next(List, prefix)
	if proceed, err := before(ctx, r, List, ""); !proceed {
		return nil, false, err
	}
	infos, more, err := s.inner.List(ctx, prefix, start, max)
	if err = after(ctx, r, List, "", err); err != nil {
		return nil, false, err
	}
	return infos, more, nil
}

// Close implements objstore.Store.
func (s *Store) Close() error { return s.inner.Close() }

// faultyBody does its fault at byte at of the range, once.
type faultyBody struct {
	io.ReadCloser
	ctx  context.Context
	rule Rule
	key  string
	pos  int64
	at   int64
	done bool
}

func (b *faultyBody) Read(p []byte) (int, error) {
	if !b.done && b.pos == b.at {
		switch b.rule.Fault {
		case ShortBody:
			return 0, &objstore.Error{Class: objstore.ErrUnavailable, Op: "get", Key: b.key, Detail: "injected: connection reset within the body"}
		case StalledBody:
			if err := wait(b.ctx, b.rule.Delay); err != nil {
				return 0, err
			}
			b.done = true
		}
	}
	if !b.done && b.pos < b.at && int64(len(p)) > b.at-b.pos {
		p = p[:b.at-b.pos]
	}
	n, err := b.ReadCloser.Read(p)
	if b.rule.Fault == CorruptBody && !b.done && n > 0 && b.pos == b.at {
		p[0] ^= 0x20
		b.done = true
	}
	b.pos += int64(n)
	return n, err
}
