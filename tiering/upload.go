package tiering

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/tidelinehq/tideline/internal/record"
	"github.com/tidelinehq/tideline/tiering/manifest"
	"github.com/tidelinehq/tideline/tiering/objstore"
	"github.com/tidelinehq/tideline/tiering/segment"
)

// maxRebuilds is how often one object is built anew without a partition that turned out to be unreadable half way.
const maxRebuilds = 3

// uploadItem is one partition on its way into one object.
type uploadItem struct {
	lease *Lease
	take  int64 // bytes of batches at most

	epoch    int32
	expected int64 // tiered offset that the section continues
	segment  manifest.Segment
	traces   []ProducerTrace // that have part in it
	producer *ProducerTrace  // found in the batches; nil: none was, or those that wrote them are remembered
	looks    int             // that are left for it
	err      error           // why this partition failed, when it is its own doing
}

// upload builds one object of the items, puts it and commits it. Failures of store and ledger go into the engine's
// health, those of one partition into its item.
func (e *Engine) upload(ctx context.Context, items []*uploadItem) {
	start := e.o.Now()
	object := e.o.NewID()
	data, items, err := e.build(ctx, object, items)
	if err != nil {
		if ctx.Err() != nil {
			return
		}
		e.o.Logger.WarnContext(ctx, "object not built", "error", err)
		e.traceFailed(ctx, "tiering.roll", start, err)
		if errors.Is(err, errSpool) {
			e.spoolFailed(err) // nobody's own fault
			return
		}
		for _, it := range items {
			it.err = err
		}
		return
	}
	if len(items) == 0 {
		return // nothing was left to take
	}
	if data.file != nil {
		e.spoolWorked()
	}
	defer e.closeSpool(data)
	defer e.track(object)()
	t := &rollTrace{e: e, object: object, start: start}
	ctx = t.begin(ctx, items, data.size)
	var accepted []*uploadItem
	defer func() { t.end(accepted) }()
	up, done := t.stage(ctx, "tiering.upload")
	if !e.put(up, object, objstore.KindData, data) {
		done("not put")
		return
	}
	done("")
	t.uploaded = e.o.Now()
	in, done := t.stage(ctx, "tiering.commit")
	accepted = e.commit(in, object, data.size, items)
	if len(accepted) < len(items) {
		done("sections were refused")
	} else {
		done("")
	}
	e.m.uploadSeconds.Observe(e.o.Now().Sub(start).Seconds())
	var bytes int64
	for _, it := range accepted {
		bytes += it.segment.LogBytes
		it.lease.src.Tiered(it.segment.End)
	}
	e.m.uploadBatchBytes.Add(float64(bytes))
	e.o.Logger.DebugContext(ctx, "object uploaded", "object", fmt.Sprintf("%x", object), "bytes", data.size, "batch_bytes", bytes,
		"partitions", len(items), "accepted", len(accepted))
}

// put announces an object and writes it: the one way of any object into the bucket. False: it is not there, or nobody knows,
// and it was given up.
func (e *Engine) put(ctx context.Context, object [16]byte, kind objstore.Kind, data *spool) bool {
	if err := e.o.Ledger.BeginUpload(ctx, object, kind); err != nil {
		if ctx.Err() == nil {
			e.ledgerFailed(fmt.Errorf("begin upload: %w", err))
		}
		if !errors.Is(err, ErrRefused) {
			e.abort(ctx, object) // it may have been recorded
		}
		return false
	}
	e.ledgerWorked()
	err := e.putObject(ctx, objstore.Key(kind, object), data)
	if err == nil {
		e.storeWorked()
		e.m.uploadObjects.WithLabelValues(kind.String()).Inc()
		e.m.uploadBytes.WithLabelValues(kind.String()).Add(float64(data.size))
		return true
	}
	if ctx.Err() == nil {
		e.m.uploadFailures.Inc()
		e.storeFailed(err)
		e.abort(ctx, object)
	}
	return false
}

func (e *Engine) putObject(ctx context.Context, key string, data *spool) error {
	if e.o.Fence != nil {
		if err := e.o.Fence(ctx); err != nil {
			return fmt.Errorf("put %s: %w", key, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, e.o.PutTimeout)
	defer cancel()
	body, err := data.body()
	if err != nil {
		return err
	}
	body.ReaderAt = &slowReader{ctx: ctx, r: body.ReaderAt, pace: &e.uploadPace}
	_, err = e.o.Store.Put(ctx, key, body, objstore.Condition{})
	return err
}

func (e *Engine) closeSpool(s *spool) {
	if err := s.close(); err != nil {
		e.o.Logger.Warn("spool file not removed", "file", s.name, "error", err)
	}
}

// build writes an object of all items that have something to give and can be read, and returns those that are in it.
func (e *Engine) build(ctx context.Context, object [16]byte, items []*uploadItem) (*spool, []*uploadItem, error) {
	for tries := 0; ; tries++ {
		s := newSpool(e.o.FS, e.o.Dir, fmt.Sprintf("%x", object), e.o.MemoryBytes)
		in, bad, err := e.writeObject(ctx, s, object, items)
		if err == nil && len(in) > 0 {
			return s, in, nil
		}
		e.closeSpool(s)
		if err == nil {
			return nil, nil, nil
		}
		if bad == nil || tries == maxRebuilds || ctx.Err() != nil {
			return nil, items, err
		}
		bad.err = err
		rest := make([]*uploadItem, 0, len(items)-1)
		for _, it := range items {
			if it != bad {
				rest = append(rest, it)
			}
		}
		items = rest
	}
}

// writeObject returns the items that have a section. An error with a bad item is that item's doing.
func (e *Engine) writeObject(ctx context.Context, s *spool, object [16]byte, items []*uploadItem) (in []*uploadItem, bad *uploadItem, err error) {
	w, err := segment.NewWriter(s, segment.WriterOptions{Object: object})
	if err != nil {
		return nil, nil, err
	}
	defer w.Close()
	for _, it := range items {
		if it.lease.closed.Load() || it.err != nil {
			continue
		}
		wrote, err := e.writeSection(ctx, w, it)
		switch {
		case errors.Is(err, errSpool) || ctx.Err() != nil:
			return nil, nil, err
		case err != nil && !wrote:
			it.err = err // the object is none the worse
		case err != nil:
			return nil, it, err
		case wrote:
			in = append(in, it)
		}
	}
	if len(in) == 0 {
		return nil, nil, nil
	}
	o, err := w.Finish()
	if err != nil {
		return nil, nil, err
	}
	if o.Size != s.size {
		return nil, nil, fmt.Errorf("tiering: spool and object differ size=%d want=%d", s.size, o.Size)
	}
	return in, nil, nil
}

// writeSection writes what is pending of one partition. wrote: bytes may have gone into the object.
func (e *Engine) writeSection(ctx context.Context, w *segment.Writer, it *uploadItem) (wrote bool, err error) {
	id := it.lease.id
	view, ok := e.o.Ledger.View(id.Topic, id.Partition)
	if !ok {
		return false, nil // deleted
	}
	st := it.lease.src.Status()
	it.epoch, it.expected = st.LeaderEpoch, view.Tiered
	start := max(view.Tiered, view.LogStart)
	from := start
	defer func() {
		if err != nil {
			err = fmt.Errorf("partition=%v offset=%d: %w", id, from, err)
		}
	}()
	if it.producer, it.looks = nil, 0; e.o.Traces != nil && len(e.o.Traces.Between(id, start, st.HighWatermark, 1)) == 0 {
		it.looks = maxLooks
	}
	var base, bytes int64
	for from < st.HighWatermark && bytes < it.take {
		c, err := it.lease.src.Read(ctx, from, st.HighWatermark, int(min(int64(e.o.ReadBytes), it.take-bytes)))
		if err != nil {
			return wrote, err
		}
		n, err := func() (int64, error) {
			defer c.Release()
			if len(c.Buffers) == 0 || c.Next <= from || c.Next > st.HighWatermark {
				return 0, fmt.Errorf("tiering: source read nothing, or beyond its limit next=%d limit=%d", c.Next, st.HighWatermark)
			}
			if !wrote {
				first, _, err := record.Next(c.Buffers[0])
				if err != nil {
					return 0, err
				}
				base = first.BaseOffset()
				if base < view.Tiered || base > start {
					return 0, fmt.Errorf("tiering: local log does not continue the ledger base=%d tiered=%d logStart=%d", base, view.Tiered, view.LogStart)
				}
				wrote = true
				if err := w.Begin(segment.SectionStart{Topic: id.Topic, Partition: id.Partition, Epoch: st.LeaderEpoch, Base: base, PrevChain: view.Chain}); err != nil {
					return 0, err
				}
			}
			if it.looks > 0 {
				e.producerOf(it, c.Buffers)
			}
			var n int64
			for _, b := range c.Buffers {
				if err := w.Append(b); err != nil {
					return n, err
				}
				n += int64(len(b))
			}
			return n, nil
		}()
		if err != nil {
			return wrote, err
		}
		bytes += n
		from = c.Next
	}
	if !wrote {
		return false, nil
	}
	snap, err := it.lease.src.Snapshot(ctx, base, from)
	if err != nil {
		return true, err
	}
	seg, err := w.End(segment.SectionEnd{Epochs: snap.Epochs, Aborted: snap.Aborted, ProducerState: snap.ProducerState, StableOffset: snap.StableOffset})
	if err != nil {
		return true, err
	}
	it.segment = manifest.Segment(seg)
	return true, nil
}

// slowReader keeps the reads of an upload within the engine's byte rate.
type slowReader struct {
	ctx  context.Context
	r    io.ReaderAt
	pace *pace
}

// ReadAt implements io.ReaderAt.
func (s *slowReader) ReadAt(b []byte, off int64) (int, error) {
	if err := s.pace.wait(s.ctx, int64(len(b))); err != nil {
		return 0, err
	}
	return s.r.ReadAt(b, off)
}
