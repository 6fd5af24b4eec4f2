package record

import "fmt"

// State records are the entries of a snapshot of the image. The snapshot
// frames them by kind and version and checks their bytes; here are only the
// fields. They appear within a command's size, so one always fits a frame.

// StateKind is the kind byte of a snapshot section. Numbers are never reused.
type StateKind uint8

// Kinds of state records, in the order in which a snapshot has them.
const (
	StateCluster       StateKind = 1
	StateBroker        StateKind = 2
	StateBrokerConfigs StateKind = 3
	StateTopic         StateKind = 4
	StatePartition     StateKind = 5
	StateIntent        StateKind = 6
	StateObject        StateKind = 7
	StateGarbage       StateKind = 8
	StatePurge         StateKind = 9
	StatePurging       StateKind = 10
	StateGroupConfigs  StateKind = 11
	StateACL           StateKind = 12
	StateRole          StateKind = 13
	StateGrant         StateKind = 14
	StateScram         StateKind = 15
	StateQuota         StateKind = 16
	StateToken         StateKind = 17
	StateClientMetrics StateKind = 18
)

// StateVersion is the newest version of every state record.
//
//	2: Ledger.Cleaned and Horizon
//	3: kinds 12 to 18; nothing else differs from 2
const StateVersion = 3

// Cluster is the part of the state of which there is one.
type Cluster struct {
	ID              string
	CreatedAt       int64 // Unix milliseconds
	NextProducerID  int64
	LastBrokerEpoch int64
	NextOrdinal     uint32
	Features        []Feature // in name order
}

// BrokerConfigs are the dynamic settings of one broker, or DefaultBroker.
type BrokerConfigs struct {
	Broker  int32
	Configs Configs
}

// GroupConfigs are the settings of one consumer group.
type GroupConfigs struct {
	Group   string
	Configs Configs
}

// PartitionState is a partition under its topic's ordinal.
type PartitionState struct {
	Ordinal   uint32
	Partition Partition
}

// State is a pointer to one of Cluster, Broker, BrokerConfigs, GroupConfigs, Topic,
// PartitionState, Intent, Object, Garbage, Purge, ACL, Role, Grant, Scram, Quota,
// Token, ClientMetrics.
type State interface{ codeState(k *coder, version uint8) }

// AppendState appends the bytes of a state record.
func AppendState(dst []byte, s State) ([]byte, error) {
	k := coder{buf: dst}
	s.codeState(&k, StateVersion)
	return k.buf, k.err
}

// DecodeState fills s from the front of b and returns the rest. Errors are
// ErrUnknownVersion and ErrCorrupt.
func DecodeState(b []byte, version uint8, s State) ([]byte, error) {
	if version == 0 || version > StateVersion {
		return nil, fmt.Errorf("decode state: %w: version=%d newest=%d", ErrUnknownVersion, version, StateVersion)
	}
	k := coder{buf: b, decoding: true}
	s.codeState(&k, version)
	return k.buf, k.err
}

func (c *Cluster) codeState(k *coder, _ uint8) {
	k.str(&c.ID, 255)
	k.i64(&c.CreatedAt)
	k.i64(&c.NextProducerID)
	k.i64(&c.LastBrokerEpoch)
	k.u32(&c.NextOrdinal)
	list(k, &c.Features, MaxFeatures, 2, codeFeature)
}

func (b *Broker) codeState(k *coder, _ uint8) {
	k.i32(&b.ID)
	k.i64(&b.Epoch)
	k.id(&b.Incarnation)
	k.str(&b.Rack, maxString)
	list(k, &b.Endpoints, maxEndpoints, 4, codeEndpoint)
	list(k, &b.Features, MaxFeatures, 3, codeFeatureRange)
	k.bool(&b.Fenced)
	k.bool(&b.ShuttingDown)
	k.bool(&b.Draining)
}

func (b *BrokerConfigs) codeState(k *coder, _ uint8) {
	k.i32(&b.Broker)
	k.configs(&b.Configs)
}

func (g *GroupConfigs) codeState(k *coder, _ uint8) {
	k.str(&g.Group, MaxGroupID)
	k.configs(&g.Configs)
}

func (t *Topic) codeState(k *coder, _ uint8) {
	k.id(&t.ID)
	k.str(&t.Name, MaxTopicName)
	k.u32(&t.Ordinal)
	k.i32(&t.Partitions)
	k.configs(&t.Configs)
	k.i64(&t.CreatedAt)
}

func (p *PartitionState) codeState(k *coder, version uint8) {
	k.u32(&p.Ordinal)
	p.Partition.code(k, version)
}

func (p *Partition) code(k *coder, version uint8) {
	k.id(&p.Topic)
	k.i32(&p.Index)
	k.replicas(&p.Replicas)
	k.replicas(&p.ISR)
	k.replicas(&p.ELR)
	k.replicas(&p.LastKnownELR)
	k.replicas(&p.Adding)
	k.replicas(&p.Removing)
	k.i32(&p.Leader)
	k.i32(&p.LeaderEpoch)
	k.i32(&p.PartitionEpoch)
	k.i64(&p.ReleasedEnd)
	p.Ledger.code(k, version)
}

func (l *Ledger) code(k *coder, version uint8) {
	k.i64(&l.LogStart)
	k.i64(&l.Tiered)
	k.i64(&l.LogBytes)
	k.i64(&l.StoredBytes)
	k.i64(&l.Segments)
	k.i64(&l.MaxTimestamp)
	k.i64(&l.MaxTimestampOffset)
	paged := l.Root != PageRef{}
	k.bool(&paged)
	if paged {
		codePageRef(k, &l.Root)
		if k.decoding && l.Root == (PageRef{}) {
			k.fail("empty root page")
		}
	}
	k.i64(&l.RootEnd)
	list(k, &l.Hot, MaxHot, 60, codeSegment)
	k.fixed(l.Chain[:])
	k.u64(&l.Generation)
	if version >= 2 {
		k.i64(&l.Cleaned)
		k.i64(&l.Horizon)
	}
}

func (i *Intent) codeState(k *coder, _ uint8) {
	k.id(&i.Object)
	k.u8((*uint8)(&i.Kind))
	k.i32(&i.Broker)
	k.i64(&i.BrokerEpoch)
	k.i64(&i.At)
	k.i64(&i.Bytes)
	k.i64(&i.Refs)
}

func (o *Object) codeState(k *coder, _ uint8) {
	k.id(&o.ID)
	k.i64(&o.Bytes)
	k.i64(&o.Refs)
}

func (g *Garbage) codeState(k *coder, _ uint8) {
	k.id(&g.Object)
	k.u8((*uint8)(&g.Kind))
	k.i64(&g.Bytes)
	k.i64(&g.Due)
}

func (p *Purge) codeState(k *coder, _ uint8) {
	k.id(&p.Topic)
	k.str(&p.Name, MaxTopicName)
	k.u32(&p.Ordinal)
	k.i64(&p.DeletedAt)
	k.i32(&p.Remaining)
}
