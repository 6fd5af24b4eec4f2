package telemetry

import (
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// NewRegistry returns a registry that already has what Go, the process and the
// build tell about themselves. The build is tideline_build_info{version,commit}.
func NewRegistry(version, commit string) *prometheus.Registry {
	registry := prometheus.NewRegistry()
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "tideline_build_info",
		Help:        "Always 1; its labels tell which build runs.",
		ConstLabels: prometheus.Labels{"version": version, "commit": commit},
	})
	build.Set(1)
	registry.MustRegister(build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return registry
}

// AdminOptions is what the admin endpoints show.
type AdminOptions struct {
	Listener net.Addr // the address that is served; decides about /debug/pprof
	Gatherer prometheus.Gatherer
	Healthy  func() error // nil while the process should live
	Ready    func() error // nil while clients should be sent here
	Logger   *slog.Logger
}

// scrapes bounds the gatherings of metrics that run at once, and scrapeTimeout
// how long one may take: a scraper that hangs must not pile up work.
const (
	scrapes       = 4
	scrapeTimeout = 10 * time.Second
)

// NewAdminMux returns a mux with /metrics, /healthz, /readyz and, when the
// listener is a loopback address, /debug/pprof. The caller adds what else it
// serves there.
func NewAdminMux(o AdminOptions) *http.ServeMux {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(o.Gatherer, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(o.Logger.Handler(), slog.LevelWarn),
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: scrapes,
		Timeout:             scrapeTimeout,
		EnableOpenMetrics:   true,
	}))
	mux.HandleFunc("GET /healthz", probe(o.Healthy))
	mux.HandleFunc("GET /readyz", probe(o.Ready))
	if Loopback(o.Listener) {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	return mux
}

// probe answers 200 and "ok", or 503 and the reason.
func probe(check func() error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		text := "ok\n"
		if err := check(); err != nil {
			text = err.Error() + "\n"
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		// The prober that does not wait for its answer needs none.
		_, _ = w.Write([]byte(text))
	}
}

// Loopback reports whether an address can be reached from this machine only.
func Loopback(a net.Addr) bool {
	tcp, ok := a.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}
