package main

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
)

// clusterCommand is `tideline cluster`.
func (p *program) clusterCommand() *cobra.Command {
	return p.group("cluster", "Look at the cluster", p.clusterDescribeCommand())
}

func (p *program) clusterDescribeCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "describe",
		Short: "Show the cluster's id, its controller and its brokers",
		Args:  cobra.NoArgs,
	}
	conn := p.connectionFlags(c.Flags())
	c.RunE = p.does(func(ctx context.Context, _ []string) error {
		return conn.admin(ctx, func(ctx context.Context, admin *kadm.Client) error {
			m, err := admin.BrokerMetadata(ctx)
			if err != nil {
				return err
			}
			type broker struct {
				ID   int32   `json:"id"`
				Host string  `json:"host"`
				Port int32   `json:"port"`
				Rack *string `json:"rack"`
			}
			answer := struct {
				ClusterID  string   `json:"cluster_id"`
				Controller int32    `json:"controller"`
				Brokers    []broker `json:"brokers"`
			}{m.Cluster, m.Controller, []broker{}}
			cluster := newTable("CLUSTER", "CONTROLLER", "BROKERS")
			cluster.add(m.Cluster, m.Controller, len(m.Brokers))
			brokers := newTable("BROKER", "HOST", "PORT", "RACK")
			for _, b := range m.Brokers {
				answer.Brokers = append(answer.Brokers, broker{b.NodeID, b.Host, b.Port, b.Rack})
				rack := "-"
				if b.Rack != nil {
					rack = *b.Rack
				}
				brokers.add(b.NodeID, b.Host, b.Port, rack)
			}
			return p.show(conn.output, answer, cluster, brokers)
		})
	})
	return c
}
