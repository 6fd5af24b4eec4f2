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

// take removes what ends at or below end, and returns its bytes.
func (m marks) take(end int64) (rest marks, bytes int) {
	n := 0
	for n < len(m) && m[n].end <= end {
		bytes += m[n].bytes
		n++
	}
	return append(m[:0], m[n:]...), bytes
}

// truncate removes what ends above end.
func (m marks) truncate(end int64) marks {
	for len(m) > 0 && m[len(m)-1].end > end {
		m = m[:len(m)-1]
	}
	return m
}
