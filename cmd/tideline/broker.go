package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tidelinehq/tideline/internal/adminapi"
)

// brokerCommand is `tideline broker`.
func (p *program) brokerCommand() *cobra.Command {
	return p.group("broker", "Look at brokers and take them out of the cluster", p.brokerListCommand(), p.brokerDecommissionCommand())
}

// clusterConnection is the flags of commands that ask the admin API of any broker
// of a cluster.
type clusterConnection struct {
	*connection
	admin adminConnection
}

func (p *program) clusterFlags(flags *pflag.FlagSet) *clusterConnection {
	c := &clusterConnection{connection: p.connectionFlags(flags)}
	flags.StringVar(&c.admin.http, "http", p.getenv("TIDELINE_HTTP"), "`HOST:PORT` or URL of a broker's admin API (env TIDELINE_HTTP); empty: asked of --brokers")
	c.admin.loginFlags(p, flags)
	return c
}

// call asks the admin API and decodes its answer into v.
func (c *clusterConnection) call(ctx context.Context, method, path string, body, v any) error {
	if c.admin.http == "" {
		address, err := c.findAdmin(ctx)
		if err != nil {
			return err
		}
		c.admin.http = address
	}
	a := &c.admin
	a.timeout = c.timeout
	answer, err := a.call(ctx, method, path, nil, body)
	if err != nil {
		return err
	}
	defer answer.Close() //nolint:errcheck // read only
	if err := json.NewDecoder(io.LimitReader(answer, maxStatusBytes)).Decode(v); err != nil {
		return fmt.Errorf("admin API: %w", err)
	}
	return nil
}

// findAdmin asks the brokers where one of them has its admin API: at its
// http.listener, and at the host that clients know where that names none.
func (c *clusterConnection) findAdmin(ctx context.Context) (address string, err error) {
	err = c.connected(ctx, func(ctx context.Context, client *kgo.Client) error {
		m, err := describeCluster(ctx, client)
		if err != nil {
			return err
		}
		for _, b := range m.Brokers {
			if b.IsFenced {
				continue
			}
			configs, err := c.adminOf(client).DescribeBrokerConfigs(ctx, b.NodeID)
			if err != nil {
				return err
			}
			if address = adminAddress(configs, b.Host); address != "" {
				return nil
			}
		}
		return fmt.Errorf("no broker of %s says where its admin API is: give --http", c.brokers)
	})
	return address, err
}

func adminAddress(configs kadm.ResourceConfigs, host string) string {
	for _, r := range configs {
		scheme := "http://"
		for _, kv := range r.Configs {
			if kv.Key == "http.ssl.certificate" && fromPointer(kv.Value) != "" {
				scheme = "https://"
			}
		}
		for _, kv := range r.Configs {
			if kv.Key != "http.listener" {
				continue
			}
			bound, port, err := net.SplitHostPort(fromPointer(kv.Value))
			if err != nil || port == "0" {
				continue
			}
			if ip := net.ParseIP(bound); bound == "" || ip != nil && ip.IsUnspecified() {
				bound = host
			}
			return scheme + net.JoinHostPort(bound, port)
		}
	}
	return ""
}

func (p *program) brokerListCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "List the brokers, their states and what they have",
		Args:  cobra.NoArgs,
	}
	conn := p.clusterFlags(c.Flags())
	c.RunE = p.does(func(ctx context.Context, _ []string) error {
		var list adminapi.Brokers
		if err := conn.call(ctx, http.MethodGet, adminapi.BrokersPath, nil, &list); err != nil {
			return err
		}
		t := newTable("BROKER", "HOST", "PORT", "RACK", "STATE", "LEADERS", "REPLICAS")
		for i := range list.Brokers {
			b := &list.Brokers[i]
			state := brokerState(b)
			if b.ID == list.Controller {
				state += ", controller"
			}
			t.add(b.ID, b.Host, b.Port, dashIf(b.Rack == "", b.Rack), state, b.Leaders, b.Replicas)
		}
		return p.show(conn.output, list, t)
	})
	return c
}

func brokerState(b *adminapi.Broker) string {
	if b.Draining {
		return b.State + ", draining"
	}
	return b.State
}

const decommissionHelp = `Take a broker out of the cluster: it gets no more replicas, and those that it has
go to other brokers. What is in the object store already is not copied.

The broker has to run until it is empty, unless every partition of it has other
replicas in sync. Called again when it is empty and stopped, the command has the
cluster forget it. --cancel lets it take part again; what has moved stays where it is.`

func (p *program) brokerDecommissionCommand() *cobra.Command {
	var cancel, wait bool
	c := &cobra.Command{
		Use:     "decommission ID",
		Short:   "Move everything away from a broker, then forget it",
		Long:    decommissionHelp,
		Example: "  tideline broker decommission 3 --wait",
		Args:    cobra.ExactArgs(1),
	}
	conn := p.clusterFlags(c.Flags())
	c.Flags().BoolVar(&cancel, "cancel", false, "let it take part again")
	c.Flags().BoolVar(&wait, "wait", false, "wait until nothing is left on it, and show how much that is")
	c.RunE = p.does(func(ctx context.Context, args []string) error {
		id, err := strconv.ParseInt(args[0], 10, 32)
		if err != nil || id < 0 {
			return usagef("not the id of a broker: %q", args[0])
		}
		if cancel && wait {
			return usagef("--cancel is done at once and takes no --wait")
		}
		path := strings.Replace(adminapi.DecommissionPath, "{id}", args[0], 1)
		var d adminapi.Decommission
		method := http.MethodPost
		if cancel {
			method = http.MethodDelete
		}
		ask := func(ctx context.Context) error {
			d = adminapi.Decommission{}
			return conn.call(ctx, method, path, nil, &d)
		}
		if wait {
			// Asked again, the broker sends the next ones away.
			err = p.follow(ctx, func(ctx context.Context) (string, bool, error) {
				err := ask(ctx)
				return count(d.Broker.Replicas, "replica") + " left", d.Removed || d.Broker.Replicas == 0, err
			})
		} else {
			err = ask(ctx)
		}
		if err != nil {
			return err
		}
		t := newTable("BROKER", "STATE", "LEADERS", "REPLICAS", "WHAT NEXT")
		t.add(d.Broker.ID, brokerState(&d.Broker), d.Broker.Leaders, d.Broker.Replicas, whatNext(&d, cancel))
		return p.show(conn.output, d, t)
	})
	return c
}

// whatNext says what remains to be done about a broker.
func whatNext(d *adminapi.Decommission, cancel bool) string {
	switch {
	case cancel:
		return "it takes part again"
	case d.Removed:
		return "the cluster has forgotten it"
	case d.Broker.Replicas > 0:
		return fmt.Sprintf("%d on their way now; call again, or with --wait, until none is left", d.Started)
	case d.Broker.State == adminapi.Fenced:
		return "call again, and the cluster forgets it"
	}
	return "it is empty: stop it, then call again"
}
