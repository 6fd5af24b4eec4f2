package record

// InitCluster gives the cluster its id. It is the first command; a second one
// is answered with the id that stands.
type InitCluster struct {
	ClusterID string
	At        int64 // Unix milliseconds
}

// Type implements Command.
func (*InitCluster) Type() Type { return TypeInitCluster }

func (c *InitCluster) code(k *coder, _ uint8) {
	k.str(&c.ClusterID, 255)
	k.i64(&c.At)
}

// FinalizeFeatures raises (or, when Downgrade is set, lowers) feature levels
// for the whole cluster. Every registered broker must support the new level.
// All updates take effect, or none.
type FinalizeFeatures struct {
	Updates   []Feature
	Downgrade bool
}

// Type implements Command.
func (*FinalizeFeatures) Type() Type { return TypeFinalizeFeatures }

func (c *FinalizeFeatures) code(k *coder, _ uint8) {
	list(k, &c.Updates, MaxFeatures, 2, codeFeature)
	k.bool(&c.Downgrade)
}

func codeFeature(k *coder, f *Feature) {
	k.str(&f.Name, 255)
	k.i32(&f.Level)
}

// AllocateProducerIDs takes the next Count producer ids. Result.FirstProducerID
// is the first of them.
type AllocateProducerIDs struct {
	Broker      int32
	BrokerEpoch int64
	Count       int32
}

// Type implements Command.
func (*AllocateProducerIDs) Type() Type { return TypeAllocateProducerIDs }

func (c *AllocateProducerIDs) code(k *coder, _ uint8) {
	k.i32(&c.Broker)
	k.i64(&c.BrokerEpoch)
	k.i32(&c.Count)
}
