package verify

// sequences is the set of sequences of one producer that were met in one partition: a bit each.
type sequences map[int64]*[sequenceWords]uint64

const (
	sequenceWords = 1024
	sequenceBits  = sequenceWords * 64
)

// add puts a sequence in, and tells whether it is new.
func (s sequences) add(n int64) bool {
	chunk := s[n/sequenceBits]
	if chunk == nil {
		chunk = new([sequenceWords]uint64)
		s[n/sequenceBits] = chunk
	}
	word, bit := n%sequenceBits/64, uint64(1)<<(n%64)
	if chunk[word]&bit != 0 {
		return false
	}
	chunk[word] |= bit
	return true
}
