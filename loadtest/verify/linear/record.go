package linear

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Options describe a test. The zero value of a field means what is said beside it.
type Options struct {
	Brokers []string
	Clients int // 6
	Topics  int // that exist, or do not, at the same time; 4
	Ops     int // after which the test ends, all clients together; 2,000
	Seed    uint64
	Client  []kgo.Opt // for every client: TLS, SASL, a dialer
}

const (
	maxClients = 64
	maxTopics  = 1000
	maxOps     = 200_000
	// opsPerName and openPerName bound what the checker has to order: it is exponential in what was going on at the same time.
	opsPerName  = 60
	openPerName = 4

	maxTopicPartitions = 12
	setting            = "retention.ms"
	firstValue         = 1_000_000_000 // eleven days, so that nothing is deleted
	requestTimeout     = 5 * time.Second
	betweenFailures    = 100 * time.Millisecond // so that a cluster that is away does not use up the operations
)

func (o *Options) complete() error {
	for _, n := range []struct {
		name           string
		value          *int
		standard, most int
	}{{"clients", &o.Clients, 6, maxClients}, {"topics", &o.Topics, 4, maxTopics}, {"ops", &o.Ops, 2000, maxOps}} {
		if *n.value == 0 {
			*n.value = n.standard
		}
		if *n.value < 1 || *n.value > n.most {
			return fmt.Errorf("value out of bounds %s=%d min=1 max=%d", n.name, *n.value, n.most)
		}
	}
	if len(o.Brokers) == 0 {
		return errors.New("no brokers are given")
	}
	return nil
}

// recorder is a test under way.
type recorder struct {
	options Options
	began   time.Time
	prefix  string

	mu      sync.Mutex
	history []Op   // guarded by mu, as is all below
	given   int    // operations that were begun
	names   []name // of each topic, the one in use
	used    []string
	value   int64
}

// name is the name of a topic in use.
type name struct {
	text  string
	begun int // operations on it
	open  int // of those, without an answer
}

// Record has clients work on topics until all operations are done or the context ends, and returns the history. It removes the topics that are
// left, as far as the cluster lets it.
func Record(ctx context.Context, o Options) ([]Op, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	client, err := newClient(&o)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	brokers, err := members(ctx, client)
	if err != nil {
		return nil, err
	}
	var id [4]byte
	random := rand.New(rand.NewPCG(o.Seed, uint64(time.Now().UnixNano()))) // names differ from test to test, whatever the seed
	for i := range id {
		id[i] = byte(random.Uint32())
	}
	r := &recorder{options: o, began: time.Now(), prefix: "linear-" + hex.EncodeToString(id[:]), names: make([]name, o.Topics), value: firstValue}
	var clients sync.WaitGroup
	failures := make(chan error, o.Clients)
	for n := range o.Clients {
		clients.Go(func() {
			if err := r.client(ctx, n, brokers); err != nil {
				failures <- err
			}
		})
	}
	clients.Wait()
	close(failures)
	for failure := range failures {
		err = errors.Join(err, failure)
	}
	end := int64(time.Since(r.began))
	for i := range r.history {
		if r.history[i].Outcome == Unknown {
			r.history[i].Return = end
		}
	}
	r.remove(context.WithoutCancel(ctx), client)
	return r.history, err
}

func newClient(o *Options) (*kgo.Client, error) {
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(o.Brokers...), kgo.ClientID("tideline-verify"), kgo.DialTimeout(time.Second),
		kgo.RequestTimeoutOverhead(requestTimeout), kgo.MetadataMinAge(100 * time.Millisecond), kgo.DisableClientMetrics()}, o.Client...)...)
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	return client, nil
}

// members are the brokers of the cluster, as one of them knows them.
func members(ctx context.Context, client *kgo.Client) ([]int32, error) {
	req := kmsg.NewPtrMetadataRequest()
	req.Topics = []kmsg.MetadataRequestTopic{}
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("ask for the brokers: %w", err)
	}
	var ids []int32
	for _, b := range resp.Brokers {
		ids = append(ids, b.NodeID)
	}
	if len(ids) == 0 {
		return nil, errors.New("the cluster names no brokers")
	}
	return ids, nil
}

// client is one client: one operation after the other, each through a broker that chance picks.
func (r *recorder) client(ctx context.Context, number int, brokers []int32) error {
	client, err := newClient(&r.options)
	if err != nil {
		return err
	}
	defer client.Close()
	if _, err := members(ctx, client); err != nil { // it knows the brokers from now on
		return err
	}
	random := rand.New(rand.NewPCG(r.options.Seed, uint64(number)))
	for ctx.Err() == nil {
		op, slot, ok := r.next(random)
		if !ok {
			return nil
		}
		op.Client, op.Broker = number, brokers[random.IntN(len(brokers))]
		op.Call = int64(time.Since(r.began))
		sent := perform(ctx, client.Broker(int(op.Broker)), &op)
		op.Return = int64(time.Since(r.began))
		r.record(op, slot, sent)
		if !sent || op.Outcome == Unknown {
			pause(ctx, betweenFailures)
			// The brokers may have come back elsewhere. Where nobody answers, the next operation finds out.
			_, _ = members(ctx, client)
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// next draws an operation. A name that has had enough of them is replaced by a new one.
func (r *recorder) next(random *rand.Rand) (op Op, slot int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.given >= r.options.Ops {
		return Op{}, 0, false
	}
	r.given++
	slot = random.IntN(len(r.names))
	n := &r.names[slot]
	if n.text == "" || n.begun >= opsPerName || n.open >= openPerName {
		*n = name{text: r.prefix + "-" + strconv.Itoa(len(r.used))}
		r.used = append(r.used, n.text)
	}
	n.begun++
	r.value++
	op = Op{Topic: n.text, Partitions: 1 + random.Int32N(maxTopicPartitions), Value: r.value}
	switch p := random.IntN(100); {
	case p < 22:
		op.Kind, op.Partitions = Create, 1+random.Int32N(3)
	case p < 34:
		op.Kind = Delete
	case p < 46:
		op.Kind = AddPartitions
	case p < 62:
		op.Kind = SetConfig
	case p < 81:
		op.Kind = Metadata
	default:
		op.Kind = Describe
	}
	return op, slot, true
}

// record adds an operation to the history, unless it certainly never arrived.
func (r *recorder) record(op Op, slot int, sent bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !sent {
		return
	}
	r.history = append(r.history, op)
	if n := &r.names[slot]; op.Outcome == Unknown && !op.read() && n.text == op.Topic {
		n.open++
	}
}

// remove deletes the topics that are left.
func (r *recorder) remove(ctx context.Context, client *kgo.Client) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	for _, text := range r.used {
		req := kmsg.NewPtrDeleteTopicsRequest()
		t := kmsg.NewDeleteTopicsRequestTopic()
		t.Topic = &text
		req.Topics, req.TopicNames, req.TimeoutMillis = append(req.Topics, t), []string{text}, int32(requestTimeout.Milliseconds())
		if _, err := req.RequestWith(ctx, client); err != nil {
			return // what stays behind is a few empty topics
		}
	}
}

// notSent are errors of requests that certainly had no effect.
func notSent(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial" || errors.Is(err, kerr.NotController) || errors.Is(err, kerr.ThrottlingQuotaExceeded)
}
