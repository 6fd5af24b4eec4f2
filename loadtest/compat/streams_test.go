package compat

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	shopPartitions = 4
	shopOrders     = 300 // in each of three parts
	shopTimeout    = 4 * time.Minute
)

// TestStreams runs clients/java/Shop.java, a Kafka Streams application with joins, windows and state under exactly_once_v2, as two
// instances. One is killed and comes again, then a broker is. The results must be those of each order counted once.
func TestStreams(t *testing.T) {
	for _, protocol := range []string{"classic", "streams"} {
		t.Run(protocol, func(t *testing.T) { testStreams(t, startSystem(t), protocol) })
	}
}

func testStreams(t *testing.T, on system, protocol string) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*shopTimeout)
	defer cancel()
	c, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(on.Bootstrap(), ",")...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	admin := kadm.NewClient(c)
	if _, err := admin.CreateTopic(ctx, shopPartitions, -1, map[string]*string{"cleanup.policy": kadm.StringPtr("compact")}, "customers"); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.CreateTopics(ctx, shopPartitions, -1, nil, "orders", "payments", "totals", "paid"); err != nil {
		t.Fatal(err)
	}
	shop := &shop{client: c, totals: map[string][2]int64{}, paid: map[string]string{}}
	shop.enroll(ctx, t)

	app := "shop-" + protocol
	start := func(i int, state string) *session {
		t.Helper()
		path := strings.Join([]string{classes(t), filepath.Join(jars(t), "*"), filepath.Join(extras(t), "lib", "*")}, ":")
		argv := append(slices.Clone(javaFlags), "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", path, "Shop", on.Bootstrap(), app, state, protocol)
		return startSession(t, fmt.Sprintf("instance %d", i), exec.Command("java", argv...))
	}
	running := func(instances ...*session) {
		t.Helper()
		waitFor(t, shopTimeout, func() string { return "the instances run: " + states(instances) }, outputs(instances), func() bool {
			return !slices.ContainsFunc(instances, func(s *session) bool {
				lines := s.output.all()
				return len(lines) == 0 || string(lines[len(lines)-1]) != "RUNNING"
			})
		})
	}
	states := []string{t.TempDir(), t.TempDir()}
	instances := []*session{start(0, states[0]), start(1, states[1])}
	running(instances...)

	results := readResults(t, on)
	shop.sell(ctx, t)
	results.await(ctx, t, shop)
	instances[0].kill()
	shop.sell(ctx, t)
	instances[0] = start(0, states[0])
	results.await(ctx, t, shop)
	shop.sell(ctx, t)
	on.KillOne(t)
	results.await(ctx, t, shop)
	for _, s := range instances {
		s.finish()
	}
	results.check(t, shop)
}

func states(instances []*session) string {
	var all []string
	for _, s := range instances {
		all = append(all, fmt.Sprintf("%s %q", s.name, s.output.all()))
	}
	return strings.Join(all, ", ")
}

// A shop knows what it sold, and so what has to come out.
type shop struct {
	client *kgo.Client
	orders int
	totals map[string][2]int64 // count and sum, by region@minute
	paid   map[string]string   // "amount,payment", by order
}

const shopCustomers = 20

func region(customer int) string { return fmt.Sprintf("region%d", customer%3) }

// enroll writes the table of customers, before all orders.
func (s *shop) enroll(ctx context.Context, t testing.TB) {
	t.Helper()
	var records []*kgo.Record
	for i := range shopCustomers {
		records = append(records, &kgo.Record{
			Topic: "customers", Key: fmt.Appendf(nil, "customer%d", i), Value: []byte(region(i)), Timestamp: time.UnixMilli(epoch - 1000),
		})
	}
	if err := s.client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// sell writes orders, and payments for two of three.
func (s *shop) sell(ctx context.Context, t testing.TB) {
	t.Helper()
	var records []*kgo.Record
	for range shopOrders {
		n := s.orders
		s.orders++
		at, amount, customer := time.UnixMilli(epoch+int64(n)*1000), int64(n%97+1), n%shopCustomers
		order := fmt.Sprintf("order%d", n)
		records = append(records, &kgo.Record{
			Topic: "orders", Key: fmt.Appendf(nil, "customer%d", customer), Value: fmt.Appendf(nil, "%s,%d", order, amount), Timestamp: at,
		})
		key := fmt.Sprintf("%s@%d", region(customer), at.UnixMilli()/60000*60000)
		total := s.totals[key]
		s.totals[key] = [2]int64{total[0] + 1, total[1] + amount}
		if n%3 == 0 {
			continue
		}
		records = append(records, &kgo.Record{Topic: "payments", Key: []byte(order), Value: []byte("cash"), Timestamp: at.Add(time.Minute)})
		s.paid[order] = fmt.Sprintf("%d,cash", amount)
	}
	if err := s.client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// results are what a reader of committed records sees.
type results struct {
	client *kgo.Client
	counts map[string][]int64 // as they came, by region@minute
	totals map[string][2]int64
	paid   map[string][]string
}

func readResults(t testing.TB, on system) *results {
	t.Helper()
	c, err := kgo.NewClient(kgo.SeedBrokers(strings.Split(on.Bootstrap(), ",")...), kgo.ConsumeTopics("totals", "paid"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(500*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return &results{client: c, counts: map[string][]int64{}, totals: map[string][2]int64{}, paid: map[string][]string{}}
}

// await reads until the results are complete, or too much.
func (r *results) await(ctx context.Context, t testing.TB, s *shop) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, shopTimeout)
	defer cancel()
	for !r.complete(s) {
		fetches := r.client.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("after %s: %s", shopTimeout, r.missing(s))
		}
		fetches.EachRecord(func(record *kgo.Record) { r.add(t, record) })
	}
}

func (r *results) add(t testing.TB, record *kgo.Record) {
	t.Helper()
	key, value := string(record.Key), string(record.Value)
	if record.Topic == "paid" {
		r.paid[key] = append(r.paid[key], value)
		return
	}
	count, sum, ok := strings.Cut(value, ",")
	n, err := strconv.ParseInt(count, 10, 64)
	total, err2 := strconv.ParseInt(sum, 10, 64)
	if !ok || err != nil || err2 != nil {
		t.Fatalf("not a total: %q", value)
	}
	r.counts[key] = append(r.counts[key], n)
	r.totals[key] = [2]int64{n, total}
}

func (r *results) complete(s *shop) bool {
	for key, want := range s.totals {
		if r.totals[key][0] < want[0] {
			return false
		}
	}
	for order := range s.paid {
		if len(r.paid[order]) == 0 {
			return false
		}
	}
	return true
}

func (r *results) missing(s *shop) string {
	counted, sold, paid := int64(0), int64(0), 0
	for key, want := range s.totals {
		counted, sold = counted+r.totals[key][0], sold+want[0]
	}
	for order := range s.paid {
		if len(r.paid[order]) > 0 {
			paid++
		}
	}
	return fmt.Sprintf("%d of %d orders are counted, %d of %d payments joined", counted, sold, paid, len(s.paid))
}

// check compares the results with the truth: every payment joined once, every count reached in steps of one, every sum right.
func (r *results) check(t *testing.T, s *shop) {
	t.Helper()
	for order, joined := range r.paid {
		if len(joined) != 1 || joined[0] != s.paid[order] {
			t.Errorf("%s: joined %q, want %q once", order, joined, s.paid[order])
		}
	}
	for key, total := range r.totals {
		if total != s.totals[key] {
			t.Errorf("%s: counted %v, want %v", key, total, s.totals[key])
		}
		for i, n := range r.counts[key] {
			if n != int64(i)+1 {
				t.Errorf("%s: the counts came as %v", key, r.counts[key])
				break
			}
		}
	}
}
