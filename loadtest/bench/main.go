package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/tidelinehq/tideline/broker/config"
)

// options are what the command line says.
type options struct {
	root, binary, results, profiles string
	against                         string
	only, systems, set, floods      []string
	rounds, kills, partitions       int
	bytes                           int64
	keys                            int
	seed                            uint64
	long                            bool
	warmUp                          time.Duration
}

// bench is one run.
type bench struct {
	options         options
	dir             string // temporary, removed at the end
	jars            string
	kafka, tideline *broker
	results         *recorder
}

// scenario is one of the questions; see doc.go.
type scenario struct {
	name    string
	runs    brokers
	run     func(*bench, context.Context) error
	metrics []metric
}

// defaultSystems are both, in the order of their turns.
const defaultSystems = kafkaName + "," + tidelineName

// brokers are what a scenario runs.
type brokers int

const (
	peers    brokers = iota // one of each system, side by side, which stay for the next scenario
	own                     // brokers of its own
	clusters                // brokers or clusters of its own, for so long that it is left out unless it is named or the run is a long one
)

var scenarios = []scenario{
	{"memory", peers, (*bench).memory, memoryMetrics},
	{"latency", peers, (*bench).latency, latencyMetrics},
	{"bulk", peers, (*bench).bulk, bulkMetrics},
	{"perf", peers, (*bench).perf, perfMetrics},
	{"memory-after", peers, (*bench).memoryAfter, memoryAfterMetrics},
	{"startup", own, (*bench).startup, startupMetrics},
	{"cold", own, (*bench).cold, coldMetrics},
	{"requests", own, (*bench).requests, requestMetrics},
	{"failover", clusters, (*bench).failover, failoverMetrics},
	{"join", clusters, (*bench).join, joinMetrics},
	{"scale", clusters, (*bench).scale, scaleMetrics},
	{"compact", clusters, (*bench).compact, compactMetrics},
	{"flood", clusters, (*bench).flood, floodMetrics},
	{"trace", clusters, (*bench).trace, traceMetrics},
}

func main() {
	if spec := os.Getenv(floodVariable); spec != "" {
		if err := floodMain(spec); err != nil {
			fmt.Fprintln(os.Stderr, "bench: flood:", err)
			os.Exit(1)
		}
		return
	}
	var o options
	var only, systems string
	flag.StringVar(&o.root, "root", ".", "the repository")
	flag.StringVar(&o.binary, "tideline", "", "the broker's binary (default ROOT/bin/tideline)")
	flag.StringVar(&o.against, "against", "", "of trace: the binary of another build, which does not trace")
	flag.StringVar(&o.results, "results", "", "where results go (default ROOT/loadtest/results)")
	flag.StringVar(&o.profiles, "profiles", "", "a directory for processor profiles of our broker; taking them costs it a few percent")
	flag.StringVar(&only, "only", "", "scenarios to run, separated by commas (default all but those of clusters; all with -long)")
	flag.StringVar(&systems, "systems", defaultSystems, "brokers to run, in the order of their turns; with one of them there are no ratios")
	flag.Func("set", "a further setting of our broker, key=value; may be given again", func(setting string) error {
		if !strings.Contains(setting, "=") {
			return fmt.Errorf("not of the form key=value: %q", setting)
		}
		o.set = append(o.set, setting)
		return nil
	})
	flag.IntVar(&o.rounds, "rounds", 3, "turns of each broker")
	flag.IntVar(&o.kills, "kills", defaultKills, "of failover: how often the leader of a partition is killed, and how often that of the metadata")
	flag.IntVar(&o.partitions, "partitions", 0, "of join and scale (default 1,000 and 10,000)")
	flag.Func("bytes", "of join: the history, a number with KiB, MiB or GiB (default 1GiB, 20GiB with -long)", func(text string) (err error) {
		o.bytes, err = config.ParseSize(text)
		return err
	})
	flag.Func("floods", "of flood: names of floods, separated by commas (default all)", func(text string) error {
		o.floods = strings.Split(text, ",")
		return nil
	})
	flag.IntVar(&o.keys, "keys", 10_000_000, "of compact: how many keys the topic has")
	flag.Uint64Var(&o.seed, "seed", 1, "of schedules and payloads")
	flag.BoolVar(&o.long, "long", false, "more data, more rounds, minutes of idling, clusters: more than an hour")
	flag.Parse()
	if only != "" {
		o.only = strings.Split(only, ",")
	}
	o.systems = strings.Split(systems, ",")
	if err := run(o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(o options) (err error) {
	for _, name := range o.only {
		if !slices.ContainsFunc(scenarios, func(s scenario) bool { return s.name == name }) {
			return fmt.Errorf("no such scenario name=%q", name)
		}
	}
	for _, name := range o.systems {
		if name != kafkaName && name != tidelineName {
			return fmt.Errorf("no such system name=%q", name)
		}
	}
	if o.root, err = filepath.Abs(o.root); err != nil {
		return err
	}
	if o.binary == "" {
		o.binary = filepath.Join(o.root, "bin", "tideline")
	}
	if o.binary, err = filepath.Abs(o.binary); err != nil {
		return err
	}
	if o.profiles != "" {
		if err := os.MkdirAll(o.profiles, 0o755); err != nil {
			return err
		}
	}
	if o.results == "" {
		o.results = filepath.Join(o.root, "loadtest", "results")
	}
	o.warmUp = 12 * time.Second
	if o.long {
		o.rounds, o.warmUp = max(o.rounds, 5), time.Minute
	}
	// The generator's pacing thread sleeps in the kernel; the readers must not wait for it to give back its processor.
	runtime.GOMAXPROCS(max(8, runtime.NumCPU()))

	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	b := &bench{options: o}
	if b.dir, err = os.MkdirTemp("", "tideline-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.stopPeers(), os.RemoveAll(b.dir)) }()
	return b.runAll(ctx)
}

// wants tells whether a scenario is part of the run.
func (o *options) wants(s *scenario) bool {
	if len(o.only) > 0 {
		return slices.Contains(o.only, s.name)
	}
	return s.runs != clusters || o.long
}

func (b *bench) runAll(ctx context.Context) (err error) {
	commit, err := b.commit(ctx)
	if err != nil {
		return err
	}
	m := machine(b.dir)
	m.Java = javaVersion(ctx)
	name := time.Now().UTC().Format("20060102-150405") + "-" + commit
	path := filepath.Join(b.options.results, name)
	b.results, err = newRecorder(path+".jsonl", Sample{Commit: commit, Machine: m, Command: b.command(), Seed: b.options.seed})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.results.file.Close()) }()
	if slices.Contains(b.options.systems, kafkaName) {
		if b.jars, err = kafkaJars(ctx, b.options.root); err != nil {
			return err
		}
	}
	for _, s := range scenarios {
		if !b.options.wants(&s) {
			continue
		}
		if s.runs == peers {
			err = b.startPeers(ctx)
		} else {
			err = b.stopPeers() // they would share the machine
		}
		if err != nil {
			return err
		}
		began := time.Now()
		b.say("%s (load average %.1f)", s.name, loadAverage())
		if err := s.run(b, ctx); err != nil {
			return fmt.Errorf("scenario %s: %w%s", s.name, err, b.lastWords())
		}
		b.say("  took %.0f s", time.Since(began).Seconds())
		for _, m := range s.metrics {
			if err := b.results.conclude(m); err != nil {
				return err
			}
		}
	}
	return b.report(path)
}

// command is how to repeat the run, without the paths of this machine.
func (b *bench) command() string {
	words := []string{"bench", fmt.Sprintf("-rounds=%d", b.options.rounds), fmt.Sprintf("-seed=%d", b.options.seed)}
	if b.options.long {
		words = append(words, "-long")
	}
	if b.options.kills != defaultKills {
		words = append(words, fmt.Sprintf("-kills=%d", b.options.kills))
	}
	if b.options.partitions != 0 {
		words = append(words, fmt.Sprintf("-partitions=%d", b.options.partitions))
	}
	if b.options.bytes != 0 {
		words = append(words, fmt.Sprintf("-bytes=%d", b.options.bytes))
	}
	if len(b.options.only) > 0 {
		words = append(words, "-only="+strings.Join(b.options.only, ","))
	}
	if systems := strings.Join(b.options.systems, ","); systems != defaultSystems {
		words = append(words, "-systems="+systems)
	}
	if len(b.options.floods) > 0 {
		words = append(words, "-floods="+strings.Join(b.options.floods, ","))
	}
	for _, setting := range b.options.set {
		words = append(words, "-set="+setting)
	}
	if b.options.against != "" {
		words = append(words, "-against=BINARY")
	}
	if b.options.profiles != "" {
		words = append(words, "-profiles=DIR")
	}
	return strings.Join(words, " ")
}

// commit is that of the binary that is measured: it says "tideline VERSION commit=C …".
func (b *bench) commit(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, b.options.binary, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("ask the binary for its version (make build?): %w", err)
	}
	for _, word := range strings.Fields(string(out)) {
		if c, ok := strings.CutPrefix(word, "commit="); ok {
			return c, nil
		}
	}
	return "", fmt.Errorf("the binary names no commit version=%q", out)
}

// startPeers starts both brokers, unless they run.
func (b *bench) startPeers(ctx context.Context) (err error) {
	if b.kafka == nil && slices.Contains(b.options.systems, kafkaName) {
		if b.kafka, err = startKafka(ctx, b.dir, b.jars); err != nil {
			return err
		}
	}
	if b.tideline == nil && slices.Contains(b.options.systems, tidelineName) {
		b.tideline, _, err = b.startTideline(ctx, tidelineName, nil, nil)
	}
	return err
}

// stopPeers stops both brokers and removes what they wrote.
func (b *bench) stopPeers() error {
	var errs []error
	for _, peer := range b.both() {
		errs = append(errs, peer.proc.stop(time.Minute), os.RemoveAll(filepath.Join(b.dir, peer.name)))
	}
	b.kafka, b.tideline = nil, nil
	return errors.Join(errs...)
}

// lastWords are the ends of the logs of the brokers, for whoever has to find out why a run failed.
func (b *bench) lastWords() string {
	var all strings.Builder
	for _, peer := range b.both() {
		if tail := peer.proc.tail(); tail != "" {
			fmt.Fprintf(&all, "\n--- log of %s\n%s", peer.name, tail)
		}
	}
	return all.String()
}

func (b *bench) both() []*broker {
	return slices.DeleteFunc([]*broker{b.kafka, b.tideline}, func(x *broker) bool { return x == nil })
}

// turns runs one measurement on each broker in turn, round after round; a turn begins when the one before has left nothing behind.
func (b *bench) turns(ctx context.Context, one func(of *broker, round int) error) error {
	for round := 1; round <= b.options.rounds; round++ {
		for _, of := range b.both() {
			if err := one(of, round); err != nil {
				return err
			}
			if err := of.settle(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// say tells whoever watches how far it is.
func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}
