package record

// PartitionChange changes leader, ISR or replicas of one partition, if its
// partition epoch still is the expected one. Nil lists stay as they are.
// Epochs are handed out by applying: the partition epoch grows with every
// change, the leader epoch when the leader changes or Elect is set.
type PartitionChange struct {
	Topic          ID
	Partition      int32
	PartitionEpoch int32 // expected
	Leader         int32 // NoLeader for none
	Elect          bool  // new leader epoch even when the leader stays
	ISR            []int32
	Replicas       []int32
	Adding         []int32
	Removing       []int32
}

// ChangePartition changes many partitions at once, each for itself:
// Result.Entries has one answer per entry.
type ChangePartition struct {
	Entries []PartitionChange
}

// Type implements Command.
func (*ChangePartition) Type() Type { return TypeChangePartition }

func (c *ChangePartition) code(k *coder, _ uint8) {
	list(k, &c.Entries, maxList, 24, codePartitionChange)
}

func codePartitionChange(k *coder, p *PartitionChange) {
	k.id(&p.Topic)
	k.i32(&p.Partition)
	k.i32(&p.PartitionEpoch)
	k.i32(&p.Leader)
	k.bool(&p.Elect)
	optional(k, &p.ISR, MaxReplicas, 1, codeInt32)
	optional(k, &p.Replicas, MaxReplicas, 1, codeInt32)
	optional(k, &p.Adding, MaxReplicas, 1, codeInt32)
	optional(k, &p.Removing, MaxReplicas, 1, codeInt32)
}
