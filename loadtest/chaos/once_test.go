package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidelinehq/tideline/internal/child"
	"github.com/tidelinehq/tideline/loadtest/once"
)

const (
	onceWorkers = 5
	onceRate    = 1500
	// lookEvery is after how many faults the outputs are read from their beginning.
	lookEvery = 8
	// readWithin bounds a reading of all outputs, and what the workers have left to do at the end.
	readWithin = 15 * time.Minute
)

// worker is a process that processes exactly once.
type worker struct{ *child.Process }

func (w worker) Suspend() error { return w.Signal(syscall.SIGSTOP) }
func (w worker) Resume() error  { return w.Signal(syscall.SIGCONT) }

// spawn starts this program as a worker, which appends what it has to say to a file.
func spawn(log *os.File) func(env string) (once.Process, error) {
	return func(env string) (once.Process, error) {
		program, err := os.Executable()
		if err != nil {
			return nil, err
		}
		cmd := exec.Command(program)
		cmd.Env = append(os.Environ(), env)
		cmd.Stdout, cmd.Stderr = log, log
		p, err := child.Start(cmd)
		return worker{p}, err
	}
}

// TestExactlyOnce has workers read, process and write in transactions while brokers, coordinators among them, and workers are killed.
func TestExactlyOnce(t *testing.T) {
	t.Logf("go test ./loadtest/chaos -run TestExactlyOnce -v -lasts %v -seed %d", *lasts, *seed)
	// Half an hour of the rolls of other campaigns would be a hundred thousand segments to read again and again.
	s := newScene(t, "tier.roll.ms=2000", "tier.roll.bytes=1MiB")
	log, err := os.Create(filepath.Join(s.dir, "workers.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	run, err := once.Start(t.Context(), once.Options{
		Brokers: s.cluster.Addresses(), Dir: filepath.Join(s.dir, "once"), Name: fmt.Sprintf("once-%d", *seed),
		Partitions: 10, ReplicationFactor: brokers, MinInSync: 2, Workers: onceWorkers, Rate: onceRate,
	}, *seed, spawn(log))
	if err != nil {
		t.Fatalf("%v%s", err, s.cluster.Logs())
	}
	defer run.Stop()
	if err := s.disturb(t.Context(), run); err != nil {
		t.Fatalf("%v%s", err, s.cluster.Logs())
	}
	ctx, cancel := context.WithTimeout(t.Context(), readWithin)
	defer cancel()
	result, err := run.Finish(ctx)
	if err != nil {
		t.Fatalf("%v%s", err, s.cluster.Logs())
	}
	text, err := json.MarshalIndent(result, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("workers killed or replaced=%d\n%s", run.Kills(), text)
	if !result.OK() {
		t.Errorf("violations=%v seed=%d", result.Counts, *seed)
	}
	if result.Inputs == 0 || result.Committed == 0 || result.Aborted == 0 {
		t.Error("nothing was committed, or nothing aborted")
	}
}

// disturb does one thing after the other to brokers and workers.
func (s *scene) disturb(ctx context.Context, run *once.Run) error {
	input, hot, cold := run.Topics()
	groupCoordinator := func(s *scene, ctx context.Context) (int, error) {
		return s.coordinator(ctx, func(a *kadm.Client) kadm.FindCoordinatorResponses { return a.FindGroupCoordinators(ctx, run.Group()) })
	}
	transactionCoordinator := func(s *scene, ctx context.Context) (int, error) {
		id := run.TransactionalID(s.random.IntN(run.Slots()))
		return s.coordinator(ctx, func(a *kadm.Client) kadm.FindCoordinatorResponses { return a.FindTxnCoordinators(ctx, id) })
	}
	worked := func(name string, do func() error) fault {
		return fault{name: name, most: 2 * time.Second, does: func(context.Context, *scene) (func() error, error) {
			return func() error { return nil }, do()
		}}
	}
	faults := []fault{
		kill("kill-leader", (*scene).leader), kill("kill-controller", (*scene).controller),
		kill("kill-group-coordinator", groupCoordinator), kill("kill-transaction-coordinator", transactionCoordinator),
		killTwo(), killAll(), worked("kill-worker", run.KillOne), worked("zombie", run.MakeZombie), worked("wake-zombies", run.WakeZombies),
		{name: "kill-worker-and-coordinator", most: 3 * time.Second, does: func(ctx context.Context, s *scene) (func() error, error) {
			b, err := transactionCoordinator(s, ctx)
			if err != nil {
				return nil, err
			}
			s.cluster.Kill(b)
			return func() error { return s.restart(b) }, run.KillOne()
		}},
	}
	for round, until := 0, time.Now().Add(*lasts); time.Now().Before(until); round++ {
		s.random = rand.New(rand.NewPCG(*seed, uint64(round)+2))
		s.topic = []string{input, hot, cold}[s.random.IntN(3)]
		f := &faults[s.random.IntN(len(faults))]
		s.t.Logf("round=%d fault=%s written=%d", round, f.name, run.Written())
		over, err := f.does(ctx, s)
		if err != nil {
			return fmt.Errorf("round=%d fault=%s: %w", round, f.name, err)
		}
		s.hold(ctx, s.between(f.least, f.most))
		if err := over(); err != nil {
			return fmt.Errorf("round=%d fault=%s: %w", round, f.name, err)
		}
		rest, cancel := context.WithTimeout(ctx, stretched(restWithin))
		err = s.cluster.Rest(rest)
		if err == nil {
			err = run.Tend()
		}
		cancel()
		if err == nil && round%lookEvery == lookEvery-1 {
			err = s.look(ctx, run, []string{hot, cold}[s.random.IntN(2)])
		}
		if err != nil {
			return fmt.Errorf("round=%d fault=%s: %w", round, f.name, err)
		}
		s.hold(ctx, s.between(0, 3*time.Second))
	}
	return nil
}

// look reads an output from its beginning.
func (s *scene) look(ctx context.Context, run *once.Run, topic string) error {
	ctx, cancel := context.WithTimeout(ctx, readWithin)
	defer cancel()
	began := time.Now()
	err := run.Look(ctx, topic)
	s.t.Logf("topic=%s was read from its beginning in %.1fs", topic, time.Since(began).Seconds())
	return err
}

// coordinator is the broker that coordinates something.
func (s *scene) coordinator(ctx context.Context, find func(*kadm.Client) kadm.FindCoordinatorResponses) (int, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(s.cluster.Addresses()...), kgo.DialTimeout(time.Second))
	if err != nil {
		return 0, err
	}
	defer client.Close()
	found := find(kadm.NewClient(client))
	if err := found.Error(); err != nil {
		return 0, err
	}
	for _, f := range found {
		return int(f.NodeID) - 1, nil
	}
	return 0, fmt.Errorf("no coordinator was found")
}
