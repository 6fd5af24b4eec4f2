package record

// PartitionChange changes leader, ISR or replicas of one partition, if its
// partition epoch still is the expected one; that pins the leader epoch too,
// which never changes alone. Nil lists stay as they are. Epochs are handed out
// by applying: the partition epoch grows with every change, the leader epoch
// when the leader changes or Elect is set.
//
// Who decides knows min.insync.replicas and computes ISR and ELR; applying
// verifies what must hold whatever the settings are: who enters an ISR is in
// service, who enters the ELR was in the ISR, and who is elected was in one of
// the two, unless Unclean says that losing records is accepted.
type PartitionChange struct {
	Topic          ID
	Partition      int32
	PartitionEpoch int32 // expected
	Leader         int32 // NoLeader for none
	Elect          bool  // new leader epoch even when the leader stays
	Unclean        bool  // the leader may lack acknowledged records
	ISR            []int32
	// ISREpochs, when not empty, has for each member of ISR the epoch of the
	// broker that was found in sync. One that was registered anew since may
	// have another log, and is refused.
	ISREpochs    []int64
	ELR          []int32
	LastKnownELR []int32
	Replicas     []int32
	Adding       []int32
	Removing     []int32
}

// ChangePartition changes many partitions at once, each for itself:
// Result.Entries has one answer per entry.
type ChangePartition struct {
	Entries []PartitionChange
}

// Type implements Command.
func (*ChangePartition) Type() Type { return TypeChangePartition }

func (c *ChangePartition) code(k *coder, _ uint8) {
	list(k, &c.Entries, maxList, 28, codePartitionChange)
}

func codePartitionChange(k *coder, p *PartitionChange) {
	k.id(&p.Topic)
	k.i32(&p.Partition)
	k.i32(&p.PartitionEpoch)
	k.i32(&p.Leader)
	k.bool(&p.Elect)
	k.bool(&p.Unclean)
	for _, replicas := range [...]*[]int32{&p.ISR, &p.ELR, &p.LastKnownELR, &p.Replicas, &p.Adding, &p.Removing} {
		optional(k, replicas, MaxReplicas, 1, codeInt32)
	}
	list(k, &p.ISREpochs, MaxReplicas, 1, func(k *coder, v *int64) { k.i64(v) })
}

// size is an upper bound of the encoded size.
func (p *PartitionChange) size() int {
	lists := len(p.ISR) + len(p.ELR) + len(p.LastKnownELR) + len(p.Replicas) + len(p.Adding) + len(p.Removing)
	return 16 + 3*5 + 2 + 7*2 + 5*lists + 10*len(p.ISREpochs)
}
