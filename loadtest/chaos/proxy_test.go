package chaos

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// mood is how the object store behaves.
type mood int

const (
	moodWell      mood = iota
	moodAway           // connections are cut before an answer
	moodSilent         // no request is answered
	moodSlow           // an answer takes a while
	moodRefusing       // half of the requests get 503
	moodForgetful      // half of the requests are carried out, and their answers lost
)

// slowness is what a slow object store takes for a request.
const slowness = 700 * time.Millisecond

// proxy stands in front of the object store.
type proxy struct {
	behind http.Handler
	server *http.Server
	addr   string

	mu      sync.Mutex
	mood    mood          // guarded by mu
	changed chan struct{} // guarded by mu: closed when the mood changes
	random  *rand.Rand    // guarded by mu
	spoilt  int           // guarded by mu: requests that were not served as they should be
}

// startProxy stands on a free port of a host, in front of an endpoint.
func startProxy(at, endpoint string, random *rand.Rand) (*proxy, error) {
	target, err := url.Parse(endpoint)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", net.JoinHostPort(at, "0"))
	if err != nil {
		return nil, err
	}
	// The request's host goes along as it came: it is part of what was signed.
	behind := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host = target.Scheme, target.Host
		r.Out.Host = r.In.Host
	}, ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }}
	p := &proxy{behind: behind, addr: l.Addr().String(), changed: make(chan struct{}), random: random}
	p.server = &http.Server{Handler: p, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = p.server.Serve(l) }() // until close
	return p, nil
}

func (p *proxy) close() error { return p.server.Close() }

// is changes the mood.
func (p *proxy) is(m mood) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mood = m
	close(p.changed)
	p.changed = make(chan struct{})
}

// served is how many requests were spoilt so far.
func (p *proxy) served() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.spoilt
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	m, changed, unlucky := p.mood, p.changed, p.random.IntN(2) == 0
	if m == moodRefusing || m == moodForgetful {
		if !unlucky {
			m = moodWell
		}
	}
	if m != moodWell {
		p.spoilt++
	}
	p.mu.Unlock()
	switch m {
	case moodWell:
	case moodAway:
		panic(http.ErrAbortHandler)
	case moodSilent:
		wait(r.Context(), changed, time.Hour)
		panic(http.ErrAbortHandler)
	case moodSlow:
		wait(r.Context(), changed, slowness)
	case moodRefusing:
		_, _ = io.Copy(io.Discard, r.Body) // a client that sends does not read an answer
		http.Error(w, "slow down", http.StatusServiceUnavailable)
		return
	case moodForgetful:
		p.behind.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	}
	p.behind.ServeHTTP(w, r)
}

// wait returns after a time, or when something happens before.
func wait(ctx context.Context, something <-chan struct{}, atMost time.Duration) {
	timer := time.NewTimer(atMost)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-something:
	case <-ctx.Done():
	}
}

func TestProxy(t *testing.T) {
	var mu sync.Mutex
	var bodies []string
	behind := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		bodies = append(bodies, string(body))
		mu.Unlock()
		io.WriteString(w, r.Host)
	}))
	defer behind.Close()
	p, err := startProxy("127.0.0.1", behind.URL, rand.New(rand.NewPCG(1, 2)))
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	ask := func(ctx context.Context) (status int, body string) {
		r, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://"+p.addr+"/x", bytes.NewReader(make([]byte, 100<<10)))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			return 0, err.Error()
		}
		defer answer.Body.Close()
		b, err := io.ReadAll(answer.Body)
		if err != nil {
			return 0, err.Error()
		}
		return answer.StatusCode, string(b)
	}
	arrived := func() int { mu.Lock(); defer mu.Unlock(); return len(bodies) }

	if status, body := ask(t.Context()); status != http.StatusOK || body != p.addr {
		t.Errorf("well: %d %q", status, body)
	}
	p.is(moodAway)
	if status, body := ask(t.Context()); status != 0 || !strings.Contains(body, "EOF") || arrived() != 1 {
		t.Errorf("away: %d %q arrived=%d", status, body, arrived())
	}
	p.is(moodRefusing)
	var answers = map[int]int{}
	for range 50 {
		status, _ := ask(t.Context())
		answers[status]++
	}
	if answers[200] == 0 || answers[503] == 0 || answers[200]+answers[503] != 50 || arrived() != 1+answers[200] {
		t.Errorf("refusing: %v arrived=%d", answers, arrived())
	}
	p.is(moodForgetful)
	before := arrived()
	clear(answers)
	for range 50 {
		status, _ := ask(t.Context())
		answers[status]++
	}
	if answers[200] == 0 || answers[0] == 0 || arrived() != before+50 {
		t.Errorf("forgetful: %v arrived=%d", answers, arrived()-before)
	}
	p.is(moodSilent)
	answered, spoilt := make(chan int, 1), p.served()
	go func() { status, _ := ask(context.Background()); answered <- status }()
	for tick := time.NewTicker(time.Millisecond); p.served() == spoilt; <-tick.C {
		select {
		case status := <-answered:
			t.Fatalf("silent: answered %d", status)
		default:
		}
	}
	p.is(moodWell)
	<-answered
	if status, _ := ask(t.Context()); status != http.StatusOK {
		t.Errorf("well again: %d", status)
	}
}
