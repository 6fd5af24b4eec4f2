//go:build linux

package main

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"
)

// commandProperties are given to both.
func (c *cluster) commandProperties(more ...string) (args []string) {
	for _, p := range append(more, "security.protocol=SSL", "ssl.truststore.type=PEM", "ssl.truststore.location="+c.o.certificates(authorityFile)) {
		args = append(args, "--command-property", p)
	}
	return args
}

const (
	consoleTopic   = "orders"
	consoleRecords = 1000
)

// console runs one of Kafka's console clients.
func (c *cluster) console(ctx context.Context, input, class string, args ...string) (string, error) {
	flags := []string{"-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", filepath.Join(c.o.Jars, "*"), class}
	cmd := exec.CommandContext(ctx, "java", append(flags, args...)...)
	var stdout, stderr strings.Builder
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s: %w output=%s", class, err, tail(stderr.String(), 2000))
	}
	return stdout.String(), nil
}

func consoleLines() (lines []string) {
	for i := range consoleRecords {
		lines = append(lines, "order "+strconv.Itoa(i))
	}
	return lines
}

// write has the console producer write through one zone.
func (c *cluster) write(ctx context.Context, through *machine) error {
	_, err := c.console(ctx, strings.Join(consoleLines(), "\n")+"\n", "org.apache.kafka.tools.ConsoleProducer",
		append(c.commandProperties("acks=all"), "--bootstrap-server", through.plan.kafka(), "--topic", consoleTopic)...)
	return err
}

// read has a console consumer of each zone read everything from the beginning, as a group that is new, and compares.
func (c *cluster) read(ctx context.Context, group string, from ...*machine) error {
	var all errgroup.Group
	for _, m := range from {
		all.Go(func() error {
			output, err := c.console(ctx, "", "org.apache.kafka.tools.consumer.ConsoleConsumer",
				append(c.commandProperties("client.rack="+m.plan.zone), "--bootstrap-server", m.plan.kafka(), "--topic", consoleTopic, "--from-beginning",
					"--max-messages", strconv.Itoa(consoleRecords), "--timeout-ms", "120000", "--group", group+"-"+m.plan.zone)...)
			if err != nil {
				return err
			}
			got, want := strings.Split(strings.TrimSuffix(output, "\n"), "\n"), consoleLines()
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				return fmt.Errorf("the console consumer in %s read something else records=%d expected=%d", m.plan.zone, len(got), len(want))
			}
			return nil
		})
	}
	return all.Wait()
}
