package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/tidelinehq/tideline/broker/config"
)

// devCommand is `tideline dev`: one broker with nothing else to install.
func (p *program) devCommand() *cobra.Command {
	var dataDir, listen, http string
	var set []string
	c := &cobra.Command{
		Use:   "dev",
		Short: "Run one broker for development; nothing else to install",
		Long: `Run one broker for development. Its object store is the directory "objects" in
the data directory. Settings of the environment and --set count as with
tideline server. One line "ready kafka=HOST:PORT http=HOST:PORT" is printed
when it serves; port 0 lets the system choose one.`,
		Example: "  tideline dev --data-dir /tmp/tideline --listen 127.0.0.1:0",
		Args:    cobra.NoArgs,
	}
	c.RunE = p.does(func(ctx context.Context, _ []string) error {
		from := config.Sources{
			Preset: map[string]string{
				"data.dir":      dataDir,
				"listeners":     "PLAINTEXT://" + listen,
				"http.listener": http,
			},
			Environ: p.environ,
			Machine: config.ThisMachine(),
		}
		// A flag that was given stands above the environment, its default below.
		for flag, key := range map[string]string{"data-dir": "data.dir", "listen": "listeners", "http": "http.listener"} {
			if c.Flags().Changed(flag) {
				from.Set = append(from.Set, key+"="+from.Preset[key])
			}
		}
		from.Set = append(from.Set, set...)
		cfg, err := config.Load(from)
		if err != nil {
			return err
		}
		return p.serve(ctx, cfg)
	})
	c.Flags().StringVar(&dataDir, "data-dir", "tideline-data", "`directory` for everything; made when it is not there")
	c.Flags().StringVar(&listen, "listen", "127.0.0.1:9092", "`address` for Kafka clients")
	c.Flags().StringVar(&http, "http", "127.0.0.1:8080", "`address` for metrics, health and the admin API")
	c.Flags().StringArrayVar(&set, "set", nil, "one setting, `key=value`; may be given again")
	return c
}
