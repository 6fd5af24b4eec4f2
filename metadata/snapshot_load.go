package metadata

import (
	"errors"
	"fmt"

	"github.com/tidwall/btree"

	"github.com/tidelinehq/tideline/metadata/record"
)

// loader fills an image from the frames of a snapshot. Records come in key
// order, which makes filling the trees linear; a disorder or a repeat is
// corruption.
type loader struct {
	*Image
	last record.StateKind
}

var (
	errOrder  = errors.New("records out of order")
	errOrphan = errors.New("partition without its topic")
)

// frame loads the records of one frame.
func (l *loader) frame(kind record.StateKind, version uint8, records uint32, b []byte) error {
	load := l.kind(kind)
	if load == nil {
		return fmt.Errorf("%w: state kind=%d", ErrSnapshotVersion, kind)
	}
	if kind < l.last {
		return fmt.Errorf("%w: kind=%d after kind=%d", ErrSnapshotCorrupt, kind, l.last)
	}
	l.last = kind
	for ; records > 0; records-- {
		rest, err := load(b, version)
		switch {
		case errors.Is(err, record.ErrUnknownVersion):
			return fmt.Errorf("%w: kind=%d: %w", ErrSnapshotVersion, kind, err)
		case err != nil:
			return fmt.Errorf("%w: kind=%d: %w", ErrSnapshotCorrupt, kind, err)
		case len(rest) == len(b):
			return fmt.Errorf("%w: kind=%d: empty record", ErrSnapshotCorrupt, kind)
		}
		b = rest
	}
	if len(b) > 0 {
		return fmt.Errorf("%w: kind=%d trailing bytes=%d", ErrSnapshotCorrupt, kind, len(b))
	}
	return nil
}

// kind returns the function that loads one record of a kind, nil when it is
// unknown.
func (l *loader) kind(kind record.StateKind) func(b []byte, version uint8) ([]byte, error) {
	switch kind {
	case record.StateCluster:
		return loadState(func(c *record.Cluster) error {
			l.cluster = *c
			return nil
		})
	case record.StateBroker:
		return loadState(func(b *Broker) error { return put(&l.brokers, b.ID, b) })
	case record.StateBrokerConfigs:
		return loadState(func(c *record.BrokerConfigs) error { return put(&l.brokerConfigs, c.Broker, c.Configs) })
	case record.StateGroupConfigs:
		return loadState(func(c *record.GroupConfigs) error { return put(&l.groupConfigs, c.Group, c.Configs) })
	case record.StateTopic:
		return loadState(l.loadTopic)
	case record.StatePartition:
		return loadState(l.loadPartition)
	case record.StateIntent:
		return loadState(func(i *Intent) error {
			n, _ := l.brokerUpload.Get(i.Broker)
			l.brokerUpload.Set(i.Broker, n+1)
			return put(&l.intents, key(i.Object), i)
		})
	case record.StateObject:
		return loadState(func(o *Object) error { return put(&l.objects, key(o.ID), o) })
	case record.StateGarbage:
		return loadState(func(g *Garbage) error {
			l.garbageDue.Set(key(g.Object), g.Due)
			return put(&l.garbage, garbageKey(g.Due, g.Object), *g)
		})
	case record.StatePurge:
		return loadState(func(p *Purge) error { return put(&l.purges, key(p.Topic), p) })
	case record.StatePurging:
		return loadState(func(p *record.PartitionState) error {
			if _, ok := l.purges.Get(key(p.Partition.Topic)); !ok {
				return errOrphan
			}
			return put(&l.purging, slot(p.Ordinal, p.Partition.Index), &partition{Partition: p.Partition})
		})
	case record.StateACL:
		return loadState(func(a *record.ACL) error { return put(&l.acls, a.Key(), a) })
	case record.StateRole:
		return loadState(func(r *record.Role) error { return put(&l.roles, r.Name, r) })
	case record.StateGrant:
		return loadState(func(g *record.Grant) error { return put(&l.grants, g.Key(), g) })
	case record.StateScram:
		return loadState(func(s *record.Scram) error { return put(&l.scram, s.Name().Key(), s) })
	case record.StateQuota:
		return loadState(func(q *record.Quota) error { return put(&l.quotas, q.Entity.Key(), q) })
	case record.StateToken:
		return loadState(func(t *record.Token) error { return put(&l.tokens, t.ID, t) })
	case record.StateClientMetrics:
		return loadState(func(c *record.ClientMetrics) error { return put(&l.clientMetrics, c.Name, c.Configs) })
	}
	return nil
}

// loadState decodes a T and hands it on.
func loadState[T any, P interface {
	*T
	record.State
}](use func(P) error) func([]byte, uint8) ([]byte, error) {
	return func(b []byte, version uint8) ([]byte, error) {
		s := P(new(T))
		rest, err := record.DecodeState(b, version, s)
		if err != nil {
			return nil, err
		}
		return rest, use(s)
	}
}

// put appends to a tree. Keys must grow.
func put[K int32 | uint32 | uint64 | string, V any](m *btree.Map[K, V], k K, v V) error {
	if last, _, ok := m.Max(); ok && last >= k {
		return errOrder
	}
	m.Load(k, v)
	return nil
}

func (l *loader) loadTopic(t *Topic) error {
	_, name := l.topics.Get(t.Name)
	_, id := l.topicIDs.Get(key(t.ID))
	if name || id || t.Ordinal >= l.cluster.NextOrdinal || t.Partitions < 1 {
		return fmt.Errorf("topic name=%q", t.Name)
	}
	l.topics.Set(t.Name, t)
	l.topicIDs.Set(key(t.ID), t)
	return put(&l.ordinals, t.Ordinal, t)
}

func (l *loader) loadPartition(p *record.PartitionState) error {
	t, ok := l.ordinals.Get(p.Ordinal)
	if !ok || t.ID != p.Partition.Topic || p.Partition.Index < 0 || p.Partition.Index >= t.Partitions {
		return errOrphan
	}
	s := slot(p.Ordinal, p.Partition.Index)
	x := &partition{Partition: p.Partition}
	if err := put(&l.partitions, s, x); err != nil {
		return err
	}
	if x.Leader != NoLeader {
		appendSlot(&l.led, x.Leader, s)
	}
	for _, b := range x.Replicas {
		appendSlot(&l.hosted, b, s)
	}
	l.replicas += int64(len(x.Replicas))
	return nil
}

func appendSlot(sets *btree.Map[int32, *slotSet], broker int32, s uint64) {
	set, ok := sets.Get(broker)
	if !ok {
		set = new(slotSet)
		sets.Set(broker, set)
	}
	set.slots.Load(s, struct{}{})
}

// finish verifies what can only be seen at the end.
func (l *loader) finish() error {
	partitions := 0
	l.ordinals.Scan(func(_ uint32, t *Topic) bool {
		partitions += int(t.Partitions)
		return true
	})
	if partitions != l.partitions.Len() {
		return fmt.Errorf("partitions=%d of %d", l.partitions.Len(), partitions)
	}
	if l.garbage.Len() != l.garbageDue.Len() {
		return errors.New("object twice in the garbage queue")
	}
	return l.soundSecurity()
}
