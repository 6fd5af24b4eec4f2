package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go heed(cancel)
	o := options{out: os.Stdout, colour: isTerminal(os.Stdout)}
	flags := flag.NewFlagSet("cluster", flag.ContinueOnError)
	flags.StringVar(&o.dir, "dir", ".data/cluster", "where the data lie, `directory`")
	flags.StringVar(&o.binary, "tideline", "bin/tideline", "the `program` to run")
	flags.IntVar(&o.shift, "shift", 0, "a `number` to add to each port")
	flags.BoolVar(&o.traces, "traces", false, "take the brokers' spans and show them as text, on port 4318")
	flags.Var(&o.settings, "set", "one setting of all brokers, `key=value`; may be given again")
	if err := flags.Parse(os.Args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return
		}
		os.Exit(2)
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "cluster: unexpected argument %q\n", flags.Arg(0))
		os.Exit(2)
	}
	if err := run(ctx, &o); err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

// again is how long after the first signal another one means more than the first: some send it to the command and to its group.
const again = time.Second

// heed cancels at the first signal. At the second this process ends at once, and all its children with it.
func heed(cancel context.CancelFunc) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	<-signals
	first := time.Now()
	cancel()
	for range signals {
		if time.Since(first) > again {
			os.Exit(130)
		}
	}
}

// isTerminal reports whether somebody looks who likes colours.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
