package partition

// marks says how many bytes of record batches end where between the high
// watermark and the durable log end, ascending. It is guarded by the acks mutex.
type marks []mark

type mark struct {
	end   int64
	bytes int
}

// maxMarks bounds them: where followers are far behind, neighbours are merged, and
// what the high watermark passes is counted when it has passed both.
const maxMarks = 1024

// add notes bytes that became durable up to end.
func (m marks) add(end int64, bytes int) marks {
	if len(m) == maxMarks {
		kept := m[:0]
		for i := 0; i+1 < len(m); i += 2 {
			kept = append(kept, mark{m[i+1].end, m[i].bytes + m[i+1].bytes})
		}
		m = kept
	}
	return append(m, mark{end, bytes})
}

// take removes what ends at or below end, and returns its bytes. The first mark begins at begin; of one that end divides,
// the part below is taken.
func (m marks) take(begin, end int64) (rest marks, bytes int) {
	n := 0
	for n < len(m) && m[n].end <= end {
		begin = m[n].end
		bytes += m[n].bytes
		n++
	}
	rest = append(m[:0], m[n:]...)
	if len(rest) > 0 && begin < end {
		below := rest[0].below(begin, end)
		rest[0].bytes -= below
		bytes += below
	}
	return rest, bytes
}

// truncate removes what ends above end, given where the first mark begins. Of one that end divides, the part below stays.
func (m marks) truncate(begin, end int64) marks {
	n := len(m)
	for n > 0 && m[n-1].end > end {
		n--
	}
	if n == len(m) {
		return m
	}
	divided := m[n]
	if n > 0 {
		begin = m[n-1].end
	}
	if m = m[:n]; begin < end {
		m = append(m, mark{end, divided.below(begin, end)})
	}
	return m
}

// below estimates what a mark that begins at begin has below offset, as if its records were of one size. It is never nothing:
// what is not counted is not uploaded.
func (m mark) below(begin, offset int64) int {
	return max(1, int(float64(m.bytes)*(float64(offset-begin)/float64(m.end-begin))))
}
