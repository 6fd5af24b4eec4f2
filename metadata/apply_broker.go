package metadata

import (
	"math"
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
		b.Epoch, b.Fenced, b.ShuttingDown = old.Epoch, old.Fenced, old.ShuttingDown
	} else {
		if !known && e.brokers.Len() >= record.MaxBrokers {
			return Result{Reason: record.TooMany}
		}
		e.cluster.LastBrokerEpoch++
		b.Epoch = e.cluster.LastBrokerEpoch
		e.closeUploads(c.ID, c.Due)
		if c.LostLog {
			e.forgetLog(c.ID)
		}
		e.leadNothing(c.ID)
	}
	if known {
		b.Draining = old.Draining
	}
	if !known || old.Rack != b.Rack {
		e.layout = e.index
	}
	e.brokers.Set(c.ID, b)
	e.delta.broker(c.ID)
	return Result{BrokerEpoch: b.Epoch}
}

// forgetLog takes a broker that lost its log out of all ISRs and ELRs, before
// anybody can elect it again.
func (e *edit) forgetLog(broker int32) {
	var slots []uint64
	if set, ok := e.hosted.Get(broker); ok {
		slots = set.slots.Keys()
	}
	for _, s := range slots {
		old, _ := e.partitions.Get(s)
		if !contains(old.ISR, broker) && !contains(old.ELR, broker) {
			continue
		}
		p := *old
		p.ISR, p.ELR = without(p.ISR, broker), without(p.ELR, broker)
		p.LastKnownELR = append(p.LastKnownELR[:len(p.LastKnownELR):len(p.LastKnownELR)], broker)
		p.PartitionEpoch = nextEpoch(p.PartitionEpoch)
		if p.Leader == broker {
			p.Leader, p.LeaderEpoch = NoLeader, nextEpoch(p.LeaderEpoch)
		}
		e.setPartition(s, old, &p)
		e.delta.partition(p.Topic, p.Index)
	}
}

// leadNothing ends what a broker leads: its new process knows neither what the old one
// has appended last nor which ISR it asked for, and may not go on in its epoch. It is
// elected anew when it comes into service, unless another one is before.
func (e *edit) leadNothing(broker int32) {
	var slots []uint64
	if set, ok := e.led.Get(broker); ok {
		slots = set.slots.Keys()
	}
	for _, s := range slots {
		old, _ := e.partitions.Get(s)
		p := *old
		p.PartitionEpoch = nextEpoch(p.PartitionEpoch)
		p.Leader, p.LeaderEpoch = NoLeader, nextEpoch(p.LeaderEpoch)
		e.setPartition(s, old, &p)
		e.delta.partition(p.Topic, p.Index)
	}
}

// nextEpoch is for changes that can not be refused. At the end of the range,
// which a change a second reaches in 68 years, the epoch stands, and from then
// on changePartition refuses.
func nextEpoch(epoch int32) int32 {
	if epoch == math.MaxInt32 {
		return epoch
	}
	return epoch + 1
}

// without returns a list without a member, nil when none is left.
func without(list []int32, v int32) []int32 {
	var out []int32
	for _, x := range list {
		if x != v {
			out = append(out, x)
		}
	}
	return out
}

func (e *edit) shutdownBroker(c *record.ShutdownBroker) record.Reason {
	b, r := e.currentBroker(c.ID, c.Epoch)
	switch {
	case r != record.OK:
		return r
	case b.ShuttingDown:
		return record.Already
	}
	next := *b
	next.ShuttingDown = true
	e.brokers.Set(c.ID, &next)
	e.delta.broker(c.ID)
	return record.OK
}

func (e *edit) drainBroker(c *record.DrainBroker) record.Reason {
	b, ok := e.brokers.Get(c.ID)
	switch {
	case !ok:
		return record.NoBroker
	case b.Draining == c.Draining:
		return record.Already
	}
	next := *b
	next.Draining = c.Draining
	e.brokers.Set(c.ID, &next)
	e.delta.broker(c.ID)
	return record.OK
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
