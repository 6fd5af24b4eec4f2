package open_test

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tidelinehq/tideline/tiering/objstore"
	"github.com/tidelinehq/tideline/tiering/objstore/faultstore"
	"github.com/tidelinehq/tideline/tiering/objstore/memstore"
	"github.com/tidelinehq/tideline/tiering/objstore/objstoretest"
	"github.com/tidelinehq/tideline/tiering/objstore/open"
)

func TestMain(m *testing.M) { objstoretest.Main(m) }

// TestConformance runs the suite through the whole stack, as the broker uses it.
func TestConformance(t *testing.T) {
	for name, url := range map[string]func(t *testing.T) string{
		"file":  func(t *testing.T) string { return "file://" + filepath.Join(t.TempDir(), "objects") },
		"minio": func(t *testing.T) string { return objstoretest.Shared(t).URL("minio", objstoretest.Prefix(t)) },
		"aws":   func(t *testing.T) string { return objstoretest.Shared(t).URL("aws", objstoretest.Prefix(t)) },
	} {
		t.Run(name, func(t *testing.T) {
			objstoretest.Run(t, func(t *testing.T) objstore.Store { return mustOpen(t, url(t)) })
		})
	}
}

func mustOpen(t *testing.T, url string) objstore.Store {
	t.Helper()
	s, err := open.Open(t.Context(), url, open.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func probe(t *testing.T, s objstore.Store) open.Capabilities {
	t.Helper()
	caps, err := open.Probe(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if infos, _, err := s.List(t.Context(), objstore.Prefix(objstore.KindProbe), "", 10); err != nil || len(infos) > 0 {
		t.Errorf("the probe leaves objects behind: %v %v", infos, err)
	}
	return caps
}

func TestProbeOfGoodStores(t *testing.T) {
	m := objstoretest.Shared(t)
	for _, url := range []string{
		"file://" + filepath.Join(t.TempDir(), "objects"),
		m.URL("minio", objstoretest.Prefix(t)),
		m.URL("aws", objstoretest.Prefix(t)),
	} {
		s := mustOpen(t, url)
		caps := probe(t, s)
		if !caps.Fencing() || !caps.Checksum || len(caps.Findings) > 0 {
			t.Errorf("%s: %+v", url, caps)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestOpenOfAMissingBucket(t *testing.T) {
	m := objstoretest.Shared(t)
	for _, driver := range []string{"minio", "aws"} {
		s := mustOpen(t, strings.Replace(m.URL(driver, ""), m.Bucket, "no-such-bucket", 1))
		if err := open.Wait(t.Context(), s, nil); !errors.Is(err, objstore.ErrDenied) {
			t.Errorf("%s: wait: %v", driver, err)
		}
		if _, err := open.Probe(t.Context(), s); !errors.Is(err, objstore.ErrDenied) {
			t.Errorf("%s: probe: %v", driver, err)
		}
		if _, err := s.Delete(t.Context(), []string{"k"}); !errors.Is(err, objstore.ErrDenied) {
			t.Errorf("%s: a delete in a missing bucket passes for a missing object: %v", driver, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// liar is a store that only looks like S3.
type liar struct {
	objstore.Store
	how  string
	puts atomic.Int64
}

func (l *liar) Put(ctx context.Context, key string, body objstore.Body, cond objstore.Condition) (string, error) {
	n := l.puts.Add(1)
	switch {
	case l.how == "ignores conditions":
		cond = objstore.Condition{}
	case l.how == "checks, then writes" && cond.IfNoneMatch:
		if _, err := l.Head(ctx, key); err == nil {
			return "", objstore.Errorf(objstore.ErrPrecondition, "exists")
		}
		<-time.After(time.Millisecond)
		cond = objstore.Condition{}
	case l.how == "checks, then writes" && cond.IfMatch != "":
		if info, err := l.Head(ctx, key); err != nil || info.ETag != cond.IfMatch {
			return "", objstore.Errorf(objstore.ErrPrecondition, "etag")
		}
		<-time.After(time.Millisecond)
		cond = objstore.Condition{}
	case l.how == "does not know If-Match" && cond.IfMatch != "":
		return "", &objstore.Error{Class: objstore.ErrInvalid, Status: 501, Code: "NotImplemented"}
	case l.how == "ignores checksums":
		data, err := io.ReadAll(body.Reader())
		if err != nil {
			return "", err
		}
		body = objstore.BytesBody(data)
	case l.how == "loses writes" && n == 1:
		return "etag", nil
	}
	return l.Store.Put(ctx, key, body, cond)
}

func TestProbeOfLiars(t *testing.T) {
	for _, c := range []struct {
		how                string
		noneMatch, match   bool
		checksum, unusable bool
		finding            string
	}{
		{how: "honest", noneMatch: true, match: true, checksum: true},
		{how: "ignores conditions", checksum: true, finding: "8 of 8 racing writers"},
		{how: "checks, then writes", checksum: true, finding: "racing writers were told that they had won"},
		{how: "does not know If-Match", noneMatch: true, checksum: true, finding: "does not implement"},
		{how: "ignores checksums", noneMatch: true, match: true, finding: "CRC-32C"},
		{how: "loses writes", unusable: true},
	} {
		synctest.Test(t, func(t *testing.T) {
			caps, err := open.Probe(t.Context(), &liar{Store: memstore.New(nil), how: c.how})
			if c.unusable {
				if err == nil {
					t.Errorf("%s: no error: %+v", c.how, caps)
				}
				return
			}
			if err != nil {
				t.Errorf("%s: %v", c.how, err)
				return
			}
			if caps.IfNoneMatch != c.noneMatch || caps.IfMatch != c.match || caps.Checksum != c.checksum ||
				caps.Fencing() != (c.noneMatch && c.match) || !strings.Contains(strings.Join(caps.Findings, "\n"), c.finding) {
				t.Errorf("%s: %+v", c.how, caps)
			}
		})
	}
}

// TestProbeUnderFaults: lost replies and 409s do not make a good store look bad.
func TestProbeUnderFaults(t *testing.T) {
	s, err := open.Open(t.Context(), "file://"+filepath.Join(t.TempDir(), "o"), open.Options{Decorate: func(s objstore.Store) objstore.Store {
		return faultstore.New(s, 5, faultstore.Rule{Fault: faultstore.LostReply, Probability: 0.05}, faultstore.Rule{Fault: faultstore.Conflict, Probability: 0.05})
	}})
	if err != nil {
		t.Fatal(err)
	}
	if caps, err := open.Probe(t.Context(), s); err != nil || !caps.Fencing() {
		t.Errorf("%+v %v", caps, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		faults := faultstore.New(memstore.New(nil), 1)
		faults.SetDown(true)
		go func() {
			<-time.After(3 * time.Minute)
			faults.SetDown(false)
		}()
		start := time.Now()
		if err := open.Wait(t.Context(), faults, nil); err != nil {
			t.Errorf("wait: %v", err)
		}
		if d := time.Since(start); d < 3*time.Minute || d > 3*time.Minute+20*time.Second {
			t.Errorf("waited %s for a store that came after 3 minutes", d)
		}
		if n := len(faults.Events()); n > 60 {
			t.Errorf("%d requests while waiting", n)
		}
		faults.SetDown(true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := open.Wait(ctx, faults, nil); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "refused") {
			t.Errorf("wait for nobody: %v", err)
		}
		faults.Heal()
		faults.Add(faultstore.Rule{Fault: faultstore.Denied})
		if err := open.Wait(t.Context(), faults, nil); !errors.Is(err, objstore.ErrDenied) {
			t.Errorf("denied: %v", err)
		}
	})
}

// TestRestart: a real server goes away and comes back under its clients.
func TestRestart(t *testing.T) {
	m := objstoretest.StartMinIO(t)
	for _, driver := range []string{"minio", "aws"} {
		s := mustOpen(t, m.URL(driver, driver))
		if _, err := s.Put(t.Context(), "root", objstore.BytesBody([]byte("x")), objstore.Condition{IfNoneMatch: true}); err != nil {
			t.Fatal(err)
		}
		if err := m.Kill(); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		if _, err := s.Head(ctx, "root"); err == nil {
			t.Errorf("%s: answer from a dead server", driver)
		}
		cancel()
		waited := make(chan error, 1)
		go func() { waited <- open.Wait(t.Context(), s, nil) }()
		if err := m.Restart(); err != nil {
			t.Fatal(err)
		}
		if err := <-waited; err != nil {
			t.Errorf("%s: wait: %v", driver, err)
		}
		if b, _, err := objstore.ReadAll(t.Context(), s, "root", 10); err != nil || string(b) != "x" {
			t.Errorf("%s: after the restart: %q %v", driver, b, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
