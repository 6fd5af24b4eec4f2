//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/tidelinehq/tideline/internal/adminapi"
	"github.com/tidelinehq/tideline/loadtest/stage"
)

// machineCA is where the user data puts the authorities of the brokers.
const machineCA = "/etc/tideline/tls/peer_ca.pem"

// tideline has a machine run the command that its package has brought along.
func (m *machine) tideline(ctx context.Context, args ...string) (string, error) {
	return m.run(ctx, append([]string{"tideline"}, args...)...)
}

// list asks a machine's broker for all brokers and what they have.
func (m *machine) list(ctx context.Context) (*adminapi.Brokers, error) {
	text, err := m.tideline(ctx, "broker", "list", "--http", "127.0.0.1:8080", "-o", "json")
	if err != nil {
		return nil, err
	}
	list := &adminapi.Brokers{}
	if err := json.Unmarshal([]byte(text), list); err != nil {
		return nil, fmt.Errorf("%s: list of brokers: %w", m.plan.name, err)
	}
	return list, nil
}

// until looks again and again, until there is nothing left to be said against it.
func (c *cluster) until(ctx context.Context, what string, look func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, calmTimeout)
	defer cancel()
	for {
		failed := look(ctx)
		if failed == nil {
			return nil
		}
		if err := stage.Wait(ctx, lookEvery); err != nil {
			return fmt.Errorf("%s: %w: %w", what, err, failed)
		}
	}
}

// calm waits until the cluster's own command finds nothing that needs attention, and all brokers are there.
func (c *cluster) calm(ctx context.Context) error {
	return c.until(ctx, "the cluster does not become healthy", func(ctx context.Context) error {
		for _, m := range c.machines {
			if _, err := m.tideline(ctx, "cluster", "health", "--brokers", strings.Join(c.brokers(), ","), "--tls-ca", machineCA); err != nil {
				return err
			}
		}
		list, err := c.machines[0].list(ctx)
		if err != nil {
			return err
		}
		if len(list.Brokers) != zones {
			return fmt.Errorf("brokers=%d expected=%d", len(list.Brokers), zones)
		}
		for _, b := range list.Brokers {
			p := planOf(int(b.ID))
			if b.State != adminapi.InService || b.Rack != p.zone || b.Host != p.host() {
				return fmt.Errorf("broker=%d state=%q rack=%s host=%s", b.ID, b.State, b.Rack, b.Host)
			}
		}
		return nil
	})
}

// leads waits until a broker leads its share of the partitions again.
func (c *cluster) leads(ctx context.Context, m *machine) (leaders, replicas int, err error) {
	err = c.until(ctx, m.plan.name+" does not take its share", func(ctx context.Context) error {
		list, err := m.list(ctx)
		if err != nil {
			return err
		}
		all := 0
		for _, b := range list.Brokers {
			all += b.Leaders
			if int(b.ID) == m.plan.id {
				leaders, replicas = b.Leaders, b.Replicas
			}
		}
		if share := all / len(list.Brokers) / 2; leaders < share {
			return fmt.Errorf("leaders=%d of=%d", leaders, all)
		}
		return nil
	})
	return leaders, replicas, err
}
