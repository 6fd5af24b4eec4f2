package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidelinehq/tideline/internal/child"
	"github.com/tidelinehq/tideline/internal/devtools"
)

const (
	brokers = 3
	bucket  = "tideline"
	user    = "tideline"
	secret  = "tideline-secret"

	// readyTimeout bounds a start: a recovery of a full WAL on a small, busy machine.
	readyTimeout = 2 * time.Minute
	// stopPatience is longer than the program allows itself for a graceful stop.
	stopPatience = 75 * time.Second
	minioPort    = 9000
)

// options are the command's flags, and where it writes.
type options struct {
	dir, binary string
	shift       int
	settings    settings
	traces      bool
	out         io.Writer
	colour      bool
}

// settings are those of the flags -set.
type settings []string

func (s *settings) String() string     { return strings.Join(*s, " ") }
func (s *settings) Set(v string) error { *s = append(*s, v); return nil }

// one is a program of the cluster.
type one struct {
	name    string
	process *child.Process
	ready   <-chan string // its ready line
}

// cluster is what runs.
type cluster struct {
	o       *options
	out     *lines
	all     []one         // in the order in which they were started
	ended   chan struct{} // of one element: a program has ended
	traces  *traces       // nil: off
	address func(port int) string
}

// run starts everything, waits for ctx, and stops everything.
func run(ctx context.Context, o *options) (err error) {
	c := &cluster{o: o, out: &lines{to: o.out, colour: o.colour}, ended: make(chan struct{}, 1)}
	c.address = func(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port+o.shift)) }
	defer func() { err = errors.Join(err, c.stop()) }()
	if err := c.start(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // asked to stop before it served
		}
		return err
	}
	c.say()
	select {
	case <-ctx.Done():
		return nil
	case <-c.ended:
		return c.dead()
	}
}

func (c *cluster) kafka(broker int) string    { return c.address(9092 + 100*broker) }
func (c *cluster) internal(broker int) string { return c.address(9093 + 100*broker) }
func (c *cluster) http(broker int) string     { return c.address(8080 + 100*broker) }

// start returns when all serve.
func (c *cluster) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	// Built first: that takes minutes once, and is not to count as a start.
	minio, err := devtools.Path(context.WithoutCancel(ctx), "minio")
	if err != nil {
		return err
	}
	// Asked before anything runs: what answers on a port that is taken would be taken for ours.
	if err := c.portsAreFree(); err != nil {
		return err
	}
	if c.o.traces {
		if c.traces, err = showTraces(c.address(tracesPort)); err != nil {
			return err
		}
	}
	objects := filepath.Join(c.o.dir, "minio")
	if err := os.MkdirAll(filepath.Join(objects, bucket), 0o755); err != nil {
		return err
	}
	if err := c.launch("minio", []string{"MINIO_ROOT_USER=" + user, "MINIO_ROOT_PASSWORD=" + secret, "MINIO_UPDATE=off", "MINIO_BROWSER=off"},
		minio, "server", "--quiet", "--address", c.address(minioPort), objects); err != nil {
		return err
	}
	if err := c.awaitPort(ctx, c.address(minioPort)); err != nil {
		return err
	}
	for i := range brokers {
		args := []string{"server"}
		for _, s := range append(c.settingsOf(i), c.o.settings...) {
			args = append(args, "--set", s)
		}
		if err := c.launch("broker "+strconv.Itoa(i+1), append(credentials(), c.tracing()...), c.o.binary, args...); err != nil {
			return err
		}
	}
	for _, p := range c.all[1:] {
		select {
		case <-p.ready:
		case <-c.ended:
			return c.dead()
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w", p.name, ctx.Err())
		}
	}
	return nil
}

func credentials() []string {
	return []string{"AWS_ACCESS_KEY_ID=" + user, "AWS_SECRET_ACCESS_KEY=" + secret, "AWS_SESSION_TOKEN=", "AWS_EC2_METADATA_DISABLED=true"}
}

// tracing is the environment that sends spans here, at once.
func (c *cluster) tracing() []string {
	if c.traces == nil {
		return nil
	}
	return []string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + c.address(tracesPort), "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf",
		"OTEL_METRICS_EXPORTER=none", "OTEL_LOGS_EXPORTER=none", "OTEL_BSP_SCHEDULE_DELAY=200"}
}

// store is the object.store of the brokers.
func (c *cluster) store() string {
	return "s3://" + bucket + "/cluster?endpoint=http://" + c.address(minioPort) + "&region=us-east-1&path_style=true&driver=minio"
}

func (c *cluster) settingsOf(broker int) []string {
	var seeds []string
	for i := range brokers {
		seeds = append(seeds, c.internal(i))
	}
	return []string{
		"node.id=" + strconv.Itoa(broker+1), "data.dir=" + filepath.Join(c.o.dir, strconv.Itoa(broker+1)), "object.store=" + c.store(),
		"listeners=PLAINTEXT://" + c.kafka(broker), "rpc.listener=" + c.internal(broker), "http.listener=" + c.http(broker),
		"schema.registry.listener=" + c.address(8081+100*broker), "rest.listener=" + c.address(8082+100*broker),
		"cluster.seeds=" + strings.Join(seeds, ","), "default.replication.factor=3", "offsets.topic.replication.factor=3",
		"min.insync.replicas=2", "broker.rack=rack-" + strconv.Itoa(broker+1),
		"cache.disk.bytes=256MiB", // reserved at once; the default supposes a disk of each broker's own
	}
}

func (c *cluster) portsAreFree() (err error) {
	addrs := []string{c.address(minioPort)}
	if c.o.traces {
		addrs = append(addrs, c.address(tracesPort))
	}
	for i := range brokers {
		addrs = append(addrs, c.kafka(i), c.internal(i), c.http(i))
	}
	for _, addr := range addrs {
		l, failed := net.Listen("tcp", addr)
		if failed != nil {
			return fmt.Errorf("a port is taken, maybe by a cluster that runs: %w", failed)
		}
		defer func() { err = errors.Join(err, l.Close()) }()
	}
	return nil
}

// awaitPort returns when somebody listens on addr.
func (c *cluster) awaitPort(ctx context.Context, addr string) error {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	var d net.Dialer
	for {
		if conn, err := d.DialContext(ctx, "tcp", addr); err == nil {
			return conn.Close()
		}
		select {
		case <-ticker.C:
		case <-c.ended:
			return c.dead()
		case <-ctx.Done():
			return fmt.Errorf("nobody listens on %s: %w", addr, ctx.Err())
		}
	}
}

// launch runs a program.
func (c *cluster) launch(name string, env []string, program string, args ...string) error {
	cmd := exec.Command(program, args...)
	// What would configure a broker comes from here alone.
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "TIDELINE_") }), env...)
	out := c.out.of(name)
	cmd.Stdout, cmd.Stderr = out, out
	p, err := child.Start(cmd)
	if err != nil {
		return fmt.Errorf("start %s: %w", name, err)
	}
	c.all = append(c.all, one{name, p, out.ready})
	go func() {
		<-p.Done()
		out.end()
		select {
		case c.ended <- struct{}{}:
		default:
		}
	}()
	return nil
}

// dead says which program has ended by itself.
func (c *cluster) dead() error {
	for _, p := range c.all {
		select {
		case <-p.process.Done():
			if err := p.process.Err(); err != nil {
				return fmt.Errorf("%s ended by itself: %w", p.name, err)
			}
			return fmt.Errorf("%s ended by itself", p.name)
		default:
		}
	}
	return errors.New("a program ended by itself")
}

// stop ends what runs, the last first; MinIO, which all need, is the first.
func (c *cluster) stop() error {
	var errs []error
	for _, p := range slices.Backward(c.all) {
		select {
		case <-p.process.Done():
			continue // it is known why
		default:
		}
		c.out.say("stopping " + p.name)
		if err := p.process.Stop(stopPatience); err != nil && p.name != "minio" { // MinIO's exit says nothing
			errs = append(errs, fmt.Errorf("stop %s: %w", p.name, err))
		}
	}
	if c.traces != nil { // last: the brokers send what they have when they stop
		errs = append(errs, c.traces.stop())
	}
	return errors.Join(errs...)
}

// say prints where everything is.
func (c *cluster) say() {
	var kafka, web []string
	for i := range brokers {
		kafka = append(kafka, c.kafka(i))
		web = append(web, "http://"+c.http(i))
	}
	addresses := strings.Join(kafka, ",")
	c.out.say("three brokers serve; Ctrl-C stops them, the data stay in " + c.o.dir)
	c.out.say("http   " + strings.Join(web, " "))
	if c.traces != nil {
		c.out.say("traces http://" + c.address(tracesPort) + "/traces")
	}
	c.out.say("s3     http://" + c.address(minioPort) + " bucket=" + bucket + " user=" + user + " password=" + secret)
	c.out.say("try    export TIDELINE_BROKERS=" + addresses + "; " + c.o.binary + " topic create orders --partitions 6")
	c.out.say("ready kafka=" + addresses)
}
