package partition

// EpochStart says that leader epoch Epoch wrote its first record at Start.
type EpochStart struct {
	Epoch int32
	Start int64
}

// epochs is the leader-epoch history of a log (KIP-101): epochs and start
// offsets both ascend strictly. It is guarded by the partition's mutex.
type epochs []EpochStart

// note records that epoch wrote at offset. Only the first record of an epoch
// changes anything.
func (e epochs) note(epoch int32, offset int64) epochs {
	if n := len(e); n > 0 && e[n-1].Epoch >= epoch {
		return e
	}
	return append(e, EpochStart{Epoch: epoch, Start: offset})
}

// endOf answers OffsetForLeaderEpoch: the greatest known epoch not above epoch,
// and the offset at which it ended. It returns (-1, -1) for an epoch above the
// current one, and when nothing is known, as Kafka does.
func (e epochs) endOf(epoch, current int32, logEnd int64) (int32, int64) {
	if epoch == current {
		return epoch, logEnd
	}
	if len(e) == 0 || epoch > current {
		return -1, -1
	}
	for i := len(e) - 1; i >= 0; i-- {
		if e[i].Epoch > epoch {
			continue
		}
		if i == len(e)-1 {
			return e[i].Epoch, logEnd
		}
		return e[i].Epoch, e[i+1].Start
	}
	// Older than all that is known: the requested epoch holds nothing of this log
	// and what follows it starts at the first entry.
	return epoch, e[0].Start
}

// at returns the epoch of the record at offset, or -1 when it is unknown.
func (e epochs) at(offset int64) int32 {
	for i := len(e) - 1; i >= 0; i-- {
		if e[i].Start <= offset {
			return e[i].Epoch
		}
	}
	return -1
}

// truncateEnd drops epochs that start at or above end.
func (e epochs) truncateEnd(end int64) epochs {
	for len(e) > 0 && e[len(e)-1].Start >= end {
		e = e[:len(e)-1]
	}
	return e
}

// truncateStart drops epochs that ended at or below start; the one that holds
// start begins there afterwards.
func (e epochs) truncateStart(start int64) epochs {
	for len(e) > 1 && e[1].Start <= start {
		e = e[1:]
	}
	if len(e) > 0 && e[0].Start < start {
		e = append(epochs{{Epoch: e[0].Epoch, Start: start}}, e[1:]...)
	}
	return e
}
