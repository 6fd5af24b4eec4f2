package record

import "fmt"

// DefaultMaxBytes is the bound that Validate puts on decompressed records. A
// batch is at most message.max.bytes when compressed, 1 MiB by default.
const DefaultMaxBytes = 64 << 20

// ValidateHeader checks what the header alone can show of any stored batch:
// length, magic, codec, a count that fits the last offset delta, and producer
// fields that go together. Compacted batches, with gaps or without records,
// pass; see ValidateProduced for what a producer may send.
func (b Batch) ValidateHeader() error {
	if len(b) < HeaderSize {
		return ErrShort
	}
	if b.Magic() != 2 {
		return fmt.Errorf("%w: magic=%d", ErrMagic, b.Magic())
	}
	if b.Size() != len(b) {
		return fmt.Errorf("%w: length field says %d, bytes=%d", ErrCorrupt, b.Size(), len(b))
	}
	if !b.Codec().valid() {
		return fmt.Errorf("%w: codec=%d", ErrCodec, int8(b.Codec()))
	}
	if b.BaseOffset() < 0 {
		return fmt.Errorf("%w: base offset=%d", ErrInvalid, b.BaseOffset())
	}
	count, delta := b.Count(), b.LastOffsetDelta()
	if count < 0 || delta < 0 || int64(count) > int64(delta)+1 {
		return fmt.Errorf("%w: record count=%d last offset delta=%d", ErrInvalid, count, delta)
	}
	return b.validateProducer()
}

func (b Batch) validateProducer() error {
	id, epoch, seq := b.ProducerID(), b.ProducerEpoch(), b.BaseSequence()
	switch {
	case id < NoProducerID || epoch < NoProducerEpoch || seq < NoSequence:
		return fmt.Errorf("%w: producer id=%d epoch=%d sequence=%d", ErrInvalid, id, epoch, seq)
	case id == NoProducerID && b.Transactional():
		return fmt.Errorf("%w: transactional without a producer id", ErrInvalid)
	case id != NoProducerID && epoch < 0:
		return fmt.Errorf("%w: producer id=%d without an epoch", ErrInvalid, id)
	case id != NoProducerID && seq < 0 && !b.Control():
		return fmt.Errorf("%w: producer id=%d without a sequence", ErrInvalid, id)
	}
	return nil
}

// validateDense checks that the header has at least one record and no gaps, as
// every batch has before compaction.
func (b Batch) validateDense() error {
	if count, delta := b.Count(), b.LastOffsetDelta(); count < 1 || int64(delta)+1 != int64(count) {
		return fmt.Errorf("%w: record count=%d last offset delta=%d", ErrInvalid, count, delta)
	}
	return nil
}

// ValidateCRC compares the stored checksum with that of the bytes; a mismatch
// is ErrChecksum, which is also ErrCorrupt.
func (b Batch) ValidateCRC() error {
	if got, want := b.ComputeCRC(), b.CRC(); got != want {
		return fmt.Errorf("%w: stored=%08x computed=%08x base_offset=%d size=%d", ErrChecksum, want, got, b.BaseOffset(), len(b))
	}
	return nil
}

// ValidateRecords walks the records, decompressing at most maxBytes: offset
// deltas must be dense from 0, lengths must agree. It allocates nothing for
// uncompressed batches; compressed ones borrow one of a fixed number of scratch
// buffers, so any number of callers together use bounded memory.
func (b Batch) ValidateRecords(maxBytes int) (Summary, error) {
	body := []byte(b[HeaderSize:])
	if b.Codec() == None {
		return scan(body, b.Count(), b.FirstTimestamp())
	}
	s, err := inflate(b.Codec(), body, maxBytes)
	if err != nil {
		return Summary{}, err
	}
	defer s.release()
	return scan(s.b, b.Count(), b.FirstTimestamp())
}

// Validate is the full check of a batch without gaps: header, checksum, records.
// Control batches pass. Decompression is bounded by DefaultMaxBytes.
func (b Batch) Validate() error {
	if err := b.ValidateHeader(); err != nil {
		return err
	}
	if err := b.validateDense(); err != nil {
		return err
	}
	if err := b.ValidateCRC(); err != nil {
		return err
	}
	_, err := b.ValidateRecords(DefaultMaxBytes)
	return err
}

// ValidateProduced is Validate with the rules for producers on top: no control
// batch, base offset 0, no delete horizon. The Summary lets the caller apply the
// topic's rules (timestamp bounds, keys required, max timestamp to correct).
//
// Apache Kafka checks the same on its leaders, with two differences: here
// uncompressed batches must have dense deltas too, and decompression has a bound.
func (b Batch) ValidateProduced(maxBytes int) (Summary, error) {
	if err := b.validateProduced(); err != nil {
		return Summary{}, err
	}
	return b.ValidateRecords(maxBytes)
}

// validateProduced is what ValidateProduced checks without a look at the records.
func (b Batch) validateProduced() error {
	if err := b.ValidateHeader(); err != nil {
		return err
	}
	if err := b.validateDense(); err != nil {
		return err
	}
	switch {
	case b.Control():
		return fmt.Errorf("%w: control batch from a client", ErrInvalid)
	case b.DeleteHorizon():
		return fmt.Errorf("%w: delete horizon from a client", ErrInvalid)
	case b.BaseOffset() != 0:
		return fmt.Errorf("%w: base offset=%d from a client, want 0", ErrInvalid, b.BaseOffset())
	}
	return b.ValidateCRC()
}
