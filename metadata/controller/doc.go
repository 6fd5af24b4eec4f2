// Package controller decides what happens to the cluster: it validates
// requests against an image and returns the commands that carry them out.
//
// Every decision is a pure function of an image and a request. It proposes
// nothing, knows no clock, and draws no random numbers; ids and the spread of
// replicas come with the request. Applying the command decides once more: what
// another command took meanwhile is refused there (record.TopicExists,
// record.StaleEpoch and the like), so decisions need no lock, may be made on any
// broker, and may be proposed late.
//
// # Who proposes what
//
//	decision                           proposed by                       when
//	---------------------------------  --------------------------------  ------------------------------
//	Create, Grow, Delete, settings     the broker that was asked         a client asks
//	Reassign, Policy.Elect             the broker that was asked         a client asks
//	CreateACLs, AlterScram and others  the broker that was asked         a client asks
//	ExpiredTokens                      the leader of the metadata        from time to time
//	Register                           the broker itself                 it starts
//	Policy.AlterISR                    the leader of the partition       a replica falls behind, or is back
//	Sessions                           the leader of the metadata        heartbeats, lost connections, time
//	Policy.Fenced, Unfenced, Shutdown  the leader of the metadata        after the broker's new state
//	Policy.Publish, then Settle        the leader of the metadata        it became the leader
//	Policy.SettlePartition             the leader of the metadata        a partition changed
//	Balance, SpreadLeaders, Preferred  the leader of the metadata        from time to time
//	Voting                             the leader of the metadata        from time to time, and after each step
//
// # Changes of partitions
//
// All changes of leaders, ISRs and replicas are made by one builder (change.go):
// a decision states what it wants, and the builder adds what follows, in this
// order:
//
//	fenced members leave the ISR
//	a reassignment ends, if all new replicas are in the ISR and enough stay
//	the ELR takes who left an ISR that is below min.insync.replicas
//	a leader is kept or elected: ISR, then ELR, then unclean if accepted
//
// So each change also brings the partition to rest, and it does not matter
// which of two brokers decides first. Settle finds what nobody has settled.
//
// # What must hold around it
//
//  1. The leader moves its high watermark only while the ISR has
//     Policy.EffectiveMinISR members, by the same setting on all brokers: it is
//     that of the topic, then of the cluster (Policy.Publish), never that of one
//     broker.
//  2. While an ISR change is under way the high watermark waits for the members
//     of both, the ISR known and the one asked for.
//  3. A replica is asked for only when it has all of the log below the high
//     watermark, in the history of the current leader epoch.
//  4. A new process of a broker says LostLog when it may lack records that the
//     old one acknowledged, and is led anew (Unfenced with restarted).
//
// Then whoever is in an ISR or ELR has all records that were acknowledged; a
// model with logs, random failures and late decisions verifies it.
//
// Errors are those of errors.go, one for each answer that a client can get,
// with the offending value; the mapping to protocol codes is the broker's.
package controller
