package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/tidelinehq/tideline/internal/freeport"
	"github.com/twmb/franz-go/pkg/kgo"
)

// clusterSize is the number of brokers of every cluster here, each of which votes on the metadata.
const clusterSize = 3

// cluster is several brokers of one system that belong together, all on this machine. They are numbered from 0; a broker's
// node.id is one more.
type cluster struct {
	name   string // kafkaName or tidelineName
	nodes  []*broker
	alive  []bool
	asks   []*kgo.Client // of the brokers, each of one
	launch func(node int) (*launch, error)
	dirs   []string // what its brokers wrote
}

// start runs so many brokers side by side, for none serves before a majority is there, and returns when all serve.
func (c *cluster) start(ctx context.Context, nodes int) error {
	var launched []*launch
	var errs []error
	for i := range nodes {
		l, err := c.launch(i)
		if err != nil {
			errs = append(errs, err)
			break
		}
		launched = append(launched, l)
	}
	for _, l := range launched {
		if len(errs) > 0 {
			l.of.proc.kill()
			continue
		}
		of, _, err := l.ready(ctx)
		if err == nil {
			err = c.add(of)
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// join starts one broker more and returns the time until it served.
func (c *cluster) join(ctx context.Context) (time.Duration, error) {
	l, err := c.launch(len(c.nodes))
	if err != nil {
		return 0, err
	}
	of, took, err := l.ready(ctx)
	if err != nil {
		return 0, err
	}
	return took, c.add(of)
}

func (c *cluster) add(of *broker) error {
	c.nodes, c.alive = append(c.nodes, of), append(c.alive, true)
	client, err := kgo.NewClient(kgo.SeedBrokers(of.addr), kgo.DialTimeout(time.Second), kgo.RequestRetries(0))
	if err != nil {
		return err
	}
	c.asks = append(c.asks, client)
	return nil
}

// kill ends a broker with SIGKILL.
func (c *cluster) kill(node int) {
	c.alive[node] = false
	c.nodes[node].proc.kill()
}

// restart starts a broker that was killed on its address and data and returns the time until it served.
func (c *cluster) restart(ctx context.Context, node int) (time.Duration, error) {
	l, err := c.launch(node)
	if err != nil {
		return 0, err
	}
	of, took, err := l.ready(ctx)
	if err != nil {
		return 0, err
	}
	c.nodes[node], c.alive[node] = of, true
	return took, nil
}

// close ends all brokers at once and removes what they wrote.
func (c *cluster) close() error {
	for _, client := range c.asks {
		client.Close()
	}
	for i := range c.nodes {
		c.kill(i)
	}
	var errs []error
	for _, dir := range c.dirs {
		errs = append(errs, os.RemoveAll(dir))
	}
	return errors.Join(errs...)
}

// addresses are where clients connect.
func (c *cluster) addresses() (out []string) {
	for _, of := range c.nodes {
		out = append(out, of.addr)
	}
	return out
}

// lastWords are the ends of the brokers' logs.
func (c *cluster) lastWords() string {
	var all strings.Builder
	for _, of := range c.nodes {
		if tail := of.proc.tail(); tail != "" {
			fmt.Fprintf(&all, "\n--- log of %s\n%s", of.proc.name, tail)
		}
	}
	return all.String()
}

// metric is the sum of a metric over brokers.
func (c *cluster) metric(ctx context.Context, nodes []*broker, name string, labels ...string) (float64, error) {
	sum := 0.0
	for _, of := range nodes {
		v, err := of.metric(ctx, name, labels...)
		if err != nil {
			return 0, err
		}
		sum += v
	}
	return sum, nil
}

// settle returns when all that was written to the cluster is in the object store and its brokers are at rest.
func (c *cluster) settle(ctx context.Context) error {
	for _, of := range c.nodes {
		if err := of.settle(ctx); err != nil {
			return err
		}
	}
	return nil
}

// tidelineClusterSettings are those of every broker of a cluster here, above tidelineSettings.
var tidelineClusterSettings = map[string]string{
	"default.replication.factor":       strconv.Itoa(clusterSize),
	"offsets.topic.replication.factor": strconv.Itoa(clusterSize),
	"min.insync.replicas":              "2",
	"wal.max.bytes":                    "2GiB", // several share one disk
	"cache.disk.bytes":                 "0",    // reserved at once
}

// startTidelineCluster starts brokers on empty directories, which share a directory as their object store: a server of it would
// take its part of the cores from all that is measured.
func (b *bench) startTidelineCluster(ctx context.Context, name string, settings map[string]string) (*cluster, error) {
	const most = clusterSize + 1 // one may join
	ports, err := freeport.Take("127.0.0.1", 3*most)
	if err != nil {
		return nil, err
	}
	objects := filepath.Join(b.dir, name+"-objects")
	c := &cluster{name: tidelineName, dirs: []string{objects}}
	for i := range most {
		c.dirs = append(c.dirs, filepath.Join(b.dir, nodeName(name, i)))
	}
	var seeds []string
	for i := range clusterSize {
		seeds = append(seeds, ports[3*i+2])
	}
	c.launch = func(node int) (*launch, error) {
		own := ports[3*node : 3*node+3]
		all := maps.Clone(tidelineClusterSettings)
		maps.Copy(all, settings)
		maps.Copy(all, map[string]string{
			"node.id": strconv.Itoa(node + 1), "cluster.seeds": strings.Join(seeds, ","), "object.store": "file://" + objects,
			"listeners": "PLAINTEXT://" + own[0], "http.listener": own[1], "rpc.listener": own[2],
		})
		return b.launchTideline(nodeName(name, node), all, nil)
	}
	if err := c.start(ctx, clusterSize); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

// kafkaClusterHeap is half of what Kafka's scripts give a broker, so that three fit beside what else runs here.
const kafkaClusterHeap = "512m"

// startKafkaCluster starts nodes that are brokers and controllers. All but the addresses are Kafka's defaults, and the
// replication factors of its internal topics are three by default.
func (b *bench) startKafkaCluster(ctx context.Context, name string) (*cluster, error) {
	ports, err := freeport.Take("127.0.0.1", 2*clusterSize)
	if err != nil {
		return nil, err
	}
	var voters []string
	for i := range clusterSize {
		voters = append(voters, strconv.Itoa(i+1)+"@"+ports[2*i+1])
	}
	c := &cluster{name: kafkaName}
	for i := range clusterSize {
		data := filepath.Join(b.dir, nodeName(name, i))
		c.dirs = append(c.dirs, data)
		err := formatKafka(ctx, b.dir, b.jars, nodeName(name, i), []string{
			"process.roles=broker,controller",
			"node.id=" + strconv.Itoa(i+1),
			"controller.quorum.voters=" + strings.Join(voters, ","),
			"controller.listener.names=CONTROLLER",
			"listeners=PLAINTEXT://" + ports[2*i] + ",CONTROLLER://" + ports[2*i+1],
			"advertised.listeners=PLAINTEXT://" + ports[2*i],
			"log.dirs=" + data,
		})
		if err != nil {
			return nil, err
		}
	}
	c.launch = func(node int) (*launch, error) {
		return launchKafka(b.dir, b.jars, nodeName(name, node), kafkaClusterHeap, ports[2*node], clusterSize)
	}
	if err := c.start(ctx, clusterSize); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

func nodeName(cluster string, node int) string { return cluster + "-" + strconv.Itoa(node+1) }

// startCluster starts one of either system.
func (b *bench) startCluster(ctx context.Context, system, name string) (*cluster, error) {
	if system == kafkaName {
		return b.startKafkaCluster(ctx, name)
	}
	return b.startTidelineCluster(ctx, name, nil)
}
