package retry

import (
	"context"
	"errors"
	"fmt"

	"github.com/tidelinehq/tideline/tiering/objstore"
)

// Put implements objstore.Store. See the package page on lost replies.
func (s *Store) Put(ctx context.Context, key string, body objstore.Body, cond objstore.Condition) (string, error) {
	o := s.begin(ctx, "put", key)
	o.bytes = max(body.Size, 0)
	timeout := s.transferTimeout(body.Size)
	uncertain := false // an earlier attempt may have happened; a 409 says that it did not
	for {
		etag, err := timed(ctx, o, timeout, func(ctx context.Context) (string, error) {
			s.metrics.bytes.WithLabelValues("sent").Add(float64(max(body.Size, 0)))
			return s.inner.Put(ctx, key, body, cond)
		})
		if err == nil {
			o.succeeded()
			return etag, nil
		}
		if uncertain && errors.Is(err, objstore.ErrPrecondition) {
			return s.decide(ctx, o, key, body, cond, uncertain, err)
		}
		uncertain = uncertain || (objstore.Retriable(err) && !isConflict(err))
		outcome, stop := o.again(ctx, err)
		if stop == nil {
			continue
		}
		if outcome == outcomeExhausted && !cond.IsZero() && isConflict(err) {
			return s.decide(ctx, o, key, body, cond, uncertain, stop)
		}
		o.end(outcome)
		return "", stop
	}
}

// decide ends a conditional put, whose attempts do not say who won, by looking at the object. err is what it ends with when the
// object does not say more.
func (s *Store) decide(ctx context.Context, o *operation, key string, body objstore.Body, cond objstore.Condition, uncertain bool, err error) (string, error) {
	mine, etag, rerr := objstore.ReadBack(ctx, s, key, body)
	switch {
	case rerr != nil && ctx.Err() != nil:
		o.end(outcomeCanceled)
		return "", canceled(ctx, "put", key, rerr)
	case rerr != nil:
		o.end(outcomeExhausted)
		return "", &objstore.Error{Class: objstore.ErrUnavailable, Op: "put", Key: key,
			Detail: fmt.Sprintf("outcome unknown: %v; read back: %v", err, rerr)}
	case mine:
		o.end(outcomeRecovered)
		return etag, nil
	case etag != "" && (cond.IfNoneMatch || etag != cond.IfMatch):
		o.end(outcomeRefused)
		e := &objstore.Error{Class: objstore.ErrPrecondition, Op: "put", Key: key, Detail: "another writer's object is there"}
		if uncertain {
			e.Cause = objstore.ErrUncertain
		}
		return "", e
	}
	o.end(outcomeRefused)
	return "", err
}

// isConflict tells the 409 of two writers at once.
func isConflict(err error) bool {
	var e *objstore.Error
	return errors.As(err, &e) && e.Status == 409
}
