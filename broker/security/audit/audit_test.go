package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/tidelinehq/tideline/broker/security"
)

var alice = &security.Principal{Type: security.UserType, Name: "alice"}

func open(out *bytes.Buffer, now *time.Time, q *Queue) *Log {
	logger := slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	return New(Options{Logger: logger, Now: func() time.Time { return *now }, Queue: q})
}

// TestLines: the lines have fixed keys, and only what is worth a line has one.
func TestLines(t *testing.T) {
	var out bytes.Buffer
	now := time.Unix(1000, 0)
	l := open(&out, &now, nil)
	c := Client{Principal: alice, Host: "10.0.0.1", Listener: "SASL"}
	l.Authenticated(alice, "10.0.0.1", "SASL", "PLAIN")
	l.AuthenticationFailed("mallory", "10.0.0.9", "SASL", "PLAIN", errors.New("wrong password"))
	l.Judged(c, "Read", "topic:secret", "Fetch", false)
	l.Judged(c, "Read", "topic:orders", "Fetch", true) // which is for the level debug
	l.Changed(c, "topic:orders", "CreateTopics", nil)
	l.Changed(c, "topic:orders", "CreateTopics", errors.New("it exists"))
	want := `level=INFO msg=audit event=authentication principal=User:alice host=10.0.0.1 listener=SASL mechanism=PLAIN result=done
level=WARN msg=audit event=authentication principal=mallory host=10.0.0.9 listener=SASL mechanism=PLAIN result=failed reason="wrong password"
level=INFO msg=audit event=authorization principal=User:alice host=10.0.0.1 listener=SASL operation=Read resource=topic:secret result=denied api=Fetch
level=INFO msg=audit event=admin principal=User:alice host=10.0.0.1 listener=SASL resource=topic:orders result=done api=CreateTopics
level=INFO msg=audit event=admin principal=User:alice host=10.0.0.1 listener=SASL resource=topic:orders result=failed api=CreateTopics reason="it exists"
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
	var none *Log
	none.Judged(c, "Read", "topic:secret", "Fetch", false)
	none.Changed(c, "topic:orders", "CreateTopics", nil)
}

// TestBounded: a flood of denials is a bounded number of lines, which tell how many there
// were, and does not hide a failed authentication.
func TestBounded(t *testing.T) {
	var out bytes.Buffer
	now := time.Unix(1000, 0)
	l := open(&out, &now, nil)
	for range 10 * linesPerSecond {
		l.Judged(Client{Principal: alice}, "Read", "topic:secret", "Fetch", false)
	}
	if n := strings.Count(out.String(), "\n"); n != linesPerSecond {
		t.Errorf("%d lines in one second", n)
	}
	l.AuthenticationFailed("mallory", "h", "SASL", "PLAIN", nil)
	if !strings.Contains(out.String(), "mallory") {
		t.Error("denials hide a failed authentication")
	}
	out.Reset()
	now = now.Add(time.Second)
	l.Judged(Client{Principal: alice}, "Read", "topic:secret", "Fetch", false)
	if !strings.Contains(out.String(), "held_back=900") {
		t.Errorf("the next line does not tell of those before it: %s", out.String())
	}
}

// TestQueue: events get into the topic as JSON and in order; when nobody takes them they are
// dropped, and nobody waits.
func TestQueue(t *testing.T) {
	var out bytes.Buffer
	now := time.Unix(1000, 0).UTC()
	q := NewQueue()
	l := open(&out, &now, q)
	for range queueEvents + 5 {
		now = now.Add(time.Second)
		l.Changed(Client{Principal: alice, Host: "h"}, "topic:orders", "CreateTopics", nil)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var got [][]byte
	l.Run(ctx, func(_ context.Context, events [][]byte) error {
		if len(events) > batchEvents {
			t.Errorf("%d events at once", len(events))
		}
		if got = append(got, events...); len(got) == queueEvents {
			cancel()
		}
		return nil
	})
	if len(got) != queueEvents {
		t.Errorf("%d events", len(got))
	}
	var first Event
	if err := json.Unmarshal(got[0], &first); err != nil || !first.Time.Equal(time.Unix(1001, 0)) || first.Principal != "User:alice" || first.Resource != "topic:orders" {
		t.Errorf("first event: %+v, %v", first, err)
	}
}
