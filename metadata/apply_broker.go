package metadata

import (
	"slices"

	"github.com/tidelinehq/tideline/metadata/record"
)

// currentBroker returns a registered broker if the epoch is its current one.
func (e *edit) currentBroker(id int32, epoch int64) (*Broker, record.Reason) {
	b, ok := e.brokers.Get(id)
	switch {
	case !ok:
		return nil, record.NoBroker
	case b.Epoch != epoch:
		return b, record.StaleBrokerEpoch
	}
	return b, record.OK
}

func (e *edit) registerBroker(c *record.RegisterBroker) Result {
	switch {
	case e.cluster.ID == "":
		return Result{Reason: record.NoCluster}
	case c.ID < 0 || c.Incarnation == ID{}:
		return Result{Reason: record.Invalid}
	}
	for _, f := range e.cluster.Features {
		if !slices.ContainsFunc(c.Features, func(r record.FeatureRange) bool {
			return r.Name == f.Name && r.Min <= f.Level && f.Level <= r.Max
		}) {
			return Result{Reason: record.UnsupportedLevel}
		}
	}
	b := &Broker{ID: c.ID, Incarnation: c.Incarnation, Rack: c.Rack, Endpoints: c.Endpoints, Features: c.Features, Fenced: true}
	old, known := e.brokers.Get(c.ID)
	if known && old.Incarnation == c.Incarnation {
		b.Epoch, b.Fenced = old.Epoch, old.Fenced
	} else {
		if !known && e.brokers.Len() >= record.MaxBrokers {
			return Result{Reason: record.TooMany}
		}
		e.cluster.LastBrokerEpoch++
		b.Epoch = e.cluster.LastBrokerEpoch
		e.closeUploads(c.ID, c.Due)
	}
	e.brokers.Set(c.ID, b)
	e.delta.broker(c.ID)
	return Result{BrokerEpoch: b.Epoch}
}

func (e *edit) fence(id int32, epoch int64, fenced bool) record.Reason {
	b, r := e.currentBroker(id, epoch)
	if r != record.OK {
		return r
	}
	if b.Fenced == fenced {
		return record.Already
	}
	next := *b
	next.Fenced = fenced
	e.brokers.Set(id, &next)
	e.delta.broker(id)
	return record.OK
}

func (e *edit) removeBroker(c *record.RemoveBroker) record.Reason {
	b, ok := e.brokers.Get(c.ID)
	if !ok {
		return record.Already
	}
	if !b.Fenced || e.HostedCount(c.ID) > 0 {
		return record.BrokerInUse
	}
	e.closeUploads(c.ID, c.Due)
	e.brokers.Delete(c.ID)
	e.brokerConfigs.Delete(c.ID)
	e.delta.broker(c.ID)
	return record.OK
}

// closeUploads ends all open uploads of a broker, whose process is gone. There
// are at most MaxIntents of them per broker.
func (e *edit) closeUploads(broker int32, due int64) {
	if n, _ := e.brokerUpload.Get(broker); n == 0 {
		return
	}
	var open []*Intent
	e.intents.Scan(func(_ string, i *Intent) bool {
		if i.Broker == broker {
			open = append(open, i)
		}
		return true
	})
	for _, i := range open {
		e.closeIntent(i, due)
	}
}
