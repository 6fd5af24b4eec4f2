package retry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/tidelinehq/tideline/tiering/objstore"
)

// stream is the answer to one attempt of a Get. Its context lives until close.
type stream struct {
	objstore.Info
	body   io.ReadCloser
	ctx    context.Context
	cancel context.CancelCauseFunc
	guard  *time.Timer // runs while a Read is under way, and cancels the stream
}

// read is one Read under the guard. ok is false when the guard struck: the bytes are good, the stream is not any more.
func (st *stream) read(p []byte, timeout time.Duration) (n int, ok bool, err error) {
	if st.guard == nil {
		st.guard = time.AfterFunc(timeout, func() { st.cancel(errTimeout) })
	} else {
		st.guard.Reset(timeout)
	}
	n, err = st.body.Read(p)
	return n, st.guard.Stop(), err
}

func (st *stream) close() error {
	err := st.body.Close()
	st.cancel(nil)
	return err
}

// open makes one attempt: it ends when the answer begins, or after AttemptTimeout.
func (s *Store) open(ctx context.Context, o *operation, off, n int64) (*stream, error) {
	actx, cancel := context.WithCancelCause(ctx)
	guard := time.AfterFunc(s.opts.AttemptTimeout, func() { cancel(errTimeout) })
	start := s.opts.Now()
	body, info, err := s.inner.Get(actx, o.key, off, n)
	if err == nil && !guard.Stop() {
		// The answer came in the moment of the timeout: its context is over, so it is of no use.
		err = errors.Join(context.Canceled, body.Close())
	}
	if err != nil {
		guard.Stop()
		err = s.timeout(ctx, actx, "get", o.key, s.opts.AttemptTimeout, err)
		cancel(nil)
	}
	s.metrics.attempt("get", o.kind, err, s.opts.Now().Sub(start))
	if err != nil {
		return nil, err
	}
	return &stream{Info: info, body: body, ctx: actx, cancel: cancel}, nil
}

// Get implements objstore.Store.
func (s *Store) Get(ctx context.Context, key string, off, n int64) (io.ReadCloser, objstore.Info, error) {
	if err := objstore.CheckGet(key, off, n); err != nil {
		return nil, objstore.Info{}, err
	}
	o := s.begin(ctx, "get", key)
	st, err := s.openAgain(ctx, o, off, n)
	if err != nil {
		return nil, objstore.Info{}, err
	}
	length, err := objstore.Span(key, off, n, st.Size)
	if err != nil {
		o.end(outcomeRefused)
		return nil, objstore.Info{}, errors.Join(err, st.close())
	}
	return &reader{s: s, o: o, ctx: ctx, st: st, pos: off, end: off + length, etag: st.ETag}, st.Info, nil
}

// openAgain repeats open. When it returns an error, the operation has ended.
func (s *Store) openAgain(ctx context.Context, o *operation, off, n int64) (*stream, error) {
	for {
		st, err := s.openHedged(ctx, o, off, n)
		if err == nil {
			return st, nil
		}
		if outcome, err := o.again(ctx, err); err != nil {
			o.end(outcome)
			return nil, err
		}
	}
}

// reader yields one range. When the stream breaks it goes on with another, at the same place of the same object.
type reader struct {
	s        *Store
	o        *operation
	ctx      context.Context // the caller's
	st       *stream         // nil after an error
	pos, end int64           // what is still to come
	etag     string
	err      error // sticky
	ended    bool  // the operation's outcome was counted
}

func (r *reader) Read(p []byte) (int, error) {
	for r.err == nil {
		if r.pos == r.end {
			r.finish()
			return 0, io.EOF
		}
		if len(p) == 0 {
			return 0, nil
		}
		n, running, err := r.st.read(p[:min(int64(len(p)), r.end-r.pos)], r.s.opts.AttemptTimeout)
		r.pos += int64(n)
		r.o.bytes += int64(n)
		r.s.metrics.bytes.WithLabelValues("received").Add(float64(n))
		if n > 0 {
			if !running {
				r.breakOff(nil) // the bytes are good, the stream is not any more
			}
			return n, nil
		}
		if err == nil && running {
			return 0, nil
		}
		r.breakOff(err)
	}
	return 0, r.err
}

// breakOff replaces the stream after err, or sets r.err. A nil err is a stall.
func (r *reader) breakOff(err error) {
	if errors.Is(err, io.EOF) {
		err = &objstore.Error{Class: objstore.ErrUnavailable, Op: "get", Key: r.o.key, Detail: fmt.Sprintf("body ended short missing=%d", r.end-r.pos)}
	}
	if err == nil {
		err = context.Canceled
	}
	err = r.s.timeout(r.ctx, r.st.ctx, "get", r.o.key, r.s.opts.AttemptTimeout, err)
	cerr := r.st.close()
	r.st = nil
	if r.pos == r.end {
		return // nothing is missing
	}
	if outcome, stop := r.o.again(r.ctx, err); stop != nil {
		r.fail(outcome, errors.Join(stop, unclassed(cerr)))
		return
	}
	st, err := r.s.openAgain(r.ctx, r.o, r.pos, r.end-r.pos)
	if err != nil {
		r.ended = true
		r.err = err
		return
	}
	if st.ETag != r.etag {
		r.fail(outcomeRefused, errors.Join(&objstore.Error{Class: objstore.ErrUnavailable, Op: "get", Key: r.o.key,
			Detail: fmt.Sprintf("object was replaced while it was read etag=%s was=%s", st.ETag, r.etag)}, unclassed(st.close())))
		return
	}
	r.st = st
}

// unclassed keeps the error of a Close from giving another error a second class.
func unclassed(err error) error {
	if err == nil {
		return nil
	}
	return errors.New("close: " + err.Error())
}

func (r *reader) fail(outcome string, err error) {
	r.err = err
	if !r.ended {
		r.ended = true
		r.o.end(outcome)
	}
}

func (r *reader) finish() {
	if !r.ended {
		r.ended = true
		r.o.succeeded()
	}
}

// Close implements io.Closer. A reader that is closed before its end has done what its caller wanted.
func (r *reader) Close() error {
	r.finish()
	if r.st == nil {
		return nil
	}
	st := r.st
	r.st = nil
	if r.err == nil {
		r.err = errors.New("read after close")
	}
	return st.close()
}
