package share

import "slices"

// StateBatch is a range of offsets, both ends inclusive, in one delivery state.
type StateBatch struct {
	First, Last   int64
	State         int8  // 0 available, 2 acknowledged, 4 archived
	DeliveryCount int16 // how often the records were handed out
}

// rank orders statements about one offset: the greater one holds. A record's
// deliveries are only ever counted up, and within a delivery its state only goes up.
func (b StateBatch) rank() int32 { return int32(b.DeliveryCount)<<8 + int32(uint8(b.State)) }

func (b StateBatch) like(o StateBatch) bool { return b.rank() == o.rank() }

// valid says whether batches that a client sent are ranges.
func valid(batches []StateBatch) bool {
	for _, b := range batches {
		if b.First < 0 || b.Last < b.First || b.DeliveryCount < 0 {
			return false
		}
	}
	return true
}

// combine returns what two lists of batches together say about the offsets from start
// on (-1: about all): ascending, without overlaps, alike neighbours joined.
//
//	a      [   acquired twice   ]
//	b           [ acknowledged once ][ archived once ]
//	start    │
//	         [  acquired twice  ][ a.. ][ archived once ]
func combine(a, b []StateBatch, start int64) []StateBatch {
	rest := make([]StateBatch, 0, len(a)+len(b))
	for _, list := range [2][]StateBatch{a, b} {
		for _, x := range list {
			if x.Last >= start {
				x.First = max(x.First, start)
				rest = append(rest, x)
			}
		}
	}
	slices.SortFunc(rest, func(x, y StateBatch) int {
		switch {
		case x.First != y.First:
			return cmpInt64(x.First, y.First)
		default:
			return int(y.rank()) - int(x.rank())
		}
	})
	// A sweep from left to right. open holds the ranges under the sweep by rank, the
	// greatest last; only the greatest is seen. An offset at which nothing begins or ends
	// has the same greatest as the one before.
	out := make([]StateBatch, 0, len(rest))
	var open []StateBatch
	emit := func(x StateBatch, last int64) {
		if n := len(out); n > 0 && out[n-1].Last+1 == x.First && out[n-1].like(x) {
			out[n-1].Last = last
		} else {
			x.Last = last
			out = append(out, x)
		}
	}
	at := int64(0)
	// advance emits what is open below end.
	advance := func(end int64) {
		for len(open) > 0 && at < end {
			top := open[len(open)-1]
			if top.Last < at { // wholly below a greater one that has ended
				open = open[:len(open)-1]
				continue
			}
			top.First = at
			last := min(top.Last, end-1)
			emit(top, last)
			at = last + 1
		}
	}
	for _, x := range rest {
		advance(x.First)
		at = x.First
		i, _ := slices.BinarySearchFunc(open, x, func(o, x StateBatch) int { return int(o.rank()) - int(x.rank()) })
		if i < len(open) && open[i].like(x) {
			open[i].Last = max(open[i].Last, x.Last)
		} else {
			open = slices.Insert(open, i, x)
		}
	}
	for len(open) > 0 {
		top := open[len(open)-1]
		if top.Last >= at {
			top.First = at
			emit(top, top.Last)
			if top.Last == maxOffset {
				break
			}
			at = top.Last + 1
		}
		open = open[:len(open)-1]
	}
	return out
}

const maxOffset = 1<<63 - 1

func cmpInt64(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}
