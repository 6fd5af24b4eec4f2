package open

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/tidelinehq/tideline/tiering/objstore"
	"github.com/tidelinehq/tideline/tiering/objstore/awss3"
	"github.com/tidelinehq/tideline/tiering/objstore/dirstore"
	"github.com/tidelinehq/tideline/tiering/objstore/minios3"
	"github.com/tidelinehq/tideline/tiering/objstore/retry"
)

// Options of Open. The zero value is right for production, but for Retry.Logger and Retry.Registerer.
type Options struct {
	Retry retry.Options
	// TLS is for s3:// URLs with an https endpoint; see ReadTLS. nil: the system's authorities, and TLS 1.2 at least.
	TLS *tls.Config
	// Decorate, when set, wraps the backend below the retries: for tests with faultstore.
	Decorate func(objstore.Store) objstore.Store
}

// Open makes the store of an object.store URL. It does not talk to the store. Each call has connections, retry budget and hedging of its own, so
// that cold reads and uploads do not take them from each other; stores with one Registerer share their metrics.
func Open(ctx context.Context, url string, opts Options) (objstore.Store, error) {
	l, err := Parse(url)
	if err != nil {
		return nil, err
	}
	l.S3.TLS = opts.TLS
	backend, err := l.withRegion().backend(ctx)
	if err != nil {
		return nil, err
	}
	if l.Dir != "" {
		opts.Retry.HedgeMaxBytes = -1 // a second read of the same disk is never faster
	}
	if opts.Decorate != nil {
		backend = opts.Decorate(backend)
	}
	s, err := retry.Wrap(backend, opts.Retry)
	if err != nil {
		return nil, errors.Join(err, backend.Close())
	}
	return s, nil
}

func (l Location) backend(ctx context.Context) (objstore.Store, error) {
	switch {
	case l.Dir != "":
		return dirstore.Open(l.Dir, dirstore.Options{})
	case l.Driver == DriverAWS:
		return awss3.Open(ctx, l.S3)
	}
	return minios3.Open(l.S3)
}

const (
	waitFirst = 500 * time.Millisecond
	waitMax   = 10 * time.Second
)

// Wait returns nil as soon as the store answers a read of the root object, whether that is there or not. While the store is unavailable it
// asks again, with back-off, until the context ends: start-up gives it minutes. Any other error is returned at once.
func Wait(ctx context.Context, s objstore.Store, logger *slog.Logger) error {
	pause := backoff.NewExponentialBackOff()
	pause.InitialInterval, pause.MaxInterval, pause.Multiplier = waitFirst, waitMax, 2
	for {
		// Get and not Head: only its answer tells a missing bucket (ErrDenied) from a missing object.
		r, _, err := s.Get(ctx, objstore.RootKey, 0, -1)
		switch {
		case err == nil:
			return r.Close()
		case errors.Is(err, objstore.ErrNotFound):
			return nil
		case !objstore.Retriable(err):
			return fmt.Errorf("object store: %w", err)
		}
		delay := pause.NextBackOff()
		if logger != nil {
			logger.LogAttrs(ctx, slog.LevelWarn, "waiting for the object store", slog.Any("error", err), slog.Duration("next_try", delay))
		}
		timer := time.NewTimer(delay)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("object store does not answer: %w last_error=%q", ctx.Err(), err.Error())
		}
	}
}
