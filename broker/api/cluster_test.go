package api

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/tidelinehq/tideline/broker/config"
	"github.com/tidelinehq/tideline/metadata"
	command "github.com/tidelinehq/tideline/metadata/record"
)

// cluster is an image with several brokers, and the way to change it: an API in
// front of it answers as a broker of a real cluster would.
type cluster struct {
	t   testing.TB
	api *API

	mu    sync.Mutex
	image *metadata.Image
	fail  error  // what proposals meet
	first func() // called once, before the next proposal is applied
}

const clients = "PLAINTEXT" // the listener that requests come from

var theTime = time.UnixMilli(1_700_000_000_000)

// newCluster has brokers 1 to n in service.
func newCluster(t testing.TB, n int, settings ...string) *cluster {
	t.Helper()
	c := &cluster{t: t, image: new(metadata.Image)}
	cfg, err := config.Load(config.Sources{Set: append([]string{"data.dir=" + t.TempDir()}, settings...), Machine: config.ThisMachine()})
	if err != nil {
		t.Fatal(err)
	}
	c.api = New(Deps{Config: cfg, Metadata: c}, func() time.Time { return theTime }, slog.New(slog.DiscardHandler), nil)
	t.Cleanup(c.api.Close)
	c.apply(&command.InitCluster{ClusterID: "cluster"})
	for id := range int32(n) {
		c.register(&command.RegisterBroker{ID: id + 1, Endpoints: []command.Endpoint{
			{Listener: clients, Host: "host", Port: 9092 + id, Protocol: "PLAINTEXT"},
			{Listener: command.InternalListener, Host: "host", Port: 9192 + id, Protocol: "PLAINTEXT"},
		}})
	}
	return c
}

// register puts a new process of a broker into service.
func (c *cluster) register(r *command.RegisterBroker) {
	c.t.Helper()
	if r.Incarnation == (metadata.ID{}) {
		r.Incarnation = metadata.ID{byte(r.ID), 1}
	}
	epoch := c.apply(r).BrokerEpoch
	c.apply(&command.UnfenceBroker{ID: r.ID, Epoch: epoch})
}

// apply applies a command that must be accepted.
func (c *cluster) apply(cmd command.Command) command.Result {
	c.t.Helper()
	r, err := c.Propose(c.t.Context(), cmd)
	if err != nil {
		c.t.Fatalf("%s: %v", cmd.Type(), err)
	}
	return r
}

// topic creates a topic with these replicas.
func (c *cluster) topic(name string, assignments ...[]int32) metadata.ID {
	c.t.Helper()
	id := metadata.ID{0xf0, byte(c.image.TopicCount())}
	c.apply(&command.CreateTopic{ID: id, Name: name, Assignments: assignments})
	return id
}

func (c *cluster) partition(topic string, index int32) *metadata.Partition {
	c.t.Helper()
	t, ok := c.Image().Topic(topic)
	if !ok {
		c.t.Fatalf("no topic %s", topic)
	}
	p, ok := c.Image().PartitionOf(t, index)
	if !ok {
		c.t.Fatalf("no partition %d of %s", index, topic)
	}
	return p
}

// change changes a partition, which must be accepted.
func (c *cluster) change(topic string, index int32, f func(*command.PartitionChange)) {
	c.t.Helper()
	p := c.partition(topic, index)
	x := command.PartitionChange{Topic: p.Topic, Partition: index, PartitionEpoch: p.PartitionEpoch, Leader: p.Leader}
	f(&x)
	if r := c.apply(&command.ChangePartition{Entries: []command.PartitionChange{x}}); r.Entries[0].Reason != command.OK {
		c.t.Fatalf("change %s-%d: %v", topic, index, r.Entries[0].Reason)
	}
}

func (c *cluster) fence(id int32) {
	c.t.Helper()
	b, _ := c.Image().Broker(id)
	c.apply(&command.FenceBroker{ID: id, Epoch: b.Epoch})
}

// Image implements Metadata.
func (c *cluster) Image() *metadata.Image {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.image
}

// Controller implements Metadata.
func (c *cluster) Controller() int32 { return 1 }

// Propose implements Metadata.
func (c *cluster) Propose(_ context.Context, cmd command.Command) (command.Result, error) {
	c.t.Helper()
	c.mu.Lock()
	first := c.first
	c.first = nil
	c.mu.Unlock()
	if first != nil {
		first()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fail != nil {
		return command.Result{}, c.fail
	}
	next, r := metadata.Apply(c.image, c.image.Index()+1, cmd)
	c.image = next
	if err := metadata.Check(next); err != nil {
		c.t.Fatal(err)
	}
	return r, r.Reason.Err()
}

// AlterPartitions implements Metadata.
func (c *cluster) AlterPartitions(ctx context.Context, changes []command.PartitionChange) ([]command.EntryResult, error) {
	r, err := c.Propose(ctx, &command.ChangePartition{Entries: changes})
	return r.Entries, err
}

// CreateTopic implements Metadata.
// CatchUp implements Metadata: nobody is ahead.
func (c *cluster) CatchUp(context.Context) error { return nil }

func (c *cluster) CreateTopic(ctx context.Context, cmd *command.CreateTopic) error {
	_, err := c.Propose(ctx, cmd)
	return err
}

// CreatePartitions implements Metadata.
func (c *cluster) CreatePartitions(ctx context.Context, cmd *command.CreatePartitions) error {
	_, err := c.Propose(ctx, cmd)
	return err
}

// DeleteTopic implements Metadata.
func (c *cluster) DeleteTopic(ctx context.Context, topic metadata.ID, now time.Time) error {
	_, err := c.Propose(ctx, &command.DeleteTopic{ID: topic, At: now.UnixMilli()})
	return err
}

// ask sends a request in a version, through its bytes as a client would, and
// returns the answer as the client reads it.
func ask[R kmsg.Response](c *cluster, version int16, req kmsg.Request) R {
	c.t.Helper()
	return askOn[R](c, clients, version, req)
}

func askOn[R kmsg.Response](c *cluster, listener string, version int16, req kmsg.Request) R {
	c.t.Helper()
	e := lookup(req.Key())
	if e == nil || version < e.min || version > e.max {
		c.t.Fatalf("%s v%d is not served", kmsg.NameForKey(req.Key()), version)
	}
	req.SetVersion(version)
	got := kmsg.RequestForKey(req.Key())
	got.SetVersion(version)
	if err := got.ReadFrom(req.AppendTo(nil)); err != nil {
		c.t.Fatal(err)
	}
	resp := e.handle(&Call{Context: c.t.Context(), API: c.api, Request: got, Version: version, Listener: listener})
	resp.SetVersion(version)
	answer := req.ResponseKind()
	answer.SetVersion(version)
	if err := answer.ReadFrom(resp.AppendTo(nil)); err != nil {
		c.t.Fatal(err)
	}
	return answer.(R)
}

// code returns an error code by its name.
func code(code int16) string {
	if code == 0 {
		return "NONE"
	}
	return kerr.TypedErrorForCode(code).Message
}
