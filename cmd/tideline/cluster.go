package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// clusterCommand is `tideline cluster`.
func (p *program) clusterCommand() *cobra.Command {
	return p.group("cluster", "Look at the cluster", p.clusterDescribeCommand(), p.clusterHealthCommand())
}

func (p *program) clusterDescribeCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "describe",
		Short: "Show the cluster's id, its controller and its brokers",
		Args:  cobra.NoArgs,
	}
	conn := p.connectionFlags(c.Flags())
	c.RunE = p.does(func(ctx context.Context, _ []string) error {
		return conn.connected(ctx, func(ctx context.Context, client *kgo.Client) error {
			m, err := describeCluster(ctx, client)
			if err != nil {
				return err
			}
			type broker struct {
				ID     int32   `json:"id"`
				Host   string  `json:"host"`
				Port   int32   `json:"port"`
				Rack   *string `json:"rack"`
				Fenced bool    `json:"fenced"`
			}
			answer := struct {
				ClusterID  string   `json:"cluster_id"`
				Controller int32    `json:"controller"`
				Brokers    []broker `json:"brokers"`
			}{m.ClusterID, m.ControllerID, []broker{}}
			cluster := newTable("CLUSTER", "CONTROLLER", "BROKERS")
			cluster.add(m.ClusterID, m.ControllerID, len(m.Brokers))
			brokers := newTable("BROKER", "HOST", "PORT", "RACK", "STATE")
			for _, b := range m.Brokers {
				answer.Brokers = append(answer.Brokers, broker{b.NodeID, b.Host, b.Port, b.Rack, b.IsFenced})
				rack, state := "-", "in service"
				if b.Rack != nil {
					rack = *b.Rack
				}
				if b.IsFenced {
					state = "fenced"
				}
				brokers.add(b.NodeID, b.Host, b.Port, rack, state)
			}
			return p.show(conn.output, answer, cluster, brokers)
		})
	})
	return c
}

// describeCluster asks for all brokers. From version 2 of the request on, those
// that are fenced are among them.
func describeCluster(ctx context.Context, client *kgo.Client) (*kmsg.DescribeClusterResponse, error) {
	req := kmsg.NewPtrDescribeClusterRequest()
	req.IncludeFencedBrokers = true
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return nil, err
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return nil, answered("describe the cluster", err, fromPointer(resp.ErrorMessage))
	}
	return resp, nil
}

func fromPointer(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}

// count writes a number and what it counts.
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
