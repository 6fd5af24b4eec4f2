package open

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/tidelinehq/tideline/tiering/objstore"
)

// Capabilities is what a probe has seen a store do.
type Capabilities struct {
	IfNoneMatch bool // exactly one of many racing creators won, and its bytes were there
	IfMatch     bool // exactly one of many racing writers with one ETag won, and its bytes were there
	Checksum    bool // a body with a wrong CRC-32C was refused

	// Findings say in words what was missing, for the log and for tideline tier status. Empty when nothing was.
	Findings []string
}

// Fencing reports whether the root object can fence a replaced cluster: both conditions hold under race.
func (c Capabilities) Fencing() bool { return c.IfNoneMatch && c.IfMatch }

const (
	probeRacers  = 8
	probeRounds  = 3
	probeCleanup = 30 * time.Second
)

// Probe writes, races, reads and deletes a few small objects below probe/. It returns an error when the store cannot be used at
// all: it does not answer (ErrUnavailable), denies access, or does not give back what was put (ErrCorrupt). What else is
// missing is in the capabilities. Takes some 60 requests.
func Probe(ctx context.Context, s objstore.Store) (caps Capabilities, err error) {
	p := &probe{ctx: ctx, s: s}
	defer func() {
		// The objects go in any case, also when the caller has had enough.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeCleanup)
		defer cancel()
		failed, derr := s.Delete(ctx, p.keys)
		for _, kerr := range failed {
			derr = errors.Join(derr, kerr)
		}
		if derr != nil && err == nil {
			err = fmt.Errorf("probe: delete: %w", derr)
		}
	}()
	for _, step := range []func() error{p.basics, p.checksum, p.ifNoneMatch, p.ifMatch} {
		if err := step(); err != nil {
			return Capabilities{}, fmt.Errorf("probe: %w", err)
		}
	}
	return p.caps, nil
}

type probe struct {
	ctx  context.Context
	s    objstore.Store
	caps Capabilities
	keys []string // to be deleted
}

func (p *probe) key() string {
	key := objstore.Key(objstore.KindProbe, randomID())
	p.keys = append(p.keys, key)
	return key
}

// body is unique to one write, as bodies of conditional puts must be.
func (p *probe) body(what string) (objstore.Body, []byte) {
	b := fmt.Appendf(nil, "tideline capability probe %x %s %s", randomID(), what, strings.Repeat("-", 256))
	return objstore.BytesBody(b), b
}

func (p *probe) found(ok *bool, format string, args ...any) {
	*ok = false
	p.caps.Findings = append(p.caps.Findings, fmt.Sprintf(format, args...))
}

// basics: what was put is what is read, at once, as a whole and in part.
func (p *probe) basics() error {
	key := p.key()
	body, data := p.body("basics")
	etag, err := p.s.Put(p.ctx, key, body, objstore.Condition{})
	if err != nil {
		return err
	}
	got, info, err := objstore.ReadAll(p.ctx, p.s, key, body.Size)
	if err != nil {
		return err
	}
	part := make([]byte, 100)
	if _, err := objstore.ReadRange(p.ctx, p.s, key, 50, part); err != nil {
		return err
	}
	if !bytes.Equal(got, data) || !bytes.Equal(part, data[50:150]) || info.ETag != etag {
		return &objstore.Error{Class: objstore.ErrCorrupt, Op: "get", Key: key, Detail: "the store does not give back what was put"}
	}
	return nil
}

// checksum: a wrong CRC-32C is refused and leaves nothing.
func (p *probe) checksum() error {
	key := p.key()
	body, _ := p.body("checksum")
	body.CRC32C ^= 1
	_, err := p.s.Put(p.ctx, key, body, objstore.Condition{})
	switch {
	case errors.Is(err, objstore.ErrCorrupt) || errors.Is(err, objstore.ErrInvalid):
		p.caps.Checksum = true
		return nil
	case err == nil:
		p.found(&p.caps.Checksum, "the store accepts a body whose CRC-32C is wrong: damage on the way to it is found only when it is read")
		return nil
	}
	return err
}

func (p *probe) ifNoneMatch() error {
	p.caps.IfNoneMatch = true
	for range probeRounds {
		key := p.key()
		if ok, _, err := p.race(key, objstore.Condition{IfNoneMatch: true}, &p.caps.IfNoneMatch, "If-None-Match"); err != nil || !ok {
			return err
		}
		body, _ := p.body("late")
		if _, err := p.s.Put(p.ctx, key, body, objstore.Condition{IfNoneMatch: true}); err == nil {
			p.found(&p.caps.IfNoneMatch, "If-None-Match: a put on an existing key succeeded")
			return nil
		} else if !errors.Is(err, objstore.ErrPrecondition) {
			return p.unsupported(&p.caps.IfNoneMatch, "If-None-Match", err)
		}
	}
	return nil
}

func (p *probe) ifMatch() error {
	p.caps.IfMatch = true
	key := p.key()
	body, _ := p.body("start")
	etag, err := p.s.Put(p.ctx, key, body, objstore.Condition{})
	if err != nil {
		return err
	}
	for range probeRounds {
		stale := etag
		ok, won, err := p.race(key, objstore.Condition{IfMatch: etag}, &p.caps.IfMatch, "If-Match")
		if err != nil || !ok {
			return err
		}
		etag = won
		body, _ := p.body("stale")
		if _, err := p.s.Put(p.ctx, key, body, objstore.Condition{IfMatch: stale}); err == nil {
			p.found(&p.caps.IfMatch, "If-Match: a put with a stale ETag succeeded")
			return nil
		} else if !errors.Is(err, objstore.ErrPrecondition) {
			return p.unsupported(&p.caps.IfMatch, "If-Match", err)
		}
	}
	return nil
}

// unsupported takes a refusal of the condition as such (501, 400) for a finding. Every other error ends the probe.
func (p *probe) unsupported(ok *bool, what string, err error) error {
	if errors.Is(err, objstore.ErrInvalid) {
		p.found(ok, "%s: the store does not implement it: %v", what, err)
		return nil
	}
	return err
}

// race lets writers put at once under one condition and looks who won and what is there. ok is false when the store failed the test; then a
// finding says how.
func (p *probe) race(key string, cond objstore.Condition, capability *bool, what string) (ok bool, etag string, err error) {
	type result struct {
		data []byte
		etag string
		err  error
	}
	results := make([]result, probeRacers)
	var gate, done sync.WaitGroup
	gate.Add(1)
	for i := range results {
		body, data := p.body(fmt.Sprintf("racer %d", i))
		results[i].data = data
		done.Go(func() {
			gate.Wait()
			results[i].etag, results[i].err = p.s.Put(p.ctx, key, body, cond)
		})
	}
	gate.Done()
	done.Wait()

	var winners []result
	for _, r := range results {
		switch {
		case r.err == nil:
			winners = append(winners, r)
		case errors.Is(r.err, objstore.ErrPrecondition):
		case errors.Is(r.err, objstore.ErrInvalid):
			return false, "", p.unsupported(capability, what, r.err)
		default:
			return false, "", r.err // its outcome is open, so the round proves nothing
		}
	}
	if len(winners) != 1 {
		p.found(capability, "%s: %d of %d racing writers were told that they had won", what, len(winners), probeRacers)
		return false, "", nil
	}
	data, info, err := objstore.ReadAll(p.ctx, p.s, key, int64(len(winners[0].data))*2)
	if err != nil {
		return false, "", err
	}
	if !bytes.Equal(data, winners[0].data) || info.ETag != winners[0].etag {
		p.found(capability, "%s: after a race the object is not that of the writer that had won", what)
		return false, "", nil
	}
	return true, info.ETag, nil
}

func randomID() (id [16]byte) {
	rand.Read(id[:]) // never fails
	return id
}
