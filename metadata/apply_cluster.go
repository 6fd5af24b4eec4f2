package metadata

import (
	"slices"
	"strings"

	"github.com/tidelinehq/tideline/metadata/record"
)

func (e *edit) initCluster(c *record.InitCluster) Result {
	if e.cluster.ID != "" {
		return Result{Reason: record.Already, ClusterID: e.cluster.ID}
	}
	if c.ClusterID == "" {
		return Result{Reason: record.Invalid}
	}
	e.cluster.ID, e.cluster.CreatedAt = c.ClusterID, c.At
	e.delta.cluster = true
	return Result{ClusterID: c.ClusterID}
}

func (e *edit) finalizeFeatures(c *record.FinalizeFeatures) record.Reason {
	next := slices.Clone(e.cluster.Features)
	for _, u := range c.Updates {
		if u.Name == "" || u.Level < 0 {
			return record.Invalid
		}
		i, found := slices.BinarySearchFunc(next, u.Name, func(f Feature, name string) int { return strings.Compare(f.Name, name) })
		var now int32
		if found {
			now = next[i].Level
		}
		if u.Level < now && !c.Downgrade {
			return record.Invalid
		}
		if !e.supported(u) {
			return record.UnsupportedLevel
		}
		switch {
		case u.Level == 0 && found:
			next = slices.Delete(next, i, i+1)
		case u.Level == 0:
		case found:
			next[i].Level = u.Level
		default:
			next = slices.Insert(next, i, u)
		}
	}
	if len(next) > record.MaxFeatures {
		return record.TooMany
	}
	if slices.Equal(next, e.cluster.Features) {
		return record.Already
	}
	e.cluster.Features = next
	e.delta.cluster = true
	return record.OK
}

// supported reports whether every registered broker has the level in its range.
// Level 0 switches a feature off, which any broker can do.
func (e *edit) supported(u Feature) bool {
	ok := true
	e.brokers.Scan(func(_ int32, b *Broker) bool {
		ok = u.Level == 0 || slices.ContainsFunc(b.Features, func(f record.FeatureRange) bool {
			return f.Name == u.Name && f.Min <= u.Level && u.Level <= f.Max
		})
		return ok
	})
	return ok
}

func (e *edit) allocateProducerIDs(c *record.AllocateProducerIDs) Result {
	if c.Count <= 0 || c.Count > record.MaxProducerIDs {
		return Result{Reason: record.Invalid}
	}
	if _, r := e.currentBroker(c.Broker, c.BrokerEpoch); r != record.OK {
		return Result{Reason: r}
	}
	first := e.cluster.NextProducerID
	if first+int64(c.Count) < first {
		return Result{Reason: record.TooMany}
	}
	e.cluster.NextProducerID = first + int64(c.Count)
	return Result{FirstProducerID: first}
}
