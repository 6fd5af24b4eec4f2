package broker

import (
	"iter"
	"math"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tidelinehq/tideline/broker/config"
	"github.com/tidelinehq/tideline/broker/quota"
	"github.com/tidelinehq/tideline/broker/server"
	"github.com/tidelinehq/tideline/metadata"
	command "github.com/tidelinehq/tideline/metadata/record"
)

func newQuotas(c *config.Config, registerer prometheus.Registerer) *quota.Manager {
	return quota.New(quota.Options{
		Window:     quota.Window{Samples: int(c.QuotaWindowNum), Size: c.QuotaWindowSize},
		Mutations:  quota.Window{Samples: int(c.ControllerQuotaWindowNum), Size: c.ControllerQuotaWindowSize},
		Registerer: registerer,
	})
}

// quotaLimits shows the limits of the metadata to the quotas. One goroutine calls follow.
type quotaLimits struct {
	quotas     *quota.Manager
	generation uint64
	seen       bool
}

// follow replaces the limits, if they are others than before.
func (q *quotaLimits) follow(image *metadata.Image) {
	if g := image.QuotaGeneration(); !q.seen || g != q.generation {
		q.seen, q.generation = true, g
		q.quotas.SetTable(quota.NewTable(limitsOf(image.Quotas())))
	}
}

// limitsOf translates the limits of the metadata. Keys that this release does not know are passed over.
func limitsOf(quotas iter.Seq[command.Quota]) iter.Seq[quota.Limit] {
	return func(yield func(quota.Limit) bool) {
		for q := range quotas {
			var l quota.Limit
			for _, p := range q.Entity {
				name := quota.Named(p.Name)
				if p.Default {
					name = quota.Default()
				}
				switch p.Type {
				case command.QuotaUser:
					l.User = name
				case command.QuotaClientID:
					l.Client = name
				case command.QuotaIP:
					l.IP = name
				}
			}
			for _, v := range q.Values {
				var known bool
				if l.Kind, known = quota.KindOf(v.Key); !known {
					continue
				}
				if l.Value = v.Value; !yield(l) {
					return
				}
			}
		}
	}
}

// limit has new settings bound the connections.
func (b *Broker) limit(c *config.Config) {
	b.server.SetLimits(connectionLimits(c))
	rate := float64(0) // none
	if c.MaxConnectionCreationRate != math.MaxInt32 {
		rate = float64(c.MaxConnectionCreationRate)
	}
	listeners := make(map[string]float64, len(c.Listeners))
	for _, l := range c.Listeners {
		if n := c.ListenerLimits(l).ConnectionCreationRate; n != math.MaxInt32 {
			listeners[l.Name] = float64(n)
		}
	}
	b.quotas.SetConnectionRates(rate, listeners)
}

func connectionLimits(c *config.Config) server.Limits {
	overrides, err := config.ParseConnectionOverrides(c.MaxConnectionsPerIPOverrides)
	if err != nil {
		panic("a setting that its row does not allow: " + err.Error())
	}
	perListener := make(map[string]int, len(c.Listeners))
	for _, l := range c.Listeners {
		perListener[l.Name] = int(c.ListenerLimits(l).Connections)
	}
	return server.Limits{
		Connections: int(c.MaxConnections), PerIP: int(c.MaxConnectionsPerIP), PerIPOf: overrides, PerListener: perListener, Unauthenticated: int(c.MaxUnauthenticated),
	}
}
