package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/tidelinehq/tideline/broker/membership"
	"github.com/tidelinehq/tideline/metadata"
	"github.com/tidelinehq/tideline/metadata/controller"
	command "github.com/tidelinehq/tideline/metadata/record"
)

// register announces this process to the cluster, starts to follow the metadata, and
// waits until it is in service.
func (b *Broker) register(ctx context.Context) error {
	r := controller.Registration{
		ID: b.cfg.NodeID, Rack: b.cfg.Rack, Incarnation: b.incarnation, Alone: b.peers == nil, LostLog: b.log.Lost(),
		Features: controller.SupportedFeatures(),
	}
	var err error
	if r.Endpoints, err = b.endpoints(); err != nil {
		return err
	}
	b.member = membership.New(membership.Options{
		Store: b.meta.Store, Peers: b.peers, Registration: r, Applied: b.meta.Applied,
		Policy:         func() controller.Policy { return policyOf(b.replicas.config()) },
		SessionTimeout: b.cfg.BrokerSessionTimeout, HeartbeatInterval: b.cfg.BrokerHeartbeatInterval,
		Grace: b.cfg.TierGarbageGrace, Now: b.now, OnFatal: b.fail,
		Balance: membership.BalanceOptions{
			Leaders: b.cfg.AutoLeaderRebalance, Interval: b.cfg.LeaderImbalanceCheck,
			Replicas: b.cfg.AutoBalance, MaxMoves: maxMoves, MaxBytes: maxMovedBytes,
		},
		Loads:  b.loads,
		Voting: controller.Voting{Want: int(b.cfg.ControllerVoters), Patience: b.cfg.ControllerVoterGone},
		Logger: b.logger.With("part", "membership"), Registerer: b.registry,
	})
	b.background(func() { b.member.Steward().Run(b.run) })
	if b.peers != nil {
		b.background(func() { b.member.Steward().RunVoting(b.run) })
		b.background(func() { b.member.Steward().RunBalance(b.run) })
	}
	if err := b.member.Register(ctx); err != nil {
		return err
	}
	if err := b.log.LossTold(); err != nil { // before anything is led or followed
		return err
	}
	watcher := b.meta.Watch()
	if err := b.follow(ctx, watcher); err != nil {
		return err
	}
	b.background(func() {
		defer b.meta.setEnded()
		defer watcher.Close()
		for {
			if err := b.follow(b.run, watcher); err != nil {
				if b.run.Err() == nil && !errors.Is(err, metadata.ErrClosed) {
					b.fail(err)
				}
				return
			}
		}
	})
	b.background(func() { b.member.Run(b.run) })
	if b.sender != nil {
		b.background(func() { b.isr.run(b.run) })
	}
	if err := b.member.AwaitService(ctx); err != nil {
		return err
	}
	return b.meta.await(ctx, b.meta.Image().Index())
}

// Bounds of replicas that move on their own at a time: each has a stream that catches up.
const (
	maxMoves      = 100
	maxMovedBytes = 4 << 30
)

// endpoints are where this broker is reached.
func (b *Broker) endpoints() ([]command.Endpoint, error) {
	var out []command.Endpoint
	for i, l := range b.cfg.Advertised {
		e := command.Endpoint{Listener: l.Name, Host: l.Host, Port: int32(l.Port), Protocol: string(l.Protocol)}
		if l.Port == 0 {
			_, port, err := splitPort(b.kafka[i].Addr().String())
			if err != nil {
				return nil, fmt.Errorf("advertised.listeners: %w", err)
			}
			e.Port = port
		}
		out = append(out, e)
	}
	if b.peers != nil {
		host, port, err := splitPort(b.rpcAdvertised())
		if err != nil {
			return nil, fmt.Errorf("rpc.advertised: %w", err)
		}
		out = append(out, command.Endpoint{Listener: command.InternalListener, Host: host, Port: port})
	}
	return out, nil
}

func splitPort(address string) (host string, port int32, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	n, err := strconv.ParseInt(text, 10, 32)
	return host, int32(n), err
}

// follow brings the broker in line with the next image.
func (b *Broker) follow(ctx context.Context, w *metadata.Watcher) error {
	image, delta, err := w.Next(ctx)
	if err != nil {
		return err
	}
	if len(delta.Brokers) > 0 || delta.All {
		if err := b.reconfigure(image); err != nil {
			return err
		}
	}
	b.quotaLimits.follow(image)
	if err := b.replicas.apply(image, delta); err != nil {
		return err
	}
	b.throttle(image, &delta)
	b.meta.setApplied(image.Index())
	return nil
}
