package tiering

import (
	"context"
	"sync"
	"time"
)

// ReadResult is the outcome for one request of ReadAll.
type ReadResult struct {
	Chunk *Chunk // nil exactly when Err is not
	Err   error
}

// planners is how many requests of one ReadAll look up their segments at once.
const planners = 16

// ReadAll serves all partitions of one fetch under one limit of bytes, in order. The blocks of all of them are asked for
// before any is waited for, so that it takes about as long as the slowest. AtLeastOne counts until there is a batch.
// Partitions for which nothing was left get an empty chunk; their blocks, where they were asked for, wait for the next call. Each Chunk must be released.
func (r *Reader) ReadAll(ctx context.Context, reqs []ReadRequest, maxBytes int) []ReadResult {
	out := make([]ReadResult, len(reqs))
	if err := r.enter(); err != nil {
		for i := range out {
			out[i].Err = err
		}
		return out
	}
	defer r.leave()
	start := time.Now()
	streams := make([]*stream, len(reqs))
	turn := make(chan struct{}, planners)
	var group sync.WaitGroup
	for i := range reqs {
		streams[i] = r.stream(ctx, &reqs[i])
		turn <- struct{}{}
		group.Go(func() {
			defer func() { <-turn }()
			if reqs[i].Offset < reqs[i].limit() {
				out[i].Err = r.position(ctx, streams[i], &reqs[i])
			}
		})
	}
	group.Wait()
	// No more than will be returned, nor so much that fetches wait for each other's memory.
	asked := make([]bool, len(reqs))
	for i, bound := 0, min(int64(maxBytes), r.opts.ReadBytes/8); i < len(reqs) && bound > 0; i++ {
		st := streams[i]
		if out[i].Err != nil || reqs[i].Offset >= reqs[i].limit() {
			continue
		}
		if len(st.slots) == 0 && st.tailNext < len(st.tail.idx.Blocks) {
			r.claimNext(st)
		}
		bound -= min(st.ahead, int64(reqs[i].MaxBytes))
		asked[i] = true
	}
	left, got := maxBytes, false
	for i := range reqs {
		req := reqs[i]
		req.MaxBytes = min(req.MaxBytes, left)
		req.AtLeastOne = req.AtLeastOne && !got
		if out[i].Err == nil {
			if got && (left <= 0 || !asked[i]) {
				out[i].Chunk = &Chunk{NextOffset: req.Offset}
			} else {
				out[i].Chunk, out[i].Err = r.serve(ctx, streams[i], &req)
			}
		}
		if c := out[i].Chunk; c != nil {
			left -= c.Bytes
			got = got || c.Bytes > 0
		}
		r.settle(ctx, streams[i], out[i].Chunk, out[i].Err, start)
	}
	return out
}
