package audit

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidelinehq/tideline/broker/security"
)

// Event is one thing that happened.
type Event struct {
	Time      time.Time `json:"time"`
	Event     string    `json:"event"`
	Principal string    `json:"principal,omitempty"`
	Host      string    `json:"host,omitempty"`
	Listener  string    `json:"listener,omitempty"`
	Mechanism string    `json:"mechanism,omitempty"`
	Operation string    `json:"operation,omitempty"`
	Resource  string    `json:"resource,omitempty"`
	Result    string    `json:"result"`
	API       string    `json:"api,omitempty"`
	Reason    string    `json:"reason,omitempty"`
	HeldBack  int       `json:"held_back,omitempty"`
}

// Kinds of events.
const (
	Authentication = "authentication"
	Authorization  = "authorization"
	Admin          = "admin"
)

// Results of events.
const (
	Allowed = "allowed"
	Denied  = "denied"
	Done    = "done"
	Failed  = "failed"
)

// Client is who caused an event.
type Client struct {
	Principal      *security.Principal
	Host, Listener string
}

// Options are what a Log is made of.
type Options struct {
	Logger *slog.Logger
	Now    func() time.Time
	// Queue has room for what goes into a topic; nil: nothing does.
	Queue      *Queue
	Registerer prometheus.Registerer // may be nil
}

// Log writes events. Make it with New.
type Log struct {
	logger  *slog.Logger
	now     func() time.Time
	queue   *Queue
	metrics *metrics

	mu     sync.Mutex // guards limits
	limits map[limitKey]*limit
}

// limitKey tells apart what is bounded each for itself: denials must not keep a failed
// authentication from being seen.
type limitKey struct{ event, result string }

// linesPerSecond bounds the lines of each kind: what a person or a collector can take, and
// no disk is filled by.
const linesPerSecond = 100

// limit counts the lines of one second.
type limit struct {
	second int64
	lines  int
	held   int
}

// New makes a Log.
func New(o Options) *Log {
	return &Log{logger: o.Logger, now: o.Now, queue: o.Queue, metrics: newMetrics(o.Registerer), limits: make(map[limitKey]*limit)}
}

// Authenticated notes that a client proved its name.
func (l *Log) Authenticated(p *security.Principal, host, listener, mechanism string) {
	l.write(slog.LevelInfo, &Event{Event: Authentication, Result: Done, Principal: p.String(), Host: host, Listener: listener, Mechanism: mechanism})
}

// AuthenticationFailed notes that one did not. name is what it called itself, as far as
// that is known; it is cut where it is longer than any name is.
func (l *Log) AuthenticationFailed(name, host, listener, mechanism string, reason error) {
	e := &Event{Event: Authentication, Result: Failed, Principal: cut(name), Host: host, Listener: listener, Mechanism: mechanism}
	if reason != nil {
		e.Reason = cut(reason.Error())
	}
	l.write(slog.LevelWarn, e)
}

// maxText bounds what of a text that a client sent is written down.
const maxText = 1024

func cut(s string) string { return s[:min(len(s), maxText)] }

// Wants reports whether what was allowed is written down.
func (l *Log) Wants(allowed bool) bool {
	return l != nil && (!allowed || l.logger.Enabled(context.Background(), slog.LevelDebug))
}

// Judged notes that a client was allowed, or denied, an operation on a resource.
func (l *Log) Judged(c Client, operation, resource, api string, allowed bool) {
	if !l.Wants(allowed) {
		return
	}
	e := l.event(c, Authorization, Denied)
	level := slog.LevelInfo
	if allowed {
		e.Result, level = Allowed, slog.LevelDebug
	}
	e.Operation, e.Resource, e.API = operation, cut(resource), api
	l.write(level, e)
}

// Changed notes that a client changed a resource, or failed to.
func (l *Log) Changed(c Client, resource, api string, failure error) {
	if l == nil {
		return
	}
	e := l.event(c, Admin, Done)
	e.Resource, e.API = cut(resource), api
	if failure != nil {
		e.Result, e.Reason = Failed, cut(failure.Error())
	}
	l.write(slog.LevelInfo, e)
}

func (l *Log) event(c Client, kind, result string) *Event {
	e := &Event{Event: kind, Result: result, Host: c.Host, Listener: c.Listener}
	if c.Principal != nil {
		e.Principal = c.Principal.String()
	}
	return e
}

// write writes an event, or counts it.
func (l *Log) write(level slog.Level, e *Event) {
	if l == nil {
		return
	}
	l.metrics.events.WithLabelValues(e.Event, e.Result).Inc()
	e.Time = l.now()
	held, ok := l.allow(e)
	if !ok {
		return
	}
	e.HeldBack = held
	if l.queue != nil && !l.queue.put(e) {
		l.metrics.dropped.Inc()
	}
	l.logger.LogAttrs(context.Background(), level, "audit", e.attrs()...)
}

// allow reports whether a line may be written in this second, and how many before it were
// not.
func (l *Log) allow(e *Event) (held int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := limitKey{e.Event, e.Result}
	x := l.limits[key]
	if x == nil {
		x = &limit{}
		l.limits[key] = x
	}
	if second := e.Time.Unix(); second != x.second {
		x.second, x.lines = second, 0
	}
	if x.lines >= linesPerSecond {
		x.held++
		l.metrics.heldBack.Inc()
		return 0, false
	}
	x.lines++
	held, x.held = x.held, 0
	return held, true
}

// attrs are the keys that have a value.
func (e *Event) attrs() []slog.Attr {
	out := make([]slog.Attr, 0, 12)
	add := func(key, value string) {
		if value != "" {
			out = append(out, slog.String(key, value))
		}
	}
	add("event", e.Event)
	add("principal", e.Principal)
	add("host", e.Host)
	add("listener", e.Listener)
	add("mechanism", e.Mechanism)
	add("operation", e.Operation)
	add("resource", e.Resource)
	add("result", e.Result)
	add("api", e.API)
	add("reason", e.Reason)
	if e.HeldBack > 0 {
		out = append(out, slog.Int("held_back", e.HeldBack))
	}
	return out
}
