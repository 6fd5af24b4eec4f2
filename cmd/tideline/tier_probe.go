package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/tidelinehq/tideline/tiering/objstore/open"
)

// probed is what tier probe prints as JSON.
type probed struct {
	IfNoneMatch bool     `json:"if_none_match"`
	IfMatch     bool     `json:"if_match"`
	Checksum    bool     `json:"checksum"`
	Findings    []string `json:"findings"`
}

// tierProbeCommand asks the store itself, no broker: before there is a cluster it tells whether one can be trusted to that store.
func (p *program) tierProbeCommand() *cobra.Command {
	var (
		ca      string
		timeout time.Duration
		how     output
	)
	c := &cobra.Command{
		Use:   "probe URL",
		Short: "Find out what an object store really guarantees; status 1 when something is missing",
		Long: "Find out what an object store really guarantees; status 1 when something is missing.\n\n" +
			"Writes, races, reads and deletes some sixty small objects below probe/. The URL is that of the\n" +
			"setting object.store; credentials come from the environment, as those of a broker do.",
		Example: "  tideline tier probe 's3://bucket/prefix?endpoint=https://minio.example.com'",
		Args:    cobra.ExactArgs(1),
	}
	c.Flags().StringVar(&ca, "ca", "", "PEM `file` of the authorities that vouch for the store (object.store.ca.file); empty: those of the system")
	c.Flags().DurationVar(&timeout, "timeout", time.Minute, "how long it may take")
	how.flag(c.Flags())
	c.RunE = p.does(func(ctx context.Context, args []string) error {
		if _, err := open.Parse(args[0]); err != nil {
			return usageError{err}
		}
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		secure, err := open.ReadTLS(ca, tls.VersionTLS12)
		if err != nil {
			return usageError{err}
		}
		store, err := open.Open(ctx, args[0], open.Options{TLS: secure})
		if err != nil {
			return err
		}
		defer store.Close() //nolint:errcheck // nothing of it is left to be written
		found, err := open.Probe(ctx, store)
		if err != nil {
			return fmt.Errorf("the store cannot be used: %w", err)
		}
		return p.showProbe(how, found)
	})
	return c
}

// showProbe prints what was found. What is missing is an error, as it is for whoever would rely on it.
func (p *program) showProbe(how output, found open.Capabilities) error {
	t := newTable("OF THE STORE", "HOLDS")
	t.add("what was put is read, at once and in parts", "yes")
	t.add("one of many writers of a new object wins (If-None-Match)", yesNo(found.IfNoneMatch))
	t.add("one of many writers over an object wins (If-Match)", yesNo(found.IfMatch))
	t.add("a body with a wrong checksum is refused", yesNo(found.Checksum))
	tables := []*table{t}
	if len(found.Findings) > 0 {
		missing := newTable("WHAT IS MISSING")
		for _, text := range found.Findings {
			missing.add(text)
		}
		tables = append(tables, missing)
	}
	v := probed{IfNoneMatch: found.IfNoneMatch, IfMatch: found.IfMatch, Checksum: found.Checksum, Findings: append([]string{}, found.Findings...)}
	if err := p.show(how, v, tables...); err != nil {
		return err
	}
	if len(found.Findings) > 0 {
		return fmt.Errorf("the store does not give all that is asked of it")
	}
	return nil
}

func yesNo(v bool) string {
	if v {
		return "yes"
	}
	return "no"
}
