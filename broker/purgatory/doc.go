// Package purgatory holds requests that wait for something to happen: fetches
// that wait for enough bytes, until their time is up.
//
// A parked request is woken exactly once: by the bytes that it waited for, by
// its deadline, by a partition that stops being served, or by the purgatory's
// Close. What wakes it may be the write-ahead log's goroutine, so the request
// goes on in a goroutine of its own. The number of parked requests is bounded;
// above the bound a request is answered at once with what there is.
//
// Everything may be called concurrently.
package purgatory
