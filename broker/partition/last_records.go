package partition

// LastRecord is the newest trace of a producer in the log.
type LastRecord struct {
	DataOffset int64 // last offset of its last batch of records; -1 when it wrote none, or only markers since its epoch began
	Epoch      int16
}

// LastRecords returns those of all producers that are remembered. Compaction keeps them: who
// rebuilds the state of the producers from the log finds their last sequences and epochs.
func (p *Partition) LastRecords() map[int64]LastRecord {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make(map[int64]LastRecord, len(p.producers.entries))
	for id, e := range p.producers.entries {
		last := LastRecord{DataOffset: -1, Epoch: e.epoch}
		if e.count > 0 {
			last.DataOffset = e.batches[e.count-1].lastOffset
		}
		out[id] = last
	}
	return out
}
