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
	}
	if r != nil {
		r.MustRegister(m.uploadObjects, m.uploadBytes, m.uploadBatchBytes, m.uploadFailures, m.commitRefusals, m.lostReplies, m.abandonedIntents,
			m.uploadSeconds, m.storeDown, m.retainedSegments, m.retainedBytes, m.deletedObjects, m.deleteFailures, m.parkedGarbage, m.garbageOverdue,
			m.purgeFailures)
	}
	return m
}
