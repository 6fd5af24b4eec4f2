package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/spf13/cobra"

	"github.com/tidelinehq/tideline/internal/adminapi"
)

const rebalanceHelp = `Even out replicas and leaders over the brokers in service. Replicas of brokers
that are being decommissioned go first. Each move makes the whole more even and
keeps the number of racks of its partition; a leadership goes to a replica that is
in sync and copies nothing.

Called again when the moves are done, it comes to rest: then there is nothing to do.`

func (p *program) partitionRebalanceCommand() *cobra.Command {
	var req adminapi.RebalanceRequest
	c := &cobra.Command{
		Use:     "rebalance",
		Short:   "Even out replicas and leaders over the brokers",
		Long:    rebalanceHelp,
		Example: "  tideline partition rebalance --dry-run --max-moves 10",
		Args:    cobra.NoArgs,
	}
	conn := p.clusterFlags(c.Flags())
	c.Flags().BoolVar(&req.DryRun, "dry-run", false, "only show what would be done")
	c.Flags().IntVar(&req.MaxMoves, "max-moves", 0, "`number` of partitions that may move at a time; 0 leaves it to the broker")
	c.Flags().Int64Var(&req.MaxBytes, "max-bytes", 0, "`bytes` of logs that may be copied, as far as the broker knows; 0: no limit")
	c.RunE = p.does(func(ctx context.Context, _ []string) error {
		if req.MaxMoves < 0 || req.MaxBytes < 0 {
			return usagef("--max-moves and --max-bytes are not negative")
		}
		var r adminapi.Rebalance
		if err := conn.call(ctx, http.MethodPost, adminapi.RebalancePath, &req, &r); err != nil {
			return err
		}
		if len(r.Moves)+len(r.Leaders) == 0 && conn.output == outputTable {
			fmt.Fprintln(p.stdout, "even: nothing to do")
			return nil
		}
		moves := newTable("TOPIC", "PARTITION", "WHAT", "FROM", "TO", "REPLICAS", "COPIES")
		for i := range r.Moves {
			m := &r.Moves[i]
			moves.add(m.Topic, m.Partition, "replica", m.From, m.To, joined(m.Replicas), humanBytes(m.Bytes))
		}
		for i := range r.Leaders {
			l := &r.Leaders[i]
			moves.add(l.Topic, l.Partition, "leader", l.From, l.To, "", "")
		}
		if err := p.show(conn.output, r, moves); err != nil || conn.output == outputJSON {
			return err
		}
		if req.DryRun {
			fmt.Fprintln(p.stdout, "\nnothing was changed")
		} else {
			fmt.Fprintf(p.stdout, "\n%d of %d begun\n", r.Applied, len(r.Moves)+len(r.Leaders))
		}
		return nil
	})
	return c
}
