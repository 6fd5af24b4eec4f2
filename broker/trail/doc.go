// Package trail remembers which traces wrote which offsets, so that what happens to a record
// later than its produce request can be told in the trace of its producer: the way to the
// followers, the upload, the commit, a fetch.
//
//	produce request, append of a leader ──▶ Add ─┐
//	                                             ▼
//	        oldest forgotten ◀── [ ring of entries ] ──▶ Between ──▶ replication, tiering, fetch
//
// A Trail is memory alone: it has a fixed number of entries, forgets the oldest, and is empty
// after a restart. Who looks for a trace that it has forgotten may look for the traceparent
// header in the batch itself (record.TraceParent); a trace that the broker began of its own
// accord is lost then.
//
// The span context of an entry is what spans about these records are children of: the
// producer's span, from the header, or the broker's own span of the request where the records
// have no header. Only sampled traces belong in here.
//
// Within a partition entries ascend by offset: an Add forgets what was written at or above its
// first offset before, for that was truncated.
//
// A nil *Trail is one that is off: it takes nothing and has nothing, and costs a comparison.
// All methods may be called from any goroutine; each takes a mutex that is held for a few
// steps, as many as there are entries to pass over.
package trail
