package s3proto_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/tidelinehq/tideline/tiering/objstore"
	"github.com/tidelinehq/tideline/tiering/objstore/s3proto"
)

func TestSpan(t *testing.T) {
	for _, c := range []struct {
		off, n       int64
		contentRange string
		content      int64
		length, size int64
		class        error
	}{
		{0, -1, "", 100, 100, 100, nil},
		{0, 10, "bytes 0-9/100", 10, 10, 100, nil},
		{90, 50, "bytes 90-99/100", 10, 10, 100, nil},
		{90, -1, "bytes 90-99/100", 10, 10, 100, nil},
		{0, 10, "", 100, 0, 0, objstore.ErrInvalid},                             // the range was ignored
		{10, 10, "bytes 0-9/100", 10, 0, 0, objstore.ErrInvalid},                // another one
		{0, 10, "bytes 0-9/100", 20, 0, 0, objstore.ErrInvalid},                 // contradiction
		{0, 50, "bytes 0-9/100", 10, 0, 0, objstore.ErrUnavailable},             // cut short by the store
		{0, -1, "", -1, 0, 0, objstore.ErrInvalid},                              // no length
		{0, 10, "bytes 0-9/*", 10, 0, 0, objstore.ErrInvalid},                   // no size
		{5, -1, "bytes 5-99999999999999999999/1", 5, 0, 0, objstore.ErrInvalid}, // overflow
	} {
		length, size, err := s3proto.Span("k", c.off, c.n, c.contentRange, c.content)
		if length != c.length || size != c.size || objstore.ClassOf(err) != c.class {
			t.Errorf("%+v: length=%d size=%d err=%v", c, length, size, err)
		}
	}
}

func FuzzParseContentRange(f *testing.F) {
	for _, s := range []string{"bytes 0-9/100", "bytes 5-5/6", "bytes */100", "bytes 0-9/*", "bytes 9-0/100", "bytes -1-2/3", "", "bytes 0-+9/100"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		first, last, size, ok := s3proto.ParseContentRange(s)
		if ok && (first < 0 || last < first || size <= last) {
			t.Errorf("%q: %d-%d/%d", s, first, last, size)
		}
	})
}

func TestClassifyContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	inner := fmt.Errorf("Put: %w", context.DeadlineExceeded)
	// A timeout that is not the caller's is the store's fault.
	if err := s3proto.Classify(ctx, s3proto.Answer{Op: "put", Key: "k", Cause: inner}); !objstore.Retriable(err) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("timeout within: %v", err)
	}
	cancel()
	if err := s3proto.Classify(ctx, s3proto.Answer{Op: "put", Key: "k", Cause: inner}); !objstore.Canceled(err) || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled by the caller: %v", err)
	}
}

func TestConfig(t *testing.T) {
	good := s3proto.Config{Bucket: "b", Prefix: "p/q", Endpoint: "https://host:9000", SSE: "aws:kms", KMSKeyID: "k"}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	if good.Name("a") != "p/q/a" || good.NamePrefix("") != "p/q/" {
		t.Error("names")
	}
	if key, ok := good.Key("p/q/a/b"); !ok || key != "a/b" {
		t.Errorf("key %q", key)
	}
	if _, ok := good.Key("p/qq/a"); ok {
		t.Error("a name of somebody else has a key")
	}
	for _, edit := range []func(*s3proto.Config){
		func(c *s3proto.Config) { c.Bucket = "" },
		func(c *s3proto.Config) { c.Bucket = "a/b" },
		func(c *s3proto.Config) { c.Prefix = "/p" },
		func(c *s3proto.Config) { c.Endpoint = "host:9000" },
		func(c *s3proto.Config) { c.Endpoint = "http://host/path" },
		func(c *s3proto.Config) { c.Endpoint = "http://user:pw@host" },
		func(c *s3proto.Config) { c.SSE = "rot13" },
		func(c *s3proto.Config) { c.SSE = "AES256" },
		func(c *s3proto.Config) { c.MaxConns = -1 },
	} {
		bad := good
		edit(&bad)
		if err := bad.Check(); !errors.Is(err, objstore.ErrInvalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}
