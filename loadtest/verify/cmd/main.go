package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/tidelinehq/tideline/loadtest/verify"
)

const (
	exitFailed = 1
	exitUsage  = 2
)

// errViolations means that the result has been printed and is a bad one.
var errViolations = errors.New("promises were broken")

// errUsage is an error of whoever called; the flags have told him which.
var errUsage = errors.New("bad usage")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the second signal kills
	err := run(ctx, os.Args[1:])
	switch {
	case err == nil:
	case errors.Is(err, errUsage):
		os.Exit(exitUsage)
	default:
		fmt.Fprintln(os.Stderr, "verify:", err)
		os.Exit(exitFailed)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) > 0 {
		switch verb := args[0]; verb {
		case "run", "produce":
			return produce(ctx, verb, args[1:])
		case "check":
			return check(ctx, args[1:])
		case "mark":
			return mark(args[1:])
		case "metadata":
			return metadata(ctx, args[1:])
		}
	}
	fmt.Fprintln(os.Stderr, "usage: verify run|produce|check|mark|metadata [flags]; verify run -help shows the flags")
	return errUsage
}

// command is a verb with its flags.
func command(verb string) *flag.FlagSet {
	return flag.NewFlagSet("verify "+verb, flag.ContinueOnError)
}

func parse(f *flag.FlagSet, args []string, required map[string]*string) error {
	if err := f.Parse(args); err != nil {
		return errUsage
	}
	for name, value := range required {
		if *value == "" {
			fmt.Fprintf(os.Stderr, "%s: -%s is missing\n", f.Name(), name)
			return errUsage
		}
	}
	return nil
}

func brokersFlag(f *flag.FlagSet) *string {
	value := os.Getenv("TIDELINE_BROKERS")
	if value == "" {
		value = "127.0.0.1:9092"
	}
	return f.String("brokers", value, "HOST:PORT,… of the cluster")
}

func produce(ctx context.Context, verb string, args []string) error {
	f := command(verb)
	var o verify.Options
	brokers := brokersFlag(f)
	f.StringVar(&o.Dir, "dir", "", "where the histories go; it must hold no run")
	f.StringVar(&o.Topic, "topic", "", "a topic that does not exist (default: a name of its own)")
	partitions := f.Int("partitions", 6, "partitions of the topic")
	replicas := f.Int("replication-factor", -1, "replicas of each partition; -1: what the cluster gives")
	f.IntVar(&o.MinInSync, "min-insync-replicas", 0, "min.insync.replicas of the topic; 0: what the cluster gives")
	o.TopicConfigs = map[string]string{}
	f.Func("topic-config", "a further configuration of the topic, key=value; may be given again", func(text string) error {
		key, value, ok := strings.Cut(text, "=")
		if !ok {
			return fmt.Errorf("not of the form key=value: %q", text)
		}
		o.TopicConfigs[key] = value
		return nil
	})
	f.IntVar(&o.Producers, "producers", 4, "producers, each with its own client")
	f.Float64Var(&o.Rate, "rate", 1000, "records per second, all producers together")
	f.Int64Var(&o.Records, "records", 0, "records after which to stop; 0: no limit")
	duration := f.Duration("duration", 0, "time after which to stop; 0: no limit, a signal stops it")
	f.IntVar(&o.RecordBytes, "record-bytes", 256, "size of a value")
	f.StringVar((*string)(&o.Acks), "acks", "all", "all or leader")
	idempotent := f.Bool("idempotent", true, "idempotent producers; without, duplicates are allowed")
	f.StringVar(&o.Compression, "compression", "none", "none, gzip, snappy, lz4 or zstd")
	f.DurationVar(&o.GiveUp, "give-up", 0, "time after which a producer gives a record up; 0: never")
	clientReaders := f.Int("client-readers", 1, "readers with a whole Kafka client")
	rawReaders := f.Int("raw-readers", 1, "readers that see every answer")
	f.BoolVar(&o.Gaps, "gaps", false, "offsets may be left out: somebody else writes transactions to the topic")
	f.DurationVar(&o.Drain, "drain", time.Minute, "how long to wait for acknowledgements and readers at the end")
	f.DurationVar(&o.ReadWithin, "read-within", time.Minute, "how long a reading may take without getting on")
	f.IntVar(&o.Explain, "explain", 10, "violations of each class that are explained")
	if err := parse(f, args, map[string]*string{"dir": &o.Dir, "brokers": brokers}); err != nil {
		return err
	}
	o.Brokers, o.NotIdempotent = strings.Split(*brokers, ","), !*idempotent
	o.Partitions, o.ReplicationFactor = int32(*partitions), int16(*replicas)
	o.ClientReaders, o.RawReaders = none(*clientReaders), none(*rawReaders)
	o.Command = repeated(verb, f)

	r, err := verify.Start(ctx, o)
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "writing topic=%s dir=%s\n", r.Topic(), o.Dir)
	var over <-chan time.Time
	if *duration > 0 {
		timer := time.NewTimer(*duration)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-over:
	case <-r.Done():
	case <-ctx.Done():
	}
	// A signal ends the writing, not what follows.
	after := context.WithoutCancel(ctx)
	if err := r.Stop(after); err != nil || verb == "produce" {
		return err
	}
	result, err := r.Check(after)
	return report(result, o.Dir, err)
}

// none is how Options spell that there is none.
func none(n int) int {
	if n == 0 {
		return -1
	}
	return n
}

// repeated is the command, without what belongs to this machine.
func repeated(verb string, f *flag.FlagSet) string {
	words := []string{"verify", verb}
	f.Visit(func(one *flag.Flag) {
		switch one.Name {
		case "topic-config":
			words = append(words, "-topic-config=KEY=VALUE")
		case "dir", "brokers", "topic":
			words = append(words, "-"+one.Name+"="+strings.ToUpper(one.Name))
		default:
			words = append(words, "-"+one.Name+"="+one.Value.String())
		}
	})
	return strings.Join(words, " ")
}

func check(ctx context.Context, args []string) error {
	f := command("check")
	brokers := brokersFlag(f)
	dir := f.String("dir", "", "the directory of a run")
	offline := f.Bool("offline", false, "compare the histories that are there; ask no broker")
	within := f.Duration("read-within", time.Minute, "how long the reading may take without getting on")
	explain := f.Int("explain", 10, "violations of each class that are explained")
	if err := parse(f, args, map[string]*string{"dir": dir, "brokers": brokers}); err != nil {
		return err
	}
	if !*offline {
		if err := verify.Read(ctx, *dir, verify.ReadOptions{Brokers: strings.Split(*brokers, ","), Within: *within}); err != nil {
			return err
		}
	}
	result, err := verify.Check(ctx, *dir, verify.CheckOptions{Explain: *explain})
	return report(result, *dir, err)
}

// report prints a result and keeps it.
func report(result *verify.Result, dir string, err error) error {
	if err != nil {
		return err
	}
	result.WriteSummary(os.Stderr)
	line, err := result.JSON()
	if err != nil {
		return err
	}
	if _, err := os.Stdout.Write(line); err != nil {
		return err
	}
	if err := result.Save(dir); err != nil {
		return err
	}
	if !result.OK() {
		return errViolations
	}
	return nil
}

func mark(args []string) error {
	f := command("mark")
	dir := f.String("dir", "", "the directory of a run")
	if err := parse(f, args, map[string]*string{"dir": dir}); err != nil {
		return err
	}
	if f.NArg() == 0 {
		fmt.Fprintln(os.Stderr, "verify mark: what was done to the cluster?")
		return errUsage
	}
	return verify.Mark(*dir, strings.Join(f.Args(), " "))
}
