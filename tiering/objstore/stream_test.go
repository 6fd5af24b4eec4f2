package objstore_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/tidelinehq/tideline/tiering/objstore"
)

func TestExact(t *testing.T) {
	broken := errors.New("connection reset")
	for _, c := range []struct {
		name  string
		r     io.Reader
		n     int64
		want  string
		class error
	}{
		{"all", strings.NewReader("hello"), 5, "hello", nil},
		{"nothing", strings.NewReader(""), 0, "", nil},
		{"more than asked for", strings.NewReader("hello world"), 5, "hello", nil},
		{"short", strings.NewReader("hel"), 5, "hel", objstore.ErrUnavailable},
		{"empty", strings.NewReader(""), 5, "", objstore.ErrUnavailable},
		{"byte by byte", iotest.OneByteReader(strings.NewReader("hello")), 5, "hello", nil},
		{"EOF with the last bytes", iotest.DataErrReader(strings.NewReader("hello")), 5, "hello", nil},
		{"EOF with the bytes, short", iotest.DataErrReader(strings.NewReader("hel")), 5, "hel", objstore.ErrUnavailable},
		{"breaks", io.MultiReader(strings.NewReader("he"), iotest.ErrReader(broken)), 5, "he", objstore.ErrUnavailable},
		{"breaks behind the end", io.MultiReader(strings.NewReader("hello"), iotest.ErrReader(broken)), 5, "hello", nil},
	} {
		r := objstore.Exact(io.NopCloser(c.r), "k", c.n, nil)
		got, err := io.ReadAll(r)
		if string(got) != c.want || objstore.ClassOf(err) != c.class || (c.class == nil) != (err == nil) {
			t.Errorf("%s: got %q, %v; want %q, class %v", c.name, got, err, c.want, c.class)
		}
		if err := r.Close(); err != nil {
			t.Errorf("%s: close: %v", c.name, err)
		}
	}
}

func TestSumReader(t *testing.T) {
	good := objstore.BytesBody(bytes.Repeat([]byte("tide"), 1000))
	if got, err := io.ReadAll(objstore.NewSumReader("k", good)); err != nil || int64(len(got)) != good.Size {
		t.Errorf("good body: %d bytes, %v", len(got), err)
	}
	wrong := good
	wrong.CRC32C++
	if _, err := io.ReadAll(objstore.NewSumReader("k", wrong)); !errors.Is(err, objstore.ErrCorrupt) {
		t.Errorf("wrong checksum: %v", err)
	}
	short := good
	short.Size++
	if _, err := io.ReadAll(objstore.NewSumReader("k", short)); !errors.Is(err, objstore.ErrCorrupt) {
		t.Errorf("short body: %v", err)
	}
}

func TestReaderBody(t *testing.T) {
	data := bytes.Repeat([]byte("x"), 700_000)
	b, err := objstore.ReaderBody(bytes.NewReader(data), int64(len(data)))
	if err != nil || b.CRC32C != objstore.BytesBody(data).CRC32C {
		t.Errorf("crc %08x, %v", b.CRC32C, err)
	}
	if _, err := objstore.ReaderBody(bytes.NewReader(data), int64(len(data))+1); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("short: %v", err)
	}
	if b, err := objstore.ReaderBody(bytes.NewReader(nil), 0); err != nil || b.CRC32C != 0 {
		t.Errorf("empty: %08x, %v", b.CRC32C, err)
	}
}

func TestErrors(t *testing.T) {
	cause := errors.New("dial tcp: refused")
	err := error(&objstore.Error{Class: objstore.ErrUnavailable, Op: "put", Key: "a/b", Status: 503, Code: "SlowDown", RequestID: "R", Cause: cause})
	if got, want := err.Error(), "put: object store unavailable: dial tcp: refused key=a/b status=503 code=SlowDown request_id=R"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if !errors.Is(err, objstore.ErrUnavailable) || !errors.Is(err, cause) || !objstore.Retriable(err) || objstore.Canceled(err) {
		t.Error("class or cause is lost")
	}
	if objstore.ClassOf(nil) != nil || objstore.ClassOf(cause) != nil || objstore.Retriable(nil) {
		t.Error("an error without a class has one")
	}
	if !objstore.Canceled(context.Canceled) || objstore.Canceled(cause) || objstore.Canceled(nil) {
		t.Error("Canceled is wrong")
	}
}
