package config

var cleanerSettings = []Setting{
	{Key: "log.cleaner.enable", Type: Bool, Default: "true",
		Doc: "Compact the compacted topics that this broker leads."},
	{Key: "log.cleaner.dedupe.buffer.size", Type: Long, Default: "134217728", Allowed: between(mib, 64*gib), Update: PerBroker,
		Doc: "The memory for the keys of one round of compaction, 24 bytes a key, at most; it is in use only while a round runs. A partition with more new keys is compacted in several rounds."},
	{Key: "log.cleaner.io.buffer.load.factor", Type: Double, Default: "0.9", Allowed: loadFactor(), Update: PerBroker,
		Doc: "The part of that memory that may be taken. More keys fit with more, and each takes longer to find."},
	{Key: "log.cleaner.io.max.bytes.per.second", Type: Double, Default: "1.7976931348623157E308", Allowed: positive(), Update: PerBroker,
		Doc: "What compaction reads from the object store and writes to it, together, at most."},
	{Key: "log.cleaner.backoff.ms", Type: Long, Default: "15000", Allowed: atLeast(0), Update: PerBroker,
		Doc: "How long compaction waits when there was nothing to do."},
	{Key: "log.cleaner.threads", Type: Int, Default: "1", Allowed: atLeast(0), NoEffect: true, Update: PerBroker,
		Doc: "A broker compacts one partition at a time."},
	{Key: "log.cleaner.io.buffer.size", Type: Int, Default: "524288", Allowed: atLeast(0), NoEffect: true, Update: PerBroker,
		Doc: "Compaction reads 4 MiB at a time, and one batch where that is larger."},
}
