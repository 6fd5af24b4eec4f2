package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tidelinehq/tideline/loadtest/verify/linear"
)

// metadata tests whether operations on topics are linearizable.
func metadata(ctx context.Context, args []string) error {
	f := command("metadata")
	brokers := brokersFlag(f)
	dir := f.String("dir", "", "where the history goes, and pictures of what nothing explains")
	var o linear.Options
	f.IntVar(&o.Clients, "clients", 6, "clients, each with one operation at a time")
	f.IntVar(&o.Topics, "topics", 4, "names in use at the same time")
	f.IntVar(&o.Ops, "ops", 2000, "operations, all clients together")
	f.Uint64Var(&o.Seed, "seed", 1, "of what the clients do")
	duration := f.Duration("duration", 0, "time after which to stop; 0: no limit")
	within := f.Duration("within", time.Minute, "how long the search may take for each name")
	stale := f.Bool("stale-refusals", false, "let a broker refuse a write on account of an earlier state; less than what is promised")
	if err := parse(f, args, map[string]*string{"dir": dir, "brokers": brokers}); err != nil {
		return err
	}
	o.Brokers = strings.Split(*brokers, ",")
	if err := os.MkdirAll(*dir, 0o755); err != nil {
		return err
	}
	recording := ctx
	if *duration > 0 {
		var cancel context.CancelFunc
		recording, cancel = context.WithTimeout(ctx, *duration)
		defer cancel()
	}
	history, err := linear.Record(recording, o)
	if err != nil {
		return err
	}
	if err := writeHistory(filepath.Join(*dir, "metadata.jsonl"), history); err != nil {
		return err
	}
	result, err := linear.Check(history, linear.CheckOptions{Within: *within, StaleRefusals: *stale})
	if err != nil {
		return err
	}
	result.Command = repeated("metadata", f)
	for name, page := range result.Pages {
		if err := os.WriteFile(filepath.Join(*dir, name+".html"), []byte(page), 0o644); err != nil {
			return err
		}
	}
	fmt.Fprintf(os.Stderr, "%d operations on %d topics\n", result.Ops, result.Topics)
	for _, outcome := range slices.Sorted(maps.Keys(result.Outcomes)) {
		fmt.Fprintf(os.Stderr, "  %5d %s\n", result.Outcomes[outcome], outcome)
	}
	line, err := json.Marshal(result)
	if err != nil {
		return err
	}
	if _, err := os.Stdout.Write(append(line, '\n')); err != nil {
		return err
	}
	if !result.OK() {
		fmt.Fprintf(os.Stderr, "  verdict  NOT EXPLAINED: %d of %d topics; not decided: %d; pictures in %s\n", len(result.Illegal), result.Topics, len(result.Undecided), *dir)
		for _, one := range result.Explained {
			fmt.Fprintf(os.Stderr, "  %s: %s\n", one.Topic, one.Answer)
			for _, before := range one.Before {
				fmt.Fprintf(os.Stderr, "      after %s\n", before)
			}
		}
		return errViolations
	}
	fmt.Fprintln(os.Stderr, "  verdict  linearizable")
	return nil
}

func writeHistory(path string, history []linear.Op) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(file)
	for _, op := range history {
		line, err := json.Marshal(op)
		if err != nil {
			return errors.Join(err, file.Close())
		}
		w.Write(append(line, '\n'))
	}
	return errors.Join(w.Flush(), file.Close())
}
