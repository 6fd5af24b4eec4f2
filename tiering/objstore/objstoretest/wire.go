package objstoretest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tidelinehq/tideline/tiering/objstore"
	"github.com/tidelinehq/tideline/tiering/objstore/s3proto"
)

// RunWire puts an S3 backend before a server that answers by script: what no healthy S3 server does on demand.
func RunWire(t *testing.T, open func(t *testing.T, cfg s3proto.Config) objstore.Store) {
	t.Run("Classes", func(t *testing.T) { testClasses(t, open) })
	t.Run("Headers", func(t *testing.T) { testHeaders(t, open) })
	t.Run("ShortBody", func(t *testing.T) { testShortBody(t, open) })
	t.Run("LostReply", func(t *testing.T) { testLostReply(t, open) })
	t.Run("NobodyListens", func(t *testing.T) { testNobodyListens(t, open) })
	t.Run("RangeIgnored", func(t *testing.T) { testRangeIgnored(t, open) })
	t.Run("PartialDelete", func(t *testing.T) { testPartialDelete(t, open) })
	t.Run("OneAttempt", func(t *testing.T) { testOneAttempt(t, open) })
}

// serve starts a server and opens a store on it. The environment has credentials, and a trap where the instance metadata would be.
func serve(t *testing.T, open func(t *testing.T, cfg s3proto.Config) objstore.Store, cfg s3proto.Config, handler http.HandlerFunc) objstore.Store {
	t.Helper()
	trap := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("the instance metadata service was asked, with credentials in the environment: %s", r.URL)
	}))
	t.Cleanup(trap.Close)
	t.Setenv("AWS_ACCESS_KEY_ID", "wire")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "wire-secret")
	t.Setenv("AWS_SESSION_TOKEN", "")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "")
	t.Setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", trap.URL)
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	cfg.Bucket, cfg.Endpoint, cfg.Region, cfg.PathStyle = "bucket", server.URL, "us-east-1", true
	s := open(t, cfg)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// answer writes an S3 error document.
func answer(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("X-Amz-Request-Id", "REQ1")
	w.WriteHeader(status)
	if code != "" {
		fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>scripted</Message><RequestId>REQ1</RequestId></Error>`, code)
	}
}

func testClasses(t *testing.T, open func(t *testing.T, cfg s3proto.Config) objstore.Store) {
	var status atomic.Int64
	var code atomic.Value
	s := serve(t, open, s3proto.Config{}, func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			t.Errorf("read request: %v", err)
		}
		answer(w, int(status.Load()), code.Load().(string))
	})
	put := func(cond objstore.Condition) func() error {
		return func() error {
			_, err := s.Put(t.Context(), "k", objstore.BytesBody([]byte("x")), cond)
			return err
		}
	}
	get := func() error { _, _, err := s.Get(t.Context(), "k", 0, 10); return err }
	head := func() error { _, err := s.Head(t.Context(), "k"); return err }
	del := func() error { _, err := s.Delete(t.Context(), []string{"k"}); return err }
	list := func() error { _, _, err := s.List(t.Context(), "", "", 1); return err }
	plain, create, swap := put(objstore.Condition{}), put(objstore.Condition{IfNoneMatch: true}), put(objstore.Condition{IfMatch: "e"})
	all := map[string]func() error{"put": plain, "get": get, "delete": del, "list": list}
	for _, c := range []struct {
		status int
		code   string
		calls  map[string]func() error
		class  error
	}{
		{503, "SlowDown", all, objstore.ErrUnavailable},
		{503, "ServiceUnavailable", all, objstore.ErrUnavailable},
		{503, "", all, objstore.ErrUnavailable},
		{500, "InternalError", all, objstore.ErrUnavailable},
		{502, "", all, objstore.ErrUnavailable},
		{504, "", all, objstore.ErrUnavailable},
		{429, "TooManyRequests", all, objstore.ErrUnavailable},
		{400, "RequestTimeout", all, objstore.ErrUnavailable},
		{400, "ExpiredToken", all, objstore.ErrUnavailable},
		{403, "AccessDenied", all, objstore.ErrDenied},
		{403, "SignatureDoesNotMatch", all, objstore.ErrDenied},
		{403, "RequestTimeTooSkewed", all, objstore.ErrDenied},
		{404, "NoSuchBucket", all, objstore.ErrDenied},
		{301, "PermanentRedirect", all, objstore.ErrDenied},
		{400, "InvalidArgument", all, objstore.ErrInvalid},
		{501, "NotImplemented", all, objstore.ErrInvalid},
		{404, "NoSuchKey", map[string]func() error{"get": get}, objstore.ErrNotFound},
		{404, "", map[string]func() error{"head": head}, objstore.ErrNotFound},
		{403, "", map[string]func() error{"head": head}, objstore.ErrDenied},
		{503, "", map[string]func() error{"head": head}, objstore.ErrUnavailable},
		{416, "InvalidRange", map[string]func() error{"get": get}, objstore.ErrRange},
		{412, "PreconditionFailed", map[string]func() error{"create": create, "swap": swap}, objstore.ErrPrecondition},
		{409, "ConditionalRequestConflict", map[string]func() error{"create": create, "swap": swap}, objstore.ErrUnavailable},
		{409, "OperationAborted", map[string]func() error{"create": create, "swap": swap}, objstore.ErrUnavailable},
		{404, "NoSuchKey", map[string]func() error{"swap": swap}, objstore.ErrPrecondition},
		{400, "BadDigest", map[string]func() error{"put": plain}, objstore.ErrCorrupt},
		{400, "XAmzContentChecksumMismatch", map[string]func() error{"put": plain}, objstore.ErrCorrupt},
		{400, "IncompleteBody", map[string]func() error{"put": plain}, objstore.ErrUnavailable},
	} {
		for name, call := range c.calls {
			status.Store(int64(c.status))
			code.Store(c.code)
			err := call()
			wantClass(t, fmt.Sprintf("%s: %d %s", name, c.status, c.code), err, c.class)
			var e *objstore.Error
			if !errors.As(err, &e) || e.Status != c.status || (c.code != "" && e.Code != c.code) {
				t.Errorf("%s: %d %s: error does not tell status and code: %v", name, c.status, c.code, err)
			}
		}
	}
}

// testHeaders looks at what is sent: one PUT, its length, checksum, encryption and condition, and no second hash.
func testHeaders(t *testing.T, open func(t *testing.T, cfg s3proto.Config) objstore.Store) {
	var got atomic.Pointer[http.Request]
	var body atomic.Pointer[[]byte]
	s := serve(t, open, s3proto.Config{Prefix: "cluster/a", SSE: "aws:kms", KMSKeyID: "alias/tide"}, func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Errorf("read request: %v", err)
		}
		got.Store(r)
		body.Store(&b)
		w.Header().Set("ETag", `"abc"`)
	})
	data := Bytes(1, 100_000)
	etag, err := s.Put(t.Context(), "data/aa/x.seg", objstore.BytesBody(data), objstore.Condition{IfMatch: "old"})
	if err != nil || etag != "abc" {
		t.Fatalf("put: etag=%q err=%v", etag, err)
	}
	if !bytes.Equal(*body.Load(), data) {
		t.Errorf("the body on the wire is not the object (%d bytes): it is encoded", len(*body.Load()))
	}
	r := got.Load()
	want := map[string]string{
		"Method": "PUT", "Path": "/bucket/cluster/a/data/aa/x.seg", "Length": "100000",
		"X-Amz-Checksum-Crc32c":                       s3proto.Checksum(objstore.BytesBody(data).CRC32C),
		"X-Amz-Content-Sha256":                        "UNSIGNED-PAYLOAD",
		"X-Amz-Server-Side-Encryption":                "aws:kms",
		"X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id": "alias/tide",
		"If-Match":      `"old"`,
		"If-None-Match": "",
	}
	seen := map[string]string{"Method": r.Method, "Path": r.URL.Path, "Length": fmt.Sprint(r.ContentLength)}
	for h := range want {
		if _, ok := seen[h]; !ok {
			seen[h] = r.Header.Get(h)
		}
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
	if signed := r.Header.Get("Authorization"); !strings.Contains(signed, "x-amz-checksum-crc32c") {
		t.Errorf("the checksum is not among the signed headers: %s", signed)
	}
	if _, err := s.Put(t.Context(), "root", objstore.BytesBody(data), objstore.Condition{IfNoneMatch: true}); err != nil {
		t.Fatal(err)
	}
	if h := got.Load().Header; h.Get("If-None-Match") != "*" || h.Get("If-Match") != "" {
		t.Errorf("If-None-Match=%q If-Match=%q", h.Get("If-None-Match"), h.Get("If-Match"))
	}
}

// hijack ends the connection of a request after writing raw bytes to it.
func hijack(t *testing.T, w http.ResponseWriter, raw string) {
	conn, buf, err := w.(http.Hijacker).Hijack()
	if err != nil {
		t.Errorf("hijack: %v", err)
		return
	}
	_, werr := buf.WriteString(raw)
	if err := errors.Join(werr, buf.Flush(), conn.Close()); err != nil {
		t.Errorf("hijack: %v", err)
	}
}

func testShortBody(t *testing.T, open func(t *testing.T, cfg s3proto.Config) objstore.Store) {
	s := serve(t, open, s3proto.Config{}, func(w http.ResponseWriter, r *http.Request) {
		hijack(t, w, "HTTP/1.1 206 Partial Content\r\nContent-Length: 100\r\nContent-Range: bytes 0-99/500\r\nETag: \"e\"\r\n"+
			"Last-Modified: Mon, 02 Jan 2006 15:04:05 GMT\r\n\r\n"+strings.Repeat("x", 60))
	})
	r, info, err := s.Get(t.Context(), "k", 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size != 500 {
		t.Errorf("size = %d, want that of the object", info.Size)
	}
	b, err := io.ReadAll(r)
	wantClass(t, "read", err, objstore.ErrUnavailable)
	if len(b) != 60 {
		t.Errorf("%d bytes came, want the 60 that were sent", len(b))
	}
	if err := r.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
}

func testLostReply(t *testing.T, open func(t *testing.T, cfg s3proto.Config) objstore.Store) {
	var puts atomic.Int64
	s := serve(t, open, s3proto.Config{}, func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			t.Errorf("read request: %v", err)
		}
		puts.Add(1)
		hijack(t, w, "")
	})
	_, err := s.Put(t.Context(), "k", objstore.BytesBody([]byte("hello")), objstore.Condition{IfNoneMatch: true})
	wantClass(t, "put", err, objstore.ErrUnavailable)
	if n := puts.Load(); n != 1 {
		t.Errorf("%d requests were sent: something below us repeats a put", n)
	}
}

func testNobodyListens(t *testing.T, open func(t *testing.T, cfg s3proto.Config) objstore.Store) {
	s := serve(t, open, s3proto.Config{}, func(http.ResponseWriter, *http.Request) {})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, s3proto.Config{Bucket: "bucket", Endpoint: "http://" + addr, Region: "us-east-1", PathStyle: true})
	_, err = s.Head(t.Context(), "k")
	wantClass(t, "head", err, objstore.ErrUnavailable)
	_, err = s.Put(t.Context(), "k", objstore.BytesBody([]byte("x")), objstore.Condition{})
	wantClass(t, "put", err, objstore.ErrUnavailable)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func testRangeIgnored(t *testing.T, open func(t *testing.T, cfg s3proto.Config) objstore.Store) {
	s := serve(t, open, s3proto.Config{}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Last-Modified", "Mon, 02 Jan 2006 15:04:05 GMT")
		w.Header().Set("ETag", `"e"`)
		if _, err := w.Write(make([]byte, 500)); err != nil {
			t.Errorf("write: %v", err)
		}
	})
	_, _, err := s.Get(t.Context(), "k", 100, 100)
	wantClass(t, "get from a store that ignores ranges", err, objstore.ErrInvalid)
}

func testPartialDelete(t *testing.T, open func(t *testing.T, cfg s3proto.Config) objstore.Store) {
	s := serve(t, open, s3proto.Config{Prefix: "p"}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/xml")
		fmt.Fprint(w, `<?xml version="1.0" encoding="UTF-8"?><DeleteResult>
			<Deleted><Key>p/a</Key></Deleted>
			<Error><Key>p/b</Key><Code>SlowDown</Code><Message>later</Message></Error>
			<Error><Key>p/c</Key><Code>AccessDenied</Code><Message>never</Message></Error>
			<Error><Key>p/d</Key><Code>NoSuchKey</Code><Message>gone</Message></Error>
			<Deleted><Key>other/f</Key></Deleted></DeleteResult>`)
	})
	failed, err := s.Delete(t.Context(), []string{"a", "b", "c", "d", "e"})
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for key, err := range failed {
		if class := objstore.ClassOf(err); class != nil {
			got[key] = class.Error()
		}
	}
	want := map[string]string{"b": objstore.ErrUnavailable.Error(), "c": objstore.ErrDenied.Error(), "e": objstore.ErrUnavailable.Error()}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("failed keys (-want +got):\n%s", diff)
	}
}

// testOneAttempt: the SDK does not retry, and gives up fast.
func testOneAttempt(t *testing.T, open func(t *testing.T, cfg s3proto.Config) objstore.Store) {
	var mu sync.Mutex
	seen := make(map[string]int)
	s := serve(t, open, s3proto.Config{}, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen[r.Method]++
		mu.Unlock()
		answer(w, 503, "SlowDown")
	})
	start := time.Now()
	_, err := s.Put(t.Context(), "k", objstore.BytesBody([]byte("x")), objstore.Condition{})
	wantClass(t, "put", err, objstore.ErrUnavailable)
	_, _, err = s.Get(t.Context(), "k", 0, -1)
	wantClass(t, "get", err, objstore.ErrUnavailable)
	_, err = s.Head(t.Context(), "k")
	wantClass(t, "head", err, objstore.ErrUnavailable)
	_, err = s.Delete(t.Context(), []string{"k"})
	wantClass(t, "delete", err, objstore.ErrUnavailable)
	if d := time.Since(start); d > 3*time.Second {
		t.Errorf("four refused calls took %s", d)
	}
	if diff := cmp.Diff(map[string]int{"PUT": 1, "GET": 1, "HEAD": 1, "POST": 1}, seen); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}
