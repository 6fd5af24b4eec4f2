package brokertest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tidelinehq/tideline/internal/freeport"
)

// ClusterOptions say how the brokers of a cluster are run.
type ClusterOptions struct {
	Settings map[string]string   // of all of them
	Each     []map[string]string // of one, above Settings; may be shorter than the cluster
	Env      []string            // added to the test's own environment
	// Dirs are the data directories, one for each broker; none: temporary ones of the test.
	Dirs []string
	// ObjectStore is the one that they share; empty: a temporary directory of the test.
	ObjectStore string
	// Logs is a directory where the whole logs go, broker-1.log and so on; empty: only their ends are kept.
	Logs string
	// Binary is the program; empty: that of this source.
	Binary string
	// Places are where the brokers run, one for each; none: on loopback.
	Places []Place
}

// Place is where a broker of a cluster runs.
type Place struct {
	Host   string   // its address, which has to itself the ports that are Tideline's defaults
	Within []string // the command through which the program is run: ip netns exec NAME
}

// Cluster is a number of brokers, each in a process of its own. They are numbered from 0; their node.id is one more.
type Cluster struct {
	tb      testing.TB
	brokers []*Process
}

// StartCluster builds the program if need be, runs n brokers that make a cluster, and returns when all serve. They are ended with the
// test. Topics get three replicas, of which two must be in sync, unless the settings say otherwise.
func StartCluster(tb testing.TB, n int, o ClusterOptions) *Cluster {
	tb.Helper()
	binary, err := o.Binary, error(nil)
	if binary == "" {
		binary, err = Binary()
	}
	if err != nil {
		tb.Fatal(err)
	}
	if o.ObjectStore == "" {
		o.ObjectStore = "file://" + tb.TempDir()
	}
	for len(o.Dirs) < n {
		o.Dirs = append(slices.Clone(o.Dirs), tb.TempDir())
	}
	c := &Cluster{tb: tb}
	tb.Cleanup(c.cleanup)
	var logs []*os.File
	for i := range n {
		if o.Logs != "" {
			f, err := os.OpenFile(filepath.Join(o.Logs, fmt.Sprintf("broker-%d.log", i+1)), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
			if err != nil {
				tb.Fatal(err)
			}
			logs = append(logs, f)
		}
	}
	c.brokers = newBrokers(tb, binary, n, &o)
	for i := range logs {
		c.brokers[i].logFile = logs[i]
	}
	if err := launchAll(c.brokers); err != nil {
		tb.Fatalf("start cluster: %v%s", err, c.Logs())
	}
	return c
}

// newBrokers are the brokers of a cluster on ports that are free now. None of them runs.
func newBrokers(tb testing.TB, binary string, n int, o *ClusterOptions) []*Process {
	addrs := freeport.ForTest(tb, 3*n)
	place := func(i int) (kafka, rpc, http string, within []string) {
		if i < len(o.Places) && o.Places[i].Host != "" {
			at := func(port string) string { return net.JoinHostPort(o.Places[i].Host, port) }
			return at("9092"), at("9093"), at("8080"), o.Places[i].Within
		}
		return addrs[3*i], addrs[3*i+1], addrs[3*i+2], nil
	}
	var seeds []string
	for i := range n {
		_, rpc, _, _ := place(i)
		seeds = append(seeds, rpc)
	}
	var brokers []*Process
	for i := range n {
		kafka, rpc, http, within := place(i)
		settings := map[string]string{
			"node.id": strconv.Itoa(i + 1), "data.dir": o.Dirs[i], "object.store": o.ObjectStore,
			"listeners": "PLAINTEXT://" + kafka, "http.listener": http, "rpc.listener": rpc, "cluster.seeds": strings.Join(seeds, ","),
			"default.replication.factor": "3", "offsets.topic.replication.factor": "3", "min.insync.replicas": "2",
			"http.allow.unauthenticated": "true",  // the network of a place is its own
			"cache.disk.bytes":           "64MiB", // reserved at once; the default supposes a disk of each broker's own
		}
		maps.Copy(settings, o.Settings)
		if i < len(o.Each) {
			maps.Copy(settings, o.Each[i])
		}
		brokers = append(brokers, &Process{
			tb: tb, binary: binary, kafka: kafka, http: http, within: within, args: []string{"server"},
			options: Options{Settings: settings, Env: o.Env, Dir: o.Dirs[i]},
		})
	}
	return brokers
}

// launchAll runs brokers side by side, for none serves before a majority is there, and returns when all serve.
func launchAll(brokers []*Process) error {
	var errs []error
	for _, p := range brokers {
		if err := p.begin(); err != nil {
			errs = append(errs, err)
		}
	}
	for _, p := range brokers {
		if p.running != nil {
			if err := p.awaitReady(); err != nil {
				errs = append(errs, fmt.Errorf("node.id=%s: %w", p.options.Settings["node.id"], err))
			}
		}
	}
	return errors.Join(errs...)
}

// Size is the number of brokers.
func (c *Cluster) Size() int { return len(c.brokers) }

// Broker is one of them. It may be used by itself.
func (c *Cluster) Broker(i int) *Process { return c.brokers[i] }

// Addresses are where Kafka clients connect, in the order of the brokers.
func (c *Cluster) Addresses() []string {
	var out []string
	for _, p := range c.brokers {
		out = append(out, p.kafka)
	}
	return out
}

// Kill ends brokers at once with SIGKILL, all at the same moment as far as that can be.
func (c *Cluster) Kill(brokers ...int) {
	c.tb.Helper()
	var runs []*running
	for _, i := range brokers {
		runs = append(runs, c.brokers[i].take("kill"))
	}
	for _, run := range runs {
		_ = run.Signal(os.Kill) // one that has ended needs none
	}
	for _, run := range runs {
		if err := run.Kill(); err != nil {
			c.tb.Fatalf("kill tideline: %v", err)
		}
	}
}

// Pause suspends a broker: it answers nothing, and keeps its connections, until Resume.
func (c *Cluster) Pause(i int) { c.tb.Helper(); c.brokers[i].Pause() }

// Resume lets a suspended broker go on.
func (c *Cluster) Resume(i int) { c.tb.Helper(); c.brokers[i].Resume() }

// Stop ends a broker politely with SIGTERM.
func (c *Cluster) Stop(i int) { c.tb.Helper(); c.brokers[i].Stop() }

// Restart starts brokers that do not run on the same ports and data, and returns when all of them serve.
func (c *Cluster) Restart(brokers ...int) {
	c.tb.Helper()
	var ended []*Process
	for _, i := range brokers {
		if !c.brokers[i].Ended() {
			c.tb.Fatalf("restart tideline: it is running node.id=%d", i+1)
		}
		ended = append(ended, c.brokers[i])
	}
	if err := launchAll(ended); err != nil {
		c.tb.Fatalf("restart tideline: %v", err)
	}
}

// Begin starts a broker that does not run, and does not wait until it serves. Kill ends it.
func (c *Cluster) Begin(i int) {
	c.tb.Helper()
	if !c.brokers[i].Ended() {
		c.tb.Fatalf("begin tideline: it is running node.id=%d", i+1)
	}
	if err := c.brokers[i].begin(); err != nil {
		c.tb.Fatalf("begin tideline: %v node.id=%d", err, i+1)
	}
}

// WipeDisk removes all that a broker which does not run has on its disk.
func (c *Cluster) WipeDisk(i int) {
	c.tb.Helper()
	if !c.brokers[i].Ended() {
		c.tb.Fatalf("wipe the disk of tideline: it is running node.id=%d", i+1)
	}
	if err := wipe(c.brokers[i].Dir()); err != nil {
		c.tb.Fatalf("wipe the disk of tideline: %v", err)
	}
}

// wipe empties a directory, which may be where a disk is mounted.
func wipe(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if e.Name() != "lost+found" {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	return err
}

// Logs is the newest part of what each broker wrote.
func (c *Cluster) Logs() string {
	var b strings.Builder
	for i, p := range c.brokers {
		fmt.Fprintf(&b, "\n--- log of node.id=%d kafka=%s\n%s", i+1, p.kafka, p.Log())
	}
	return b.String()
}

// AwaitRest waits until every broker that runs tells of the same leaders, and all replicas of all partitions are in sync.
func (c *Cluster) AwaitRest(ctx context.Context) {
	c.tb.Helper()
	if err := c.Rest(ctx); err != nil {
		c.tb.Fatalf("%v%s", err, c.Logs())
	}
}

// cleanup ends all brokers together: alone, one of them could not hand over what it leads.
func (c *Cluster) cleanup() {
	done := make(chan struct{})
	for _, p := range c.brokers {
		go func() { p.cleanup(); done <- struct{}{} }()
	}
	for range c.brokers {
		<-done
	}
}
