package inprocess

import (
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"testing"

	"github.com/tidelinehq/tideline/internal/freeport"
)

// Cluster is a number of brokers inside the test process that make a cluster over loopback. They are numbered from 0; their node.id is
// one more. Its methods must not be called at the same time.
type Cluster struct {
	tb    testing.TB
	nodes []*node
	addrs []string
}

// StartCluster runs n brokers and returns when all serve. Topics get three replicas, of which two must be in sync, unless the settings
// say otherwise. The brokers are stopped with the test.
func StartCluster(tb testing.TB, n int, settings map[string]string) *Cluster {
	tb.Helper()
	free := freeport.ForTest(tb, 2*n)
	kafka, rpc := free[:n], free[n:]
	store := "file://" + tb.TempDir()
	c := &Cluster{tb: tb, addrs: kafka}
	tb.Cleanup(func() {
		// Together: alone, the last could not hand over what it leads. The nodes' own cleanups find them stopped.
		if err := all(c.nodes, (*node).stop); err != nil {
			tb.Errorf("stop cluster: %v", err)
		}
	})
	for i := range n {
		one := map[string]string{
			"node.id": strconv.Itoa(i + 1), "object.store": store, "listeners": "PLAINTEXT://" + kafka[i], "rpc.listener": rpc[i],
			"cluster.seeds": strings.Join(rpc, ","), "default.replication.factor": "3", "offsets.topic.replication.factor": "3",
			"min.insync.replicas": "2",
		}
		maps.Copy(one, settings)
		c.nodes = append(c.nodes, newNode(tb, one))
	}
	if err := all(c.nodes, (*node).start); err != nil {
		tb.Fatalf("start cluster: %v", err)
	}
	return c
}

// Addresses are where Kafka clients connect, in the order of the brokers.
func (c *Cluster) Addresses() []string { return c.addrs }

// Stop ends a broker in order.
func (c *Cluster) Stop(i int) {
	c.tb.Helper()
	if err := c.nodes[i].stop(); err != nil {
		c.tb.Fatalf("stop broker: %v node.id=%d", err, i+1)
	}
}

// Restart starts a broker that was stopped on the same ports and data, and returns when it serves.
func (c *Cluster) Restart(i int) {
	c.tb.Helper()
	if c.nodes[i].b != nil {
		c.tb.Fatalf("restart broker: it is running node.id=%d", i+1)
	}
	if err := c.nodes[i].start(); err != nil {
		c.tb.Fatalf("restart broker: %v node.id=%d", err, i+1)
	}
}

// all does something with all nodes side by side.
func all(nodes []*node, do func(*node) error) error {
	results := make(chan error, len(nodes))
	for i, n := range nodes {
		go func() {
			err := do(n)
			if err != nil {
				err = fmt.Errorf("node.id=%d: %w", i+1, err)
			}
			results <- err
		}()
	}
	var errs []error
	for range nodes {
		errs = append(errs, <-results)
	}
	return errors.Join(errs...)
}
