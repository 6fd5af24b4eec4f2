package sim

import (
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var (
	seedFlag   = flag.Uint64("sim.seed", 0, "run this seed only")
	seedsFlag  = flag.Int("sim.seeds", 1, "how many seeds to run")
	fromFlag   = flag.Uint64("sim.from", 1, "the first seed")
	timeFlag   = flag.Duration("sim.patience", 5*time.Minute, "real time after which a seed hangs")
	outFlag    = flag.String("sim.out", "", "a folder for the logs of seeds that fail")
	stormFlag  = flag.String("sim.storm", "", "the storm of TestStorm; all of them when empty")
	shrinkFlag = flag.Bool("sim.shrink", false, "TestShrink looks for the fewest faults with which sim.seed fails")
	debugFlag  = flag.Bool("sim.debug", false, "brokers log at debug level")
)

// brief is how long things go wrong in the tests of make test.
func brief() time.Duration {
	if raceEnabled {
		return time.Second
	}
	return 8 * time.Second
}

// run runs a plan in a bubble of its own.
func run(t *testing.T, plan *Plan, o Options) (r *Report) {
	t.Helper()
	// Outside of the bubble, where time passes whatever happens.
	hung := time.AfterFunc(*timeFlag, func() {
		stacks := make([]byte, 16<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		fmt.Fprintf(os.Stderr, "seed %d hangs: virtual time does not pass\n%s\n%s", plan.Seed, plan, stacks)
		os.Exit(3)
	})
	defer hung.Stop()
	if *debugFlag {
		o.Level = slog.LevelDebug
	}
	synctest.Test(t, func(*testing.T) { r = Run(plan, o) })
	return r
}

// TestSeeds runs one plan after the other. Each failure says how to see it again.
func TestSeeds(t *testing.T) {
	from, to := *fromFlag, *fromFlag+uint64(*seedsFlag)
	if *seedFlag != 0 {
		from, to = *seedFlag, *seedFlag+1
	}
	for seed := from; seed < to; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			plan := Draw(seed)
			if raceEnabled && *seedFlag == 0 {
				plan.cut(brief())
			}
			began := time.Now()
			r := run(t, plan, Options{})
			t.Logf("seed %d: acknowledged=%d read=%d offsets=%d in %s", seed, r.Acked, r.Read, r.Known, time.Since(began).Round(time.Millisecond))
			if r.Failed() {
				keep(t, seed, r)
				t.Errorf("go test -run TestSeeds ./loadtest/sim -args -sim.seed=%d\n%s\n%s", seed, plan, r)
			}
		})
	}
}

// keep writes the logs of the brokers where they were asked for.
func keep(t *testing.T, seed uint64, r *Report) {
	t.Helper()
	if *outFlag == "" {
		return
	}
	for id, b := range r.Logs {
		if err := os.WriteFile(filepath.Join(*outFlag, fmt.Sprintf("seed%d-broker%d.log", seed, id)), b, 0o600); err != nil {
			t.Error(err)
		}
	}
}

// TestCalm is a run in which nothing goes wrong.
func TestCalm(t *testing.T) {
	r := run(t, &Plan{Seed: 1, Brokers: 3, Busy: brief(), Roll: 2 * time.Second}, Options{})
	if r.Failed() || r.Acked < 100 || r.Read < 100 {
		keep(t, 0, r)
		t.Errorf("acknowledged=%d read=%d\n%s", r.Acked, r.Read, r)
	}
}

// TestStorm runs storms: what the mutants are run in must not trouble the product.
func TestStorm(t *testing.T) {
	names := Storms
	switch {
	case *stormFlag != "":
		names = []string{*stormFlag}
	case raceEnabled:
		names = Storms[:1]
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			plan, err := DrawStorm(name, max(*seedFlag, 1))
			if err != nil {
				t.Fatal(err)
			}
			if *stormFlag == "" {
				plan.cut(brief()) // the short form
			}
			if r := run(t, plan, Options{}); r.Failed() || r.Acked == 0 {
				keep(t, plan.Seed, r)
				t.Errorf("go test -run TestStorm ./loadtest/sim -args -sim.storm=%s -sim.seed=%d\n%s\n%s", name, plan.Seed, plan, r)
			}
		})
	}
}

// TestOneSeedIsOnePlan: what depends on the seed alone is the same in two runs: the plan, and the trace of its faults.
func TestOneSeedIsOnePlan(t *testing.T) {
	faults := func(r *Report) (out []string) {
		for _, line := range r.Trace {
			if _, fault, ok := strings.Cut(line, " -- "); ok {
				out = append(out, fault)
			}
		}
		return out
	}
	plan := Draw(7)
	if again := Draw(7); plan.String() != again.String() {
		t.Fatalf("two plans:\n%s\n%s", plan, again)
	}
	plan.cut(brief())
	one, two := run(t, plan, Options{}), run(t, plan, Options{})
	if a, b := faults(one), faults(two); len(a) != len(plan.Faults) || !slices.Equal(a, b) {
		t.Errorf("two traces:\n%s\n%s", strings.Join(a, "\n"), strings.Join(b, "\n"))
	}
}

// shrinkTries is how often a plan runs before it counts as one that does not fail.
const shrinkTries = 3

// TestShrink takes faults out of the plan of a seed that fails, one after the other, for as long as it still does.
func TestShrink(t *testing.T) {
	if !*shrinkFlag {
		return
	}
	fails := func(p *Plan) *Report {
		for range shrinkTries {
			if r := run(t, p, Options{}); r.Failed() {
				return r
			}
		}
		return nil
	}
	plan := Draw(*seedFlag)
	last := fails(plan)
	if last == nil {
		t.Fatalf("seed %d does not fail in %d tries", plan.Seed, shrinkTries)
	}
	for i := len(plan.Faults) - 1; i >= 0; i-- {
		less := plan.Without(i)
		if r := fails(less); r != nil {
			plan, last = less, r
			t.Logf("%d faults still fail", len(plan.Faults))
		}
	}
	keep(t, plan.Seed, last)
	t.Logf("the fewest faults:\n%s\n%s", plan, last)
}

// TestRaft runs seeds with the metadata log of production.
func TestRaft(t *testing.T) {
	seed := max(*seedFlag, 1)
	plan := Draw(seed)
	if *seedFlag == 0 {
		plan.cut(brief()) // the short form
	}
	if r := run(t, plan, Options{RaftDir: t.TempDir()}); r.Failed() || r.Acked == 0 {
		keep(t, seed, r)
		t.Errorf("go test -run TestRaft ./loadtest/sim -args -sim.seed=%d\n%s\n%s", seed, plan, r)
	}
}
