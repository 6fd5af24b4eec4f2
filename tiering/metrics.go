package tiering

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	uploadObjects, uploadBytes      *prometheus.CounterVec // by kind
	uploadBatchBytes                prometheus.Counter
	uploadFailures, commitRefusals  prometheus.Counter
	lostReplies, abandonedIntents   prometheus.Counter
	uploadSeconds                   prometheus.Histogram
	storeDown                       prometheus.Gauge
	retainedSegments, retainedBytes prometheus.Counter
	deletedObjects, deleteFailures  prometheus.Counter
	parkedGarbage, garbageOverdue   prometheus.Gauge
	purgeFailures                   prometheus.Counter

	compactRounds, compactFailures, compactRefusals prometheus.Counter
	compactReplaced, compactRemoved, compactFull    prometheus.Counter
	compactReadBytes, compactWrittenBytes           prometheus.Counter
	compactSeconds                                  prometheus.Histogram
	compactRatio, compactKeyBytes                   prometheus.Gauge
}

func newMetrics(r prometheus.Registerer) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "tideline_tiering_" + name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: "tideline_tiering_" + name, Help: help})
	}
	byKind := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tideline_tiering_" + name, Help: help}, []string{"kind"})
	}
	m := &metrics{
		uploadObjects:    byKind("upload_objects_total", "Objects put into the object store. Alert when upload_bytes_total by this gets small."),
		uploadBytes:      byKind("upload_bytes_total", "Bytes of objects put into the object store."),
		uploadBatchBytes: counter("upload_batch_bytes_total", "Bytes of record batches that were uploaded and committed, before compression."),
		uploadFailures:   counter("upload_failures_total", "Objects that could not be put."),
		commitRefusals:   counter("commit_refusals_total", "Sections and pages that the ledger refused, as those of a stale leader."),
		lostReplies:      counter("ledger_lost_replies_total", "Commands without an answer, which were proposed again."),
		abandonedIntents: counter("abandoned_intents_total", "Open uploads that nobody worked on and that were closed."),
		uploadSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "tideline_tiering_upload_seconds",
			Help: "From the first read of an object's data to its commit.", Buckets: prometheus.ExponentialBuckets(0.01, 2, 14)}),
		storeDown:        gauge("store_down_state", "1 while uploads wait because the object store fails."),
		retainedSegments: counter("retained_segments_total", "Segments that retention, DeleteRecords included, took away."),
		retainedBytes:    counter("retained_bytes_total", "Bytes of record batches in them."),
		deletedObjects:   counter("deleted_objects_total", "Objects deleted after their grace period."),
		deleteFailures:   counter("delete_failures_total", "Objects that a deletion did not delete; they are tried again."),
		parkedGarbage:    gauge("parked_garbage_objects", "Objects that could not be deleted and wait for another try."),
		garbageOverdue:   gauge("garbage_overdue_seconds", "How long the oldest garbage is past its due time."),
		purgeFailures:    counter("purge_failures_total", "Turns in which a partition of a deleted topic could not be worked off."),

		compactRounds:       counter("compact_rounds_total", "Rounds of compaction over one partition that came to their end."),
		compactFailures:     counter("compact_failures_total", "Rounds that failed; they begin anew, with back-off."),
		compactRefusals:     counter("compact_refusals_total", "Replacements that the ledger refused, because a segment had moved or the leader was stale."),
		compactReplaced:     counter("compact_replaced_segments_total", "Segments that compacted ones took the place of."),
		compactRemoved:      counter("compact_removed_records_total", "Records that rounds of compaction left out."),
		compactFull:         counter("compact_full_rounds_total", "Rounds that ended before the dirty range did, because their map of keys was full. Alert when it keeps growing: raise log.cleaner.dedupe.buffer.size."),
		compactReadBytes:    counter("compact_read_bytes_total", "Bytes of blocks that compaction read from the object store."),
		compactWrittenBytes: counter("compact_written_bytes_total", "Bytes of objects that compaction put."),
		compactSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "tideline_tiering_compact_seconds",
			Help: "Rounds of compaction, from the first read to the last command.", Buckets: prometheus.ExponentialBuckets(0.01, 4, 10)}),
		compactRatio:    gauge("compact_dirty_ratio", "The greatest part of a led partition that waits for compaction, at the last look."),
		compactKeyBytes: gauge("compact_key_bytes", "Memory of the map of keys; 0 while no round runs."),
	}
	if r != nil {
		r.MustRegister(m.uploadObjects, m.uploadBytes, m.uploadBatchBytes, m.uploadFailures, m.commitRefusals, m.lostReplies, m.abandonedIntents,
			m.uploadSeconds, m.storeDown, m.retainedSegments, m.retainedBytes, m.deletedObjects, m.deleteFailures, m.parkedGarbage, m.garbageOverdue,
			m.purgeFailures, m.compactRounds, m.compactFailures, m.compactRefusals, m.compactReplaced, m.compactRemoved, m.compactFull,
			m.compactReadBytes, m.compactWrittenBytes, m.compactSeconds, m.compactRatio, m.compactKeyBytes)
	}
	return m
}
