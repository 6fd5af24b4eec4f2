package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	"github.com/tidelinehq/tideline/broker/config"
)

// program is one run of the command, with all that it touches of its process.
type program struct {
	stdin   io.Reader
	stdout  io.Writer
	stderr  io.Writer
	environ []string
	newNode func(cfg *config.Config, logger *slog.Logger) (node, error)

	started bool // a subcommand began its work: what fails now is no bad usage
}

// The exit statuses.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// usageError is a mistake in the call that only the subcommand could see.
type usageError struct{ error }

func usagef(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// run executes the command line and returns the exit status.
func (p *program) run(ctx context.Context, args []string) int {
	root := p.root()
	root.SetArgs(args)
	root.SetIn(p.stdin)
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	// One line, whatever a server wrote into its message.
	text := strings.Join(strings.Fields(err.Error()), " ")
	var usage usageError
	if !p.started || errors.As(err, &usage) {
		fmt.Fprintf(p.stderr, "tideline: %s; see --help\n", text)
		return exitUsage
	}
	fmt.Fprintf(p.stderr, "tideline: %s\n", text)
	return exitFailed
}

func (p *program) root() *cobra.Command {
	root := p.group("tideline", "A Kafka-protocol broker with one local log and an object store behind it",
		p.devCommand(),
		p.serverCommand(),
		p.topicCommand(),
		p.produceCommand(),
		p.consumeCommand(),
		p.groupCommand(),
		p.clusterCommand(),
		p.aclCommand(),
		p.roleCommand(),
		p.brokerCommand(),
		p.partitionCommand(),
		p.tierCommand(),
		p.userCommand(),
		p.quotaCommand(),
		p.docsCommand(),
	)
	root.Version = versionText()
	root.SetVersionTemplate("tideline {{.Version}}\n")
	root.SilenceErrors = true
	root.SilenceUsage = true
	return root
}

// group is a command that only holds others.
func (p *program) group(use, short string, subcommands ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use:   use,
		Short: short,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			text := fmt.Sprintf("unknown command %q for %q", args[0], c.CommandPath())
			if near := c.SuggestionsFor(args[0]); len(near) > 0 {
				text += "; did you mean " + strings.Join(near, " or ") + "?"
			}
			return errors.New(text)
		},
		RunE: func(c *cobra.Command, _ []string) error {
			if err := c.Help(); err != nil {
				return err
			}
			return usagef("%s needs a subcommand", c.CommandPath())
		},
	}
	c.SuggestionsMinimumDistance = 2
	c.AddCommand(subcommands...)
	return c
}

// does wraps the work of a subcommand, so that its errors are failures and those
// before it are bad usage.
func (p *program) does(work func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		p.started = true
		return work(c.Context(), args)
	}
}

// getenv returns a variable of the program's environment, or nothing.
func (p *program) getenv(name string) string {
	for i := len(p.environ) - 1; i >= 0; i-- {
		if value, ok := strings.CutPrefix(p.environ[i], name+"="); ok {
			return value
		}
	}
	return ""
}
