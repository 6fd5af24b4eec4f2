package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tidelinehq/tideline/loadtest/verify"
)

const (
	partitions = 6
	// restWithin is how long the cluster may take until all replicas are in sync again.
	restWithin = 90 * time.Second
	// goOnWithin is how long writing may stand still while a majority is whole: sessions of seconds end, leaders are elected, clients find them.
	goOnWithin = 30 * time.Second
	// checkWithin bounds the readings from the beginning and the checks.
	checkWithin = 5 * time.Minute
)

// TestCampaign does one fault after the other to the cluster. The flags say how many, which, and from which seed.
func TestCampaign(t *testing.T) {
	t.Logf("go test ./loadtest/chaos -run TestCampaign -v -rounds %d -leg %d -seed %d -only %q", *rounds, *leg, *seed, *only)
	s := newScene(t)
	faults, err := chosen(s)
	if err != nil {
		t.Fatal(err)
	}
	for round := 0; round < *rounds; {
		s.random = rand.New(rand.NewPCG(*seed, uint64(round)+2))
		s.begin(t.Context(), round)
		for n := 0; n < *leg && round < *rounds; n++ {
			s.random = rand.New(rand.NewPCG(*seed, uint64(round)+2))
			f := faults[s.random.IntN(len(faults))]
			if err := s.round(t.Context(), round, &f); err != nil {
				t.Fatalf("round=%d fault=%s: %v", round, f.name, err)
			}
			round++
		}
		s.end(t.Context(), round)
		if t.Failed() {
			return
		}
	}
}

// begin starts a run of verify, with settings from the seed.
func (s *scene) begin(ctx context.Context, round int) {
	s.t.Helper()
	dir := filepath.Join(s.dir, fmt.Sprintf("run-%04d", round))
	// Half of the topics have nothing on the local disks but what is not yet in the object store.
	configs := map[string]string{}
	if s.random.IntN(2) == 0 {
		configs["local.retention.bytes"], configs["local.retention.ms"] = "1", "1"
	}
	minInSync := 2
	if s.random.IntN(4) == 0 {
		minInSync = 1
	}
	o := verify.Options{
		Brokers: s.cluster.Addresses(), Dir: dir, Partitions: partitions, ReplicationFactor: brokers, MinInSync: minInSync, TopicConfigs: configs,
		Producers: 1 + s.random.IntN(4), Rate: float64(200 + s.random.IntN(1500)), RecordBytes: 64 + s.random.IntN(2000),
		Compression: []string{"none", "lz4", "zstd"}[s.random.IntN(3)], NotIdempotent: s.random.IntN(4) == 0,
		Drain: 2 * time.Minute, Command: fmt.Sprintf("-seed %d round %d", *seed, round),
	}
	if o.NotIdempotent && s.random.IntN(2) == 0 {
		o.Acks = verify.AcksLeader
	}
	s.committed = 0 // the topic is new
	var err error
	if s.run, err = verify.Start(ctx, o); err != nil {
		s.t.Fatalf("start of a run: %v%s", err, s.cluster.Logs())
	}
	s.topic = s.run.Topic()
}

// round has a fault begin, last, and end, and the cluster come to rest.
func (s *scene) round(ctx context.Context, n int, f *fault) error {
	if err := s.goOn(ctx, "before"); err != nil {
		return err
	}
	commits, err := startCommitter(s.cluster.Addresses(), s.run.Topic(), s.committed)
	if err != nil {
		return err
	}
	defer commits.client.Close()
	defer commits.end()
	s.t.Logf("round=%d fault=%s begins", n, f.name)
	began := time.Now()
	if err := s.run.Mark(f.name); err != nil {
		return err
	}
	over, err := f.does(ctx, s)
	if err != nil {
		return err
	}
	s.hold(ctx, s.between(f.least, f.most))
	if f.whole {
		err = s.goOn(ctx, "while it lasts")
	}
	lasted := time.Since(began)
	err = errors.Join(err, s.run.Mark("over: "+f.name), over())
	if err != nil {
		return err
	}
	ended := time.Now()
	rest, cancel := context.WithTimeout(ctx, stretched(restWithin))
	defer cancel()
	if err := s.cluster.Rest(rest); err != nil {
		return err
	}
	rested := time.Since(ended)
	if err := s.goOn(ctx, "at rest"); err != nil {
		return err
	}
	if s.committed, err = commits.atRest(ctx); err != nil {
		return err
	}
	s.t.Logf("round=%d fault=%s lasted=%.1fs rest=%.1fs acked=%d commits=%d", n, f.name, lasted.Seconds(), rested.Seconds(), s.run.Acked(), commits.acked)
	return nil
}

// goOn waits until more is acknowledged.
func (s *scene) goOn(ctx context.Context, when string) error {
	ctx, cancel := context.WithTimeout(ctx, stretched(goOnWithin))
	defer cancel()
	if err := s.run.Await(ctx, s.run.Acked()+100); err != nil {
		return fmt.Errorf("writing does not go on %s: %w", when, err)
	}
	return nil
}

// end stops the run and has everything checked.
func (s *scene) end(ctx context.Context, round int) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	if err := s.run.Stop(ctx); err != nil {
		s.t.Errorf("end of a run: %v", err)
	}
	result, err := s.run.Check(ctx)
	if err != nil {
		s.t.Fatalf("check: %v", err)
	}
	var text strings.Builder
	result.WriteSummary(&text)
	s.t.Logf("rounds up to %d:\n%s", round, text.String())
	if !result.OK() {
		s.t.Errorf("violations=%v seed=%d rounds up to %d", result.Counts, *seed, round)
	}
	if line, err := json.Marshal(result); err == nil {
		if err := os.WriteFile(filepath.Join(s.dir, fmt.Sprintf("result-%04d.json", round)), append(line, '\n'), 0o644); err != nil {
			s.t.Error(err)
		}
	}
	s.verifyStore(ctx)
}

// graceWithin is how long what nobody refers to may lie in the object store: the brokers' grace period, and then some.
const graceWithin = 30 * time.Second

// verifyStore has the program prove that the object store is what the ledger says. What it finds must be there still when the grace
// period is over: the broker that is asked may be behind the one that commits.
func (s *scene) verifyStore(ctx context.Context) {
	s.t.Helper()
	found := s.lookAtStore(ctx)
	if found == nil {
		return
	}
	s.t.Logf("%v", found)
	s.hold(ctx, graceWithin)
	if found := s.lookAtStore(ctx); found != nil {
		s.t.Errorf("after the grace period: %v", found)
	}
}

var errNotWhole = errors.New("the object store is not what the ledger says")

func (s *scene) lookAtStore(ctx context.Context) error {
	b := s.random.IntN(brokers)
	cmd := s.cluster.Broker(b).Command(ctx, "tier", "verify", "--output", "json")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	output, err := cmd.Output()
	lines := strings.Split(strings.TrimSpace(string(output)), "\n")
	end := lines[len(lines)-1]
	var last struct {
		Faults int64 `json:"faults"`
		Done   bool  `json:"done"`
	}
	parsed := json.Unmarshal([]byte(end), &last)
	if err == nil && parsed == nil && last.Done && last.Faults == 0 {
		return nil
	}
	found := slices.DeleteFunc(lines, func(line string) bool {
		return !strings.Contains(line, `"fault":`) && !strings.Contains(line, `"failure":`)
	})
	return fmt.Errorf("tier verify node.id=%d: %w\n%s%s\n%.8000s", b+1, errors.Join(errNotWhole, err, parsed), stderr.String(), end, strings.Join(found, "\n"))
}
