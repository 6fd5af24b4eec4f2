package otlptest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"

	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // what exporters may compress with
)

// maxRequest bounds the bytes of one request, inflated.
const maxRequest = 16 << 20

// Receiver takes what exporters send. Make it by Start, end it by Close.
type Receiver struct {
	web     *http.Server
	rpc     *grpc.Server
	webAddr net.Addr
	rpcAddr net.Addr
	serving sync.WaitGroup

	mu      sync.Mutex
	news    chan struct{} // closed, and made anew, when something came
	spans   []Span
	metrics map[metricKey]Metric
	dropped int
}

// Start opens both doors.
func Start() (*Receiver, error) {
	web, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("otlptest: %w", err)
	}
	rpc, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("otlptest: %w", err), web.Close())
	}
	r := &Receiver{
		webAddr: web.Addr(), rpcAddr: rpc.Addr(), news: make(chan struct{}),
		rpc: grpc.NewServer(grpc.MaxRecvMsgSize(maxRequest)),
	}
	mux := http.NewServeMux()
	r.takeTraces(mux)
	r.takeMetrics(mux)
	r.web = &http.Server{Handler: mux}
	r.serving.Go(func() { _ = r.web.Serve(web) }) // it ends with Close, for which there is no other reason
	r.serving.Go(func() { _ = r.rpc.Serve(rpc) })
	return r, nil
}

// Close ends the receiver and the connections to it. What came can still be looked at.
func (r *Receiver) Close() error {
	r.rpc.Stop()
	err := r.web.Close()
	r.serving.Wait()
	return err
}

// HTTP is the endpoint for the protocol http/protobuf.
func (r *Receiver) HTTP() string { return "http://" + r.webAddr.String() }

// GRPC is the endpoint for the protocol grpc.
func (r *Receiver) GRPC() string { return "http://" + r.rpcAddr.String() }

// Environment is what a process is to have in its environment to send here at once, by
// protocol "grpc" or "http/protobuf".
func (r *Receiver) Environment(protocol string) map[string]string {
	endpoint := r.HTTP()
	if protocol == "grpc" {
		endpoint = r.GRPC()
	}
	return map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
		"OTEL_EXPORTER_OTLP_PROTOCOL": protocol,
		"OTEL_BSP_SCHEDULE_DELAY":     "20", // ms
	}
}

// come tells those who wait that something came. The caller holds the mutex.
func (r *Receiver) come() {
	close(r.news)
	r.news = make(chan struct{})
}

// await returns nil as soon as enough is true, which is asked again whenever something came.
func (r *Receiver) await(ctx context.Context, enough func() bool) error {
	for {
		r.mu.Lock()
		news := r.news
		r.mu.Unlock()
		if enough() {
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
