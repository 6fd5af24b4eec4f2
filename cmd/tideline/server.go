package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/tidelinehq/tideline/broker/config"
)

// serverCommand is `tideline server`: one broker, configured by a file.
func (p *program) serverCommand() *cobra.Command {
	from := config.Sources{Environ: p.environ, Machine: config.ThisMachine()}
	c := &cobra.Command{
		Use:   "server --config FILE",
		Short: "Run one broker of a cluster",
		Long: `Run one broker of a cluster.

Settings come from the file, then from the environment (TIDELINE_NODE_ID=1 for
node.id), then from --set; the later wins. docs/configuration.md lists them.
One line "ready kafka=HOST:PORT http=HOST:PORT" is printed when it serves.
SIGTERM and SIGINT stop it in order; a second one kills it.`,
		Example: "  tideline server --config /etc/tideline.yaml --set logging.format=json",
		Args:    cobra.NoArgs,
		RunE: p.does(func(ctx context.Context, _ []string) error {
			cfg, err := config.Load(from)
			if err != nil {
				return err
			}
			if cfg.DataDir == "" {
				return &config.Error{Key: "data.dir", Allowed: "it must be given: the directory for the WAL, the Raft log and the caches"}
			}
			return p.serve(ctx, cfg)
		}),
	}
	c.Flags().StringVar(&from.File, "config", "", "YAML `file` with settings")
	c.Flags().StringArrayVar(&from.Set, "set", nil, "one setting, `key=value`; may be given again")
	return c
}
