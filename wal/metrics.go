package wal

import "github.com/prometheus/client_golang/prometheus"

// metrics of one log. They count whether or not they are registered.
type metrics struct {
	appendedBytes   prometheus.Counter
	writtenBytes    prometheus.Counter
	frames          prometheus.Counter
	refused         prometheus.Counter
	groupBytes      prometheus.Histogram
	writeSeconds    prometheus.Histogram
	syncSeconds     prometheus.Histogram
	waitSeconds     prometheus.Counter
	files           prometheus.Gauge
	spares          prometheus.Gauge
	sealed          prometheus.Counter
	freed           prometheus.Counter
	carried         prometheus.Counter
	freeable        prometheus.Gauge
	tailBytes       prometheus.Gauge
	tailPinned      prometheus.GaugeFunc
	tailHits        prometheus.Counter
	tailMisses      prometheus.Counter
	readBytes       prometheus.Counter
	readWaits       prometheus.Counter
	readWaitSeconds prometheus.Counter
	reading         prometheus.GaugeFunc
	readWaiting     prometheus.GaugeFunc
	corrupt         prometheus.Counter
	fatal           prometheus.Gauge
	usedBytes       prometheus.GaugeFunc
	maxBytes        prometheus.GaugeFunc
	queuedBytes     prometheus.GaugeFunc

	all []prometheus.Collector
}

func newMetrics(l *Log) *metrics {
	m := &metrics{}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "tideline_wal_" + name, Help: help})
		m.all = append(m.all, c)
		return c
	}
	gauge := func(name, help string) prometheus.Gauge {
		g := prometheus.NewGauge(prometheus.GaugeOpts{Name: "tideline_wal_" + name, Help: help})
		m.all = append(m.all, g)
		return g
	}
	gaugeFunc := func(name, help string, fn func() float64) prometheus.GaugeFunc {
		g := prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "tideline_wal_" + name, Help: help}, fn)
		m.all = append(m.all, g)
		return g
	}
	histogram := func(name, help string, buckets []float64) prometheus.Histogram {
		h := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "tideline_wal_" + name, Help: help, Buckets: buckets})
		m.all = append(m.all, h)
		return h
	}
	seconds := prometheus.ExponentialBuckets(20e-6, 2, 17) // 20 µs to 1.3 s
	m.appendedBytes = counter("appended_bytes_total", "Record batch bytes made durable.")
	m.writtenBytes = counter("written_bytes_total", "Bytes written to log files, with frame headers and padding, without indexes.")
	m.frames = counter("frames_total", "Frames written, of all types.")
	m.refused = counter("refused_appends_total", "Appends refused because the log was full.")
	m.groupBytes = histogram("group_bytes", "Bytes of frames made durable by one sync.", prometheus.ExponentialBuckets(256, 4, 8))
	m.writeSeconds = histogram("write_seconds", "Time of a group's write.", seconds)
	m.syncSeconds = histogram("sync_seconds", "Time of a group's fdatasync.", seconds)
	m.waitSeconds = counter("file_wait_seconds_total", "Time the writer waited for its next file.")
	m.files = gauge("files", "Files in the log.")
	m.spares = gauge("spare_files", "Files kept to be used again.")
	m.sealed = counter("sealed_files_total", "Files that got their index.")
	m.freed = counter("freed_files_total", "Files freed.")
	m.carried = counter("carried_states_total", "State frames copied forward because their file was freed.")
	m.freeable = gauge("freeable_bytes", "Bytes of the oldest file, when it is dead and waits to be freed.")
	m.tailBytes = gauge("tail_bytes", "Memory of the tail cache.")
	m.tailPinned = gaugeFunc("tail_pinned_bytes", "Memory that has left the tail cache and is held by readers.", func() float64 { return float64(l.tail.pinned.Load()) })
	m.tailHits = counter("tail_hits_total", "Frames read from the tail cache.")
	m.tailMisses = counter("tail_misses_total", "Frames read from disk.")
	m.readBytes = counter("read_bytes_total", "Bytes read from log files for readers.")
	m.readWaits = counter("read_waits_total", "Reads of consumers that waited for their turn at the disk.")
	m.readWaitSeconds = counter("read_wait_seconds_total", "Time that reads of consumers waited for their turn at the disk.")
	m.reading = gaugeFunc("readers", "Consumers whose reads are at the disk now.", func() float64 { return float64(len(l.lane.slots)) })
	m.readWaiting = gaugeFunc("readers_waiting", "Consumers that wait for their turn at the disk.", func() float64 { return float64(l.lane.waiting.Load()) })
	m.corrupt = counter("corrupt_ranges_total", "Damaged ranges met.")
	m.fatal = gauge("failed", "1 after a write or sync has failed; the broker must be restarted.")
	m.usedBytes = gaugeFunc("used_bytes", "Bytes of log files; the open one up to its write position.", func() float64 { return float64(l.used.Load()) })
	m.maxBytes = gaugeFunc("max_bytes", "Limit on used_bytes.", func() float64 { return float64(l.opts.MaxBytes) })
	m.queuedBytes = gaugeFunc("queued_bytes", "Bytes of frames that wait for the writer.", func() float64 { return float64(l.queue.bytes.Load()) })
	return m
}

func (m *metrics) register(r prometheus.Registerer) {
	if r != nil {
		r.MustRegister(m.all...)
	}
}

func (m *metrics) unregister(r prometheus.Registerer) {
	if r != nil {
		for _, c := range m.all {
			r.Unregister(c)
		}
	}
}
