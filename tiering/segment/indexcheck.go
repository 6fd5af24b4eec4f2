package segment

import "fmt"

// check refuses an index that contradicts itself or the size of its section. It runs on what a Writer is about to write
// and on what a reader has just read.
func (x *Index) check(sectionSize int64) error {
	if x.Base < 0 || x.End < x.Base || x.Partition < 0 || x.StableOffset < 0 || x.Flags&^knownFlags != 0 {
		return fmt.Errorf("%w: section index partition=%d base=%d end=%d flags=%#x", ErrCorrupt, x.Partition, x.Base, x.End, x.Flags)
	}
	if x.ProducerStateSize > MaxProducerStateBytes {
		return fmt.Errorf("%w: producer state size=%d max=%d", ErrCorrupt, x.ProducerStateSize, MaxProducerStateBytes)
	}
	if (len(x.Aborted) > 0) != (x.Flags&FlagAborted != 0) {
		return fmt.Errorf("%w: aborted transactions=%d flags=%#x", ErrCorrupt, len(x.Aborted), x.Flags)
	}
	position, offset, seen := int64(0), x.Base, noTimes()
	var raw, batches, records int64
	for i := range x.Blocks {
		k := &x.Blocks[i]
		if err := k.check(x.Flags&FlagSparse != 0); err != nil {
			return fmt.Errorf("%w block=%d", err, i)
		}
		dense := x.Flags&FlagSparse == 0
		if k.Position != position || k.First < offset || dense && k.First != offset || k.End > x.End {
			return fmt.Errorf("%w: block=%d position=%d want_position=%d first=%d want_first=%d end=%d section_end=%d",
				ErrCorrupt, i, k.Position, position, k.First, offset, k.End, x.End)
		}
		position += int64(k.Stored)
		offset = k.End
		raw += int64(k.Raw)
		batches += int64(k.Batches)
		records += int64(k.Records)
		seen.add(k.MinTimestamp, k.MaxTimestamp, k.MaxTimestampOffset)
	}
	if x.Flags&FlagSparse == 0 && offset != x.End {
		return fmt.Errorf("%w: blocks end at offset=%d section_end=%d", ErrCorrupt, offset, x.End)
	}
	if want := position + x.ProducerStateSize + x.Size; want != sectionSize {
		return fmt.Errorf("%w: section size=%d want=%d", ErrCorrupt, sectionSize, want)
	}
	if raw != x.LogBytes || batches != x.Batches || records != x.Records || seen != (times{x.MinTimestamp, x.MaxTimestamp, x.MaxTimestampOffset}) {
		return fmt.Errorf("%w: section totals log_bytes=%d batches=%d records=%d differ from its blocks", ErrCorrupt, x.LogBytes, x.Batches, x.Records)
	}
	if chain := x.computeChain(); chain != x.Chain {
		return fmt.Errorf("%w: hash chain got=%x want=%x", ErrCorrupt, chain[:8], x.Chain[:8])
	}
	return x.checkLists()
}

// checkLists looks at epochs and aborted transactions.
func (x *Index) checkLists() error {
	for i, e := range x.Epochs {
		if e.Epoch < 0 || e.Start < 0 || e.Start > x.End || i > 0 && (e.Epoch <= x.Epochs[i-1].Epoch || e.Start < x.Epochs[i-1].Start) {
			return fmt.Errorf("%w: leader epoch list entry=%d epoch=%d start=%d", ErrCorrupt, i, e.Epoch, e.Start)
		}
	}
	for i, a := range x.Aborted {
		if a.FirstOffset < 0 || a.LastOffset < a.FirstOffset || a.LastOffset < x.Base || a.FirstOffset >= x.End || i > 0 && a.LastOffset < x.Aborted[i-1].LastOffset {
			return fmt.Errorf("%w: aborted transaction entry=%d first=%d last=%d", ErrCorrupt, i, a.FirstOffset, a.LastOffset)
		}
	}
	return nil
}

func (k *Block) check(sparse bool) error {
	ok := k.Raw > 0 && k.Raw <= MaxBlockBytes && k.Stored > 0 && k.First >= 0 && k.End > k.First && k.Flags&^knownBlockFlags == 0 &&
		k.Batches > 0 && k.Records >= 0
	switch k.Codec {
	case Raw:
		ok = ok && k.Stored == k.Raw
	case Zstd:
		ok = ok && k.Stored < k.Raw
	default:
		return fmt.Errorf("%w: block codec=%d", ErrCorrupt, k.Codec)
	}
	if !sparse {
		ok = ok && int64(k.Records) <= k.End-k.First
	}
	if k.MaxTimestamp != NoTimestamp {
		ok = ok && k.MaxTimestampOffset >= k.First && k.MaxTimestampOffset < k.End
	} else {
		ok = ok && k.MinTimestamp == NoTimestamp && k.MaxTimestampOffset == NoTimestamp
	}
	if !ok {
		return fmt.Errorf("%w: block first=%d end=%d stored=%d raw=%d codec=%s flags=%#x batches=%d records=%d", ErrCorrupt,
			k.First, k.End, k.Stored, k.Raw, k.Codec, k.Flags, k.Batches, k.Records)
	}
	return nil
}
